import type { RefusalCode } from './refusal.ts'
import type { GatewayInstanceLimits } from './view.ts'

export type Throttled = {
  code: Extract<RefusalCode, 'rate_limited' | 'too_many_open'>
  retryAfterS: number
  /** Until then no request of this subject can be admitted; 0 = nobody can tell. */
  waitMs: number
}

/**
 * Keeps one subject (binding, manual token, all anonymous callers) from using up an instance: in this process, or by asking
 * the one that counts for several. A promise that rejects: who counts could not be asked.
 */
export type Throttle = {
  /** Takes one request of `key` under the instance's limits; null = it may go on. Every admitted one is given back once. */
  take(key: string, limits: GatewayInstanceLimits): Throttled | null | Promise<Throttled | null>
  /** The request is over. */
  giveBack(key: string): void
  /** Forgets who has nothing open and a full bucket. */
  sweep(): void
}

type Bucket = { tokens: number; atMs: number; ratePerS: number; open: number }

/** A throttle that counts what it sees itself. */
export type CountingThrottle = Omit<Throttle, 'take'> & {
  take(key: string, limits: GatewayInstanceLimits): Throttled | null
}

/** A token bucket a key, a second's worth deep, and a count of open requests. `monotonicMs`: a clock that never goes back. */
export function createThrottle(monotonicMs: () => number): CountingThrottle {
  const buckets = new Map<string, Bucket>()
  return {
    take(key, { requestsPerSecond, maxOpenRequests }) {
      const ratePerS = requestsPerSecond ?? Number.POSITIVE_INFINITY
      const nowMs = monotonicMs()
      const bucket = buckets.get(key) ?? { tokens: ratePerS, atMs: nowMs, ratePerS, open: 0 }
      if (Number.isFinite(ratePerS)) {
        const known = Number.isFinite(bucket.tokens) ? bucket.tokens : ratePerS
        bucket.tokens = Math.min(ratePerS, known + ((nowMs - bucket.atMs) / 1000) * ratePerS)
      } else {
        bucket.tokens = ratePerS
      }
      bucket.atMs = nowMs
      bucket.ratePerS = ratePerS
      buckets.set(key, bucket)
      if (bucket.tokens < 1) {
        const waitS = (1 - bucket.tokens) / ratePerS
        return { code: 'rate_limited', retryAfterS: Math.max(1, Math.ceil(waitS)), waitMs: waitS * 1000 }
      }
      if (maxOpenRequests != null && bucket.open >= maxOpenRequests) {
        return { code: 'too_many_open', retryAfterS: 1, waitMs: 0 }
      }
      bucket.tokens -= 1
      bucket.open += 1
      return null
    },
    giveBack(key) {
      const bucket = buckets.get(key)
      if (bucket !== undefined) bucket.open -= 1
    },
    sweep() {
      const nowMs = monotonicMs()
      for (const [key, { open, tokens, atMs, ratePerS }] of buckets) {
        const full = tokens + ((nowMs - atMs) / 1000) * ratePerS >= ratePerS
        if (open === 0 && (full || !Number.isFinite(ratePerS))) buckets.delete(key)
      }
    },
  }
}
