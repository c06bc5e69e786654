import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
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
} from './world.ts'

let world: World
let upstream: Upstream

beforeAll(async () => {
  upstream = await createUpstream()
  world = await createWorld()
})
afterAll(() => Promise.all([world?.close(), upstream?.close()]))
beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (_req, res, body) => answerJson(res, resultFor(body))
})

const MEBIBYTE = 1024 * 1024

function ready() {
  const instance = world.view.addInstance({ url: upstream.url })
  return { instance, url: mcpUrl(world, instance), ...world.view.addToken(instance) }
}

describe('bodies', () => {
  const SIZES = { '70 KB': 70_000, '700 KB': 700_000, '5 MB': 5 * MEBIBYTE }
  it.each(Object.entries(SIZES).flatMap(([size, bytes]) => [false, true].map((chunked) => ({ size, bytes, chunked }))))(
    'of $size arrive intact in both directions (chunked: $chunked)',
    async ({ bytes, chunked }) => {
      const { url, token } = ready()
      const text = 'äöü0123456789'.repeat(bytes / 16)
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x', params: { text } })
      upstream.answer = (_req, res, received) =>
        res.writeHead(200, { 'content-type': 'application/json' }).end(received)
      const answer = await send(url, { headers: { Authorization: token }, body, chunked })
      expect(upstream.requests[0]?.body === body).toBe(true)
      expect(answer.body === body).toBe(true)
    },
  )

  it('reach the upstream byte for byte', async () => {
    const { url, token } = ready()
    const body =
      ' {"id" : 12345678901234567890,\t"method":"x","params":{"a":1.0,"a":2,"b":"\\u00e4"},"jsonrpc":"2.0"}\n'
    await send(url, { headers: { Authorization: token }, body })
    expect(upstream.requests[0]?.body).toBe(body)
  })

  it.each([false, true])(
    'that are too large are 413 before the upstream sees anything (chunked: %s)',
    async (chunked) => {
      const { url, token } = ready()
      const body = Buffer.alloc(10 * MEBIBYTE + 1, ' ')
      const answer = await send(url, { headers: { Authorization: token }, body, chunked })
      expect([answer.status, codeOf(answer)]).toEqual([413, 'body_too_large'])
      expect(upstream.requests).toHaveLength(0)
    },
  )

  it('that are refused early are read away, so that the client sees the answer and no reset', async () => {
    const { instance } = ready()
    const { port } = new URL(world.origin)
    const socket = connect(Number(port), '127.0.0.1')
    const errors: Error[] = []
    socket.on('error', (error) => errors.push(error))
    const head = `POST /mcp-gateway/${instance.id}/mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: `
    socket.write(`${head}${20 * MEBIBYTE}\r\n\r\n`)
    const [first] = (await once(socket, 'data')) as [Buffer]
    expect(first.toString()).toMatch(/^HTTP\/1\.1 401 /)
    socket.resume()
    // Only now does most of the body come.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => socket.write(Buffer.alloc(MEBIBYTE, ' '), resolve))
    await once(socket, 'close')
    expect(errors).toEqual([])
  })

  it('share a budget, which they give back', async () => {
    const tight = await createWorld({ view: world.view, limits: { requestBudgetBytes: 1000 } })
    const { instance, token } = ready()
    const url = mcpUrl(tight, instance)
    const big = { jsonrpc: '2.0', id: 1, method: 'x', params: { text: 'x'.repeat(600) } }
    // The first is held by an upstream that does not answer yet, so there is no room for a second.
    const arrived = Promise.withResolvers<() => void>()
    upstream.answer = (_req, res, body) => arrived.resolve(() => answerJson(res, resultFor(body)))
    const first = post(url, token, big)
    const release = await arrived.promise
    const second = await post(url, token, big)
    expect([second.status, codeOf(second), second.headers['retry-after']]).toEqual([503, 'gateway_busy', '1'])
    release()
    expect((await first).status).toBe(200)
    upstream.answer = (_req, res, body) => answerJson(res, resultFor(body))
    for (let i = 0; i < 5; i++) expect((await post(url, token, big)).status).toBe(200)
    for (let i = 0; i < 5; i++) expect((await post(url, null, big)).status).toBe(401)
    expect((await post(url, token, big)).status).toBe(200)
    await tight.close()
  })

  it('that do not come in time are 408', async () => {
    const hasty = await createWorld({ view: world.view, limits: { bodyTimeoutMs: 50 } })
    const { instance, token } = ready()
    const { port } = new URL(hasty.origin)
    const headers = { Authorization: token, 'Content-Length': '100' }
    const req = request({ port, host: '127.0.0.1', path: `/mcp-gateway/${instance.id}/mcp`, method: 'POST', headers })
    req.write('{')
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    expect(res.statusCode).toBe(408)
    req.destroy()
    await hasty.close()
  })

  it('that are compressed or not JSON-RPC are refused', async () => {
    const { url, token } = ready()
    const headers = { Authorization: token, 'Content-Encoding': 'gzip' }
    expect((await send(url, { headers, body: gzipSync(JSON.stringify(ping())) })).status).toBe(415)
    for (const [body, rpcCode] of [
      ['{"jsonrpc":', -32700],
      ['', -32700],
      ['"text"', -32600],
      ['[]', -32600],
      ['[1]', -32600],
    ] as const) {
      const answer = await send(url, { method: 'POST', headers: { Authorization: token }, body })
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({ id: null, error: { code: rpcCode } })
    }
    expect(upstream.requests).toHaveLength(0)
  })

  it('cannot hide a second request', async () => {
    const { instance, token } = ready()
    const { port } = new URL(world.origin)
    const path = `/mcp-gateway/${instance.id}/mcp`
    const hidden = 'POST /admin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'
    const raw = [
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${token}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${token}\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n${hidden}`,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${token}\r\nTransfer-Encoding: xchunked\r\n\r\n${hidden}`,
    ]
    for (const text of raw) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => {})
      let answer = ''
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString()
      })
      socket.write(text)
      await once(socket, 'close')
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    }
    expect(upstream.requests).toHaveLength(0)
  })
})

