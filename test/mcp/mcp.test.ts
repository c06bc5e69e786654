import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ErrorType } from '../../src/domain/errors.ts'
import { ToolferryError } from '../../src/domain/errors.ts'
import type { McpTransport } from '../../src/domain/tool.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { callTool } from '../../src/mcp/call.ts'
import type { McpTarget } from '../../src/mcp/client.ts'
import { discoverTools } from '../../src/mcp/discover.ts'
import { handshake } from '../../src/mcp/handshake.ts'
import type { RunningServer } from '../support/mcp-servers.ts'
import { freePort, startEverything } from '../support/mcp-servers.ts'
import { startModernServer } from '../support/modern-mcp-server.ts'
import type { ScriptedOptions, ScriptedServer } from '../support/scripted-mcp-server.ts'
import { manyTools, startScriptedServer } from '../support/scripted-mcp-server.ts'

const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })

function target(url: string, changes: Partial<McpTarget> = {}): McpTarget {
  return {
    url,
    transport: 'streamable-http',
    headers: {},
    egress,
    signal: new AbortController().signal,
    timeoutMs: 20_000,
    ...changes,
  }
}

async function failureOf(work: Promise<unknown>): Promise<ToolferryError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof ToolferryError)) throw error
  return error
}

const stops: (() => Promise<void>)[] = []

async function scripted(options: ScriptedOptions = {}): Promise<ScriptedServer> {
  const server = await startScriptedServer(options)
  stops.push(server.stop)
  return server
}

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

describe.each<[string, 'streamableHttp' | 'sse', McpTransport]>([
  ['Streamable HTTP', 'streamableHttp', 'streamable-http'],
  ['HTTP+SSE', 'sse', 'sse'],
])('the reference server by %s', (_name, argument, transport) => {
  let everything: RunningServer
  beforeAll(async () => {
    everything = await startEverything(argument)
  })
  afterAll(() => everything.stop())

  test('shakes hands', async () => {
    const facts = await handshake(target(everything.url, { transport }))
    expect(facts.serverName).toMatch(/everything/)
    expect(facts.serverVersion).not.toBeNull()
    expect(facts.protocolVersion).toMatch(/^20\d\d-\d\d-\d\d$/)
  })

  test('lists its tools and calls one', async () => {
    const found = await discoverTools(target(everything.url, { transport }))
    expect(found.warnings).toEqual([])
    expect(found.tools.map((tool) => tool.name)).toContain('echo')
    expect(found.tools.every((tool) => tool.inputSchema.type === 'object')).toBe(true)
    const called = await callTool({
      ...target(everything.url, { transport }),
      name: 'echo',
      arguments: { message: 'ahoy' },
    })
    expect(called).toMatchObject({
      ok: true,
      result: { isError: false, content: [{ type: 'text', text: 'Echo: ahoy' }] },
    })
  })

  test('the wrong transport is said to be wrong', async () => {
    const wrong = transport === 'sse' ? 'streamable-http' : 'sse'
    const error = await failureOf(handshake(target(everything.url, { transport: wrong })))
    expect(error.type).toBe('UpstreamUnreachable')
    expect(error.message).toMatch(/HTTP 4\d\d/)
  })
})

test('a stateless server of 2026-07-28: no initialize, no session, no goodbye', async () => {
  const server = await startModernServer()
  stops.push(server.stop)
  const found = await discoverTools(target(server.url))
  expect(found).toMatchObject({
    serverName: 'modern',
    serverVersion: '3.0.0',
    protocolVersion: '2026-07-28',
    warnings: [],
  })
  expect(found.tools.map((tool) => tool.name)).toEqual(['shout'])
  const called = await callTool({ ...target(server.url), name: 'shout', arguments: { text: 'ahoy' } })
  expect(called).toMatchObject({ ok: true, result: { content: [{ type: 'text', text: 'AHOY' }] } })
  expect(new Set(server.methods)).toEqual(new Set(['POST']))
})

