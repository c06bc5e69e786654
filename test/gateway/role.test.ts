import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { runGateway } from '../../src/roles/gateway.ts'
import type { Running } from '../../src/roles/running.ts'
import { listAudit } from '../../src/store/audit.ts'
import { createInstance } from '../../src/store/instances.ts'
import { listJournalEntries } from '../../src/store/journal.ts'
import { createManualToken } from '../../src/store/manual-tokens.ts'
import { openStore } from '../../src/store/store.ts'
import { makeDatabase } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { freePort } from '../support/mcp-servers.ts'
import type { Upstream } from './world.ts'
import { codeOf, createUpstream, ping, post } from './world.ts'

const ADMIN_KEY = 'k'.repeat(40)

let upstream: Upstream
let database: Awaited<ReturnType<typeof makeDatabase>>
let running: Running
let origin: string
let instanceId: string
let token: string

beforeAll(async () => {
  upstream = await createUpstream()
  database = await makeDatabase('sqlite')
  database.options.secrets.adminKey = ADMIN_KEY
  const store = await openStore(database.options)
  const instance = await createInstance(store, { name: 'one', transport: 'streamable-http', url: upstream.url })
  instanceId = instance.id
  token = (await createManualToken(store, { instanceId, name: 'by hand' })).secret
  await store.close()
  const { config } = readConfig('gateway', {
    TOOLFERRY_PORT: String(await freePort()),
    TOOLFERRY_GATEWAY_STALE_SECONDS: '7',
    TOOLFERRY_PUBLIC_URL: 'https://mcp.example.com/behind/a/path',
  })
  expect(config.gatewayStaleMs).toBe(7_000)
  origin = `http://127.0.0.1:${config.port}`
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  const signal = new AbortController().signal
  running = await runGateway({ ...config, ...database.options.config }, secrets, silentLogger, { signal })
})
afterAll(async () => {
  await upstream.close()
  await database.remove()
})

test('the role serves calls, says that it is ready, shows metrics to API keys only, and its journal survives it', async () => {
  expect((await fetch(`${origin}/readyz`)).status).toBe(200)
  const fromPage = (page: string) => post(`${origin}/mcp-gateway/${instanceId}/mcp`, token, ping(), { Origin: page })
  // A page has an origin, whatever path the public URL has.
  expect((await fromPage('https://mcp.example.com')).status).toBe(200)
  expect((await fetch(`${origin}/metrics`)).status).toBe(401)
  expect((await fetch(`${origin}/metrics`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(401)
  const metrics = await fetch(`${origin}/metrics`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
  expect(await metrics.text()).toContain(
    `toolferry_gateway_request_seconds_count{instance="${instanceId}",status="200"} 1`,
  )
  const wrong = () => fetch(`${origin}/metrics`, { headers: { authorization: 'Bearer tfa_wrong' } })
  for (let count = 1; count < 20; count += 1) expect((await wrong()).status).toBe(401)
  const limited = await wrong()
  expect([limited.status, Number(limited.headers.get('retry-after')) > 0]).toEqual([429, true])
  expect(codeOf(await fromPage('https://evil.example.com'))).toBe('origin_refused')
  await running.close()
  await expect(fetch(`${origin}/readyz`)).rejects.toThrow()

  const store = await openStore(database.options)
  const refused = await listAudit(store, { resource: 'api-key' })
  expect(refused.items.map(({ actor, action, outcome }) => ({ actor, action, outcome }))).toEqual(
    Array.from({ length: 2 }, () => ({ actor: 'anonymous (127.0.0.1)', action: 'use', outcome: 'refused' })),
  )
  const { items } = await listJournalEntries(store, { instanceId })
  expect(items).toMatchObject([
    { errorCode: 'origin_refused' },
    { method: 'ping', status: 200, requestBytes: JSON.stringify(ping()).length },
  ])
  const [used] = await store.db.gatewayToken.findMany({ where: { instanceId } })
  expect(used?.lastUsedAt).toEqual(items[1]?.at)
  await store.close()
})

test('a port that is taken is told with the setting that gave it', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const port = String((taken.address() as AddressInfo).port)
  const secrets = { ...database.options.secrets, temporalApiKey: null }
  const signal = new AbortController().signal
  for (const setting of ['TOOLFERRY_PORT', 'TOOLFERRY_GATEWAY_PORT']) {
    const { config } = readConfig('gateway', { [setting]: port })
    const started = runGateway({ ...config, ...database.options.config }, secrets, silentLogger, { signal })
    await expect(started).rejects.toThrow(`choose another port with ${setting}.`)
  }
  taken.close()
})
