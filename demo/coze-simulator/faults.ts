import type { Fault, FaultHandle, FaultRule } from './fault-types.ts'
import type { CozeCall } from './simulator-types.ts'

/** A fault that has hit a call; `held` is pending while a `hold` keeps it. */
export type Strike = { fault: Fault; held: Promise<void> }

export type Faults = {
  add(rule: FaultRule): FaultHandle
  clear(): void
  /** The faults that hit this call; each one's count moves on. */
  strike(call: CozeCall): Strike[]
}

type Armed = {
  rule: FaultRule
  seen: number
  hits: number
  hit: PromiseWithResolvers<void>
  released: PromiseWithResolvers<void>
}

export function createFaults(): Faults {
  let armed: Armed[] = []
  return {
    add: (rule) => {
      const one: Armed = { rule, seen: 0, hits: 0, hit: Promise.withResolvers(), released: Promise.withResolvers() }
      armed.push(one)
      return {
        hits: () => one.hits,
        hit: one.hit.promise,
        release: () => one.released.resolve(),
        remove: () => {
          armed = armed.filter((other) => other !== one)
          one.released.resolve()
        },
      }
    },
    clear: () => {
      for (const { released } of armed.splice(0)) released.resolve()
    },
    strike: (call) =>
      armed.flatMap((one) => {
        const { endpoint, from = 1, times = 1, when } = one.rule
        if (endpoint !== '*' && endpoint !== call.endpoint) return []
        if (when !== undefined && !when(call)) return []
        one.seen += 1
        if (one.seen < from || one.seen >= from + times) return []
        one.hits += 1
        one.hit.resolve()
        return [{ fault: one.rule.fault, held: one.released.promise }]
      }),
  }
}

export function findFault<K extends Fault['kind']>(
  strikes: readonly Strike[],
  kind: K,
): Extract<Fault, { kind: K }> | undefined {
  return strikes.map(({ fault }) => fault).find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind)
}
