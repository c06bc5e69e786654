import type { CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'

/**
 * When the process dies that makes a call: before COZE has it; when COZE has done it and the answer is not there; when the answer
 * is there, and nothing was done with it.
 */
export const STAGES = ['unsent', 'unanswered', 'answered'] as const
export type Stage = (typeof STAGES)[number]

export type DeathPoint = {
  /** Resolves when the call is there, and held. */
  reached: Promise<void>
  /** Which call it was; null = there was none so far. */
  endpoint: () => string | null
}

export type DeathTrap = {
  /** Holds the nth call from now on that concerns the space, in that stage. */
  set(spaceId: string, n: number, stage: Stage): DeathPoint
  /** Lets `kill` end whoever made the calls that are held, each in its stage; the trap is empty then. */
  spring(kill: () => Promise<void>): Promise<void>
}

type Armed = {
  n: number
  stage: Stage
  seen: number
  call: number | null
  endpoint: string | null
  reached: PromiseWithResolvers<void>
  answered: PromiseWithResolvers<void>
}

/** Lets calls of many spaces come to their points, so that one kill finds each of them there. */
export function createDeathTrap(coze: CozeSimulator): DeathTrap {
  let armed = new Map<string, Armed>()
  let answers = Promise.withResolvers<void>()
  let dead = Promise.withResolvers<void>()
  /** Calls that never get to COZE, by number. */
  const doomed = new Set<number>()
  coze.faults.add({
    endpoint: '*',
    times: Number.POSITIVE_INFINITY,
    when: (call) => doomed.has(call.n),
    fault: { kind: 'lost-request' },
  })
  coze.onCall(async (call, at) => {
    const point = armed.get(call.spaceId ?? '')
    if (point === undefined) return
    const held = dead.promise
    if (at === 'received') {
      point.seen += 1
      if (point.seen === point.n) {
        point.call = call.n
        point.endpoint = call.endpoint
      }
      const before = point.seen === point.n && point.stage === 'unsent'
      // Faster than the kill: made with the answer in hand.
      if (!before && point.seen <= point.n) return
      doomed.add(call.n)
      point.reached.resolve()
      return await held
    }
    if (call.n !== point.call) return
    if (at === 'answered') return point.answered.resolve()
    point.reached.resolve()
    await (point.stage === 'answered' ? answers.promise : held)
  })
  return {
    set: (spaceId, n, stage) => {
      const point: Armed = {
        n,
        stage,
        seen: 0,
        call: null,
        endpoint: null,
        reached: Promise.withResolvers(),
        answered: Promise.withResolvers(),
      }
      armed.set(spaceId, point)
      return { reached: point.reached.promise, endpoint: () => point.endpoint }
    },
    spring: async (kill) => {
      const held = [...armed.values()].filter(({ call, stage }) => call !== null && stage === 'answered')
      answers.resolve()
      await Promise.all(held.map(({ answered }) => answered.promise))
      await kill()
      armed = new Map()
      dead.resolve()
      answers = Promise.withResolvers()
      dead = Promise.withResolvers()
    },
  }
}
