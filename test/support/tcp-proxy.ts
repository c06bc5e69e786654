import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands between two parts of a test and lets the network between them fail. */

export type TcpProxy = {
  host: string
  port: number
  /** Connections that are open now. */
  open: () => number
  /** Connections that wait in silence since `stall` or `stallNew`. */
  stalled: () => number
  /** Cuts every connection. */
  cut: () => void
  /** Cuts every connection and lets none in: connection refused. */
  refuse: () => Promise<void>
  /** New connections are taken but nothing of theirs passes; existing ones go on. */
  stallNew: () => void
  /** Nothing passes any more, in either direction, over existing and new connections. */
  stall: () => void
  /** Everything passes again; what was held back first. */
  restore: () => Promise<void>
  /**
   * Cuts the connection over which this text goes from client to server, once. The text itself still gets there: the client
   * does not hear what became of it. Resolves when it has happened.
   */
  cutAfter: (text: string) => Promise<void>
  /** Those of `cutAfter` that have not happened will not. */
  forgetCuts: () => void
  stop: () => Promise<void>
}

type Pair = { client: Socket; server: Socket; held: boolean }

export async function startTcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  const cuts: { text: string; done: () => void }[] = []
  let holdNew = false

  const hold = (pair: Pair, held: boolean) => {
    pair.held = held
    for (const socket of [pair.client, pair.server]) {
      if (held) socket.pause()
      else socket.resume()
    }
  }

  const listener = createServer((client) => {
    const server = connect({ ...target, noDelay: true })
    client.setNoDelay(true)
    const pair: Pair = { client, server, held: false }
    pairs.add(pair)
    client.on('data', (chunk: Buffer) => {
      const index = cuts.findIndex(({ text }) => chunk.includes(text))
      const [found] = index === -1 ? [] : cuts.splice(index, 1)
      if (found === undefined) {
        if (!server.write(chunk)) client.pause()
        return
      }
      // The client is gone before the server can answer; the server gets what was sent, and then the end.
      client.resetAndDestroy()
      server.end(chunk, found.done)
    })
    server.on('data', (chunk: Buffer) => {
      if (!client.destroyed && !client.write(chunk)) server.pause()
    })
    client.on('drain', () => pair.held || server.resume())
    server.on('drain', () => pair.held || client.resume())
    client.on('end', () => server.end())
    server.on('end', () => client.end())
    const gone = () => {
      client.destroy()
      server.destroy()
      pairs.delete(pair)
    }
    client.on('error', () => undefined)
    server.on('error', gone)
    server.on('close', gone)
    client.on('close', () => {
      // A cut at a text lets the server read that text first.
      if (!server.writableEnded) gone()
    })
    if (holdNew) hold(pair, true)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo

  const cut = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy()
      server.destroy()
    }
  }
  const close = async () => {
    const closed = listener.listening ? once(listener, 'close') : null
    listener.close()
    cut()
    await closed
  }
  return {
    host: '127.0.0.1',
    port,
    open: () => pairs.size,
    stalled: () => [...pairs].filter((pair) => pair.held).length,
    cut,
    refuse: close,
    stallNew: () => {
      holdNew = true
    },
    stall: () => {
      holdNew = true
      for (const pair of pairs) hold(pair, true)
    },
    restore: async () => {
      holdNew = false
      for (const pair of pairs) if (pair.held) hold(pair, false)
      if (listener.listening) return
      listener.listen(port, '127.0.0.1')
      await once(listener, 'listening')
    },
    cutAfter: (text) => new Promise((done) => cuts.push({ text, done })),
    forgetCuts: () => {
      cuts.length = 0
    },
    stop: close,
  }
}
