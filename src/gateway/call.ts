import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { discardRest } from './body.ts'
import type { GatewayJournal } from './journal.ts'
import type { RefusalCode, RpcIds } from './refusal.ts'
import { NO_IDS, sendRefusal } from './refusal.ts'
import type { Route } from './route.ts'
import type { GatewayCredential, GatewayInstance } from './view.ts'

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/
/** What nginx logs when the client left before there was an answer. */
const CLIENT_LEFT = 499
const DISCARD_GRACE_MS = 5_000

/** One request of a client: what is known about it, how it is refused, and its line in the journal. */
export class Call {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly route: Route
  readonly #at = new Date()
  readonly #startedMs = performance.now()
  /** The presented token and its hash; never in the journal. */
  token: string | null = null
  hash: string | null = null
  instance: GatewayInstance | null = null
  credential: GatewayCredential | null = null
  ids: RpcIds = NO_IDS
  method: string
  toolName: string | null = null
  requestBytes = 0
  responseBytes = 0
  errorCode: RefusalCode | null = null
  #refused = false
  #onRelease: (() => void) | null = null

  constructor(req: IncomingMessage, res: ServerResponse, route: Route, journal: GatewayJournal) {
    this.req = req
    this.res = res
    this.route = route
    this.method = (req.method ?? '').slice(0, 16)
    res.once('close', () => {
      this.release()
      this.#report(journal)
    })
  }

  /** Answers with a refusal; once an answer has begun it is ended instead, so that the client does not take it for whole. */
  refuse(code: RefusalCode, status?: number): void {
    this.errorCode ??= code
    if (this.res.destroyed || this.res.writableEnded || this.#refused) return
    if (this.res.headersSent) {
      this.endEarly()
      return
    }
    this.#refused = true
    this.responseBytes = sendRefusal(this.res, code, this.ids, status)
    discardRest(this.req, DISCARD_GRACE_MS, () => this.res.end())
  }

  /** What to do, once, when the request's body is no longer held: at `release`, or at the latest when the request is over. */
  whenReleased(work: () => void): void {
    this.#onRelease = work
    if (this.res.destroyed) this.release()
  }

  release(): void {
    const work = this.#onRelease
    this.#onRelease = null
    work?.()
  }

  /** Ends an answer that has begun: an event stream may end at any time; anything else is broken off visibly. */
  endEarly(): void {
    if (this.res.destroyed || this.res.writableEnded) return
    if (String(this.res.getHeader('content-type') ?? '').startsWith('text/event-stream')) this.res.end()
    else this.res.destroy()
  }

  #report(journal: GatewayJournal): void {
    // Only requests to instances that exist: made-up addresses must not fill the journal.
    if (this.instance === null) return
    journal.append({
      at: this.#at,
      instanceId: this.instance.id,
      bindingId: this.credential?.bindingId ?? null,
      tokenId: this.credential?.tokenId ?? null,
      method: this.method,
      toolName: this.toolName,
      status: this.res.headersSent ? this.res.statusCode : CLIENT_LEFT,
      errorCode: this.errorCode,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      durationMs: Math.round(performance.now() - this.#startedMs),
      traceId: traceIdOf(this.req.headers.traceparent),
    })
  }
}

function traceIdOf(traceparent: string | string[] | undefined): string {
  const match = typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null
  return match?.[1] ?? randomUUID().replaceAll('-', '')
}
