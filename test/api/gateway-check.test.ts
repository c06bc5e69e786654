import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { askGateway } from '../../src/api/gateway-check.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { NO_IDS, sendRefusal } from '../../src/gateway/refusal.ts'
import { freePort } from '../support/mcp-servers.ts'
import { openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let origin: string
let asked: IncomingMessage[] = []
let answer = (_res: ServerResponse): void => undefined
const server = createServer((req, res) => {
  asked.push(req)
  answer(res)
})

beforeAll(async () => {
  api = await openTestApi()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  api.deps.facts.publicUrl = origin
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await api.close()
})

const check = async (by: (res: ServerResponse) => void) => {
  asked = []
  answer = by
  const found = await api.call('GET', '/api/v1/settings/gateway-check', { role: 'viewer' })
  expect(found.status).toBe(200)
  return found.json
}
const says =
  (status: number, body: string, headers: Record<string, string> = {}) =>
  (res: ServerResponse) =>
    void res.writeHead(status, headers).end(body)

it('our gateway is known by its refusal, and is asked for nobody’s server without a token', async () => {
  const found = await check((res) => {
    sendRefusal(res as Parameters<typeof sendRefusal>[0], 'credential_missing', NO_IDS)
    res.end()
  })
  expect(found).toMatchObject({ url: origin, verdict: 'ours', detail: null })
  expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
    expect.stringMatching(/^GET \/mcp-gateway\/[0-9a-f-]{36}\/mcp$/),
  ])
  expect(asked[0]?.headers).not.toHaveProperty('authorization')
})

it.each<[string, (res: ServerResponse) => void, string]>([
  ['a web page', says(200, '<html>Welcome</html>'), 'Something else than the gateway answers there (HTTP 200).'],
  [
    'another MCP server',
    says(401, '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Unauthorized"}}'),
    'Something else than the gateway answers there (HTTP 401).',
  ],
  ['JSON of somebody', says(404, 'null'), 'Something else than the gateway answers there (HTTP 404).'],
  [
    'an answer without end',
    (res) => void res.write('x'.repeat(20_000)),
    'Something else than the gateway answers there (HTTP 200).',
  ],
  [
    'a proxy without a gateway',
    says(502, 'Bad Gateway'),
    'A proxy answers there that does not reach the gateway (HTTP 502).',
  ],
])('%s is somebody else', async (_what, by, detail) => {
  expect(await check(by)).toMatchObject({ verdict: 'other', detail })
})

it('a redirect is not followed', async () => {
  const found = await check(says(302, '', { location: `${origin}/elsewhere` }))
  expect(found).toMatchObject({
    verdict: 'other',
    detail: 'A redirect answers there (HTTP 302), and none is followed.',
  })
  expect(asked).toHaveLength(1)
})

it('nobody there is not reachable from here, and it says why', async () => {
  const { egress } = api.deps
  const ask = (url: string, timeoutMs = 60_000) =>
    askGateway(url, { egress, signal: new AbortController().signal, timeoutMs })
  expect(await ask(`http://127.0.0.1:${await freePort()}`)).toEqual({
    verdict: 'unreachable',
    detail: 'The connection failed (ECONNREFUSED).',
  })
  expect(await ask('http://169.254.169.254')).toMatchObject({
    verdict: 'unreachable',
    detail: expect.stringContaining('Toolferry never connects there'),
  })
  answer = () => undefined
  expect(await ask(origin, 100)).toEqual({ verdict: 'unreachable', detail: 'There was no answer within 0.1 s.' })
})

it.each([
  ['http://mcp.example.com', 'http://mcp.example.com is not https'],
  ['https://127.0.0.1', '127.0.0.1 is an IP address'],
  ['https://localhost', 'localhost is no public domain name'],
  // A name that is never called: it takes no network to say what COZE's rule is.
  ['https://metadata.google.internal', null],
])('COZE’s rule for %s: %s', async (url, why) => {
  api.deps.facts.publicUrl = url
  api.deps.egress = createEgressPolicy({
    allow: [],
    deny: [],
    loopbackAllowed: true,
    ownPorts: new Set(),
    resolve: async () => [],
  })
  const found = await api.call('GET', '/api/v1/settings/gateway-check')
  expect(found.json.coze.ok).toBe(why === null)
  if (why !== null) expect(found.json.coze.detail).toContain(why)
})
