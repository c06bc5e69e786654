import { randomBytes } from 'node:crypto'
import { createConnection } from 'mysql2/promise'
import { DATABASE_SERVERS, storeUrl } from '../../test/support/database-servers.ts'

export type Database = { url: string; drop(): Promise<void> }

/** An empty database of its own on this machine's MariaDB. Rejects where none listens. */
export async function createDatabase(): Promise<Database> {
  const name = `toolferry_bench_${randomBytes(6).toString('hex')}`
  const admin = await createConnection(DATABASE_SERVERS.mysql)
  await admin.query(`CREATE DATABASE ${name}`)
  return {
    url: storeUrl(name),
    async drop() {
      await admin.query(`DROP DATABASE ${name}`)
      await admin.end()
    },
  }
}
