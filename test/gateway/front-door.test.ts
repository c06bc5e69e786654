import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientRequest, ClientResponse } from '../../src/gateway/client.ts'
import { RequestHeadReader } from '../../src/gateway/request-head.ts'
import { type Handler, type Listening, listen } from '../../src/roles/http-server.ts'

const word = fc.string({ unit: fc.constantFrom(...'abZ09-_!;=:, \t"\x7f\u00e9'), maxLength: 12 })
const name = fc.oneof(
  fc.constantFrom(
    'Accept',
    'X-A',
    'x-a',
    'HOST',
    'Cookie',
    'Connection',
    'Content-Length',
    'Transfer-Encoding',
    'Expect',
  ),
  fc.constantFrom('__proto__', 'constructor', 'Upgrade', 'Proxy-Connection', 'Keep-Alive', 'Content-Type', ' X', 'X '),
  word,
)
const value = fc.oneof(
  fc.constantFrom('keep-alive', 'Keep-Alive', 'close', 'chunked', '0', '5', '+5', '5, 5', ''),
  word,
)
const lineEnd = fc.oneof({ weight: 40, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\n ', '\r\r\n'))
const requestLine = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('POST /a HTTP/1.1', 'GET /a?b=%20 HTTP/1.1', 'DELETE / HTTP/1.1') },
  fc.constantFrom(
    'POST /a HTTP/1.0',
    'POST  /a HTTP/1.1',
    'POST http://a/ HTTP/1.1',
    'PUT / HTTP/1.1',
    'GET /\u00e9 HTTP/1.1',
  ),
  word,
)
const heads = fc
  .record({
    line: requestLine,
    fields: fc.array(fc.tuple(name, fc.constantFrom(':', ': ', ':\t ', ' :'), value, lineEnd), { maxLength: 6 }),
    hosts: fc.constantFrom(...([1, 1, 1, 0, 2] as const)),
    first: lineEnd,
  })
  .map(({ line, fields, hosts, first }) => {
    const lines = fields.map(([key, colon, text, end]) => `${key}${colon}${text}${end}`).join('')
    return `${line}${first}${'Host: a\r\n'.repeat(hosts)}${lines}X-Last: 1`
  })

/** As the first one of a connection. */
const readHead = (text: string) => new RequestHeadReader().read(`${text}\r\n`)

