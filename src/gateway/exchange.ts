import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { ToolferryError } from '../domain/errors.ts'
import type { Call } from './call.ts'
import { responseHeaders, singleHeader } from './headers.ts'
import type { GatewayLimits } from './limits.ts'
import type { RefusalCode } from './refusal.ts'
import { EventTooLargeError } from './sse.ts'
import type { EventFilter } from './stream-filter.ts'
import { ForeignEndpointError } from './stream-filter.ts'

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

const KEEP_ALIVE_MS = 30_000
const WHOLE_MAX_BYTES = 64 * 1024
/** Of a body that nobody wants: beyond this, the connection is given up rather than read on. */
const DROP_MAX_BYTES = 64 * 1024

export type ExchangePlan = {
  origin: string
  path: string
  method: 'GET' | 'POST' | 'DELETE'
  headers: string[]
  body: Buffer | null
  /** 0 = no limit. */
  headersTimeoutMs: number
  /** Between two parts of the answer; 0 = no limit. */
  idleTimeoutMs: number
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
  /** A connection to the upstream stands. */
  onReached: () => void
  /** No connection could be made. */
  onUnreachable: () => void
}

/** One request to the upstream and its way back: undici's handler on one side, the client's response on the other. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly call: Call
  readonly #plan: ExchangePlan
  readonly #limits: GatewayLimits
  #controller: Dispatcher.DispatchController | null = null
  #mode: Mode = 'stream'
  #status = 0
  #isEvents = false
  #connected = false
  #headers: string[] = []
  #chunks: Buffer[] = []
  #bytes = 0
  #over = false
  #drainHooked = false
  #endpointTimer: NodeJS.Timeout | null = null

  constructor(call: Call, plan: ExchangePlan, limits: GatewayLimits) {
    this.call = call
    this.#plan = plan
    this.#limits = limits
    call.res.once('close', () => this.#clientClosed())
  }

  start(agent: Dispatcher): void {
    const { origin, path, method, headers, body, headersTimeoutMs, idleTimeoutMs } = this.#plan
    try {
      agent.dispatch(
        { origin, path, method, headers, body, headersTimeout: headersTimeoutMs, bodyTimeout: idleTimeoutMs },
        this,
      )
    } catch (error) {
      this.#fail(codeOf(error))
    }
  }

  /** The caller's right has ended. */
  cut(code: RefusalCode): void {
    this.#fail(code)
  }

  /** Whether the answer is an event stream. */
  isStream(): boolean {
    return this.#plan.method === 'GET' || this.#isEvents
  }

  /** Whether it lasts until somebody ends it, rather than until an answer is there. */
  isOpenEnded(): boolean {
    return this.#plan.method === 'GET' || this.call.method === 'subscriptions/listen'
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#connected = true
    this.#plan.onReached()
    if (this.#over) controller.abort(new Error('no longer wanted'))
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.#controller = controller
    if (this.#over || status < 200) return
    this.#plan.releaseBody()
    this.#status = status
    const refusal = this.#judgeStatus(status)
    const type = contentType(headers)
    if (refusal !== null) this.#replace(refusal.code, refusal.status)
    else if (type === 'json' || type === 'events') this.#begin(type, headers)
    else if (status >= 500) this.#replace('upstream_error')
    else if (status >= 400) this.#replace('upstream_error', status)
    // Answers to messages that have no result: servers write anything into them ("Accepted"), no client reads it.
    else if (status === 202 || status === 204 || this.#plan.method === 'DELETE') this.#empty('drop', headers)
    else if (type === 'none') this.#empty('empty', headers)
    else this.#replace('upstream_content')
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#mode === 'drop') {
      if (this.#bytes > DROP_MAX_BYTES) controller.abort(new Error('unwanted body'))
      return
    }
    if (this.#over) return
    if (this.#mode === 'stream') this.#write(chunk)
    else if (this.#mode === 'events') this.#writeEvents(chunk)
    else if (this.#mode === 'empty') this.#fail('upstream_content')
    else if (this.#bytes > this.#limits.maxInspectedBytes) this.#fail('upstream_too_large')
    else this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    if (this.#over) return
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
      const body = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks)
      this.call.responseBytes = this.#bytes
      res.writeHead(this.#status, this.#headers)
      // As latin1 text the very bytes go out together with the head, in one write instead of a gathered one.
      res.end(body?.toString('latin1') ?? '', 'latin1')
      return
    }
    if (!res.headersSent) res.writeHead(this.#status, this.#headers)
    res.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#plan.releaseBody()
    // Over: this is the echo of our own abort.
    if (this.#over) return
    const code = this.#status === 0 ? codeOf(error) : 'upstream_broken'
    if (!this.#connected && code !== 'upstream_barred' && code !== 'internal_error') this.#plan.onUnreachable()
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

  #begin(type: 'json' | 'events', headers: IncomingHttpHeaders): void {
    const { eventFilter, jsonFilter } = this.#plan
    const inspected = type === 'json' ? jsonFilter !== null : eventFilter !== null
    if (inspected && !isIdentity(headers)) {
      this.#replace('upstream_content')
      return
    }
    this.#isEvents = type === 'events'
    const length = contentLength(headers)
    this.#headers = responseHeaders(headers, {
      sessionId: this.#sealedSession(headers),
      lengthBytes: inspected || type === 'events' ? null : length,
    })
    if (type === 'json') {
      this.#mode = inspected ? 'filter' : length !== null && length <= WHOLE_MAX_BYTES ? 'whole' : 'stream'
    } else {
      this.#mode = inspected ? 'events' : 'stream'
    }
    if (this.#mode === 'events' && eventFilter?.awaitsEndpoint() === true) {
      const fail = (): void => this.#fail('upstream_timeout')
      this.#endpointTimer = setTimeout(fail, this.#limits.headersTimeoutMs)
    } else if (this.#mode === 'events' || this.#mode === 'stream') {
      this.#sendHead()
    }
  }

  #sendHead(): void {
    const { res } = this.call
    res.setHeaders(pairs(this.#headers))
    res.writeHead(this.#status)
    // The client learns at once that the stream is open, though its first event may be far.
    res.flushHeaders()
    // A stream may be silent for hours: this is how a client that vanished is noticed.
    res.socket?.setKeepAlive(true, KEEP_ALIVE_MS)
  }

  #empty(mode: 'empty' | 'drop', headers: IncomingHttpHeaders): void {
    this.#mode = mode
    const lengthBytes = this.#status === 204 ? null : 0
    this.#headers = responseHeaders(
      { ...headers, 'content-type': undefined, 'content-encoding': undefined },
      { sessionId: this.#sealedSession(headers), lengthBytes },
    )
  }

  #sealedSession(headers: IncomingHttpHeaders): string | null {
    const sessionId = singleHeader(headers, 'mcp-session-id')
    return sessionId === null ? null : this.#plan.sealSession(sessionId)
  }

  #write(chunk: Buffer): void {
    const { res } = this.call
    this.call.responseBytes += chunk.length
    if (res.write(chunk)) return
    this.#controller?.pause()
    if (this.#drainHooked) return
    this.#drainHooked = true
    res.on('drain', () => this.#controller?.resume())
  }

  #writeEvents(chunk: Buffer): void {
    const filter = this.#plan.eventFilter
    if (filter === null) return
    try {
      for (const event of filter.push(chunk)) {
        // Held back until the endpoint is known, so that a bad one can still be answered with a status.
        if (filter.awaitsEndpoint()) this.#chunks.push(event)
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
      for (const held of this.#chunks.splice(0)) this.#write(held)
    }
    this.#write(event)
  }

  #sendFiltered(): void {
    const text = this.#plan.jsonFilter?.(Buffer.concat(this.#chunks).toString('utf8')) ?? null
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
    this.#controller?.abort(new Error(code))
  }

  #fail(code: RefusalCode): void {
    if (this.#over) return
    this.#over = true
    this.#clearEndpointTimer()
    this.#plan.releaseBody()
    this.call.refuse(code)
    this.#controller?.abort(new Error(code))
  }

  #clientClosed(): void {
    this.#clearEndpointTimer()
    this.#plan.releaseBody()
    // Finished well, or the client left: then nobody wants the rest, and the upstream is to stop working on it.
    if (this.#over) return
    this.#over = true
    this.#controller?.abort(new Error('the client left'))
  }

  #clearEndpointTimer(): void {
    if (this.#endpointTimer !== null) clearTimeout(this.#endpointTimer)
  }
}

function contentType(headers: IncomingHttpHeaders): 'json' | 'events' | 'none' | 'other' {
  if (headers['content-type'] === undefined) return 'none'
  const type = (singleHeader(headers, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type === 'application/json') return 'json'
  return type === 'text/event-stream' ? 'events' : 'other'
}

function isIdentity(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['content-encoding']
  return encoding === undefined || encoding === '' || encoding === 'identity'
}

function contentLength(headers: IncomingHttpHeaders): number | null {
  const text = singleHeader(headers, 'content-length')
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null
}

function pairs(flat: string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) map.set(flat[i] ?? '', flat[i + 1] ?? '')
  return map
}

/** Errors of connecting and waiting, as the client is told. Their texts hold addresses, so they are not passed on. */
function codeOf(error: unknown): RefusalCode {
  if (error instanceof ToolferryError) return 'upstream_barred'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (
    code === 'UND_ERR_BODY_TIMEOUT' ||
    code === 'UND_ERR_CONNECT_TIMEOUT' ||
    code === 'UND_ERR_HEADERS_TIMEOUT' ||
    code === 'ETIMEDOUT'
  ) {
    return 'upstream_timeout'
  }
  return code === 'UND_ERR_INVALID_ARG' ? 'internal_error' : 'upstream_unreachable'
}
