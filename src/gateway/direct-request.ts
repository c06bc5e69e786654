import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { ClientRequest } from './client.ts'
import type { RequestHead } from './request-head.ts'

/** A request as a DirectConnection has read it. Its body waits until somebody listens or lets it go. */
export class DirectRequest implements ClientRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: string[]
  readonly socket: Socket
  complete: boolean
  #missingBytes: number
  #waiting: Buffer[] = []
  #flowing = false
  #closed = false
  #onData: ((chunk: Buffer) => void) | null = null
  #onEnd: (() => void) | null = null
  readonly #onClose: (() => void)[] = []

  constructor(head: RequestHead, socket: Socket) {
    this.method = head.method
    this.url = head.target
    this.headers = head.headers
    this.rawHeaders = head.rawHeaders
    this.socket = socket
    this.#missingBytes = head.lengthBytes
    this.complete = head.lengthBytes === 0
  }

  /** Takes what is its own of `data`, from `at` on. Returns where that ends. */
  push(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#missingBytes)
    this.#missingBytes -= end - at
    this.complete = this.#missingBytes === 0
    if (end > at) {
      const chunk = data.subarray(at, end)
      if (!this.#flowing) this.#waiting.push(chunk)
      else this.#onData?.(chunk)
    }
    if (!this.#flowing) {
      // Nobody knows yet whether it is wanted: no more of it is read meanwhile.
      if (!this.complete) this.socket.pause()
    } else if (this.complete) this.#ended()
    return end
  }

  on(event: 'data', listener: (chunk: Buffer) => void): void
  on(event: 'end' | 'close', listener: () => void): void
  on(event: 'data' | 'end' | 'close', listener: (chunk: Buffer) => void): void
  on(event: 'data' | 'end' | 'close', listener: ((chunk: Buffer) => void) & (() => void)): void {
    if (event === 'close') this.#onClose.push(listener)
    else if (event === 'end') this.#onEnd = listener
    else {
      this.#onData = listener
      this.resume()
    }
  }

  resume(): void {
    if (this.#flowing) return
    this.#flowing = true
    const waiting = this.#waiting
    this.#waiting = []
    for (const chunk of waiting) this.#onData?.(chunk)
    if (this.complete) this.#ended()
    else this.socket.resume()
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** The connection has ended. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const listener of this.#onClose) listener()
  }

  #ended(): void {
    if (this.#closed) return
    this.#onEnd?.()
    this.close()
  }
}
