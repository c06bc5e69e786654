import { randomBytes } from 'node:crypto'
import { createConnection } from 'mysql2/promise'

export type Database = { url: string; drop(): Promise<void> }

const MARIADB = { host: '127.0.0.1', port: 3306, user: 'root' }

/** An empty database of its own on this machine's MariaDB. Rejects where none listens. */
export async function createDatabase(): Promise<Database> {
  const name = `toolferry_bench_${randomBytes(6).toString('hex')}`
  const admin = await createConnection(MARIADB)
  await admin.query(`CREATE DATABASE ${name}`)
  return {
    url: `mysql://root@127.0.0.1:3306/${name}`,
    async drop() {
      await admin.query(`DROP DATABASE ${name}`)
      await admin.end()
    },
  }
}
