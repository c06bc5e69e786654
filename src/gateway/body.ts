import type { ClientRequest } from './client.ts'
import { wholeNumber } from './http-fields.ts'
import { Pieces } from './pieces.ts'
import { RequestBody } from './request-body.ts'

/** Bytes of request bodies held at this moment, and how many may be. */
export type BodyBudget = { usedBytes: number; readonly maxBytes: number }

export type BodyOutcome =
  /** The whole body; its bytes are taken from the budget until the caller gives them back. */
  | { kind: 'whole'; body: RequestBody }
  | { kind: 'too-large' }
  | { kind: 'budget' }
  | { kind: 'timeout' }
  /** The client left. */
  | { kind: 'gone' }

/**
 * Reads a request body whole, up to `maxBytes`; `done` is called once. A declared length that is too large is refused before
 * anything is read; a chunked one as soon as it has grown too large. Callbacks, not promises: it is on the hot path.
 */
export function readBody(
  req: ClientRequest,
  options: { maxBytes: number; budget: BodyBudget; timeoutMs: number },
  done: (outcome: BodyOutcome) => void,
): void {
  const { maxBytes, budget } = options
  const declared = req.headers['content-length']
  if (declared !== undefined && (wholeNumber(declared) ?? Number.POSITIVE_INFINITY) > maxBytes) {
    done({ kind: 'too-large' })
    return
  }
  const pieces = new Pieces()
  let settled = false
  let timer: NodeJS.Timeout | null = null
  const settle = (outcome: BodyOutcome): void => {
    // Listeners are left where they are: taking them away would cost more than this question.
    if (settled) return
    settled = true
    if (timer !== null) clearTimeout(timer)
    if (outcome.kind !== 'whole') budget.usedBytes -= pieces.bytes
    // The request lives as long as its answer, and these with it.
    pieces.clear()
    done(outcome)
  }
  const onData = (chunk: Buffer): void => {
    if (settled) return
    pieces.push(chunk)
    budget.usedBytes += chunk.length
    if (pieces.bytes > maxBytes) settle({ kind: 'too-large' })
    else if (budget.usedBytes > budget.maxBytes) settle({ kind: 'budget' })
  }
  const onEnd = (): void => {
    if (!settled) settle({ kind: 'whole', body: new RequestBody(pieces.takeFew()) })
  }
  const onGone = (): void => {
    if (!settled) settle({ kind: 'gone' })
  }
  req.on('end', onEnd)
  req.on('close', onGone)
  // The last one: it may be told at once.
  req.on('data', onData)
  // Most bodies come together with their head: they are here now, or by the end of this turn.
  if (settled) return
  process.nextTick(() => {
    if (!settled && !req.complete) timer = setTimeout(() => settle({ kind: 'timeout' }), options.timeoutMs)
  })
}

/**
 * After an early answer: the rest of the body is read away before the response is ended, since closing a connection with unread
 * bytes resets it and the client may never see the answer. Who does not stop sending is cut off after `graceMs`.
 */
export function discardRest(req: ClientRequest, graceMs: number, done: () => void): void {
  if (req.complete) {
    done()
    return
  }
  const timer = setTimeout(() => req.destroy(), graceMs)
  timer.unref()
  req.on('close', () => {
    clearTimeout(timer)
    done()
  })
  req.resume()
}
