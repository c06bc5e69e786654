import { type ErrorType, type ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import type { TargetState } from '../src/domain/states.ts'
import { recordFailure } from '../src/store/deployments.ts'
import { wasPauseRequested } from '../src/store/pause-seen.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { finishTarget, getTarget, postponeTarget, startTarget } from '../src/store/sync-targets.ts'
import { isPauseRequested } from '../src/store/syncs.ts'
import type { ActivityDeps } from './deps.ts'
import type { SpaceCell, SpaceWork } from './space-work.ts'

/** These concern the whole platform or the whole space: the walk stops and the activity throws. */
const STOPS_THE_WALK: readonly ErrorType[] = [
  'CredentialExpired',
  'CredentialRefused',
  'HumanVerificationNeeded',
  'SpaceBusy',
  'Unavailable',
  'RateLimited',
  'GatewayUnreachable',
]

/** How old the answer to "does the admin want a pause?" may be. */
const PAUSE_SEEN_MS = 200

const OPEN: readonly TargetState[] = ['pending', 'running']

export type Walk = {
  work: SpaceWork
  cells: readonly SpaceCell[]
  signal: AbortSignal
  /** What counts as an attempt of a target: its step starts it itself, or only a failure does. */
  attempts: 'starts' | 'failures'
  /** Steps at the same time; default 1. */
  width?: number
  /** Errors that are the platform's elsewhere; here each is a matter of its target. */
  ofOneTarget?: readonly ErrorType[]
}

/** What a step leaves to be done beside the next steps: recording what it did. */
export type Rest = () => Promise<void>

/** Steps of one walk whose rest may be under way. */
const RESTS_AT_ONCE = 8

/**
 * Does one step for each cell, in order. The activity is the unit of retry, the target the unit of truth: a target's failure
 * is counted on its row and the walk goes on; what may succeed later is thrown at the end, so that the next attempt of the
 * activity finds only that left. Answers 'paused' when the admin wants the run to pause: what is done stays done. Every step
 * that was begun has ended before this returns or throws.
 */
export async function walkTargets(
  deps: ActivityDeps,
  walk: Walk,
  step: (cell: SpaceCell) => Promise<Rest | undefined>,
): Promise<'paused' | null> {
  const { work, cells, signal } = walk
  const queue = cells.values()
  const later: ToolferryError[] = []
  /** What ends the walk before its end; the first one counts. */
  const stops: { paused: boolean; error: unknown }[] = []
  let looked = false
  let firstLook: Promise<boolean> | null = null
  const lookForPause = async () => {
    const { id } = work.sync
    // The first look is the walk's own, since it may be there because a pause has just ended; and one for all who begin, in their order.
    if (!looked) firstLook ??= isPauseRequested(deps.store, id)
    const wanted = await (looked || firstLook === null ? wasPauseRequested(deps.store, id, PAUSE_SEEN_MS) : firstLook)
    looked = true
    if (wanted) stops.push({ paused: true, error: null })
  }
  /** One cell's work; a failure that may pass is kept for the end, one that stops the walk is for all walkers to see. */
  const go = async <T>(cell: SpaceCell, work: () => Promise<T>): Promise<T | null> => {
    try {
      const { result, error } = await tryStep(deps, walk, cell, work)
      if (error !== null) later.push(error)
      return result
    } catch (error) {
      stops.push({ paused: false, error })
      return null
    }
  }
  const rests = new Set<Promise<void>>()
  const goOnBeside = (cell: SpaceCell, rest: Rest) => {
    const ended = go(cell, rest).then(() => void rests.delete(ended))
    rests.add(ended)
  }
  const walkOn = async () => {
    for (const cell of queue) {
      try {
        signal.throwIfAborted()
        await lookForPause()
      } catch (error) {
        stops.push({ paused: false, error })
      }
      if (stops.length > 0) return
      const rest = await go(cell, () => step(cell))
      if (typeof rest === 'function') goOnBeside(cell, rest)
      if (stops.length > 0) return
      if (rests.size >= RESTS_AT_ONCE) await Promise.race(rests)
    }
  }
  await Promise.all(Array.from({ length: Math.min(walk.width ?? 1, cells.length) }, walkOn))
  await Promise.all(rests)
  const [stop] = stops
  const thrown = stops.find(({ paused }) => !paused)
  if (thrown !== undefined) throw thrown.error
  if (stop !== undefined) return 'paused'
  const [first] = later
  if (first !== undefined) throw first
  return null
}

/**
 * One cell's step or its rest. Answers a failure that another attempt of the activity may mend; throws what stops the walk.
 *
 * | the error                             | the target             | attempts of it | the other cells | the activity                  |
 * | ------------------------------------- | ---------------------- | -------------- | --------------- | ----------------------------- |
 * | STOPS_THE_WALK, not `ofOneTarget`     | waits                  | the same       | are left        | throws at once                |
 * | may pass, or Bug, and attempts left   | waits                  | one more       | go on           | throws it when all have ended |
 * | anything else                         | `failed` or `conflict` | one more       | go on           | goes on                       |
 */
async function tryStep<T>(
  deps: ActivityDeps,
  walk: Walk,
  cell: SpaceCell,
  work: () => Promise<T>,
): Promise<{ result: T | null; error: ToolferryError | null }> {
  const { store, logger, limits } = deps
  const { id } = cell.target
  try {
    return { result: await work(), error: null }
  } catch (thrown) {
    walk.signal.throwIfAborted()
    const error = toToolferryError(thrown)
    const reason = { type: error.type, message: error.message }
    if (STOPS_THE_WALK.includes(error.type) && walk.ofOneTarget?.includes(error.type) !== true) {
      await postponeTarget(store, id, reason)
      throw error
    }
    if (error.type === 'Bug') logger.error({ err: thrown, targetId: id }, 'unexpected error at a target')
    const mayHelp = error.facts.retryable || error.type === 'Bug'
    if (walk.attempts === 'failures') await startTarget(store, id)
    const target = await getTarget(store, id)
    // Skipped by a signal meanwhile: that was its last word.
    if (target === null || !OPEN.includes(target.state)) return { result: null, error: null }
    if (mayHelp && target.attempts < limits.targetAttempts) {
      await postponeTarget(store, id, reason)
      return { result: null, error }
    }
    await endAsFailed(deps, cell, error)
    return { result: null, error: null }
  }
}

/** A target's last word for this run. The deployment keeps what is known of its object. */
export async function endAsFailed(deps: ActivityDeps, cell: SpaceCell, error: ToolferryError): Promise<void> {
  const state = error.type === 'Conflict' ? 'conflict' : 'failed'
  const { id, syncId, spaceId, instanceId } = cell.target
  await finishTarget(deps.store, id, state, { type: error.type, message: error.message })
  await appendSyncEvent(deps.store, syncId, 'target', { targetId: id, spaceId, instanceId, state })
  if (cell.binding !== null) {
    await recordFailure(deps.store, cell.binding.id, {
      state,
      type: error.type,
      message: error.message,
      syncId,
      ...(error.facts.retryable ? {} : { givenUpDigest: cell.wantedDigest }),
    })
  }
}