describe('an upstream', () => {
  it('that is not there is 502, one that is silent 504, both with the request’s id', async () => {
    const hasty = await createWorld({ view: world.view, limits: { headersTimeoutMs: 100 } })
    const gone = world.view.addInstance({ url: 'http://127.0.0.1:9/mcp' })
    const answer = await post(mcpUrl(hasty, gone), world.view.addToken(gone).token, ping('x'))
    expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_unreachable'])
    expect(answer.json()).toMatchObject({ id: 'x' })
    expect(answer.body).not.toContain('127.0.0.1')
    const { instance, token } = ready()
    upstream.answer = () => {}
    const silent = await post(mcpUrl(hasty, instance), token, ping('y'))
    expect([silent.status, codeOf(silent)]).toEqual([504, 'upstream_timeout'])
    expect(silent.json()).toMatchObject({ id: 'y' })
    // An instance may be slower than others.
    world.view.changeInstance(instance.id, { limits: { headersTimeoutMs: 60_000 } })
    upstream.answer = (_req, res, body) => setTimeout(() => answerJson(res, resultFor(body)), 1500)
    expect((await post(mcpUrl(hasty, instance), token, ping('z'))).status).toBe(200)
    await hasty.close()
  })

  it('that egress bars is 502, and our own port is one', async () => {
    for (const url of ['http://169.254.169.254/mcp', `${world.origin}/mcp`]) {
      const instance = world.view.addInstance({ url })
      const answer = await post(mcpUrl(world, instance), world.view.addToken(instance).token, ping())
      expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_barred'])
    }
  })

  it('that dies in the middle of a stream ends the client’s stream', async () => {
    const { instance, url, token } = ready()
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n', () => res.destroy())
    }
    const answer = await post(url, token, ping())
    expect(answer).toMatchObject({ status: 200, body: 'data: 1\n\n' })
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry.errorCode).toBe('upstream_broken')
  })

  it.each([20, 200_000])(
    'that dies in the middle of a JSON body of %i bytes never leaves a whole-looking answer',
    async (size) => {
      const { url, token } = ready()
      upstream.answer = (_req, res) => {
        res.writeHead(200, { 'content-type': 'application/json', 'content-length': String(size) })
        res.write('{"jsonrpc":', () => res.destroy())
      }
      const outcome = await post(url, token, ping()).then(
        ({ status }) => status,
        () => 'broken',
      )
      // A small body had not been begun, so there is still a status to give.
      expect(outcome).toBe(size === 20 ? 502 : 'broken')
    },
  )

  it('hears at once that the client left', async () => {
    const { instance, url, token } = ready()
    const gone = Promise.withResolvers<void>()
    upstream.answer = (req, res) => {
      req.socket.once('close', gone.resolve)
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
    }
    const stream = await openStream(url, { headers: { Authorization: token }, body: JSON.stringify(ping()) })
    await once(stream, 'data')
    stream.destroy()
    await gone.promise
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry).toMatchObject({ status: 200, responseBytes: 9 })
    expect(world.gateway.openCount()).toBe(0)
  })

  it('hears it also before it has answered', async () => {
    const { instance, url, token } = ready()
    const asked = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    upstream.answer = (req) => {
      req.socket.once('close', gone.resolve)
      asked.resolve()
    }
    const { port, pathname } = new URL(url)
    const headers = { Authorization: token, 'Content-Type': 'application/json' }
    const req = request({ host: '127.0.0.1', port, path: pathname, method: 'POST', headers })
    req.on('error', () => {})
    req.end(JSON.stringify(ping()))
    await asked.promise
    req.destroy()
    await gone.promise
    expect((await world.journaled(({ instanceId }) => instanceId === instance.id)).status).toBe(499)
  })

  it('is slowed down to the pace of its client', async () => {
    const { url, token } = ready()
    const total = 64 * MEBIBYTE
    let sent = 0
    const stuck = Promise.withResolvers<void>()
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      const chunk = Buffer.from(`data: ${'x'.repeat(MEBIBYTE - 8)}\n\n`)
      const more = (): void => {
        while (sent < total) {
          sent += chunk.length
          if (!res.write(chunk)) {
            res.once('drain', more)
            // Whoever does not read on leaves the upstream's drain to wait; whoever does resets this.
            clearTimeout(calm)
            calm = setTimeout(stuck.resolve, 300)
            return
          }
        }
        res.end()
        stuck.resolve()
      }
      let calm = setTimeout(stuck.resolve, 300)
      more()
    }
    const stream = await openStream(url, { headers: { Authorization: token }, body: JSON.stringify(ping()) })
    await stuck.promise
    expect(sent).toBeLessThan(total / 2)
    let received = 0
    for await (const chunk of stream) received += (chunk as Buffer).length
    expect(received).toBe(total)
  })

  type Kind = { chunked?: boolean; toolAllowList?: string[]; encoding?: string; type?: string }
  const KINDS: [string, Kind][] = [
    ['passed on', {}],
    ['passed on by node:http', { chunked: true }],
    ['kept and looked into', { toolAllowList: ['a'] }],
    ['compressed and looked into', { toolAllowList: ['a'], encoding: 'gzip' }],
    ['events that are looked into', { toolAllowList: ['a'], type: 'text/event-stream' }],
  ]
  it.each(KINDS)('is not mixed up with others that answer at the same time: %s', async (_, kind) => {
    const { chunked = false, toolAllowList = null, encoding, type = 'application/json' } = kind
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList })
    // More than the system takes from who is not waited for, where it can be as much.
    const parts = toolAllowList === null ? 120 : 20
    const answerOf = (id: number) => {
      const letters = String.fromCharCode(65 + id).repeat(100_000)
      const message = JSON.stringify({ jsonrpc: '2.0', id, result: { parts: Array(parts).fill(letters) } })
      return type === 'application/json' ? message : `data: ${message}\n\n`
    }
    upstream.answer = (_req, res, body) => {
      const answer = Buffer.from(answerOf(JSON.parse(body).id))
      res.writeHead(200, { 'content-type': type, ...(encoding === undefined ? {} : { 'content-encoding': encoding }) })
      res.end(encoding === undefined ? answer : gzipSync(answer))
    }
    const ask = (id: number) =>
      send(mcpUrl(world, instance), {
        headers: { Authorization: token },
        body: JSON.stringify({ jsonrpc: '2.0', id, method: 'x' }),
        chunked,
      })
    const answers = await Promise.all([0, 1, 2, 3].map(ask))
    expect(answers.map(({ body }, id) => body === answerOf(id))).toEqual([true, true, true, true])
  })

  it('streams its events as they come', async () => {
    const { url, token } = ready()
    const next = Promise.withResolvers<void>()
    upstream.answer = async (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
      await next.promise
      res.end('data: 2\n\n')
    }
    const stream = await openStream(url, { headers: { Authorization: token }, body: JSON.stringify(ping()) })
    expect(String(((await once(stream, 'data')) as [Buffer])[0])).toBe('data: 1\n\n')
    next.resolve()
    expect(String(((await once(stream, 'data')) as [Buffer])[0])).toBe('data: 2\n\n')
  })
})

