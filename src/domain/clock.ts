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