describe('sessions', () => {
  test('are closed after a handshake, with the headers on every request, and leave no socket', async () => {
    const server = await scripted({ requiredHeader: { name: 'X-Key', value: 'k-1' } })
    const facts = await handshake(target(server.url, { headers: { 'X-Key': 'k-1' } }))
    expect(facts).toEqual({ serverName: 'scripted', serverVersion: '1.2.3', protocolVersion: '2025-06-18' })
    expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
    expect(server.requests.at(-1)?.method).toBe('DELETE')
    expect(server.requests.every(({ headers }) => headers['x-key'] === 'k-1')).toBe(true)
    await server.allSocketsClosed()
    expect(server.openSockets()).toBe(0)
  })

  test('are closed when the work fails', async () => {
    const server = await scripted({ page: () => ({ tools: 'none' as unknown as unknown[] }) })
    const error = await failureOf(discoverTools(target(server.url)))
    expect(error.type).toBe('UpstreamUnreachable')
    expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
  })

  test('are closed on abort in the middle, and the reason of the abort is what is thrown', async () => {
    const controller = new AbortController()
    const reason = new Error('the worker stops')
    const server = await scripted({
      intercept: (_request, _response, message) => {
        if (message?.method !== 'tools/list') return false
        controller.abort(reason)
        return true
      },
    })
    await expect(discoverTools(target(server.url, { signal: controller.signal }))).rejects.toBe(reason)
    expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
    await server.allSocketsClosed()
    expect(server.openSockets()).toBe(0)
  })

  test('an SSE stream ends with its session, also on abort', async () => {
    const controller = new AbortController()
    const streamClosed = Promise.withResolvers<void>()
    const server = await scripted({
      intercept: (request, response) => {
        if (request.method !== 'GET') {
          controller.abort(new Error('enough'))
          return true
        }
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('event: endpoint\ndata: /message?sessionId=1\n\n')
        response.once('close', () => streamClosed.resolve())
        return true
      },
    })
    await expect(handshake(target(server.url, { transport: 'sse', signal: controller.signal }))).rejects.toThrow(
      'enough',
    )
    await streamClosed.promise
    await server.allSocketsClosed()
    expect(server.openSockets()).toBe(0)
  })

  test('nothing is sent after an abort that came first', async () => {
    const server = await scripted()
    await expect(handshake(target(server.url, { signal: AbortSignal.abort(new Error('too late')) }))).rejects.toThrow(
      'too late',
    )
    expect(server.requests).toEqual([])
  })

  test('a server that dies of discovery is asked the old way', async () => {
    const server = await scripted({
      intercept: (_request, response, message) => {
        if (message?.method !== 'server/discover') return false
        response.writeHead(500).end('crash')
        return true
      },
    })
    expect((await handshake(target(server.url))).serverName).toBe('scripted')
    expect(server.requests.some(({ message }) => message?.method === 'server/discover')).toBe(true)
    expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
  })
})

describe('tools/list', () => {
  test('all pages are read, in order', async () => {
    const server = await scripted({ tools: manyTools(25), pageSize: 10 })
    const found = await discoverTools(target(server.url))
    expect(found.tools.map((tool) => tool.name)).toEqual(manyTools(25).map((tool) => tool.name))
    expect(found.warnings).toEqual([])
    expect(server.requests.filter(({ message }) => message?.method === 'tools/list')).toHaveLength(3)
  })

  test('a server that ignores the cursor gives its one page', async () => {
    const server = await scripted({ page: () => ({ tools: manyTools(3), nextCursor: 'again' }) })
    const found = await discoverTools(target(server.url))
    expect(found.tools).toHaveLength(3)
    expect(found.warnings).toEqual([expect.stringContaining('ignores the page cursor')])
    expect(server.requests.filter(({ message }) => message?.method === 'tools/list')).toHaveLength(2)
  })

  test('a cursor that comes back with other tools is refused', async () => {
    let number = 0
    const server = await scripted({
      page: () => {
        number += 1
        return { tools: [{ name: `t${number}`, inputSchema: {} }], nextCursor: number % 2 === 0 ? 'even' : 'odd' }
      },
    })
    const error = await failureOf(discoverTools(target(server.url)))
    expect(error).toMatchObject({ type: 'UpstreamUnreachable', message: expect.stringContaining('cursor') })
    expect(number).toBe(3)
  })

  test('pages, tools and bytes are limited', async () => {
    let number = 0
    const server = await scripted({
      page: () => {
        number += 1
        return {
          tools: [{ name: `t${number}`, description: 'x'.repeat(2_000), inputSchema: {} }],
          nextCursor: String(number),
        }
      },
    })
    const pages = await failureOf(discoverTools({ ...target(server.url), maxPages: 4 }))
    expect(pages.message).toContain('more than 4 pages')
    expect(number).toBe(4)
    const tools = await failureOf(discoverTools({ ...target(server.url), maxTools: 3 }))
    expect(tools.message).toContain('more than 3 tools')
    const bytes = await failureOf(discoverTools(target(server.url, { maxBytes: 16 * 1024 })))
    expect(bytes).toMatchObject({ type: 'UpstreamUnreachable', message: expect.stringContaining('more than 16 KiB') })
    expect(server.sessionsClosed()).toBe(3)
  })

  test('one bad tool does not hide the others', async () => {
    const server = await scripted({
      tools: [
        { name: 'good', inputSchema: { type: 'object' }, extra: 1 },
        { inputSchema: {} },
        { name: 'bare' },
        { name: 'good', inputSchema: {} },
      ],
    })
    const found = await discoverTools(target(server.url))
    expect(found.tools).toEqual([
      { name: 'good', inputSchema: { type: 'object' }, extra: 1 },
      { name: 'bare', inputSchema: { type: 'object', properties: {} } },
    ])
    expect(found.warnings).toEqual([
      expect.stringContaining('number 2'),
      expect.stringContaining('“bare” has no input schema'),
      expect.stringContaining('“good” is listed twice'),
    ])
  })

  test('a server without tools has none', async () => {
    const server = await scripted({
      capabilities: {},
      intercept: (_request, response, message) => {
        if (message?.method !== 'tools/list') return false
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'no' } }))
        return true
      },
    })
    const found = await discoverTools(target(server.url))
    expect(found).toMatchObject({ tools: [], warnings: ['The server offers no tools.'] })
  })
})

