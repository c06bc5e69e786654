import { type OnReadOpts, Socket } from 'node:net'
import { TEXT_MAX_BYTES, textOf } from './pieces.ts'
import type { ResponseListener } from './response-parser.ts'
import { ResponseParser, UPSTREAM_KEEP_ALIVE_MS } from './response-parser.ts'
import type { CallHolder, UpstreamCall } from './upstream-call.ts'
import { UpstreamTimeoutError } from './upstream-call.ts'

const connections = new WeakMap<Socket, UpstreamConnection>()

/**
 * How sockets for these connections read: all of them into the same memory, one part after another. Left to itself, each reading takes
 * 64 KiB, gives most of it back, and goes through a stream. Node calls `callback` as the socket's own.
 */
export const READING: OnReadOpts = {
  buffer: Buffer.allocUnsafeSlow(64 * 1024),
  callback(this: unknown, bytes, buffer) {
    if (!(this instanceof Socket)) throw new TypeError('What was read belongs to no socket.')
    const connection = connections.get(this)
    // Nobody has asked it for anything yet.
    if (connection === undefined) this.destroy()
    else connection.received((buffer as Buffer).subarray(0, bytes))
    return true
  },
}

/** Where a connection belongs. */
export type ConnectionOwner = {
  /** It can carry another call. */
  onFree(connection: UpstreamConnection): void
  onClosed(connection: UpstreamConnection): void
}

/** A connection to an MCP server: one call at a time, the next when the last one's response is whole. Nothing is pipelined. */
export class UpstreamConnection implements ResponseListener, CallHolder {
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #parser = new ResponseParser(this)
  #call: UpstreamCall | null = null
  #paused = false
  /** By performance.now(): when the call has waited too long, or the free connection is given up. */
  #deadlineMs: number

  /** `socket`: made with READING. */
  constructor(socket: Socket, owner: ConnectionOwner) {
    this.#socket = socket
    this.#owner = owner
    // Whom it was made for may have left meanwhile: it waits for another call, but no longer than after one.
    this.#deadlineMs = performance.now() + UPSTREAM_KEEP_ALIVE_MS
    connections.set(socket, this)
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => {
      this.#fail(new Error('The connection was closed.'))
      owner.onClosed(this)
    })
  }

  /** Whether a call may be sent: nothing has ended or been read since the last one. */
  isUsable(nowMs: number): boolean {
    const socket = this.#socket
    return this.#call === null && nowMs < this.#deadlineMs && socket.readable && socket.writable
  }

  send(call: UpstreamCall, nowMs: number): void {
    const { request, handler, head } = call
    this.#call = call
    call.holder = this
    this.#deadlineMs = deadline(nowMs, request.headersTimeoutMs)
    this.#parser.begin()
    handler.onConnected()
    // The handler may have given it up.
    if (call.over) return
    const { body } = request
    request.body = null
    if (body === null) this.#socket.write(head, 'latin1')
    // One write, one packet, and cheaper than gathering two.
    else if (body.length <= TEXT_MAX_BYTES) this.#socket.write(head + textOf(body.pieces), 'latin1')
    else {
      this.#socket.cork()
      this.#socket.write(head, 'latin1')
      for (const piece of body.pieces) {
        if (piece.length > TEXT_MAX_BYTES) this.#socket.write(piece)
        else this.#socket.write(piece.toString('latin1'), 'latin1')
      }
      this.#socket.uncork()
    }
  }

  /** `chunk` is overwritten by what is read next. */
  received(chunk: Buffer): void {
    // Nobody has asked: what would be taken for the next answer must never be.
    if (this.#call === null) {
      this.#socket.destroy()
      return
    }
    try {
      this.#parser.push(chunk)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Ends what has lasted too long. */
  expire(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return
    if (this.#call === null) this.#socket.destroy()
    else this.#fail(new UpstreamTimeoutError('The server took too long.'))
  }

  close(error: Error): void {
    this.#fail(error)
    this.#socket.destroy()
  }

  abandon(): void {
    this.#call = null
    this.#parser.stop()
    this.#socket.destroy()
  }

  pause(): void {
    this.#paused = true
    // It is the client that is slow now.
    this.#deadlineMs = Number.POSITIVE_INFINITY
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#touch()
    this.#socket.resume()
  }

  onHead(status: number, headers: string[]): void {
    this.#deadlineMs = Number.POSITIVE_INFINITY
    this.#touch()
    this.#call?.handler.onHead(status, headers)
  }

  onBody(chunk: Buffer): void {
    if (!this.#paused) this.#touch()
    this.#call?.handler.onBody(chunk)
  }

  onEnd(reusable: boolean): void {
    const call = this.#call
    this.#call = null
    if (this.#paused) {
      this.#paused = false
      this.#socket.resume()
    }
    // A response that came before its request was sent whole leaves the connection in an unclear state.
    if (reusable && this.#socket.writableLength === 0) {
      this.#deadlineMs = performance.now() + this.#parser.keepAliveMs
      this.#owner.onFree(this)
    } else {
      this.#socket.destroy()
    }
    call?.end()
  }

  #ended(): void {
    if (this.#call === null) {
      this.#socket.destroy()
      return
    }
    try {
      this.#parser.close()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    const call = this.#call
    this.#call = null
    this.#parser.stop()
    this.#socket.destroy()
    call?.fail(error instanceof Error ? error : new Error(String(error)))
  }

  #touch(): void {
    const idleTimeoutMs = this.#call?.request.idleTimeoutMs ?? 0
    if (idleTimeoutMs > 0) this.#deadlineMs = deadline(performance.now(), idleTimeoutMs)
  }
}

function deadline(nowMs: number, timeoutMs: number): number {
  return timeoutMs > 0 ? nowMs + timeoutMs : Number.POSITIVE_INFINITY
}
