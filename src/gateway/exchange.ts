import { ToolferryError } from '../domain/errors.ts'
import { BodyDecoder, isDecodable } from './body-decoder.ts'
import type { Call } from './call.ts'
import type { ResponseFacts } from './headers.ts'
import { responseFacts, responseHeaders, without } from './headers.ts'
import type { GatewayLimits } from './limits.ts'
import { Pieces } from './pieces.ts'
import type { RefusalCode } from './refusal.ts'
import { EventTooLargeError } from './sse.ts'
import type { EventFilter } from './stream-filter.ts'
import { ForeignEndpointError } from './stream-filter.ts'
import { announcesTools } from './tool-hints.ts'
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from './upstream-call.ts'
import { UpstreamsClosedError, UpstreamTimeoutError } from './upstream-call.ts'
import type { Upstreams } from './upstreams.ts'

/** How the upstream's body is brought to the client. */
type Mode =
  /** A small JSON body of known length: kept and sent in one piece with its headers (one write, one packet). */
  | 'whole'
  /** As it comes, with backpressure. */
  | 'stream'
  /** Kept, cut down to the allowed tools, sent. */
  | 'filter'
  /** Event by event through the filter. */
  | 'events'
  /** Must be empty: the upstream named no type for it. */
  | 'empty'
  /** Not for the client: the status alone counts. */
  | 'drop'

/** TCP keep-alive: how long a connection is silent until it is probed. */
const TCP_PROBE_AFTER_MS = 30_000
const ENCODING = new Set(['content-encoding'])
const ABOUT_A_BODY = new Set(['content-type', 'content-encoding'])
const WHOLE_MAX_BYTES = 64 * 1024
/** Of a body that nobody wants: beyond this, the connection is given up rather than read on. */
const DROP_MAX_BYTES = 64 * 1024

export type ExchangePlan = {
  target: { origin: string; connectTimeoutMs: number }
  request: UpstreamRequest
  /** For a stream whose events have to be looked into. */
  eventFilter: EventFilter | null
  /** Cuts a JSON body down to what the caller may see; answers null when it cannot be read. */
  jsonFilter: ((text: string) => string | null) | null
  /** The upstream's session id → the client's. */
  sealSession: (sessionId: string) => string
  /** The client's own `Authorization` went upstream, so a 401 is the client's to know. */
  forwardedAuthorization: boolean
  /** Called when request body bytes are no longer held. */
  releaseBody: () => void
  /** The upstream says on an event stream that its tools have changed. */
  onToolsAnnounced: () => void
  /** A connection to the upstream stands. */
  onReached: () => void
  /** No connection could be made. */
  onUnreachable: () => void
}

/**
 * One request to the upstream and its way back: the upstream's answer on one side, the client's response on the other.
 *
 * Who may still call, and what has gone to the client meanwhile, by the mode:
 *
 * | state                      | upstream: head, body, end | client: drain, close | `cut`               | to the client so far |
 * | -------------------------- | ------------------------- | -------------------- | ------------------- | -------------------- |
 * | before the head            | head, error               | close                | a refusal           | nothing              |
 * | whole, filter, empty, drop | body, end, error          | close                | a refusal           | nothing              |
 * | events, no endpoint yet    | body, end, error          | close                | a refusal           | nothing              |
 * | events, stream             | body, end, error          | drain, close         | the answer is ended | the head, and on     |
 * | over                       | error: breaks it off      | close                | nothing any more    | all, or a refusal    |
 *
 * With a decoder between them, body and end are its own. Every other call that comes once it is over does nothing.
 */
