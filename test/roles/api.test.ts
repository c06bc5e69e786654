import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../src/config.ts'
import { runApi } from '../../src/roles/api.ts'
import type { Running } from '../../src/roles/running.ts'
import { makeDatabase } from '../store/test-store.ts'
import { DATABASE_SERVERS, throughPort } from '../support/database-servers.ts'
import { silentLogger } from '../support/logger.ts'
import { freePort } from '../support/mcp-servers.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
let proxy: TcpProxy
let running: Running
let origin: string
const stop = new AbortController()

beforeAll(async () => {
  database = await makeDatabase('mysql')
  proxy = await startTcpProxy(DATABASE_SERVERS.mysql)
  const { config } = readConfig('api', {
    TOOLFERRY_PORT: String(await freePort()),
    TEMPORAL_ADDRESS: `127.0.0.1:${await freePort()}`,
  })
  const databaseUrl = throughPort(database.options.config.databaseUrl, proxy.port)
  const { dataDir } = database.options.config
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  running = await runApi({ ...config, dataDir, databaseUrl }, secrets, silentLogger, {
    signal: stop.signal,
    onProgress: () => undefined,
  })
  running.ready.catch(() => undefined)
  origin = `http://127.0.0.1:${config.port}`
})
afterAll(async () => {
  await proxy.restore()
  stop.abort()
  await running.close()
  await proxy.stop()
  await database.remove()
})

test('/readyz says so while the store does not answer, and when it does again', async () => {
  const store = async () => {
    const answer = await fetch(`${origin}/readyz`)
    const { parts } = (await answer.json()) as { parts: { name: string; ready: boolean; detail: string | null }[] }
    return { status: answer.status, ...parts.find((part) => part.name === 'store') }
  }
  // Without Temporal it is not ready either way.
  expect(await store()).toEqual({ status: 503, name: 'store', ready: true, detail: null })
  proxy.stall()
  await expect.poll(store, { timeout: 60_000 }).toMatchObject({ ready: false, detail: 'the store does not answer' })
  expect((await fetch(`${origin}/healthz`)).status).toBe(200)
  await proxy.restore()
  await expect.poll(store, { timeout: 60_000 }).toMatchObject({ ready: true })
})

test('an admin key that no header can carry is refused at the start, without being shown', () => {
  for (const key of ['a pass phrase of more than 32 letters', 'k'.repeat(31), 'k'.repeat(513), `${'k'.repeat(40)}é`]) {
    const read = () => readConfig('api', { TOOLFERRY_ADMIN_KEY: key })
    expect(read).toThrow(ConfigError)
    expect(read).toThrow(/TOOLFERRY_ADMIN_KEY/)
    expect(read).not.toThrow(key)
  }
  expect(readConfig('api', { TOOLFERRY_ADMIN_KEY: '~'.repeat(512) }).secrets.adminKey).toHaveLength(512)
})