describe('failures', () => {
  test.each([401, 403])('HTTP %i is UpstreamUnauthorized and says neither header nor body', async (status) => {
    const server = await scripted({ requiredHeader: { name: 'Authorization', value: 'Bearer right', status } })
    for (const transport of ['streamable-http', 'sse'] as const) {
      const error = await failureOf(
        handshake(
          target(`${server.url}?key=query-secret`, { transport, headers: { Authorization: 'Bearer wrong-secret' } }),
        ),
      )
      expect(error.type).toBe('UpstreamUnauthorized')
      expect(error.message).toContain(`HTTP ${status}`)
      expect(JSON.stringify([error.message, String(error.cause)])).not.toMatch(/secret|Bearer/)
    }
    // The refusal is final: there is no second try in the older protocol.
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })

  const pages: [string, Parameters<typeof scripted>[0] & object, ErrorType, RegExp][] = [
    [
      'a web page',
      {
        intercept: (_request, response) =>
          void response.writeHead(200, { 'content-type': 'text/html; x=secret' }).end('<p>secret') === undefined,
      },
      'UpstreamUnreachable',
      /text\/html/,
    ],
    [
      'a 503',
      { intercept: (_request, response) => void response.writeHead(503).end('secret') === undefined },
      'UpstreamUnreachable',
      /HTTP 503/,
    ],
    [
      'a 404',
      { intercept: (_request, response) => void response.writeHead(404).end('secret') === undefined },
      'UpstreamUnreachable',
      /HTTP 404.*path/,
    ],
    [
      'a 429',
      { intercept: (_request, response) => void response.writeHead(429, { 'retry-after': '7' }).end() === undefined },
      'RateLimited',
      /429/,
    ],
    [
      'JSON that is not JSON-RPC',
      {
        intercept: (_request, response) =>
          void response.writeHead(200, { 'content-type': 'application/json' }).end('{"secret":1}') === undefined,
      },
      'UpstreamUnreachable',
      /not valid MCP/,
    ],
    [
      'broken JSON',
      {
        intercept: (_request, response) =>
          void response.writeHead(200, { 'content-type': 'application/json' }).end('{"secret') === undefined,
      },
      'UpstreamUnreachable',
      /not JSON|not valid MCP/,
    ],
    [
      'a closed connection',
      { intercept: (request) => request.socket.destroy() !== undefined },
      'UpstreamUnreachable',
      /closed the connection/,
    ],
  ]
  test.each(pages)('%s', async (_name, options, type, message) => {
    const server = await scripted(options)
    const error = await failureOf(handshake(target(server.url)))
    expect(error.type).toBe(type)
    expect(error.message).toMatch(message)
    expect(error.message).not.toContain('secret')
    if (type === 'RateLimited') expect(error.retryAfterMs).toBe(7_000)
  })

  test('a 429 that asks for days is heeded for minutes: a run would stand still for as long', async () => {
    const server = await scripted({
      intercept: (_request, response) => void response.writeHead(429, { 'retry-after': '999999' }).end() === undefined,
    })
    expect((await failureOf(handshake(target(server.url)))).retryAfterMs).toBe(300_000)
  })

  test('a redirect is not followed', async () => {
    const aim = await scripted()
    const server = await scripted({
      intercept: (_request, response) => void response.writeHead(307, { location: aim.url }).end() === undefined,
    })
    for (const transport of ['streamable-http', 'sse'] as const) {
      const error = await failureOf(handshake(target(server.url, { transport })))
      expect(error).toMatchObject({
        type: 'UpstreamUnreachable',
        message: expect.stringContaining('redirect (HTTP 307)'),
      })
    }
    expect(aim.requests).toEqual([])
  })

  test('a port where nothing listens', async () => {
    const port = await freePort()
    for (const transport of ['streamable-http', 'sse'] as const) {
      const error = await failureOf(handshake(target(`http://127.0.0.1:${port}/mcp`, { transport })))
      expect(error).toMatchObject({ type: 'UpstreamUnreachable', message: expect.stringContaining('ECONNREFUSED') })
    }
  })

  test('a host name that does not resolve', async () => {
    const nowhere = createEgressPolicy({
      allow: [],
      deny: [],
      loopbackAllowed: true,
      ownPorts: new Set(),
      resolve: () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })),
    })
    const error = await failureOf(handshake(target('http://mcp.example/mcp', { egress: nowhere })))
    expect(error).toMatchObject({ type: 'UpstreamUnreachable', message: expect.stringContaining('ENOTFOUND') })
  })

  test('TLS where plain HTTP is spoken', async () => {
    const server = await scripted()
    const error = await failureOf(handshake(target(server.url.replace('http:', 'https:'))))
    expect(error).toMatchObject({ type: 'UpstreamUnreachable', message: expect.stringMatching(/TLS/) })
  })

  test('a slow server is a Timeout, and its session is closed', async () => {
    const server = await scripted({ intercept: (_request, _response, message) => message?.method === 'tools/list' })
    const error = await failureOf(discoverTools(target(server.url, { timeoutMs: 500 })))
    expect(error).toMatchObject({ type: 'Timeout', message: expect.stringContaining('0.5 s') })
    expect([server.sessionsOpened(), server.sessionsClosed()]).toEqual([1, 1])
    await server.allSocketsClosed()
  })

  test.each<McpTransport>(['streamable-http', 'sse'])(
    'a server that never answers is a Timeout (%s)',
    async (transport) => {
      const server = await scripted({ intercept: () => true })
      const error = await failureOf(handshake(target(server.url, { transport, timeoutMs: 300 })))
      expect(error.type).toBe('Timeout')
      await server.allSocketsClosed()
    },
  )

  test('refused by the egress policy: at the URL, and at the address behind a name', async () => {
    const own = createServer((_request, response) => response.end()).listen(0, '127.0.0.1')
    await once(own, 'listening')
    const { port } = own.address() as AddressInfo
    let connections = 0
    own.on('connection', () => {
      connections += 1
    })
    const careful = createEgressPolicy({
      allow: [],
      deny: [],
      loopbackAllowed: true,
      ownPorts: new Set([port]),
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    })
    for (const url of [`http://127.0.0.1:${port}/mcp`, `http://innocent.example:${port}/mcp`]) {
      for (const transport of ['streamable-http', 'sse'] as const) {
        const error = await failureOf(handshake(target(url, { egress: careful, transport })))
        expect(error).toMatchObject({
          type: 'InvalidDesiredState',
          message: expect.stringContaining('Toolferry itself'),
        })
      }
    }
    expect(connections).toBe(0)
    own.close()
    await once(own, 'close')
  })

  test('our own gateway is reached by the exception made for it only', async () => {
    const server = await scripted()
    const own = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: false, ownPorts: new Set([server.port]) })
    expect((await failureOf(handshake(target(server.url, { egress: own })))).type).toBe('InvalidDesiredState')
    const exception = own.forOwnGateway(new URL(server.url).origin)
    expect((await handshake(target(server.url, { egress: exception }))).serverName).toBe('scripted')
  })

  test('a header that cannot be sent is refused without its value', async () => {
    const error = await failureOf(
      handshake(target('http://127.0.0.1:9/mcp', { headers: { 'X-Key': 'hush-1\r\nEvil: 1' } })),
    )
    expect(error).toMatchObject({ type: 'InvalidDesiredState', field: 'headers.X-Key' })
    expect(error.message).not.toContain('hush-1')
  })
})

describe('tools/call', () => {
  test('an error of the server is an answer, not a failure', async () => {
    const server = await scripted({
      intercept: (_request, response, message) => {
        if (message?.method !== 'tools/call') return false
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(
          JSON.stringify({ jsonrpc: '2.0', id: message.id, error: { code: -32602, message: 'no such tool' } }),
        )
        return true
      },
    })
    const outcome = await callTool({ ...target(server.url), name: 'x', arguments: {} })
    expect(outcome).toMatchObject({ ok: false, error: { code: -32602, message: 'no such tool' } })
    expect(server.sessionsClosed()).toBe(1)
  })
})
