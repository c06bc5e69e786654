import type { GatewayInstance } from './view.ts'

/**
 * Stops calling a server that cannot be connected to, so that its callers are told at once instead of each waiting for the
 * connect timeout. Only failures to connect count: what happens on a connection may be one caller's doing and must not cut
 * off the others. State of this process alone.
 */
export type Breaker = {
  /** null: call it. After the pause one request at a time tries; the others are held back until it is known. */
  admit(instance: Pick<GatewayInstance, 'id' | 'url'>): { retryAfterS: number } | null
  /** A connection stood. */
  reached(instanceId: string): void
  /** No connection could be made. */
  unreachable(instance: Pick<GatewayInstance, 'id' | 'url'>): void
}

export type BreakerLimits = {
  /** Failures in a row until it opens. */
  breakerFailures: number
  /** The first pause; each further failure doubles it. */
  breakerPauseMs: number
  breakerMaxPauseMs: number
}

/** How long a trial may be undecided until another one may be made. */
const TRIAL_MS = 15_000

type State = { url: string; failures: number; pausedUntilMs: number; trialUntilMs: number; pauseMs: number }

export function createBreaker(limits: BreakerLimits, monotonicMs: () => number): Breaker {
  const states = new Map<string, State>()
  return {
    admit({ id, url }) {
      const state = states.get(id)
      if (state === undefined || state.failures < limits.breakerFailures) return null
      if (state.url !== url) {
        states.delete(id)
        return null
      }
      const nowMs = monotonicMs()
      const untilMs = Math.max(state.pausedUntilMs, state.trialUntilMs)
      if (nowMs < untilMs) return { retryAfterS: Math.max(1, Math.ceil((state.pausedUntilMs - nowMs) / 1000)) }
      state.trialUntilMs = nowMs + TRIAL_MS
      return null
    },
    reached(instanceId) {
      if (states.size > 0) states.delete(instanceId)
    },
    unreachable({ id, url }) {
      const known = states.get(id)
      const state =
        known?.url === url
          ? known
          : { url, failures: 0, pausedUntilMs: 0, trialUntilMs: 0, pauseMs: limits.breakerPauseMs }
      states.set(id, state)
      state.failures += 1
      if (state.failures < limits.breakerFailures) return
      const nowMs = monotonicMs()
      // Calls that were under way when it opened tell nothing new.
      if (nowMs < state.pausedUntilMs) return
      state.pausedUntilMs = nowMs + state.pauseMs
      state.trialUntilMs = 0
      state.pauseMs = Math.min(state.pauseMs * 2, limits.breakerMaxPauseMs)
    },
  }
}