export class Exchange implements UpstreamHandler {
  readonly call: Call
  readonly #plan: ExchangePlan
  readonly #limits: GatewayLimits
  #upstream: UpstreamCall | null = null
  #mode: Mode = 'stream'
  #status = 0
  #isEvents = false
  #connected = false
  #headers: string[] = []
  /** Of what is sent later. */
  readonly #kept = new Pieces()
  /** The whole of it, a character a byte: so it goes out together with the head, in one write instead of a gathered one. */
  #text = ''
  #bytes = 0
  #over = false
  #drainHooked = false
  #endpointTimer: NodeJS.Timeout | null = null
  #decoder: BodyDecoder | null = null

  constructor(call: Call, plan: ExchangePlan, limits: GatewayLimits) {
    this.call = call
    this.#plan = plan
    this.#limits = limits
  }

  start(upstreams: Upstreams): void {
    const { target, request } = this.#plan
    try {
      this.#upstream = upstreams.dispatch(target, request, this)
    } catch (error) {
      this.#fail(error instanceof TypeError ? 'internal_error' : codeOf(error))
    }
  }

  /** The caller's right has ended. */
  cut(code: RefusalCode): void {
    this.#fail(code)
  }

  /** Whether the answer is an event stream. */
  isStream(): boolean {
    return this.#plan.request.method === 'GET' || this.#isEvents
  }

