import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mintToken } from '../../src/domain/token.ts'
import { isGatewayTarget } from '../../src/gateway/route.ts'
import { listen } from '../../src/roles/http-server.ts'
import type { World } from './world.ts'
import { createWorld, mcpUrl, openStream, ping, post } from './world.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const FUZZ_RUNS = 400
const STREAMS = 500
const ABORTS = 10_000
const UNKNOWN_TOKENS = 5_000

let upstream: Server
let upstreamPort: number
let upstreamMode: 'answer' | 'stream' | 'hang' = 'answer'
/** Request targets and bodies that arrived. */
let seen: string[] = []
let world: World
let url: string
let path: string
let token: string
let port: number

beforeAll(async () => {
  upstream = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      seen.push(`${req.method} ${req.url} ${Buffer.concat(chunks).toString('latin1')}`)
      chunks.length = 0
      if (upstreamMode === 'hang') return
      if (upstreamMode === 'stream') {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.write(': open\n\n')
        return
      }
      res.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}')
    })
  })
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  upstreamPort = (upstream.address() as AddressInfo).port
  world = await createWorld({ limits: { bodyTimeoutMs: 300 } })
  const instance = world.view.addInstance({ url: `http://127.0.0.1:${upstreamPort}/mcp` })
  token = world.view.addToken(instance).token
  await world.gateway.waitFor(world.view.revision, 5_000)
  url = mcpUrl(world, instance)
  path = new URL(url).pathname
  port = Number(new URL(world.origin).port)
})

afterAll(async () => {
  await world.close()
  upstream.closeAllConnections()
  upstream.close()
  await once(upstream, 'close')
})

/** Sends bytes as they are and answers what came back, once the other side has closed or `quietMs` have passed without a byte. */
async function raw(bytes: string | Buffer, quietMs = 60): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const chunks: Buffer[] = []
  const over = Promise.withResolvers<void>()
  let timer = setTimeout(over.resolve, quietMs * 4)
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    clearTimeout(timer)
    timer = setTimeout(over.resolve, quietMs)
  })
  socket.once('close', () => over.resolve())
  socket.write(bytes)
  await over.promise
  clearTimeout(timer)
  socket.destroy()
  return Buffer.concat(chunks).toString('latin1')
}

const statuses = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
const isAlive = async () => (await post(url, token, ping())).status

