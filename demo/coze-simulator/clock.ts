/** The simulator's time, in unix ms. Everything that depends on time asks it: index lag, edit times, locks, session expiry, rate limits. */
export type Clock = {
  nowMs(): number
  /** Resolves when that much time has passed on this clock. */
  wait(ms: number): Promise<void>
}

/** A clock that stands still until it is steered. */
export type SteeredClock = Clock & {
  /** Moves time on and wakes whoever has waited long enough. */
  advance(ms: number): void
  /** How many are waiting: lets a test advance only once somebody waits. */
  waiting(): number
  /** Resolves as soon as somebody waits (at once if somebody does). */
  someoneWaits(): Promise<void>
}

/** 2026-01-05 12:00 in Beijing: after the plugins of the reference were captured. */
export const STEERED_START_MS = Date.UTC(2026, 0, 5, 4)

export function createSteeredClock(startMs: number = STEERED_START_MS): SteeredClock {
  let nowMs = startMs
  let sleepers: { untilMs: number; wake: () => void }[] = []
  const onWait: (() => void)[] = []
  return {
    nowMs: () => nowMs,
    wait: (ms) => {
      if (ms <= 0) return Promise.resolve()
      const slept = Promise.withResolvers<void>()
      sleepers.push({ untilMs: nowMs + ms, wake: slept.resolve })
      for (const tell of onWait.splice(0)) tell()
      return slept.promise
    },
    advance: (ms) => {
      nowMs += ms
      const due = sleepers.filter(({ untilMs }) => untilMs <= nowMs)
      sleepers = sleepers.filter(({ untilMs }) => untilMs > nowMs)
      for (const { wake } of due) wake()
    },
    waiting: () => sleepers.length,
    someoneWaits: () => (sleepers.length > 0 ? Promise.resolve() : new Promise((resolve) => onWait.push(resolve))),
  }
}

/** The machine's own time: for the demo. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref()),
}