  /** Whether it lasts until somebody ends it, and no answer is waited for on it: those of HTTP+SSE come on its stream. */
  isOpenEnded(): boolean {
    const { route, method } = this.call
    return (route.kind === 'mcp' && this.#plan.request.method === 'GET') || method === 'subscriptions/listen'
  }

  onConnected(): void {
    this.#connected = true
    this.#plan.onReached()
  }

  onHead(status: number, headers: readonly string[]): void {
    if (this.#over) return
    this.#plan.releaseBody()
    this.#status = status
    const refusal = this.#judgeStatus(status)
    if (refusal !== null) {
      this.#replace(refusal.code, refusal.status)
      return
    }
    const facts = responseFacts(headers)
    // Whatever its head says of a body: there is none, and what the client is told must not announce one.
    if (status === 204) {
      this.#empty('drop', facts)
      return
    }
    const isJson = facts.type === 'application/json'
    if (isJson || facts.type === 'text/event-stream') this.#begin(isJson ? 'json' : 'events', facts)
    else if (status >= 500) this.#replace('upstream_error')
    else if (status >= 400) this.#replace('upstream_error', status)
    // Answers to messages that have no result: servers write anything into them ("Accepted"), no client reads it.
    else if (status === 202 || this.#plan.request.method === 'DELETE') this.#empty('drop', facts)
    else if (facts.type === null) this.#empty('empty', facts)
    else this.#replace('upstream_content')
  }

  onBody(chunk: Buffer): void {
    if (this.#over) return
    if (this.#decoder === null) this.#take(chunk)
    else if (!this.#decoder.push(Buffer.from(chunk))) this.#upstream?.pause()
  }

  onEnd(): void {
    if (this.#over) return
    if (this.#decoder === null) this.#finish()
    else this.#decoder.end()
  }

  /** `chunk` is copied where it is kept. */
  #take(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#isEvents && announcesTools(chunk)) this.#plan.onToolsAnnounced()
    if (this.#mode === 'stream') this.#write(this.call.res.copies === true ? chunk : Buffer.from(chunk))
    else if (this.#mode === 'events') this.#writeEvents(Buffer.from(chunk))
    else if (this.#mode === 'empty') this.#fail('upstream_content')
    else if (this.#mode === 'drop') {
      if (this.#bytes > DROP_MAX_BYTES) this.#fail('upstream_broken')
    } else if (this.#mode === 'whole') this.#text += chunk.toString('latin1')
    else if (this.#bytes > this.#limits.maxInspectedBytes) this.#fail('upstream_too_large')
    else this.#kept.push(Buffer.from(chunk))
  }

  #finish(): void {
    if (this.#mode === 'filter') {
      this.#sendFiltered()
      return
    }
    // A stream that ended before it named its endpoint has told the client nothing.
    if (this.#mode === 'events' && !this.call.res.headersSent) {
      this.#fail('upstream_broken')
      return
    }
    this.#over = true
    const { res } = this.call
    if (this.#mode === 'whole') {
      this.call.responseBytes = this.#bytes
      res.writeHead(this.#status, this.#headers)
      res.end(this.#text, 'latin1')
      return
    }
    if (!res.headersSent) res.writeHead(this.#status, this.#headers)
    res.end()
  }

  onError(error: Error): void {
    this.#plan.releaseBody()
    if (this.#over) {
      // It failed while it was being ended: nobody may wait for the rest.
      this.call.endEarly()
      return
    }
    const code = this.#status === 0 ? codeOf(error) : 'upstream_broken'
    if (!this.#connected && (code === 'upstream_unreachable' || code === 'upstream_timeout')) this.#plan.onUnreachable()
    this.#fail(code)
  }

  /** What the status alone decides. */
  #judgeStatus(status: number): { code: RefusalCode; status?: number } | null {
    if (status >= 300 && status < 400) return { code: 'upstream_redirect' }
    if (status !== 401 && status !== 407) return null
    return {
      code: this.#plan.forwardedAuthorization && status === 401 ? 'upstream_refused_caller' : 'upstream_unauthorized',
    }
  }

  #begin(type: 'json' | 'events', facts: ResponseFacts): void {
    const { eventFilter, jsonFilter } = this.#plan
    const inspected = type === 'json' ? jsonFilter !== null : eventFilter !== null
    const { encoding } = facts
    if (inspected && encoding !== null) {
      // It was asked for none. What we cannot undo, nobody can look into.
      if (!isDecodable(encoding)) {
        this.#replace('upstream_content')
        return
      }
      this.#decoder = this.#decode(encoding)
    }
    this.#isEvents = type === 'events'
    const length = facts.lengthBytes
    const passed = this.#decoder === null ? facts.passed : without(facts.passed, ENCODING)
    this.#headers = responseHeaders(passed, {
      sessionId: this.#sealedSession(facts),
      lengthBytes: inspected || type === 'events' ? null : length,
    })
    if (type === 'json') {
      this.#mode = inspected ? 'filter' : length !== null && length <= WHOLE_MAX_BYTES ? 'whole' : 'stream'
    } else {
      this.#mode = inspected ? 'events' : 'stream'
    }
    if (this.#mode === 'events' && eventFilter?.awaitsEndpoint() === true) {
      const { headersTimeoutMs } = this.#plan.request
      const fail = (): void => this.#fail('upstream_timeout')
      if (headersTimeoutMs > 0) this.#endpointTimer = setTimeout(fail, headersTimeoutMs)
    } else if (this.#mode === 'events' || this.#mode === 'stream') {
      this.#sendHead()
    }
  }

  #sendHead(): void {
    const { res } = this.call
    this.call.answersEvents = this.#isEvents
    res.writeHead(this.#status, this.#headers)
    // The client learns at once that the stream is open, though its first event may be far. Another head goes with its body.
    if (this.#isEvents) res.flushHeaders()
    // A stream may be silent for hours: this is how a client that vanished is noticed.
    res.socket?.setKeepAlive(true, TCP_PROBE_AFTER_MS)
  }

  #empty(mode: 'empty' | 'drop', facts: ResponseFacts): void {
    this.#mode = mode
    const lengthBytes = this.#status === 204 ? null : 0
    this.#headers = responseHeaders(without(facts.passed, ABOUT_A_BODY), {
      sessionId: this.#sealedSession(facts),
      lengthBytes,
    })
  }

  #sealedSession({ sessionId }: ResponseFacts): string | null {
    return sessionId === null ? null : this.#plan.sealSession(sessionId)
  }

  #write(chunk: Buffer): void {
    const { res } = this.call
    this.call.responseBytes += chunk.length
    if (res.write(chunk)) return
    // A decoder that is held up holds up the upstream in its turn.
    if (this.#decoder === null) this.#upstream?.pause()
    else this.#decoder.pause()
    if (this.#drainHooked) return
    this.#drainHooked = true
    res.on('drain', () => {
      if (this.#decoder === null) this.#upstream?.resume()
      else this.#decoder.resume()
    })
  }

  #decode(encoding: string): BodyDecoder {
    // Out of the connection's sight: what it would have caught is caught here.
    const guarded = (work: () => void): void => {
      if (this.#over) return
      try {
        work()
      } catch (error) {
        this.onError(error instanceof Error ? error : new Error(String(error)))
      }
    }
    return new BodyDecoder(encoding, {
      onData: (chunk) => guarded(() => this.#take(chunk)),
      // The end of what is compressed may come before that of the body, of which nothing more is wanted.
      onEnd: () =>
        guarded(() => {
          this.#finish()
          this.#upstream?.abort()
        }),
      onError: () => this.#fail('upstream_content'),
      onDrain: () => this.#upstream?.resume(),
    })
  }

  #writeEvents(chunk: Buffer): void {
    const filter = this.#plan.eventFilter
    if (filter === null) return
    try {
      for (const event of filter.push(chunk)) {
        // Held back until the endpoint is known, so that a bad one can still be answered with a status.
        if (filter.awaitsEndpoint()) this.#kept.push(event)
        else this.#writeEvent(event)
      }
      if (filter.awaitsEndpoint() && this.#bytes > this.#limits.maxInspectedBytes) this.#fail('upstream_too_large')
    } catch (error) {
      if (error instanceof ForeignEndpointError) this.#fail('upstream_endpoint')
      else if (error instanceof EventTooLargeError) this.#fail('upstream_too_large')
      else throw error
    }
  }

  #writeEvent(event: Buffer): void {
    if (!this.call.res.headersSent) {
      this.#clearEndpointTimer()
      this.#sendHead()
      if (this.#kept.bytes > 0) this.#write(this.#kept.take())
    }
    this.#write(event)
  }

  #sendFiltered(): void {
    const text = this.#plan.jsonFilter?.(this.#kept.take().toString('utf8')) ?? null
    if (text === null) {
      this.#fail('upstream_content')
      return
    }
    this.#over = true
    const body = Buffer.from(text)
    this.call.responseBytes = body.length
    this.call.res.writeHead(this.#status, [...this.#headers, 'content-length', String(body.length)])
    this.call.res.end(body)
  }

  /** Our own answer in place of the upstream's, whose body (of any size, at any speed) is not waited for. */
  #replace(code: RefusalCode, status?: number): void {
    this.#over = true
    this.call.refuse(code, { status })
    this.#upstream?.abort()
  }

  #fail(code: RefusalCode): void {
    if (this.#over) return
    this.#over = true
    this.#clearEndpointTimer()
    this.#decoder?.stop()
    this.#plan.releaseBody()
    this.call.refuse(code)
    this.#upstream?.abort()
  }

  /** The client's side is over. */
  clientClosed(): void {
    this.#clearEndpointTimer()
    this.#plan.releaseBody()
    // Finished well, or the client left: then nobody wants the rest, and the upstream is to stop working on it.
    if (this.#over) return
    this.#over = true
    this.#decoder?.stop()
    this.#upstream?.abort()
  }

  #clearEndpointTimer(): void {
    if (this.#endpointTimer !== null) clearTimeout(this.#endpointTimer)
  }
}

/** Errors of connecting and waiting, as the client is told. Their texts hold addresses, so they are not passed on. */
function codeOf(error: unknown): RefusalCode {
  if (error instanceof ToolferryError) return 'upstream_barred'
  if (error instanceof UpstreamTimeoutError) return 'upstream_timeout'
  if (error instanceof UpstreamsClosedError) return 'gateway_busy'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' ? 'upstream_timeout' : 'upstream_unreachable'
}
