import { type CountingThrottle, createThrottle, type Throttle, type Throttled } from '../gateway/throttle.ts'
import type { GatewayInstanceLimits } from '../gateway/view.ts'

/** One count of a subject's requests for several processes: kept by one of them, asked by the others. */

/** Of the process that counts. `from` names the process that asks. */
export type ThrottleLedger = {
  take(from: number, key: string, limits: GatewayInstanceLimits): Throttled | null
  giveBack(from: number, key: string): void
  /** The process has ended, and with it all that it had open. */
  gone(from: number): void
  sweep(): void
}

export function createThrottleLedger(monotonicMs: () => number): ThrottleLedger {
  const throttle: CountingThrottle = createThrottle(monotonicMs)
  const open = new Map<number, Map<string, number>>()
  const ofProcess = (from: number): Map<string, number> => {
    const known = open.get(from) ?? new Map<string, number>()
    open.set(from, known)
    return known
  }
  return {
    take(from, key, limits) {
      const limited = throttle.take(key, limits)
      if (limited === null) {
        const mine = ofProcess(from)
        mine.set(key, (mine.get(key) ?? 0) + 1)
      }
      return limited
    },
    giveBack(from, key) {
      const mine = ofProcess(from)
      const count = mine.get(key) ?? 0
      if (count === 0) return
      if (count === 1) mine.delete(key)
      else mine.set(key, count - 1)
      throttle.giveBack(key)
    },
    gone(from) {
      for (const [key, count] of ofProcess(from)) for (let i = 0; i < count; i++) throttle.giveBack(key)
      open.delete(from)
    },
    sweep: () => throttle.sweep(),
  }
}

/** How the process that counts is reached. A promise of `take` that stays open is given up after a while, but still counts if it comes. */
export type ThrottleLink = {
  take(key: string, limits: GatewayInstanceLimits): Promise<Throttled | null>
  giveBack(key: string): void
}

/** A raised limit is obeyed at the latest after this long. */
const MAX_BARRED_MS = 500
const TAKE_TIMEOUT_MS = 1_000

/** Of a process that asks. A subject that has used up its rate is refused here until the time at which it may come again. */
export function createAskingThrottle(
  link: ThrottleLink,
  monotonicMs: () => number,
  timeoutMs: number = TAKE_TIMEOUT_MS,
): Throttle {
  const barredUntilMs = new Map<string, number>()
  /** Who counts may have admitted a request that did not wait so long: it gives back what comes too late. */
  const inTime = (key: string, asked: Promise<Throttled | null>): Promise<Throttled | null> =>
    new Promise((resolve, reject) => {
      let late = false
      const timer = setTimeout(() => {
        late = true
        reject(new Error(`Who counts for the limits did not answer within ${timeoutMs} ms.`))
      }, timeoutMs)
      asked.then(
        (limited) => {
          clearTimeout(timer)
          if (late && limited === null) link.giveBack(key)
          else resolve(limited)
        },
        (error: unknown) => {
          clearTimeout(timer)
          reject(error)
        },
      )
    })
  return {
    take(key, limits) {
      const untilMs = barredUntilMs.get(key)
      const waitMs = untilMs === undefined ? 0 : untilMs - monotonicMs()
      if (waitMs > 0) return { code: 'rate_limited', retryAfterS: Math.max(1, Math.ceil(waitMs / 1000)), waitMs }
      if (untilMs !== undefined) barredUntilMs.delete(key)
      return inTime(key, link.take(key, limits)).then((limited) => {
        if (limited?.code === 'rate_limited') {
          barredUntilMs.set(key, monotonicMs() + Math.min(limited.waitMs, MAX_BARRED_MS))
        }
        return limited
      })
    },
    giveBack: (key) => link.giveBack(key),
    sweep() {
      const nowMs = monotonicMs()
      for (const [key, untilMs] of barredUntilMs) if (untilMs <= nowMs) barredUntilMs.delete(key)
    },
  }
}
