import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClientRequest, ClientResponse } from '../../src/gateway/client.ts'
import { createFrontDoor } from '../../src/gateway/front-door.ts'
import { type Handler, type Listening, listen } from '../../src/roles/http-server.ts'

const POST = 'POST /mine HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'

function answer(res: ClientResponse, body: Buffer): void {
  res.writeHead(200, ['content-length', String(body.length)])
  res.end(body)
}

describe('a client that ends its side of the connection', () => {
  const closers: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  type Handled = { req: ClientRequest; res: ClientResponse }

  /** Asks `target`, and ends its side. Gives what the server has of it. */
  async function askAndEnd(target: string, respond: (handled: Handled) => void) {
    const handled = Promise.withResolvers<Handled>()
    const handle = (req: ClientRequest, res: ClientResponse): void => {
      req.resume()
      respond({ req, res })
      handled.resolve({ req, res })
    }
    const direct = { takes: (asked: string) => asked === '/mine', handle }
    const server: Listening = await listen(handle as Handler, '127.0.0.1', 0, 'TEST', { direct })
    closers.push(() => server.close(0))
    const client = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
    closers.push(() => client.destroy())
    client.on('error', () => {})
    const chunks: Buffer[] = []
    client.pause().on('data', (chunk: Buffer) => chunks.push(chunk))
    const closed = new Promise<void>((resolve) => void client.on('end', resolve).on('close', () => resolve()))
    client.end(POST.replace('/mine', target))
    const { req, res } = await handled.promise
    const socket = req.socket as Socket
    await expect.poll(() => socket.readableEnded || socket.destroyed).toBe(true)
    return {
      res,
      async received(): Promise<string> {
        client.resume()
        await closed
        return Buffer.concat(chunks).toString('latin1')
      },
    }
  }
  const bodyOf = (text: string) => text.slice(text.indexOf('\r\n\r\n') + 4)

  describe.each([
    ['directly', '/mine'],
    ['by node:http', '/other'],
  ])('served %s', (_, target) => {
    it('gets an answer whole that has been given before', async () => {
      // Far more than the system takes at once.
      const { received } = await askAndEnd(target, ({ res }) => answer(res, Buffer.alloc(32 * 1024 * 1024, 'x')))
      expect(bodyOf(await received()).length).toBe(32 * 1024 * 1024)
    })

    it('gets what was written of an answer in the making, and no more', async () => {
      const { res, received } = await askAndEnd(target, ({ res }) => {
        res.writeHead(200, ['content-length', String(33 * 1024 * 1024)])
        res.write(Buffer.alloc(32 * 1024 * 1024, 'x'))
      })
      const closed = new Promise<void>((resolve) => void res.on('close', resolve))
      res.write(Buffer.alloc(1024 * 1024, 'y'))
      res.end()
      const text = bodyOf(await received())
      expect([text.length, text.includes('y')]).toEqual([32 * 1024 * 1024, false])
      await closed
    })
  })
})

describe('the end of a connection', () => {
  type Given = { handled: ClientResponse[]; socket: Duplex }

  /** A socket that writes and ends when it is told to. */
  function accept(writable: {
    write: (done: (error?: Error) => void) => void
    final: (done: () => void) => void
  }): Given {
    const handled: ClientResponse[] = []
    const door = createFrontDoor({
      takes: () => true,
      handle: (req, res) => {
        req.resume()
        handled.push(res)
      },
      handOver: () => {},
      headersTimeoutMs: 30_000,
      keepAliveMs: 30_000,
    })
    const socket = new Duplex({
      read() {},
      write: (_chunk, _encoding, done) => writable.write(done),
      final: (done) => writable.final(done),
    })
    Object.assign(socket, { destroySoon: () => socket.end() })
    door.accept(socket as Socket)
    return { handled, socket }
  }

  it('is behind the answer that announced it: what comes then is not carried out', async () => {
    const { handled, socket } = accept({ write: (done) => done(), final: () => {} })
    socket.push(POST)
    await turn()
    const [res] = handled
    if (res === undefined) throw new Error('Not handled.')
    res.shouldKeepAlive = false
    answer(res, Buffer.from('last'))
    await turn()
    expect(socket.writableEnded).toBe(true)
    socket.push(POST)
    await turn()
    expect(handled).toHaveLength(1)
  })

  it('comes with an answer that could not be sent: a request that came early is not carried out', async () => {
    const { handled, socket } = accept({ write: (done) => done(new Error('broken')), final: () => {} })
    socket.push(POST)
    await turn()
    socket.push(POST)
    await turn()
    const [res] = handled
    if (res === undefined) throw new Error('Not handled.')
    answer(res, Buffer.from('lost'))
    await turn()
    expect(socket.destroyed).toBe(true)
    expect(handled).toHaveLength(1)
  })
})
