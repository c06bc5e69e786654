import { setTimeout as delay } from 'node:timers/promises'

/** Time as a thing that can be given: what waits for another system takes one, so that a test can steer it. */
export type Clock = {
  /** Unix time in ms. */
  now(): number
  /** Rejects with the signal's reason when it is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (durationMs, signal) => {
    try {
      await delay(durationMs, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  },
}

/**
 * Does the work again and again, `everyMs` apart, one at a time, until it is stopped; `stop` resolves when the last one has
 * ended. Work that fails is done again in its turn.
 */
export type Repeat = (everyMs: number, work: () => Promise<void>) => () => Promise<void>

/** Keeps no process alive. */
export const systemRepeat: Repeat = (everyMs, work) => {
  let going: Promise<void> | null = null
  const timer = setInterval(() => {
    going ??= work()
      .catch(() => undefined)
      .finally(() => {
        going = null
      })
  }, everyMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await going
  }
}
