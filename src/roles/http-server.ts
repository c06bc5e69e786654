import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { ConfigError } from '../config.ts'
import { createFrontDoor, type FrontDoor, type FrontDoorOptions } from '../gateway/front-door.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export type Listening = {
  port: number
  /** Stops accepting, ends idle connections, and waits for answers in flight up to `graceMs`. */
  close: (graceMs: number) => Promise<void>
}

/** How long a client's connection may wait for its next request: longer than the minute that proxies before us keep theirs. */
const CLIENT_KEEP_ALIVE_MS = 65_000

export type ListenOptions = {
  headersTimeoutMs?: number
  /** Requests that are read without node:http where that is possible. `handler` must serve them, too. */
  direct?: Pick<FrontDoorOptions, 'takes' | 'handle'>
}

/** Listens on host and port (0 = a free one). A taken port is a ConfigError that says which setting to change. */
export async function listen(
  handler: Handler,
  host: string,
  port: number,
  setting: string,
  { headersTimeoutMs = 30_000, direct }: ListenOptions = {},
): Promise<Listening> {
  // The gateway streams for hours: no time limit on a request as a whole; heads must come in time (slowloris).
  const server = createServer(
    {
      requestTimeout: 0,
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: headersTimeoutMs / 3,
      keepAliveTimeout: CLIENT_KEEP_ALIVE_MS,
    },
    handler,
  )
  const door = direct === undefined ? null : openDoor(server, { ...direct, headersTimeoutMs })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? portTaken(host, port, setting) : error)
    })
    server.listen(port, host, resolve)
  })
  return { port: (server.address() as AddressInfo).port, close: (graceMs) => closeServer(server, door, graceMs) }
}

function portTaken(host: string, port: number, setting: string): ConfigError {
  return new ConfigError(
    `${host}:${port} is in use by another program. Stop it, or choose another port with ${setting}.`,
  )
}

/** Puts a front door before the server: what it does not read itself goes to node:http, as if it had just come. */
function openDoor(server: Server, options: Omit<FrontDoorOptions, 'handOver' | 'keepAliveMs'>): FrontDoor {
  const listeners = server.listeners('connection')
  server.removeAllListeners('connection')
  const door = createFrontDoor({
    ...options,
    keepAliveMs: CLIENT_KEEP_ALIVE_MS,
    handOver: (socket) => {
      for (const listener of listeners) listener.call(server, socket)
    },
  })
  server.on('connection', (socket: Socket) => door.accept(socket))
  return door
}

async function closeServer(server: Server, door: FrontDoor | null, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  door?.close()
  const cut = setTimeout(() => {
    server.closeAllConnections()
    door?.destroy()
  }, graceMs)
  await closed
  clearTimeout(cut)
  door?.destroy()
}