describe('the journal', () => {
  it('tells who called what, and holds no secret', async () => {
    const instance = world.view.addInstance({
      url: `${upstream.url}?key=url-secret`,
      headers: { 'X-K': 'instance-secret' },
    })
    const { token, credential } = world.view.addToken(instance, { passThroughHeaders: { 'X-P': 'binding-secret' } })
    const call = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'echo', arguments: { p: 'arg-secret' } },
    }
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: { text: 'result-secret' } })
    await post(mcpUrl(world, instance), token, call)
    await post(mcpUrl(world, instance), 'wrong-token-secret', call)
    const fits = (status: number) => (entry: { instanceId: string; status: number }) =>
      entry.instanceId === instance.id && entry.status === status
    const good = await world.journaled(fits(200))
    const refused = await world.journaled(fits(401))
    expect(good).toEqual({
      at: expect.any(Date),
      instanceId: instance.id,
      bindingId: credential.bindingId,
      tokenId: credential.tokenId,
      method: 'tools/call',
      toolName: 'echo',
      status: 200,
      errorCode: null,
      requestBytes: JSON.stringify(call).length,
      responseBytes: expect.any(Number),
      durationMs: expect.any(Number),
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    expect(refused).toMatchObject({ bindingId: null, tokenId: null, errorCode: 'credential_unknown' })
    const text = JSON.stringify(world.journal)
    expect(text).not.toContain('secret')
    expect(text).not.toContain(token)
    expect(text).not.toContain(credential.hash)
  })

  it('is not filled by made-up addresses', async () => {
    const before = world.journal.length
    await post(`${world.origin}/mcp-gateway/00000000-0000-7000-8000-000000000000/mcp`, null, ping())
    await post(`${world.origin}/nowhere`, null, ping())
    const { url, token } = ready()
    await post(url, token, ping())
    await world.journaled((entry) => entry.status === 200 && entry.method === 'ping')
    expect(world.journal.slice(before).every(({ instanceId }) => !instanceId.startsWith('00000000'))).toBe(true)
  })
})
