/** So long a wish is heeded: a run, or every call of an account, stands still for as long. */
const LONGEST_MS = 3_600_000

/**
 * What `Retry-After` asks for, in ms from now: seconds or an HTTP date; undefined when it says neither, or "now": then the caller
 * waits as it always does between attempts, which would else be used up in a moment. Pure.
 */
export function retryAfterMs(header: unknown, nowMs: number, longestMs = LONGEST_MS): number | undefined {
  const text = typeof header === 'string' ? header.trim() : ''
  const askedMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return askedMs > 0 ? Math.min(askedMs, longestMs) : undefined
}