function openSockets(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

function heapMb(): number {
  collect()
  return process.memoryUsage().heapUsed / 1e6
}

describe('heads and bodies', () => {
  test('of random bytes, methods, targets and headers never break it: 4xx, or an answer of the upstream', async () => {
    const word = fc.string({ unit: fc.constantFrom(...'aZ0-_/?%:;=,. \t\r\n\0\u00ff"{}'), maxLength: 40 })
    const head = fc
      .record({
        method: fc.oneof(fc.constantFrom('POST', 'GET', 'DELETE', 'PUT', 'CONNECT', 'HEAD'), word),
        target: fc.oneof(fc.constant(path), fc.constant(`${path}/../..`), word),
        names: fc.array(
          fc.tuple(fc.oneof(fc.constantFrom('Mcp-Session-Id', 'Connection', 'Accept', 'Origin'), word), word),
        ),
        authorized: fc.boolean(),
        closing: fc.boolean(),
        body: fc.oneof(fc.json(), fc.string(), fc.constant('[[[[[[[[')),
      })
      .map(({ method, target, names, authorized, closing, body }) =>
        [
          `${method} ${target} HTTP/1.1`,
          'Host: 127.0.0.1',
          ...(authorized ? [`Authorization: Bearer ${token}`] : []),
          ...names.map(([name, value]) => `${name}: ${value}`),
          `Content-Length: ${Buffer.byteLength(body)}`,
          ...(closing ? ['Connection: close'] : []),
          '',
          body,
        ].join('\r\n'),
      )
    const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
    let answered = 0
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 4, arbitrary: head }, { weight: 1, arbitrary: bytes }), async (input) => {
        const codes = statuses(await raw(input, 15))
        answered += codes.length
        for (const code of codes) expect(code).not.toBe(500)
      }),
      { numRuns: FUZZ_RUNS },
    )
    expect(answered).toBeGreaterThan(FUZZ_RUNS / 4)
    expect(await isAlive()).toBe(200)
  })

  test('of deep and odd JSON get an answer', async () => {
    for (const body of [
      '['.repeat(100_000),
      `{"a":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_001)}`,
      '{"__proto__":{"method":"x"}}',
    ]) {
      const answer = await raw(
        `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
        10_000,
      )
      expect([200, 400]).toContain(statuses(answer)[0])
    }
    expect(await isAlive()).toBe(200)
  })
})

describe('smuggling', () => {
  const hidden = `POST ${'/smuggled'} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`
  const body = JSON.stringify(ping())
  const start = () =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${token}\r\nContent-Type: application/json\r\n`
  const cases: [string, () => string][] = [
    [
      'Content-Length and Transfer-Encoding',
      () => `${start()}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    ['two Content-Length', () => `${start()}Content-Length: 0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`],
    ['a list in Content-Length', () => `${start()}Content-Length: 0, ${hidden.length}\r\n\r\n${hidden}`],
    ['a signed Content-Length', () => `${start()}Content-Length: +${body.length}\r\n\r\n${body}${hidden}`],
    [
      'a space before the colon',
      () => `${start()}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    ['an unknown coding', () => `${start()}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['two codings', () => `${start()}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`],
    [
      'a folded header',
      () => `${start()}X-A: 1\r\n Content-Length: 0\r\nContent-Length: ${body.length}\r\n\r\n${body}${hidden}`,
    ],
    [
      'a bare LF in the head',
      () => `${start()}X-A: 1\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n${hidden}`,
    ],
    [
      'a bare CR in a value',
      () => `${start()}X-A: 1\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n${hidden}`,
    ],
    ['a chunk size that overflows', () => `${start()}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${hidden}`],
    ['a chunk extension with a line end', () => `${start()}Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n${hidden}`],
  ]
  test.each(cases)('with %s reaches nobody', async (_name, request) => {
    seen = []
    const answer = await raw(request())
    // Whatever the parser took for a second request was ours to answer (404); the upstream saw no such thing.
    expect(seen.filter((line) => line.includes('smuggled'))).toEqual([])
    for (const status of statuses(answer)) expect([400, 404, 431, 413, 408, 200]).toContain(status)
    expect(await isAlive()).toBe(200)
  })

  test('what goes upstream has one length, and the body that was judged', async () => {
    seen = []
    const chunked = `${start()}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${body.length.toString(16)};x=y\r\n${body}\r\n0\r\nX-Trailer: 3\r\n\r\n`
    expect(statuses(await raw(chunked))).toEqual([200])
    expect(seen).toEqual([`POST /mcp ${body}`])
  })
})

describe('slowness', () => {
  test('a body that does not come is 408 and lets go of the socket', async () => {
    const sockets = Array.from({ length: 50 }, () => {
      const socket = connect(port, '127.0.0.1')
      socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${token}\r\nContent-Length: 100\r\n\r\n{`)
      return socket
    })
    const answers = await Promise.all(
      sockets.map(async (socket) => {
        const [chunk] = (await once(socket, 'data')) as [Buffer]
        socket.destroy()
        return statuses(chunk.toString('latin1'))[0]
      }),
    )
    expect(new Set(answers)).toEqual(new Set([408]))
    expect(await isAlive()).toBe(200)
  })

  test('a head that does not come ends the connection; others are served meanwhile', async () => {
    const direct = { takes: isGatewayTarget, handle: world.gateway.handle }
    const server = await listen(world.gateway.handle, '127.0.0.1', 0, 'TEST', { headersTimeoutMs: 300, direct })
    const slow = Array.from({ length: 100 }, () => connect(server.port, '127.0.0.1'))
    const closed = slow.map((socket, index) => {
      socket.on('error', () => {})
      socket.resume()
      // Half of them say nothing at all.
      if (index % 2 === 0) socket.write('POST / HTTP/1.1\r\nHost: a\r\nX-')
      return once(socket, 'close')
    })
    expect((await post(url.replace(`:${port}`, `:${server.port}`), token, ping())).status).toBe(200)
    await Promise.all(closed)
    await server.close(1_000)
  })
})

