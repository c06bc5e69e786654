import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { runApi } from '../../src/roles/api.ts'
import type { Running } from '../../src/roles/running.ts'
import { makeDatabase } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { freePort } from '../support/mcp-servers.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
let temporal: TestTemporal
let proxy: TcpProxy
let running: Running
let origin: string
const stop = new AbortController()

beforeAll(async () => {
  database = await makeDatabase('sqlite')
  temporal = await startTestTemporal()
  const [host = '', port = ''] = temporal.address.split(':')
  proxy = await startTcpProxy({ host, port: Number(port) })
  const { config } = readConfig('api', {
    TOOLFERRY_PORT: String(await freePort()),
    TEMPORAL_ADDRESS: `127.0.0.1:${proxy.port}`,
    TEMPORAL_NAMESPACE: temporal.namespace,
  })
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  running = await runApi({ ...config, ...database.options.config }, secrets, silentLogger, {
    signal: stop.signal,
    onProgress: () => undefined,
  })
  await running.ready
  origin = `http://127.0.0.1:${config.port}`
})
afterAll(async () => {
  await proxy.restore()
  stop.abort()
  await running.close()
  await proxy.stop()
  await temporal.stop()
  await database.remove()
})

async function readiness() {
  const answer = await fetch(`${origin}/readyz`)
  const { parts } = (await answer.json()) as { parts: { name: string; ready: boolean; detail: string | null }[] }
  return { status: answer.status, ...parts.find((part) => part.name === 'temporal') }
}
// It goes on serving: a balancer should not leave it out.
const away = { status: 200, ready: false, detail: expect.stringContaining('does not answer') }

test.each([
  ['is gone', () => proxy.refuse()],
  ['says nothing any more', () => proxy.stall()],
])('/readyz says so while a Temporal that was there %s, and when it is back', async (_, leave) => {
  expect(await readiness()).toEqual({ status: 200, name: 'temporal', ready: true, detail: null })
  await leave()
  await expect.poll(readiness, { timeout: 30_000 }).toMatchObject(away)
  await proxy.restore()
  await expect.poll(readiness, { timeout: 60_000 }).toMatchObject({ status: 200, ready: true, detail: null })
})
