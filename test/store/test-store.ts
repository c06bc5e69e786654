import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { openStore, type Store, type StoreOptions } from '../../src/store/store.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { DATABASE_SERVERS, storeUrl } from '../support/database-servers.ts'

export const ENGINES = ['sqlite', 'mysql'] as const
export type TestEngine = (typeof ENGINES)[number]

export const ADMIN_KEY = 'an admin key of the tests, 40 characters'

export type TestStore = { store: Store; options: StoreOptions; close(): Promise<void> }

/** A database of its own: a file, or a MariaDB database with a name of its own. `remove` drops it. */
export async function makeDatabase(engine: TestEngine): Promise<{ options: StoreOptions; remove(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-store-'))
  const name = `toolferry_test_${randomBytes(6).toString('hex')}`
  if (engine === 'mysql') await onServer(`CREATE DATABASE ${name}`)
  return {
    options: {
      config: {
        dataDir,
        databaseUrl: engine === 'sqlite' ? `file:${join(dataDir, 'toolferry.db')}` : storeUrl(name),
      },
      secrets: { masterKey: randomBytes(32), retiredMasterKeys: [], adminKey: ADMIN_KEY },
      logger: createLogger({ level: 'silent', role: 'test' }),
    },
    async remove() {
      if (engine === 'mysql') await onServer(`DROP DATABASE ${name}`)
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** An open store on a database of its own; `close` closes it and drops the database. */
export async function openTestStore(engine: TestEngine = 'sqlite'): Promise<TestStore> {
  const { options, remove } = await makeDatabase(engine)
  const store = await openStore(options)
  return {
    store,
    options,
    async close() {
      await store.close()
      await remove()
    },
  }
}

async function onServer(sql: string): Promise<void> {
  const connection = await createConnection(DATABASE_SERVERS.mysql)
  try {
    await connection.query(sql)
  } finally {
    await connection.end()
  }
}