// On a busy machine ten thousand of anything take minutes.
describe('many', { timeout: 180_000 }, () => {
  test(`${STREAMS} idle streams are held, and let go of when their clients leave`, async () => {
    upstreamMode = 'stream'
    const beforeMb = heapMb()
    const idleSockets = await openSockets(upstream)
    const streams = await Promise.all(
      Array.from({ length: STREAMS }, () => openStream(url, { headers: { Authorization: `Bearer ${token}` } })),
    )
    expect(world.gateway.openCount()).toBe(STREAMS)
    const heldMb = heapMb()
    for (const stream of streams) stream.destroy()
    await expect.poll(() => world.gateway.openCount(), { timeout: 60_000 }).toBe(0)
    await expect.poll(() => openSockets(upstream), { timeout: 60_000 }).toBeLessThanOrEqual(idleSockets)
    upstreamMode = 'answer'
    expect(await isAlive()).toBe(200)
    console.log(
      `${STREAMS} idle streams: heap ${beforeMb.toFixed(1)} → ${heldMb.toFixed(1)} → ${heapMb().toFixed(1)} MB, client and gateway together`,
    )
  })

  test('requests sent in one go are given up together when their client leaves', async () => {
    upstreamMode = 'hang'
    const body = JSON.stringify(ping())
    const one = `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const socket = connect(port, '127.0.0.1')
    socket.write(one.repeat(20))
    await expect.poll(() => world.gateway.openCount(), { timeout: 60_000 }).toBe(20)
    socket.destroy()
    await expect.poll(() => world.gateway.openCount(), { timeout: 60_000 }).toBe(0)
    await expect.poll(() => openSockets(upstream), { timeout: 60_000 }).toBe(0)
    upstreamMode = 'answer'
    seen = []
  })

  test('bodies are let go of once they are sent, though their answers last', async () => {
    upstreamMode = 'stream'
    const body = JSON.stringify({ ...ping(), params: { text: 'x'.repeat(2_000_000) } })
    const options = { headers: { Authorization: `Bearer ${token}` }, body }
    const open = async (count: number) => {
      const streams = []
      for (let i = 0; i < count; i++) streams.push(await openStream(url, options))
      seen = []
      return streams
    }
    const held = () => heapMb() + process.memoryUsage().external / 1e6
    const first = await open(5)
    const beforeMb = held()
    const streams = await open(50)
    // What was let go of is given back bit by bit.
    await expect.poll(held, { timeout: 60_000, interval: 500 }).toBeLessThan(beforeMb + 40)
    console.log(`50 open answers to bodies of 2 MB: ${beforeMb.toFixed(1)} → ${held().toFixed(1)} MB`)
    for (const stream of [...first, ...streams]) stream.destroy()
    await expect.poll(() => world.gateway.openCount(), { timeout: 60_000 }).toBe(0)
    upstreamMode = 'answer'
  })

  test(`${ABORTS} requests that are given up leave nothing behind, here or upstream`, async () => {
    upstreamMode = 'hang'
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${JSON.stringify(ping()).length}\r\n\r\n${JSON.stringify(ping())}`
    const giveUp = async (index: number): Promise<void> => {
      const socket: Socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket.write(index % 3 === 0 ? head.slice(0, -5) : head)
      // Some leave at once, some when their request is well under way.
      if (index % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
      else await new Promise((resolve) => setTimeout(resolve, 5))
      if (index % 5 === 0) socket.end()
      else socket.resetAndDestroy()
      socket.destroy()
    }
    const run = async (count: number) => {
      for (let done = 0; done < count; done += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, index) => giveUp(done + index)))
      }
      await expect.poll(() => world.gateway.openCount(), { timeout: 60_000 }).toBe(0)
      await expect.poll(() => openSockets(upstream), { timeout: 60_000 }).toBe(0)
      seen = []
      world.journal.length = 0
    }
    await run(1_000)
    const beforeMb = heapMb()
    await run(ABORTS)
    upstreamMode = 'answer'
    expect(await isAlive()).toBe(200)
    const afterMb = heapMb()
    console.log(
      `${ABORTS} aborts: heap ${beforeMb.toFixed(1)} → ${afterMb.toFixed(1)} MB, no open request, no upstream socket`,
    )
    expect(afterMb).toBeLessThan(beforeMb + 20)
  })

  test(`${UNKNOWN_TOKENS} unknown tokens cost the store little and known callers nothing`, async () => {
    const beforeMb = heapMb()
    const lookUps = world.view.lookUps
    const answers = new Map<number, number>()
    const started = performance.now()
    let known = 0
    for (let done = 0; done < UNKNOWN_TOKENS; done += 100) {
      const flood = Array.from({ length: 100 }, (_, index) =>
        // Made-up tokens of our own look, of custom look, and one and the same again and again.
        post(
          url,
          index % 3 === 0
            ? mintToken('tfg')
            : index % 3 === 1
              ? `custom-${done}-${index}-token-of-a-guesser`
              : 'the-same-wrong-token-1',
          ping(),
        ),
      )
      known += (await post(url, token, ping())).status === 200 ? 1 : 0
      for (const { status } of await Promise.all(flood)) answers.set(status, (answers.get(status) ?? 0) + 1)
    }
    const perSecond = UNKNOWN_TOKENS / ((performance.now() - started) / 1000)
    expect(known).toBe(UNKNOWN_TOKENS / 100)
    expect([...answers.keys()].filter((status) => status !== 401 && status !== 503)).toEqual([])
    const asked = world.view.lookUps - lookUps
    expect(asked).toBeLessThan(UNKNOWN_TOKENS)
    world.journal.length = 0
    seen = []
    const afterMb = heapMb()
    console.log(
      `${UNKNOWN_TOKENS} unknown tokens at ${perSecond.toFixed(0)}/s: ${asked} asked of the store, answers ${JSON.stringify([...answers])}, heap ${beforeMb.toFixed(1)} → ${afterMb.toFixed(1)} MB`,
    )
    expect(afterMb).toBeLessThan(beforeMb + 20)
  })
})
