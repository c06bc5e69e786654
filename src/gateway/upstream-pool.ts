import { isIPv6 } from 'node:net'
import type { buildConnector } from 'undici'
import type { CallHolder, UpstreamHandler, UpstreamRequest } from './upstream-call.ts'
import { UpstreamCall, UpstreamsClosedError } from './upstream-call.ts'
import type { ConnectionOwner } from './upstream-connection.ts'
import { UpstreamConnection } from './upstream-connection.ts'

/** The connections to one origin. As many as there are calls at one time: an MCP call may last for hours. */
export class UpstreamPool implements ConnectionOwner, CallHolder {
  readonly #connector: buildConnector.connector
  readonly #target: buildConnector.Options
  readonly #host: string
  readonly #connections = new Set<UpstreamConnection>()
  /** The one that was used last is taken first, so that the others grow old and go. */
  readonly #free: UpstreamConnection[] = []
  /** In order of arrival. There are at least as many connections being made. */
  readonly #waiting = new Set<UpstreamCall>()
  #connecting = 0
  #closed = false

  /** `connector` decides where may be connected to, makes TLS, and reads as READING says. */
  constructor(origin: string, connector: buildConnector.connector) {
    const { protocol, host, hostname, port } = new URL(origin)
    const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
    this.#connector = connector
    this.#host = host
    this.#target = { protocol, host, hostname: isIPv6(bare) ? bare : hostname, port }
  }

  /** Throws TypeError, with nothing sent, when the request cannot be written as HTTP. */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    const call = new UpstreamCall(request, handler, this.#host, this)
    const nowMs = performance.now()
    let connection = this.#free.pop()
    while (connection !== undefined && !connection.isUsable(nowMs)) {
      connection.close(new Error('The connection had grown old.'))
      connection = this.#free.pop()
    }
    if (connection !== undefined) connection.send(call, nowMs)
    else {
      this.#waiting.add(call)
      // Those being made for calls that have been given up serve the next ones.
      if (this.#waiting.size > this.#connecting) this.#connect()
    }
    return call
  }

  isEmpty(): boolean {
    return this.#connections.size === 0 && this.#connecting === 0
  }

  /** Ends what has lasted too long. `nowMs`: by performance.now(). */
  expire(nowMs: number): void {
    for (const connection of this.#connections) connection.expire(nowMs)
  }

  close(): void {
    this.#closed = true
    const error = new UpstreamsClosedError()
    for (const call of this.#waiting) call.fail(error)
    this.#waiting.clear()
    for (const connection of this.#connections) connection.close(error)
  }

  onFree(connection: UpstreamConnection): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free.push(connection)
      return
    }
    this.#waiting.delete(next)
    connection.send(next, performance.now())
  }

  onClosed(connection: UpstreamConnection): void {
    this.#connections.delete(connection)
    const index = this.#free.indexOf(connection)
    if (index !== -1) this.#free.splice(index, 1)
  }

  /** A call that waits for a connection has been given up; the connection is made all the same, for the next one. */
  abandon(call: UpstreamCall): void {
    this.#waiting.delete(call)
  }

  pause(): void {}

  resume(): void {}

  #connect(): void {
    this.#connecting += 1
    this.#connector(this.#target, (...[error, socket]) => {
      this.#connecting -= 1
      if (error !== null) this.#failOne(error)
      else if (this.#closed) socket.destroy()
      else {
        const connection = new UpstreamConnection(socket, this)
        this.#connections.add(connection)
        this.onFree(connection)
      }
    })
  }

  /** A connection that was not made is one call's bad news, unless others have served them all meanwhile. */
  #failOne(error: Error): void {
    if (this.#waiting.size <= this.#connecting) return
    const [first] = this.#waiting
    if (first === undefined) return
    this.#waiting.delete(first)
    first.fail(error)
  }
}
