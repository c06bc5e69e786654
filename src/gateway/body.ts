import type { IncomingMessage } from 'node:http'

/** Bytes of request bodies held at this moment, and how many may be. */
export type BodyBudget = { usedBytes: number; readonly maxBytes: number }

export type BodyOutcome =
  /** The whole body; its bytes are taken from the budget until the caller gives them back. */
  | { kind: 'whole'; body: Buffer }
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
  req: IncomingMessage,
  options: { maxBytes: number; budget: BodyBudget; timeoutMs: number },
  done: (outcome: BodyOutcome) => void,
): void {
  const { maxBytes, budget } = options
  if (Number(req.headers['content-length'] ?? 0) > maxBytes) {
    done({ kind: 'too-large' })
    return
  }
  const chunks: Buffer[] = []
  let sizeBytes = 0
  const settle = (outcome: BodyOutcome): void => {
    clearTimeout(timer)
    req.off('data', onData)
    req.off('end', onEnd)
    req.off('close', onGone)
    if (outcome.kind !== 'whole') budget.usedBytes -= sizeBytes
    done(outcome)
  }
  const onData = (chunk: Buffer): void => {
    sizeBytes += chunk.length
    budget.usedBytes += chunk.length
    if (sizeBytes > maxBytes) settle({ kind: 'too-large' })
    else if (budget.usedBytes > budget.maxBytes) settle({ kind: 'budget' })
    else chunks.push(chunk)
  }
  const onEnd = (): void => {
    const [only] = chunks
    settle({ kind: 'whole', body: chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks) })
  }
  const onGone = (): void => settle({ kind: 'gone' })
  const timer = setTimeout(() => settle({ kind: 'timeout' }), options.timeoutMs)
  req.on('data', onData)
  req.on('end', onEnd)
  req.on('close', onGone)
}

/**
 * After an early answer: the rest of the body is read away before the response is ended, since closing a connection with unread
 * bytes resets it and the client may never see the answer. Who does not stop sending is cut off after `graceMs`.
 */
export function discardRest(req: IncomingMessage, graceMs: number, done: () => void): void {
  if (req.complete) {
    done()
    return
  }
  const timer = setTimeout(() => req.destroy(), graceMs)
  timer.unref()
  req.once('close', () => {
    clearTimeout(timer)
    done()
  })
  req.resume()
}
