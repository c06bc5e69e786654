import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createNetServer, type Server } from 'node:net'
import { brotliCompressSync, createGzip, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { selfSigned } from '../support/self-signed.ts'
import type { Upstream, World } from './world.ts'
import {
  answerJson,
  codeOf,
  createUpstream,
  createWorld,
  mcpUrl,
  openStream,
  ping,
  post,
  resultFor,
  send,
  sseUrl,
} from './world.ts'

/** An upstream that fails in every way it can: each the right status and JSON-RPC error, with the request's own id and no detail of ours. */

let world: World
let upstream: Upstream

beforeAll(async () => {
  ;[world, upstream] = await Promise.all([createWorld({ limits: { breakerFailures: 1_000 } }), createUpstream()])
})
afterAll(() => Promise.all([world?.close(), upstream?.close()]))
beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (_req, res, body) => answerJson(res, resultFor(body))
})

/** What a caller of an instance at this URL is told. */
async function failure(url: string, limits: Record<string, number> = {}) {
  const instance = world.view.addInstance({ url, limits })
  const answer = await post(mcpUrl(world, instance), world.view.addToken(instance).token, ping('mine'))
  expect(answer.json()).toMatchObject({ jsonrpc: '2.0', id: 'mine', error: { code: expect.any(Number) } })
  expect(answer.body).not.toContain(new URL(url).hostname)
  return [answer.status, codeOf(answer)]
}

async function listenOn(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

describe('a connection', () => {
  test('that is refused is 502', async () => {
    const server = createNetServer()
    const port = await listenOn(server)
    server.close()
    await once(server, 'close')
    expect(await failure(`http://127.0.0.1:${port}/mcp`)).toEqual([502, 'upstream_unreachable'])
  })

  test('that is reset before an answer is 502', async () => {
    const server = createNetServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
    const port = await listenOn(server)
    expect(await failure(`http://127.0.0.1:${port}/mcp`)).toEqual([502, 'upstream_unreachable'])
    server.close()
  })

  test('to a name that does not exist is 502', async () => {
    expect(await failure('http://nobody-has-this-name.invalid/mcp')).toEqual([502, 'upstream_unreachable'])
  })

  test('that speaks no TLS where it should is 502', async () => {
    expect(await failure(upstream.url.replace('http:', 'https:'))).toEqual([502, 'upstream_unreachable'])
    expect(upstream.requests).toEqual([])
  })

  test('with a certificate that nobody vouches for is 502, and nothing is sent', async () => {
    const asked: string[] = []
    const server = createHttpsServer(selfSigned(), (req, res) => {
      asked.push(req.url ?? '')
      res.end()
    })
    const port = await listenOn(server)
    expect(await failure(`https://localhost:${port}/mcp`)).toEqual([502, 'upstream_unreachable'])
    expect(asked).toEqual([])
    server.close()
  })

  test('that does not come to stand in the instance’s time is 504', async () => {
    // It takes the connection and is silent: TLS never begins.
    const server = createNetServer(() => undefined)
    const port = await listenOn(server)
    expect(await failure(`https://127.0.0.1:${port}/mcp`, { connectTimeoutMs: 100 })).toEqual([504, 'upstream_timeout'])
    server.close()
  })
})

describe('an answer', () => {
  test.each([
    ['that is no HTTP', 'hello\r\n\r\n'],
    ['with two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    [
      'with a length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    ],
    ['whose head does not end', `HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(100_000)}`],
  ])('%s is 502', async (_what, bytes) => {
    const server = createNetServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(bytes))
    })
    const port = await listenOn(server)
    const [status, code] = await failure(`http://127.0.0.1:${port}/mcp`)
    expect(status).toBe(502)
    expect(['upstream_unreachable', 'upstream_broken']).toContain(code)
    server.close()
  })

  test('whose head tries to bring headers of its own is 502 or has them left out', async () => {
    const server = createNetServer((socket) => {
      socket.on('error', () => undefined)
      const head =
        'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Note: a\rSet-Cookie: x=1\r\nSet-Cookie: y=2\r\n'
      socket.once('data', () => socket.end(`${head}Content-Length: 2\r\n\r\n{}`))
    })
    const port = await listenOn(server)
    const instance = world.view.addInstance({ url: `http://127.0.0.1:${port}/mcp` })
    const answer = await post(mcpUrl(world, instance), world.view.addToken(instance).token, ping())
    expect([200, 502]).toContain(answer.status)
    expect(answer.headers['set-cookie']).toBeUndefined()
    server.close()
  })

  test('of JSON that is none reaches the client as it is; where tools are filtered it is 502', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    upstream.answer = (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{"result":')
    const free = await post(mcpUrl(world, instance), world.view.addToken(instance).token, ping())
    expect([free.status, free.body]).toEqual([200, '{"result":'])
    const limited = world.view.addToken(instance, { toolAllowList: ['a'] })
    const judged = await post(mcpUrl(world, instance), limited.token, ping(4))
    expect([judged.status, codeOf(judged)]).toEqual([502, 'upstream_content'])
    expect(judged.json()).toMatchObject({ id: 4 })
  })

  test('that is compressed reaches a client that takes it so, byte for byte', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const packed = gzipSync(JSON.stringify(resultFor(JSON.stringify(ping(1)))))
    upstream.answer = (req, res) => {
      expect(req.headers['accept-encoding']).toBe('gzip')
      res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(packed)
    }
    const headers = { Authorization: world.view.addToken(instance).token, 'Accept-Encoding': 'gzip' }
    const stream = await openStream(mcpUrl(world, instance), { headers, body: JSON.stringify(ping(1)) })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    expect(stream.headers['content-encoding']).toBe('gzip')
    expect(Buffer.concat(chunks).equals(packed)).toBe(true)
  })

  test('of HTTP+SSE is asked for uncompressed, as its endpoint must be read', async () => {
    const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
    upstream.answer = (req, res) => {
      const plain = req.headers['accept-encoding'] === 'identity'
      const events = 'event: endpoint\ndata: /message\n\n'
      res.writeHead(200, {
        'content-type': 'text/event-stream',
        ...(plain ? {} : { 'content-encoding': 'gzip' }),
      })
      res.end(plain ? events : gzipSync(events))
    }
    const headers = { Authorization: world.view.addToken(instance).token, 'Accept-Encoding': 'gzip, br' }
    const answer = await send(sseUrl(world, instance), { headers })
    expect(answer.status).toBe(200)
    expect(answer.body).toContain(`data: /mcp-gateway/${instance.id}/sse/`)
  })
})

