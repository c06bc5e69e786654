import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { RequestBody } from '../../src/gateway/request-body.ts'
import type { UpstreamHandler, UpstreamRequest } from '../../src/gateway/upstream-call.ts'
import { UpstreamsClosedError } from '../../src/gateway/upstream-call.ts'
import { createUpstreams } from '../../src/gateway/upstreams.ts'
import type { World } from './world.ts'
import { codeOf, createWorld, mcpUrl, openStream, ping, post, send } from './world.ts'

/** A server of raw bytes: what arrives on each connection, and who answers. */
const connections: Socket[] = []
let answer: (socket: Socket, request: string) => void
let world: World
let port: number
const accept = (socket: Socket): void => {
  connections.push(socket)
  let held = ''
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    held += chunk.toString('latin1')
    const end = held.indexOf('\r\n\r\n')
    const length = Number(/\r\ncontent-length: (\d+)\r\n/.exec(held)?.[1] ?? 0)
    if (end === -1 || held.length < end + 4 + length) return
    const request = held
    held = ''
    answer(socket, request)
  })
}
const server = createServer(accept)

beforeAll(async () => {
  world = await createWorld()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(async () => {
  await world?.close()
  for (const socket of connections) socket.destroy()
  server.close()
})
beforeEach(() => {
  for (const socket of connections.splice(0)) socket.destroy()
})

const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}'
const JSON_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const WHOLE = `${JSON_HEAD}Content-Length: ${RESULT.length}\r\n\r\n${RESULT}`

function ready(fields: object = {}) {
  const instance = world.view.addInstance({ url: `http://127.0.0.1:${port}/mcp?a=b`, ...fields })
  return { instance, url: mcpUrl(world, instance), ...world.view.addToken(instance) }
}

const target = () => ({ origin: `http://127.0.0.1:${port}`, connectTimeoutMs: 10_000 })
const request = (): UpstreamRequest => ({
  method: 'POST',
  path: '/mcp',
  headers: [],
  body: new RequestBody([Buffer.from('{}')]),
  headersTimeoutMs: 0,
  idleTimeoutMs: 0,
})

/** Connections without a gateway in front, and how calls ended. */
function bare() {
  const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
  const ended: string[] = []
  const handler: UpstreamHandler = {
    onConnected() {},
    onHead() {},
    onBody() {},
    onEnd: () => void ended.push('end'),
    onError: (error) => void ended.push(error.name),
  }
  return { upstreams: createUpstreams(egress), handler, ended }
}

describe('connections to an upstream', () => {
  it('carry one request after the other, each in one piece of exact form', async () => {
    const { url, token } = ready({ headers: { 'X-Key': 'k' } })
    const requests: string[] = []
    answer = (socket, request) => {
      requests.push(request)
      socket.write(WHOLE)
    }
    for (let i = 0; i < 3; i++) expect((await post(url, token, ping())).body).toBe(RESULT)
    expect(connections).toHaveLength(1)
    const body = JSON.stringify(ping())
    expect(requests[2]).toBe(
      `POST /mcp?a=b HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: keep-alive\r\nX-Key: k\r\n` +
        `Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    )
  })

  it.each([
    ['with bytes behind it', `${WHOLE}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`],
    ['that closes', WHOLE.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')],
    ['of HTTP/1.0', WHOLE.replace('1.1', '1.0')],
  ])('are not used again after an answer %s', async (_, text) => {
    const { url, token } = ready()
    answer = (socket) => socket.write(text)
    for (let i = 0; i < 3; i++) expect((await post(url, token, ping())).body).toBe(RESULT)
    expect(connections).toHaveLength(3)
  })

  it('are ended by bytes that nobody asked for, which answer nobody', async () => {
    const { url, token } = ready()
    answer = (socket) => socket.write(WHOLE)
    await post(url, token, ping())
    const [first] = connections
    const closed = once(first as Socket, 'close')
    first?.write(`${JSON_HEAD}Content-Length: 8\r\n\r\n"forged"`)
    await closed
    expect((await post(url, token, ping())).body).toBe(RESULT)
    expect(connections).toHaveLength(2)
  })

  it('that end while they are free are not used again', async () => {
    const { url, token } = ready()
    answer = (socket) => socket.write(WHOLE)
    await post(url, token, ping())
    const [first] = connections
    first?.end()
    await once(first as Socket, 'close')
    expect((await post(url, token, ping())).status).toBe(200)
  })

  it.each([
    ['two lengths', `${JSON_HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`],
    ['length and chunks', `${JSON_HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
    ['a folded line', `${JSON_HEAD}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}`],
    ['no HTTP', 'hello\r\n\r\n'],
    ['a change of protocol', 'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n'],
  ])('that bring %s give 502', async (_, text) => {
    const { url, token } = ready()
    answer = (socket) => socket.write(text)
    const refused = await post(url, token, ping(7))
    expect([refused.status, codeOf(refused)]).toEqual([502, 'upstream_unreachable'])
    expect(refused.json()).toMatchObject({ id: 7 })
  })

  it('bring an answer in any pieces, and one that lasts as long as its connection', async () => {
    const { url, token } = ready()
    answer = async (socket) => {
      for (const byte of `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n${RESULT.length.toString(16)}\r\n${RESULT}\r\n0\r\n\r\n`) {
        await new Promise((resolve) => socket.write(byte, resolve))
      }
    }
    expect((await post(url, token, ping())).body).toBe(RESULT)
    answer = (socket) => socket.end(`${JSON_HEAD}\r\n${RESULT}`)
    expect((await post(url, token, ping())).body).toBe(RESULT)
  })

  it('serve who waits as soon as one is free, and are not made beyond need', async () => {
    const { url, token } = ready()
    const held: Socket[] = []
    const all = Promise.withResolvers<void>()
    answer = (socket) => {
      held.push(socket)
      if (held.length === 20) all.resolve()
    }
    const calls = Array.from({ length: 20 }, () => post(url, token, ping()))
    await all.promise
    answer = (socket) => socket.write(WHOLE)
    for (const socket of held) socket.write(WHOLE)
    for (const call of calls) expect((await call).body).toBe(RESULT)
    await Promise.all(Array.from({ length: 20 }, () => post(url, token, ping())))
    expect(connections).toHaveLength(20)
  })

  it('are given up with the request that they carry', async () => {
    const { url, token } = ready()
    const arrived = Promise.withResolvers<Socket>()
    answer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n')
      arrived.resolve(socket)
    }
    const stream = await openStream(url, { headers: { Authorization: token }, body: JSON.stringify(ping()) })
    const socket = await arrived.promise
    const closed = once(socket, 'close')
    stream.destroy()
    await closed
  })

  it('are not asked with a header that an administrator got wrong', async () => {
    const { url, token } = ready({ headers: { 'X-Key': 'a\r\nX-Injected: b' } })
    answer = (socket) => socket.write(WHOLE)
    const refused = await post(url, token, ping())
    expect([refused.status, codeOf(refused)]).toEqual([500, 'internal_error'])
    expect(connections).toHaveLength(0)
  })

  it('that nobody has used in the end grow old as well', async () => {
    const { upstreams, handler, ended } = bare()
    upstreams.dispatch(target(), request(), handler).abort()
    await expect.poll(() => connections.length, { timeout: 60_000 }).toBe(1)
    const closed = once(connections[0] as Socket, 'close')
    // From now on every look at the clock is a second later.
    const now = performance.now.bind(performance)
    let laterMs = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
      laterMs += 1_000
      return now() + laterMs
    })
    await closed
    clock.mockRestore()
    expect(ended).toEqual([])
    upstreams.close()
  })

  it('are not made anew for each of many calls that are given up', async () => {
    answer = (socket) => socket.write(WHOLE)
    const { upstreams, handler, ended } = bare()
    for (let i = 0; i < 100; i++) upstreams.dispatch(target(), request(), handler).abort()
    upstreams.dispatch(target(), request(), handler)
    await expect.poll(() => ended, { timeout: 60_000 }).toEqual(['end'])
    expect(connections).toHaveLength(1)
    upstreams.close()
  })

  it('are not made any more, nor waited for, once the gateway closes', async () => {
    const { upstreams, handler, ended } = bare()
    upstreams.dispatch(target(), request(), handler)
    upstreams.close()
    expect(ended).toEqual(['UpstreamsClosedError'])
    expect(() => upstreams.dispatch(target(), request(), handler)).toThrow(UpstreamsClosedError)
    // The one that was being made comes to stand and is let go of.
    await expect.poll(() => connections.length, { timeout: 60_000 }).toBe(1)
    const [made] = connections
    if (made?.closed === false) await once(made, 'close')
  })

  it('that answered before the whole request was sent do not carry another one', async () => {
    const made: Socket[] = []
    const hasty = createServer((socket) => {
      made.push(socket)
      socket.on('error', () => {})
      socket.once('data', () => {
        // Reads no further: the rest of the request stays where it is.
        socket.pause()
        socket.write(WHOLE)
      })
    })
    hasty.listen(0, '127.0.0.1')
    await once(hasty, 'listening')
    const { url, token } = ready({ url: `http://127.0.0.1:${(hasty.address() as AddressInfo).port}/mcp` })
    const message = { ...ping(), params: { text: 'x'.repeat(9 * 1024 * 1024) } }
    expect((await post(url, token, message)).body).toBe(RESULT)
    expect((await post(url, token, ping())).body).toBe(RESULT)
    expect(made).toHaveLength(2)
    for (const socket of made) socket.destroy()
    hasty.close()
  })

  it('send nothing twice: what ends while a request is on its way answers it with 502', async () => {
    const { url, token } = ready()
    const arrived: string[] = []
    answer = (socket, text) => {
      arrived.push(text.slice(0, 4))
      if (arrived.length % 2 === 0) socket.resetAndDestroy()
      else socket.write(WHOLE)
    }
    for (const method of ['POST', 'DELETE', 'GET']) {
      expect((await post(url, token, ping())).status).toBe(200)
      const lost = await send(url, {
        method,
        headers: { Authorization: token },
        ...(method === 'POST' ? { body: JSON.stringify(ping()) } : {}),
      })
      expect([lost.status, codeOf(lost)]).toEqual([502, 'upstream_unreachable'])
    }
    expect(arrived).toEqual(['POST', 'POST', 'POST', 'DELE', 'POST', 'GET '])
  })

  it('of an answer without a body tell the client of none, whatever their head says', async () => {
    const { url, token } = ready()
    answer = (socket) =>
      socket.write('HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n')
    const answered = await post(url, token, ping())
    expect([answered.status, answered.headers['content-length'], answered.body]).toEqual([204, undefined, ''])
  })

  it.each([
    ['a length', 'Content-Length: 5', 2],
    ['chunks', 'Transfer-Encoding: chunked', 2],
    ['a length of nothing', 'Content-Length: 0', 1],
  ])('do not carry another request where an answer without a body announced %s', async (_, header, made) => {
    const { url, token } = ready()
    answer = (socket) => socket.write(`HTTP/1.1 204 No Content\r\n${header}\r\n\r\n`)
    for (let i = 0; i < 2; i++) expect((await post(url, token, ping())).status).toBe(204)
    expect(connections).toHaveLength(made)
  })
})
