import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConfigError } from '../config.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export type Listening = {
  port: number
  /** Stops accepting, ends idle connections, and waits for answers in flight up to `graceMs`. */
  close: (graceMs: number) => Promise<void>
}

/** Listens on host and port (0 = a free one). A taken port is a ConfigError that says which setting to change. */
export async function listen(
  handler: Handler,
  host: string,
  port: number,
  setting: string,
  limits: { headersTimeoutMs: number } = { headersTimeoutMs: 30_000 },
): Promise<Listening> {
  // The gateway streams for hours: no time limit on a request as a whole; heads must come in time (slowloris).
  const server = createServer(
    {
      requestTimeout: 0,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.headersTimeoutMs / 3,
      keepAliveTimeout: 65_000,
    },
    handler,
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? portTaken(host, port, setting) : error)
    })
    server.listen(port, host, resolve)
  })
  return { port: (server.address() as AddressInfo).port, close: (graceMs) => closeServer(server, graceMs) }
}

function portTaken(host: string, port: number, setting: string): ConfigError {
  return new ConfigError(
    `${host}:${port} is in use by another program. Stop it, or choose another port with ${setting}.`,
  )
}

async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const cut = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearTimeout(cut)
}
