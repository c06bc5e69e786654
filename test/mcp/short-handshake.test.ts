import { afterEach, expect, test } from 'vitest'
import { createEgressAgent } from '../../src/egress/connector.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { type ShortHandshake, shortHandshake } from '../../src/mcp/short-handshake.ts'
import { startEverything } from '../support/mcp-servers.ts'
import { type ScriptedOptions, startScriptedServer } from '../support/scripted-mcp-server.ts'

/** The handshake that proves many tokens: whole, or no proof. */

const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
const AGREED = '2025-06-18'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function scripted(options: ScriptedOptions = {}) {
  const server = await startScriptedServer(options)
  stops.push(server.stop)
  return server
}

function shake(url: string, changes: Partial<ShortHandshake> = {}): Promise<boolean> {
  const agent = createEgressAgent(egress)
  stops.push(() => agent.destroy())
  const signal = new AbortController().signal
  return shortHandshake({
    ...{ url, headers: {}, protocolVersion: AGREED, egress, agent, signal, timeoutMs: 10_000 },
    ...changes,
  })
}

test('does what the protocol asks, with the headers on every request, and closes the session', async () => {
  const server = await scripted({ requiredHeader: { name: 'Authorization', value: 'Bearer t' } })
  expect(await shake(server.url, { headers: { Authorization: 'Bearer t' } })).toBe(true)
  expect(server.requests.map(({ method, message }) => `${method} ${message?.method ?? ''}`)).toEqual([
    'POST initialize',
    'POST notifications/initialized',
    'DELETE ',
  ])
  const [first, ...others] = server.requests
  expect(first?.message?.params).toMatchObject({ protocolVersion: AGREED, clientInfo: { name: 'toolferry' } })
  expect(others.every(({ headers }) => headers['mcp-protocol-version'] === AGREED)).toBe(true)
  expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
})

test('uses one connection for many', async () => {
  const server = await scripted()
  const agent = createEgressAgent(egress, { connections: 1 })
  stops.push(() => agent.destroy())
  for (let count = 0; count < 5; count++) expect(await shake(server.url, { agent })).toBe(true)
  expect([server.openSockets(), server.sessionsClosed()]).toEqual([1, 5])
})

test('agrees with the reference server, which answers by event stream', async () => {
  const server = await startEverything('streamableHttp')
  stops.push(server.stop)
  expect(await shake(server.url)).toBe(true)
})

test('takes an answer from a stream that goes on, in pieces and after other messages', async () => {
  const server = await scripted({
    intercept: (_request, response, message) => {
      if (message?.method === 'notifications/initialized') return response.writeHead(202).end() !== undefined
      if (message?.method !== 'initialize') return false
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': hello\r\n\r\nevent: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\r\n\r\n')
      const answer = JSON.stringify({ jsonrpc: '2.0', id: message.id, result: { protocolVersion: AGREED } })
      response.write(`event: message\r\ndata: ${answer.slice(0, 20)}`)
      setImmediate(() => response.write(`${answer.slice(20)}\r\n\r\n`))
      return true
    },
  })
  expect(await shake(server.url)).toBe(true)
})

test.each<[string, ScriptedOptions]>([
  ['a refused header', { requiredHeader: { name: 'Authorization', value: 'Bearer other', status: 403 } }],
  [
    'an error as the answer',
    {
      intercept: (_request, response, message) => {
        if (message?.method !== 'initialize') return false
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, error: { code: -32000, message: 'no' } }))
        return true
      },
    },
  ],
  [
    'an answer to something else',
    {
      intercept: (_request, response, message) => {
        if (message?.method !== 'initialize') return false
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ jsonrpc: '2.0', id: 99, result: { protocolVersion: AGREED } }))
        return true
      },
    },
  ],
  [
    'a page',
    {
      intercept: (_request, response) => response.writeHead(200).end('<html>hello</html>') !== undefined,
    },
  ],
  [
    'a notification that is refused',
    {
      intercept: (_request, response, message) =>
        message?.method === 'notifications/initialized' && response.writeHead(403).end() !== undefined,
    },
  ],
])('%s proves nothing', async (_name, options) => {
  const server = await scripted(options)
  expect(await shake(server.url)).toBe(false)
  expect(server.sessionsClosed()).toBe(server.sessionsOpened())
})

test('another revision than the known one proves nothing, and its session is closed', async () => {
  const server = await scripted()
  expect(await shake(server.url, { protocolVersion: '2025-03-26' })).toBe(false)
  expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
})

test('nobody there proves nothing', async () => {
  const server = await startScriptedServer()
  await server.stop()
  expect(await shake(server.url)).toBe(false)
})

test('an abort ends it with its reason', async () => {
  const controller = new AbortController()
  const server = await scripted({
    intercept: () => {
      controller.abort(new Error('the worker stops'))
      return true
    },
  })
  await expect(shake(server.url, { signal: controller.signal })).rejects.toThrow('the worker stops')
})

test('what the egress policy forbids is not called', async () => {
  const server = await scripted()
  const closed = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: false, ownPorts: new Set() })
  const agent = createEgressAgent(closed)
  stops.push(() => agent.destroy())
  await expect(shake(server.url, { egress: closed, agent }).then((agreed) => ({ agreed }))).rejects.toMatchObject({
    type: 'InvalidDesiredState',
  })
  expect(server.requests).toEqual([])
})
