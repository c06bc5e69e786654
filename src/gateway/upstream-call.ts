import { fieldLines } from './http-fields.ts'
import type { RequestBody } from './request-body.ts'

/** One request as it goes to an MCP server. */
export type UpstreamRequest = {
  method: 'GET' | 'POST' | 'DELETE'
  /** Path and query. */
  path: string
  /** Flat (name, value, …), without Host, Connection, Content-Length and Transfer-Encoding: those are written here. */
  headers: readonly string[]
  /** Let go of (null) once it has been handed to the connection: an answer may last for hours. */
  body: RequestBody | null
  /** Until the head of the response is there; 0 = no limit. */
  headersTimeoutMs: number
  /** Between two parts of the response; 0 = no limit. */
  idleTimeoutMs: number
}

/** Told what becomes of a request. After onEnd, onError or `abort` nothing more is told. */
export type UpstreamHandler = {
  /** A connection stands, nothing is sent yet. */
  onConnected(): void
  /** `headers`: flat, names in lower case; see ResponseListener. */
  onHead(status: number, headers: readonly string[]): void
  /** `chunk` is overwritten once this has returned. */
  onBody(chunk: Buffer): void
  onEnd(): void
  onError(error: Error): void
}

/** The server took longer than the request allows. */
export class UpstreamTimeoutError extends Error {
  override readonly name = 'UpstreamTimeoutError'
}

/** The gateway is closing: nothing is sent any more. */
export class UpstreamsClosedError extends Error {
  override readonly name = 'UpstreamsClosedError'
  override readonly message = 'The gateway is shutting down.'
}

/** What has a call in hand: the pool while it waits for a connection, then the connection. */
export type CallHolder = {
  abandon(call: UpstreamCall): void
  pause(): void
  resume(): void
}

/** A request under way. */
export class UpstreamCall {
  readonly request: UpstreamRequest
  readonly handler: UpstreamHandler
  /** The head, ready to be written. */
  readonly head: string
  holder: CallHolder | null
  /** Nothing more will be told. */
  over = false

  /** Throws TypeError when the request cannot be written as HTTP. `host`: for the Host header. */
  constructor(request: UpstreamRequest, handler: UpstreamHandler, host: string, holder: CallHolder) {
    this.request = request
    this.handler = handler
    this.head = headOf(request, host)
    this.holder = holder
  }

  /** Gives the request up, and its connection with it: the server is to stop working on it. */
  abort(): void {
    if (this.over) return
    this.over = true
    this.holder?.abandon(this)
    this.holder = null
  }

  /** Reads no further for now. What has been read already may still come. */
  pause(): void {
    if (!this.over) this.holder?.pause()
  }

  resume(): void {
    if (!this.over) this.holder?.resume()
  }

  end(): void {
    if (this.over) return
    this.over = true
    this.holder = null
    try {
      this.handler.onEnd()
    } catch (error) {
      this.handler.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  fail(error: Error): void {
    if (this.over) return
    this.over = true
    this.holder = null
    this.handler.onError(error)
  }
}

const NOT_IN_PATH = /[^\x21-\x7e]/

function headOf({ method, path, headers, body }: UpstreamRequest, host: string): string {
  if (NOT_IN_PATH.test(path)) throw new TypeError('The path of a request cannot be sent.')
  const length = body === null ? '' : `content-length: ${body.length}\r\n`
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${fieldLines(headers)}${length}\r\n`
}