describe('an answer that is compressed though it was asked not to be', () => {
  const LIST = '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b"}]}}'
  const CUT = '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}'

  test.each([
    ['gzip', 'gzip', gzipSync],
    ['gzip by its old name', 'X-Gzip', gzipSync],
    ['deflate', 'deflate', deflateSync],
    ['deflate without a header', 'deflate', deflateRawSync],
    ['brotli', 'br', brotliCompressSync],
  ])('with %s is looked into all the same', async (_what, encoding, compress) => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['a'] })
    const bytes = compress(LIST)
    for (const type of ['application/json', 'text/event-stream']) {
      const body = type === 'application/json' ? bytes : compress(`data: ${LIST}\n\n`)
      upstream.answer = (_req, res) => {
        res.writeHead(200, {
          'content-type': type,
          'content-encoding': encoding,
          'content-length': String(body.length),
        })
        res.end(body)
      }
      const answer = await post(mcpUrl(world, instance), token, ping(1))
      expect([answer.status, answer.headers['content-encoding']]).toEqual([200, undefined])
      expect(answer.body).toBe(type === 'application/json' ? CUT : `data: ${CUT}\n\n`)
    }
  })

  test('gives out each event of an HTTP+SSE stream as it comes', async () => {
    const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
    const { token } = world.view.addToken(instance)
    const gzip = createGzip()
    const sendEvent = (event: string) => {
      gzip.write(event)
      gzip.flush()
    }
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
      gzip.pipe(res)
      sendEvent('event: endpoint\ndata: /message?s=1\n\n')
    }
    const stream = await openStream(sseUrl(world, instance), { headers: { Authorization: token } })
    const text = async () => String(((await once(stream, 'data')) as [Buffer])[0])
    expect(await text()).toContain(`data: /mcp-gateway/${instance.id}/sse/`)
    // Nothing of the next event is sent before this one has arrived.
    for (const event of ['data: {"n":1}\n\n', ': still here\n\n', 'data: {"n":2}\n\n']) {
      const arrived = text()
      sendEvent(event)
      expect(await arrived).toBe(event)
    }
    stream.resume()
    const over = once(stream, 'end')
    gzip.end()
    await over
  })

  test('arrives whole, though it is more than anybody on the way would hold', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['a'] })
    const event = `data: ${'x'.repeat(1_000_000)}\n\n`
    const events = 60
    const gzip = createGzip()
    let written = 0
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
      gzip.pipe(res)
      const more = () => {
        while (written < events) {
          written += 1
          if (!gzip.write(event)) {
            gzip.once('drain', more)
            return
          }
        }
        gzip.end()
      }
      more()
    }
    const headers = { Authorization: token, 'Content-Type': 'application/json' }
    const stream = await openStream(mcpUrl(world, instance), { headers, body: JSON.stringify(ping(1)) })
    let bytes = 0
    for await (const chunk of stream) bytes += (chunk as Buffer).length
    expect(bytes).toBe(event.length * events)
  })

  test('is 502 where it is not what it says, or nothing that can be undone', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['a'] })
    for (const [encoding, body] of [
      ['gzip', Buffer.from(LIST)],
      ['br', Buffer.from(LIST)],
      ['zstd', Buffer.from(LIST)],
      ['gzip, br', gzipSync(LIST)],
      // Cut short: what is left is no JSON.
      ['gzip', gzipSync(LIST).subarray(0, 30)],
    ] as const) {
      upstream.answer = (_req, res) => {
        res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding }).end(body)
      }
      const refused = await post(mcpUrl(world, instance), token, ping(5))
      expect([encoding, refused.status, codeOf(refused)]).toEqual([encoding, 502, 'upstream_content'])
      expect(refused.json()).toMatchObject({ id: 5 })
    }
  })

  test('is over where its compression ends, for the upstream as well', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['a'] })
    const gone = Promise.withResolvers<void>()
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'br' })
      res.write(Buffer.concat([brotliCompressSync(`data: ${LIST}\n\n`), Buffer.from('and on')]))
      res.once('close', gone.resolve)
    }
    expect((await post(mcpUrl(world, instance), token, ping(1))).body).toBe(`data: ${CUT}\n\n`)
    await gone.promise
  })

  test('is bounded by what comes out of it', async () => {
    const tight = await createWorld({ view: world.view, limits: { maxInspectedBytes: 100_000 } })
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['a'] })
    const bomb = gzipSync(Buffer.alloc(50_000_000, ' '))
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(bomb)
    }
    const refused = await post(mcpUrl(tight, instance), token, ping(5))
    expect([refused.status, codeOf(refused)]).toEqual([502, 'upstream_too_large'])
    await tight.close()
  })
})

