import type { Agent, Dispatcher } from 'undici'

type Headers = Record<string, string | string[] | undefined>

export type ShortExchange = {
  agent: Agent
  url: URL
  method: 'POST' | 'DELETE'
  headers: Record<string, string>
  body: string | null
  signal: AbortSignal
  /** For the head, and between two pieces of the body. */
  timeoutMs: number
  /** A longer body is cut about here, and its connection goes with it. */
  maxCharacters: number
  /** Of what has come of the body: whether that is enough. What follows is given a moment to end by itself. */
  isEnough?: (text: string, headers: Headers) => boolean
}

export type ShortAnswer = { statusCode: number; headers: Headers; text: string }

/** A stream that has answered is given this long to end by itself, so that its connection can be used again. */
const STREAM_END_MS = 100

/**
 * One request and its whole answer, without the streams and listeners that undici's request() makes around each. Rejects with
 * undici's error, or with the signal's reason.
 */
export function shortExchange(exchange: ShortExchange): Promise<ShortAnswer> {
  const { agent, url, method, headers, body, timeoutMs } = exchange
  return new Promise((resolve, reject) => {
    agent.dispatch(
      {
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers,
        body,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      },
      new Collector(exchange, resolve, reject),
    )
  })
}

class Collector implements Dispatcher.DispatchHandler {
  readonly #exchange: ShortExchange
  readonly #resolve: (answer: ShortAnswer) => void
  readonly #reject: (error: unknown) => void
  readonly #decoder = new TextDecoder()
  readonly #answer: ShortAnswer = { statusCode: 0, headers: {}, text: '' }
  #goodbye: ReturnType<typeof setTimeout> | null = null
  #enough = false
  #onAbort: (() => void) | null = null

  constructor(exchange: ShortExchange, resolve: (answer: ShortAnswer) => void, reject: (error: unknown) => void) {
    this.#exchange = exchange
    this.#resolve = resolve
    this.#reject = reject
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const { signal } = this.#exchange
    this.#onAbort = () => controller.abort(asError(signal.reason))
    if (signal.aborted) this.#onAbort()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  onResponseStart(_controller: Dispatcher.DispatchController, statusCode: number, headers: Headers): void {
    this.#answer.statusCode = statusCode
    this.#answer.headers = headers
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#enough) return
    const { maxCharacters, isEnough } = this.#exchange
    this.#answer.text += this.#decoder.decode(chunk, { stream: true })
    if (this.#answer.text.length > maxCharacters) {
      this.#enough = true
      controller.abort(new Error('The answer is not read any further.'))
    } else if (isEnough?.(this.#answer.text, this.#answer.headers) === true) {
      this.#enough = true
      this.#goodbye = setTimeout(() => controller.abort(new Error('The stream goes on.')), STREAM_END_MS)
    }
  }

  onResponseEnd(): void {
    this.#settle(null)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#settle(this.#enough ? null : error)
  }

  #settle(error: unknown): void {
    if (this.#goodbye !== null) clearTimeout(this.#goodbye)
    const { signal } = this.#exchange
    if (this.#onAbort !== null) signal.removeEventListener('abort', this.#onAbort)
    if (signal.aborted) this.#reject(signal.reason)
    else if (error !== null) this.#reject(error)
    else this.#resolve(this.#answer)
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The request was aborted.')
}
