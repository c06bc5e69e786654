import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { ConfigError } from '../../src/config.ts'
import { openStore } from '../../src/store/store.ts'
import { silentLogger } from '../support/logger.ts'
import { type OwnMysqlServer, startOwnMysqlServer } from '../support/own-mysql-server.ts'
import { ADMIN_KEY } from './test-store.ts'

/** A store whose user has a password, and comes encrypted or not: the server keeps it in whatever way is its default. */

const PASSWORD = 'p@ss wörd/:%'
const MASTER_KEY = randomBytes(32)

let server: OwnMysqlServer
let database = ''
beforeAll(async () => {
  server = await startOwnMysqlServer()
})
afterAll(() => server.stop())
beforeEach(async () => {
  database = `toolferry_${randomBytes(4).toString('hex')}`
  // A user that the server has never seen: what it remembers of one lets him in by a shorter way.
  await server.asRoot(`CREATE DATABASE ${database}; CREATE USER ${database}@'%' IDENTIFIED BY '${PASSWORD}';
    GRANT ALL ON ${database}.* TO ${database}@'%'`)
})

/** Whether the store's connections are encrypted. */
async function opened(host: string, options: string): Promise<boolean> {
  const store = await openStore({
    config: {
      dataDir: '/nonexistent',
      databaseUrl: `mysql://${database}:${encodeURIComponent(PASSWORD)}@${host}:${server.port}/${database}${options}`,
    },
    secrets: { masterKey: MASTER_KEY, retiredMasterKeys: [], adminKey: ADMIN_KEY },
    logger: silentLogger,
  })
  try {
    const rows = await store.db.$queryRaw<{ Value: string }[]>`SHOW STATUS LIKE 'Ssl_cipher'`
    return rows[0]?.Value !== ''
  } finally {
    await store.close()
  }
}

it('opens without TLS, and with it for whoever answers', async () => {
  expect(await opened('127.0.0.1', '')).toBe(false)
  expect(await opened('127.0.0.1', '?ssl=require')).toBe(true)
})

it('opens where the certificate is verified, and of the name', async () => {
  expect(await server.whileTrusted(() => opened('localhost', '?ssl=verify'))).toBe(true)
})

it('is refused, before anything is made there, where the certificate is of an unknown authority or another name', async () => {
  const refusal = { name: ConfigError.name, message: expect.stringContaining('cannot be opened') }
  await expect(opened('localhost', '?ssl=verify')).rejects.toMatchObject(refusal)
  await server.certify('elsewhere.test')
  try {
    await expect(server.whileTrusted(() => opened('localhost', '?ssl=verify'))).rejects.toMatchObject(refusal)
  } finally {
    await server.certify('localhost')
  }
})
