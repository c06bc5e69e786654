import type { CallFilter, CozeCall, CozeLoad } from './simulator-types.ts'

export type CallLog = {
  /** A call has arrived. */
  begin(call: Omit<CozeCall, 'n'>): CozeCall
  /** Its user and space are known; answers what to call when it is over. */
  track(call: CozeCall, isWrite: boolean): () => void
  calls(filter?: CallFilter): CozeCall[]
  counts(): Record<string, number>
  reset(): void
  load(): CozeLoad
}

/** Numbers go on after a reset, so that `after` keeps its meaning. */
export function createCallLog(isWrite: (call: CozeCall) => boolean): CallLog {
  let calls: CozeCall[] = []
  let latest = 0
  const inFlight = { all: gauge(), user: gauge(), writes: gauge() }
  return {
    begin: (facts) => {
      latest += 1
      const call = { n: latest, ...facts }
      calls.push(call)
      return call
    },
    track: (call, write) => {
      const ends = [inFlight.all.enter('all')]
      if (call.userId !== null) ends.push(inFlight.user.enter(call.userId))
      if (write && call.spaceId !== null) ends.push(inFlight.writes.enter(call.spaceId))
      return () => {
        for (const end of ends.splice(0)) end()
      }
    },
    calls: (filter = {}) =>
      calls.filter(
        (call) =>
          (filter.endpoint === undefined || call.endpoint === filter.endpoint) &&
          (filter.pluginId === undefined || call.pluginId === filter.pluginId) &&
          (filter.spaceId === undefined || call.spaceId === filter.spaceId) &&
          (filter.userId === undefined || call.userId === filter.userId) &&
          (filter.writes === undefined || isWrite(call) === filter.writes) &&
          (filter.after === undefined || call.n > filter.after),
      ),
    counts: () => {
      const counts: Record<string, number> = {}
      for (const { endpoint } of calls) counts[endpoint] = (counts[endpoint] ?? 0) + 1
      return counts
    },
    reset: () => {
      calls = []
      for (const one of Object.values(inFlight)) one.reset()
    },
    load: () => ({
      maxInFlight: inFlight.all.max(),
      maxInFlightOfOneUser: inFlight.user.max(),
      maxWritesInFlightInOneSpace: inFlight.writes.max(),
      maxStartsPerSecondOfOneUser: mostPerSecond(calls),
    }),
  }
}

/** How many are in at once, by key; the most there ever were. */
function gauge() {
  const now = new Map<string, number>()
  let max = 0
  return {
    enter: (key: string) => {
      const count = (now.get(key) ?? 0) + 1
      now.set(key, count)
      max = Math.max(max, count)
      return () => now.set(key, (now.get(key) ?? 1) - 1)
    },
    max: () => max,
    reset: () => {
      max = Math.max(0, ...now.values())
    },
  }
}

/** The most calls of one user that started within any second of the clock. */
function mostPerSecond(calls: readonly CozeCall[]): number {
  const byUser = Map.groupBy(
    calls.filter(({ userId }) => userId !== null),
    ({ userId }) => userId,
  )
  let most = 0
  for (const ofOne of byUser.values()) {
    let oldest = 0
    for (const [index, call] of ofOne.entries()) {
      while ((ofOne[oldest]?.atMs ?? call.atMs) <= call.atMs - 1000) oldest += 1
      most = Math.max(most, index - oldest + 1)
    }
  }
  return most
}