describe('a request', () => {
  test.each(['2025-03-26', '2025-06-18', '2025-11-25'])(
    'of %s opens a session, streams, comes again with Last-Event-ID and ends it',
    async (version) => {
      const instance = world.view.addInstance({ url: upstream.url })
      const { token } = world.view.addToken(instance)
      const url = mcpUrl(world, instance)
      upstream.answer = (req, res, body) => {
        if (req.method === 'DELETE') res.writeHead(204).end()
        else if (req.method === 'GET') {
          res.writeHead(200, { 'content-type': 'text/event-stream' })
          res.end(`id: 8\ndata: {"jsonrpc":"2.0","method":"after ${req.headers['last-event-id']}"}\n\n`)
        } else answerJson(res, { ...resultFor(body), version }, { 'mcp-session-id': 'upstream-session' })
      }
      const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'c', version: '1' } }
      const opened = await post(url, token, { jsonrpc: '2.0', id: 0, method: 'initialize', params })
      expect(opened.json()).toMatchObject({ id: 0, version })
      const session = {
        Authorization: `Bearer ${token}`,
        'Mcp-Session-Id': String(opened.headers['mcp-session-id']),
        'MCP-Protocol-Version': version,
      }
      const stream = await send(url, { headers: { ...session, Accept: 'text/event-stream', 'Last-Event-ID': '7' } })
      expect(stream.body).toBe('id: 8\ndata: {"jsonrpc":"2.0","method":"after 7"}\n\n')
      expect((await send(url, { method: 'DELETE', headers: session })).status).toBe(204)
      expect(upstream.requests.slice(1).map(({ method, headers }) => [method, headers['mcp-session-id']])).toEqual([
        ['GET', 'upstream-session'],
        ['DELETE', 'upstream-session'],
      ])
      expect(upstream.requests.at(-1)?.headers['mcp-protocol-version']).toBe(version)
    },
  )

  test('that is a batch (2025-03-26) reaches the upstream as it is, and so does its answer', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const batch = [ping(1), { jsonrpc: '2.0', method: 'notifications/x' }, ping(2)]
    const answers = [resultFor(JSON.stringify(ping(1))), resultFor(JSON.stringify(ping(2)))]
    upstream.answer = (_req, res) => answerJson(res, answers)
    const answer = await post(mcpUrl(world, instance), token, batch)
    expect(answer.json()).toEqual(answers)
    expect(upstream.requests[0]?.body).toBe(JSON.stringify(batch))
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry.method).toBe('batch')
  })

  test.each([100, 100 * 1024])('of %i bytes arrives whole', async (size) => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const message = { ...ping(), params: { text: 'x'.repeat(size) } }
    expect((await post(mcpUrl(world, instance), token, message)).status).toBe(200)
    expect(upstream.requests[0]?.body).toBe(JSON.stringify(message))
  })

  test('to an open instance keeps the client’s own Authorization where the instance forwards it', async () => {
    const forwards = world.view.addInstance({ url: upstream.url, accessMode: 'anonymous', forwardAuthorization: true })
    const keeps = world.view.addInstance({ url: upstream.url, accessMode: 'anonymous' })
    for (const instance of [forwards, keeps]) {
      expect((await post(mcpUrl(world, instance), 'the-users-own', ping())).status).toBe(200)
    }
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer the-users-own', undefined])
  })

  test('that names a tool without end is journalled in short', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const call = { ...ping(), method: 'tools/call', params: { name: '工'.repeat(100_000) } }
    expect((await post(mcpUrl(world, instance), token, call)).status).toBe(200)
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry.toolName).toBe('工'.repeat(191))
  })
})
