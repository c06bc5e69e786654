import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ClientResponse } from './client.ts'
import { fieldLines } from './http-fields.ts'
import { TEXT_MAX_BYTES } from './pieces.ts'

/** An answer on a DirectConnection. */
export class DirectResponse implements ClientResponse {
  readonly #keepAliveS: number
  readonly #onSent: () => void
  socket: Socket | null
  shouldKeepAlive: boolean
  readonly copies = true
  headersSent = false
  statusCode = 0
  writableEnded = false
  destroyed = false
  /** Not sent yet: it goes with the first part of the body. */
  #head = ''
  #chunked = false
  #onDrain: (() => void) | null = null
  readonly #onClose: (() => void)[] = []

  /** `onSent`: all of it has been handed to the system, within `end` where the system takes it at once. */
  constructor(socket: Socket, options: { keepAliveS: number; shouldKeepAlive: boolean; onSent: () => void }) {
    this.socket = socket
    this.#keepAliveS = options.keepAliveS
    this.shouldKeepAlive = options.shouldKeepAlive
    this.#onSent = options.onSent
  }

  writeHead(status: number, headers: string[]): void {
    if (this.headersSent) throw new TypeError('The head of an answer is written once.')
    const hasBody = status !== 204 && status !== 304
    this.#chunked = hasBody && !namesLength(headers)
    const lasting = this.shouldKeepAlive
      ? `connection: keep-alive\r\nkeep-alive: timeout=${this.#keepAliveS}\r\n`
      : 'connection: close\r\n'
    const framing = this.#chunked ? 'transfer-encoding: chunked\r\n' : ''
    const fields = fieldLines(headers)
    this.#head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${fields}date: ${dateNow()}\r\n${lasting}${framing}\r\n`
    this.statusCode = status
    this.headersSent = true
  }

  flushHeaders(): void {
    const socket = this.#writable()
    if (this.#head !== '' && socket !== null) socket.write(this.#takeHead(), 'latin1')
  }

  write(chunk: Buffer): boolean {
    const socket = this.#writable()
    if (socket === null) return false
    if (chunk.length === 0) return true
    const before = this.#takeHead() + (this.#chunked ? `${chunk.length.toString(16)}\r\n` : '')
    return send(socket, before, chunk, this.#chunked ? '\r\n' : '')
  }

  end(body?: Buffer | string): void {
    const socket = this.#writable()
    if (socket === null) return
    if (body !== undefined && typeof body !== 'string') this.write(body)
    const text = typeof body === 'string' ? body : ''
    const before = this.#takeHead()
    this.writableEnded = true
    if (!this.#chunked) {
      if (before !== '' || text !== '') socket.write(before + text, 'latin1')
    } else {
      const size = text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`
      socket.write(`${before}${size}0\r\n\r\n`, 'latin1')
    }
    // A callback at every write would cost a turn of the queue each.
    if (socket.writableLength === 0) this.#sent(socket.errored)
    else socket.write('', 'latin1', (error) => this.#sent(error))
  }

  destroy(): void {
    this.socket?.destroy()
  }

  on(event: 'close' | 'drain', listener: () => void): void {
    if (event === 'close') this.#onClose.push(listener)
    else this.#onDrain = listener
  }

  /** The connection can take more. */
  drained(): void {
    if (!this.writableEnded) this.#onDrain?.()
  }

  /** The answer is over. */
  close(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.socket = null
    for (const listener of this.#onClose) listener()
  }

  /** null: nothing can be written any more, be it that the answer or that the connection is ending. */
  #writable(): Socket | null {
    return this.writableEnded || this.socket?.writable !== true ? null : this.socket
  }

  /** A write that fails is told here first, and ends the connection next. */
  #sent(error: Error | null | undefined): void {
    if (!error) this.#onSent()
  }

  #takeHead(): string {
    const head = this.#head
    this.#head = ''
    return head
  }
}

function send(socket: Socket, before: string, chunk: Buffer, after: string): boolean {
  if (chunk.length <= TEXT_MAX_BYTES) return socket.write(before + chunk.toString('latin1') + after, 'latin1')
  socket.cork()
  if (before !== '') socket.write(before, 'latin1')
  let more = socket.write(chunk)
  if (after !== '') more = socket.write(after, 'latin1')
  socket.uncork()
  return more
}

function namesLength(headers: readonly string[]): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]?.length === 14 && headers[i]?.toLowerCase() === 'content-length') return true
  }
  return false
}

let date = ''
let dateS = 0

/** The time of day, to a second (RFC 9110 §6.6.1). */
function dateNow(): string {
  const nowS = Math.floor(Date.now() / 1_000)
  if (nowS !== dateS) {
    dateS = nowS
    date = new Date(nowS * 1_000).toUTCString()
  }
  return date
}
