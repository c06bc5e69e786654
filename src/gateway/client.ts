import type { IncomingHttpHeaders } from 'node:http'

/** What the gateway needs of a client's request: node:http's own has it, and that of a DirectConnection. */
export type ClientRequest = {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: IncomingHttpHeaders
  /** Flat (name, value, …), names as they were spelt, in order. */
  readonly rawHeaders: string[]
  /** The body has been read whole. */
  readonly complete: boolean
  readonly socket: { readonly localAddress?: string | undefined }
  /** The body, once somebody listens to `data`: that listener comes last. */
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  /** `end`: the body is whole. `close`: nothing more comes, whole or not. */
  on(event: 'end' | 'close', listener: () => void): unknown
  /** What of the body nobody has listened to is thrown away. */
  resume(): unknown
  /** Ends the connection. */
  destroy(): unknown
}

/** What the gateway needs of the answer to a client: node:http's own has it, and that of a DirectConnection. */
export type ClientResponse = {
  readonly headersSent: boolean
  readonly statusCode: number
  readonly writableEnded: boolean
  /** The answer is over: sent whole, or its client has left. */
  readonly destroyed: boolean
  /** Until the head is written: whether the connection lasts longer than this answer. */
  shouldKeepAlive: boolean
  readonly socket: { setKeepAlive(enable: boolean, initialDelayMs: number): unknown } | null
  /** `headers`: flat (name, value, …). Throws TypeError or RangeError when it cannot be written as HTTP. */
  writeHead(status: number, headers: string[]): unknown
  /** Sends the head before there is a body. */
  flushHeaders(): unknown
  /** Whether `write` has copied what it was given when it returns; node:http keeps it until it is sent. */
  readonly copies?: true
  /** False when the client is slower than us: `drain` tells when to go on. */
  write(chunk: Buffer): boolean
  end(): unknown
  end(chunk: Buffer): unknown
  end(chunk: string, encoding: 'latin1'): unknown
  /** Ends the connection: the client sees that the answer is not whole. */
  destroy(): unknown
  on(event: 'close' | 'drain', listener: () => void): unknown
}
