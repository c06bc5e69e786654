import { discardRest } from './body.ts'
import type { ClientRequest, ClientResponse } from './client.ts'
import type { Exchange } from './exchange.ts'
import type { GatewayJournal } from './journal.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { RefusalCode, RefusalOptions, RpcIds } from './refusal.ts'
import { NO_IDS, sendRefusal } from './refusal.ts'
import type { Route } from './route.ts'
import { traceIdOf } from './trace-id.ts'
import type { GatewayCredential, GatewayInstance } from './view.ts'

/** What nginx logs when the client left before there was an answer. */
const CLIENT_LEFT = 499
const DISCARD_GRACE_MS = 5_000

/** Where a finished request is told. */
export type Reports = { journal: GatewayJournal; metrics: GatewayMetrics | null }

/** One request of a client: what is known about it, how it is refused, and its line in the journal. */
export class Call {
  readonly req: ClientRequest
  readonly res: ClientResponse
  readonly route: Route
  readonly #at = new Date()
  readonly #startedMs = performance.now()
  /** The presented token and its hash; never in the journal. */
  token: string | null = null
  hash: string | null = null
  /** The token came in the URL, so an endpoint that is told to the client must carry it as well. */
  tokenInQuery = false
  instance: GatewayInstance | null = null
  credential: GatewayCredential | null = null
  ids: RpcIds = NO_IDS
  method: string
  toolName: string | null = null
  requestBytes = 0
  responseBytes = 0
  errorCode: RefusalCode | null = null
  /** For a refusal of this request, if it is one that says when to come again. */
  retryAfterS: number | null = null
  /** The answer that has begun is an event stream. */
  answersEvents = false
  /** Once it has gone upstream. */
  exchange: Exchange | null = null
  /** For OpenCalls. */
  place = 0
  #refused = false
  #onRelease: (() => void) | null = null

  /** `onClosed`: the request is over and has been reported. */
  constructor(req: ClientRequest, res: ClientResponse, route: Route, reports: Reports, onClosed: (call: Call) => void) {
    this.req = req
    this.res = res
    this.route = route
    this.method = (req.method ?? '').slice(0, 16)
    // The one listener of a request's end: each costs more than what most of them have to do.
    res.on('close', () => {
      this.release()
      this.exchange?.clientClosed()
      this.#report(reports)
      onClosed(this)
    })
  }

  /** Answers with a refusal; once an answer has begun it is ended instead, so that the client does not take it for whole. */
  refuse(code: RefusalCode, options: RefusalOptions = {}): void {
    this.errorCode ??= code
    if (this.res.destroyed || this.res.writableEnded || this.#refused) return
    if (this.res.headersSent) {
      this.endEarly()
      return
    }
    this.#refused = true
    this.responseBytes = sendRefusal(this.res, code, this.ids, {
      ...(this.retryAfterS === null ? {} : { retryAfterS: this.retryAfterS }),
      ...options,
    })
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
    if (this.answersEvents) this.res.end()
    else this.res.destroy()
  }

  #report({ journal, metrics }: Reports): void {
    // Only requests to instances that exist: made-up addresses must not fill the journal.
    if (this.instance === null) return
    const durationMs = performance.now() - this.#startedMs
    const status = this.res.headersSent ? this.res.statusCode : CLIENT_LEFT
    metrics?.finished(this.instance.id, status, durationMs / 1000)
    journal.append({
      at: this.#at,
      instanceId: this.instance.id,
      bindingId: this.credential?.bindingId ?? null,
      tokenId: this.credential?.tokenId ?? null,
      method: this.method,
      toolName: this.toolName,
      status,
      errorCode: this.errorCode,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      durationMs: Math.round(durationMs),
      traceId: traceIdOf(this.req.headers.traceparent),
    })
  }
}