/** Of few lines, so that many stand where they stood in the one before. */
const similarHeads = fc
  .tuple(
    fc.constantFrom('POST /a HTTP/1.1', 'POST /ab HTTP/1.1', 'GET /a HTTP/1.1'),
    fc.array(fc.constantFrom('Host: a', 'Host: ab', 'X-A: 1', 'X-A : 1', 'X-B: 1', 'Content-Length: 1', 'X-A: 1\n'), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([line, fields]) => [line, ...fields].join('\r\n'))

describe('a head that is read directly', () => {
  const server = createServer()

  /** How node:http reads it; null: it does not. */
  async function readByNode(text: string): Promise<IncomingMessage | null> {
    const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() })
    let read: IncomingMessage | null = null
    const take = (req: IncomingMessage): void => {
      read = req
    }
    server.on('request', take)
    server.emit('connection', socket)
    socket.push(Buffer.from(`${text}\r\n\r\n`, 'latin1'))
    await turn()
    await turn()
    server.off('request', take)
    socket.destroy()
    return read
  }

  it('says the same to node:http, whatever it holds', async () => {
    let taken = 0
    await fc.assert(
      fc.asyncProperty(heads, async (text) => {
        const head = readHead(text)
        if (head === null) return
        taken += 1
        const req = await readByNode(text)
        expect({ ...head, headers: { ...head.headers } }).toEqual({
          method: req?.method,
          target: req?.url,
          headers: { ...req?.headers },
          rawHeaders: req?.rawHeaders,
          lengthBytes: Number(req?.headers['content-length'] ?? 0),
        })
      }),
      { numRuns: 20_000 },
    )
    // Otherwise nothing was compared.
    expect(taken).toBeGreaterThan(500)
  })

  it('says the same whatever came before it on its connection', () => {
    let again = 0
    fc.assert(
      fc.property(fc.array(similarHeads, { minLength: 2, maxLength: 8 }), (texts) => {
        const reader = new RequestHeadReader()
        for (const text of texts) {
          const head = reader.read(`${text}\r\n`)
          expect(head).toEqual(readHead(text))
          if (head !== null && text !== texts[0]) again += 1
        }
      }),
      { numRuns: 5_000 },
    )
    // Otherwise nothing was read behind another one.
    expect(again).toBeGreaterThan(500)
  })

  it.each([
    ['HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a'],
    ['a target in absolute form', 'POST http://a/ HTTP/1.1\r\nHost: a'],
    ['no Host', 'POST / HTTP/1.1\r\nAccept: */*'],
    ['two of Host', 'POST / HTTP/1.1\r\nHost: a\r\nhost: a'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1'],
    ['a signed length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1'],
    ['a length and chunks', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked'],
    ['chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked'],
    ['a folded line', 'POST / HTTP/1.1\r\nHost: a\r\nAccept: a\r\n b'],
    ['a bare LF', 'POST / HTTP/1.1\r\nHost: a\nAccept: b'],
    ['a bare CR', 'POST / HTTP/1.1\r\nHost: a\rAccept: b'],
    ['NUL', 'POST / HTTP/1.1\r\nHost: a\r\nAccept: \0'],
    ['a blank before the colon', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1'],
    ['an empty name', 'POST / HTTP/1.1\r\nHost: a\r\n: 1'],
    ['a connection that is to close', 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close'],
    ['headers named by Connection', 'POST / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A'],
    ['Expect', 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue'],
    ['Upgrade', 'POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c'],
  ])('%s is left to node:http', (_, text) => {
    expect(readHead(text)).toBeNull()
  })
})

describe('a connection', () => {
  let server: Listening
  /** What was asked, and by whom it was read. */
  let seen: string[] = []
  let answers: ((res: ClientResponse) => void)[] = []
  const sockets: Socket[] = []

  const plain = (text: string) => (res: ClientResponse) => {
    res.writeHead(200, ['content-length', String(text.length)])
    res.end(Buffer.from(text))
  }
  const serve = (by: string) => (req: ClientRequest, res: ClientResponse) => {
    const chunks: Buffer[] = []
    req.on('end', () => {
      seen.push(`${by} ${req.method} ${req.url} ${Buffer.concat(chunks).toString()}`)
      const answer = answers.shift() ?? plain('ok')
      answer(res)
    })
    req.on('data', (chunk) => chunks.push(chunk))
  }

  beforeEach(async () => {
    seen = []
    answers = []
    const direct = { takes: (target: string) => target.startsWith('/mine'), handle: serve('direct') }
    server = await listen(serve('node') as Handler, '127.0.0.1', 0, 'TEST', { direct })
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await server.close(0)
  })

  function open() {
    const socket = connect(server.port, '127.0.0.1')
    socket.setNoDelay(true)
    sockets.push(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    return {
      socket,
      text: () => text,
      /** Sends it, and waits until the answers so far are `count`. */
      async ask(bytes: string, count: number): Promise<void> {
        socket.write(bytes)
        await expect.poll(() => text.split('HTTP/1.1 ').length - 1).toBe(count)
      },
    }
  }
  const post = (target: string, body: string, more = '') =>
    `POST ${target} HTTP/1.1\r\nHost: a\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

  it('carries one request after the other', async () => {
    const { ask } = open()
    for (const [index, body] of ['a', '', 'ccc'].entries()) await ask(post('/mine', body), index + 1)
    expect(seen).toEqual(['direct POST /mine a', 'direct POST /mine ', 'direct POST /mine ccc'])
  })

  it('goes to node:http with the first request that is for others, and stays there', async () => {
    const { ask } = open()
    await ask(post('/mine', 'a'), 1)
    await ask(post('/other', 'b'), 2)
    await ask(post('/mine', 'c'), 3)
    expect(seen).toEqual(['direct POST /mine a', 'node POST /other b', 'node POST /mine c'])
  })

  it.each([
    ['chunks', `POST /mine HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ['another connection option', post('/mine', 'abc', 'Connection: x-a, keep-alive\r\n')],
  ])('goes to node:http with %s', async (_, bytes) => {
    const { ask } = open()
    await ask(post('/mine', 'a'), 1)
    await ask(bytes, 2)
    expect(seen).toEqual(['direct POST /mine a', 'node POST /mine abc'])
  })

  it('is refused by node:http where a request can be read in two ways', async () => {
    const { ask, socket, text } = open()
    await ask(post('/mine', 'a'), 1)
    const closed = once(socket, 'close')
    await ask('POST /mine HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 2)
    await closed
    expect(text()).toContain('HTTP/1.1 400 Bad Request')
    expect(seen).toEqual(['direct POST /mine a'])
  })

  it('reads the same from pieces', async () => {
    const { ask, socket } = open()
    const body = 'x'.repeat(200_000)
    await ask(post('/mine', body), 1)
    // More than one read takes: it comes in pieces whatever the network does.
    expect(seen[0] === `direct POST /mine ${body}`).toBe(true)
    for (const byte of post('/mine', 'abc')) {
      socket.write(byte)
      await turn()
    }
    await ask('', 2)
    expect(seen[1]).toMatch(/ POST \/mine abc$/)
  })

  it('keeps a request that came early for its turn', async () => {
    const { ask, socket } = open()
    const first = Promise.withResolvers<ClientResponse>()
    answers = [first.resolve, plain('second')]
    socket.write(post('/mine', 'a'))
    const res = await first.promise
    // Larger than what is read ahead.
    socket.write(post('/mine', 'b'.repeat(300_000)))
    await turn()
    expect(seen).toEqual(['direct POST /mine a'])
    plain('first')(res)
    await ask('', 2)
    expect(seen[1] === `direct POST /mine ${'b'.repeat(300_000)}`).toBe(true)
  })

  it('is ended when its client sends far ahead of an answer that lasts: nothing would tell that it has left', async () => {
    const direct = { takes: () => true, handle: serve('direct') }
    const impatient = await listen(serve('node') as Handler, '127.0.0.1', 0, 'TEST', {
      direct,
      headersTimeoutMs: 3_000,
    })
    const begun = Promise.withResolvers<ClientResponse>()
    answers = [begun.resolve]
    const socket = connect(impatient.port, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    socket.write(post('/mine', ''))
    const res = await begun.promise
    const over = new Promise<void>((resolve) => void res.on('close', resolve))
    socket.write(Buffer.alloc(400_000, 'x'))
    await over
    await impatient.close(0)
  })

  it('takes requests that come in one go to node:http', async () => {
    const { ask } = open()
    await ask(post('/mine', 'a') + post('/mine', 'b'), 2)
    expect(seen).toEqual(['node POST /mine a', 'node POST /mine b'])
  })

  it('frames an answer without a length in chunks, and one of 204 not at all', async () => {
    const { ask, text } = open()
    answers = [
      (res) => {
        res.writeHead(200, [])
        res.write(Buffer.from('one'))
        res.write(Buffer.alloc(0))
        res.write(Buffer.alloc(20_000, 'x'))
        res.end('two', 'latin1')
      },
      (res) => {
        res.writeHead(204, [])
        res.end()
      },
    ]
    await ask(post('/mine', ''), 1)
    await expect.poll(text).toContain('\r\n3\r\ntwo\r\n0\r\n\r\n')
    expect(text()).toContain('transfer-encoding: chunked\r\n\r\n3\r\none\r\n4e20\r\nxx')
    await ask(post('/mine', ''), 2)
    expect(text().slice(text().lastIndexOf('HTTP/1.1'))).not.toMatch(/content-length|transfer-encoding/)
  })

  it('refuses to write what would end a line', async () => {
    const { ask } = open()
    const thrown: unknown[] = []
    answers = [
      (res) => {
        for (const fields of [
          ['x', 'a\r\nb: c'],
          ['x\r\ny', 'a'],
          ['x', 'a\0'],
          ['', 'a'],
        ]) {
          try {
            res.writeHead(200, fields)
          } catch (error) {
            thrown.push(error)
          }
        }
        plain('ok')(res)
      },
    ]
    await ask(post('/mine', ''), 1)
    expect(thrown).toHaveLength(4)
    for (const error of thrown) expect(error).toBeInstanceOf(TypeError)
  })

  it('tells an answer in the making that its client has left', async () => {
    const { socket } = open()
    const begun = Promise.withResolvers<ClientResponse>()
    answers = [begun.resolve]
    socket.write(post('/mine', ''))
    const res = await begun.promise
    const closed = new Promise<void>((resolve) => void res.on('close', resolve))
    socket.destroy()
    await closed
    expect(res.destroyed).toBe(true)
  })

  it('lets its answer finish when the server closes, and ends behind it; idle ones end at once', async () => {
    const idle = open()
    await idle.ask(post('/mine', 'a'), 1)
    const busy = open()
    const begun = Promise.withResolvers<ClientResponse>()
    answers = [begun.resolve]
    busy.socket.write(post('/mine', ''))
    const res = await begun.promise
    const idleClosed = once(idle.socket, 'close')
    const busyClosed = once(busy.socket, 'close')
    const closed = server.close(30_000)
    await idleClosed
    plain('late')(res)
    await busyClosed
    await closed
    expect(busy.text()).toMatch(/\r\n\r\nlate$/)
  })
})
