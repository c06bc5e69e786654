import type { Socket } from 'node:net'
import type { ClientRequest, ClientResponse } from './client.ts'
import { DirectRequest } from './direct-request.ts'
import { DirectResponse } from './direct-response.ts'
import { END_OF_HEAD, END_OF_LINE, MAX_HEAD_BYTES } from './http-fields.ts'
import { Pieces } from './pieces.ts'
import { RequestHeadReader } from './request-head.ts'

/** Whom a connection works for. */
export type DirectOwner = {
  /** Between two requests. */
  readonly keepAliveMs: number
  /** For a first request, and for one that came far ahead of its turn. */
  readonly headersTimeoutMs: number
  /** No connection is to be kept any longer. */
  isClosing(): boolean
  takes(target: string): boolean
  handle(req: ClientRequest, res: ClientResponse): void
  /** What comes is not for us: all of it since the last request that was can be read from `socket`. */
  handOver(socket: Socket): void
  onClosed(connection: DirectConnection): void
}

/** How much of a next request may come before the answer to the one before it has gone. */
const MAX_HELD_BYTES = 64 * 1024
/** How long the rest of a body that nobody wants may take. */
const REST_TIMEOUT_MS = 5_000

/**
 * A client's connection, read without node:http as long as its requests are plain (see RequestHeadReader), whole in their heads
 * when they arrive, and for the gateway. The first that is not goes to node:http, and the connection with it.
 */
export class DirectConnection {
  readonly #socket: Socket
  readonly #owner: DirectOwner
  readonly #heads = new RequestHeadReader()
  #request: DirectRequest | null = null
  #response: DirectResponse | null = null
  /** Come before its turn. */
  readonly #held = new Pieces()
  /** Another request may follow. */
  #lasts = true
  /** By performance.now(): when it is given up. */
  #deadlineMs: number
  readonly #listeners: {
    data: (chunk: Buffer) => void
    end: () => void
    error: () => void
    close: () => void
    drain: () => void
  }

  constructor(socket: Socket, owner: DirectOwner) {
    this.#socket = socket
    this.#owner = owner
    this.#deadlineMs = performance.now() + owner.headersTimeoutMs
    this.#listeners = {
      data: (chunk) => this.#received(chunk),
      end: () => this.#clientEnded(),
      error: () => socket.destroy(),
      close: () => this.#closed(),
      drain: () => this.#response?.drained(),
    }
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener)
  }

  /** Ends what has lasted too long. */
  expire(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.#socket.destroy()
  }

  closeIdle(): void {
    if (this.#request === null) this.#socket.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #received(chunk: Buffer): void {
    const request = this.#request
    if (request === null) {
      // Behind the last answer: who announces an end carries nothing more out (RFC 9112 §9.6).
      if (!this.#lasts) return
      if (this.#held.bytes === 0) this.#begin(chunk)
      else this.#hold(chunk)
      return
    }
    const end = request.complete ? 0 : request.push(chunk, 0)
    if (end < chunk.length) this.#hold(end === 0 ? chunk : chunk.subarray(end))
    this.#settle()
  }

  #begin(chunk: Buffer): void {
    const owner = this.#owner
    const end = chunk.indexOf(END_OF_HEAD)
    const isHead = end !== -1 && end <= MAX_HEAD_BYTES
    const head = isHead ? this.#heads.read(chunk.toString('latin1', 0, end + END_OF_LINE.length)) : null
    const bodyAt = end + END_OF_HEAD.length
    if (head === null || !owner.takes(head.target) || chunk.length > bodyAt + head.lengthBytes) {
      this.#handOver(chunk)
      return
    }
    const request = new DirectRequest(head, this.#socket)
    const response = new DirectResponse(this.#socket, {
      keepAliveS: Math.floor(owner.keepAliveMs / 1_000),
      shouldKeepAlive: !owner.isClosing(),
      onSent: () => this.#sent(response),
    })
    this.#request = request
    this.#response = response
    this.#deadlineMs = Number.POSITIVE_INFINITY
    request.push(chunk, bodyAt)
    owner.handle(request, response)
  }

  #hold(rest: Buffer): void {
    this.#held.push(rest)
    if (this.#held.bytes <= MAX_HELD_BYTES) return
    this.#socket.pause()
    // A connection that is not read does not tell that its client has left: it is not left so for the length of a stream.
    this.#deadlineMs = performance.now() + this.#owner.headersTimeoutMs
  }

  /** A client that ends its side has left, as for node:http: it gets what has been written, and nothing more. */
  #clientEnded(): void {
    this.#lasts = false
    this.#socket.end()
  }

  #sent(response: DirectResponse): void {
    if (this.#response !== response || this.#socket.destroyed) return
    this.#response = null
    this.#lasts &&= response.shouldKeepAlive
    response.close()
    if (this.#request?.complete === false) {
      this.#deadlineMs = performance.now() + REST_TIMEOUT_MS
      this.#request.resume()
    }
    this.#settle()
  }

  /** Goes on to the next request, once this one has been read and answered. */
  #settle(): void {
    const request = this.#request
    if (request !== null) {
      if (!request.complete || this.#response !== null) return
      this.#request = null
      request.close()
      this.#lasts &&= !this.#owner.isClosing()
      if (this.#lasts) this.#deadlineMs = performance.now() + this.#owner.keepAliveMs
      else this.#socket.destroySoon()
    }
    // In a turn of its own: each of many that have come together may be answered within this one.
    if (this.#lasts && this.#held.bytes > 0) process.nextTick(() => this.#beginHeld())
  }

  #beginHeld(): void {
    if (this.#request !== null || this.#held.bytes === 0 || this.#socket.destroyed) return
    this.#socket.resume()
    this.#begin(this.#held.take())
  }

  #handOver(chunk: Buffer): void {
    const socket = this.#socket
    for (const [event, listener] of Object.entries(this.#listeners)) socket.off(event, listener)
    this.#owner.onClosed(this)
    socket.pause()
    socket.unshift(chunk)
    this.#owner.handOver(socket)
    socket.resume()
  }

  #closed(): void {
    this.#request?.close()
    this.#response?.close()
    this.#owner.onClosed(this)
  }
}
