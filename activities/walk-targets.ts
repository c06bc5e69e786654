import { type ErrorType, type ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import type { TargetState } from '../src/domain/states.ts'
import { recordFailure } from '../src/store/deployments.ts'
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
}

/**
 * Does one step for each cell, in order. The activity is the unit of retry, the target the unit of truth: a target's failure
 * is counted on its row and the walk goes on; what may succeed later is thrown at the end, so that the next attempt of the
 * activity finds only that left. Answers 'paused' when the admin wants the run to pause: what is done stays done. Every step
 * that was begun has ended before this returns or throws.
 */
export async function walkTargets(
  deps: ActivityDeps,
  walk: Walk,
  step: (cell: SpaceCell) => Promise<void>,
): Promise<'paused' | null> {
  const { work, cells, signal } = walk
  const queue = cells.values()
  const later: ToolferryError[] = []
  /** What ends the walk before its end; the first one counts. */
  const stops: { paused: boolean; error: unknown }[] = []
  let lookedAtMs = Number.NEGATIVE_INFINITY
  const lookForPause = async () => {
    if (performance.now() - lookedAtMs < PAUSE_SEEN_MS) return
    lookedAtMs = performance.now()
    if (await isPauseRequested(deps.store, work.sync.id)) stops.push({ paused: true, error: null })
  }
  const walkOn = async () => {
    for (const cell of queue) {
      try {
        signal.throwIfAborted()
        await lookForPause()
        if (stops.length > 0) return
        const error = await tryStep(deps, walk, cell, step)
        if (error !== null) later.push(error)
      } catch (error) {
        stops.push({ paused: false, error })
      }
      if (stops.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(walk.width ?? 1, cells.length) }, walkOn))
  const [stop] = stops
  const thrown = stops.find(({ paused }) => !paused)
  if (thrown !== undefined) throw thrown.error
  if (stop !== undefined) return 'paused'
  const [first] = later
  if (first !== undefined) throw first
  return null
}

/** One cell's step. Answers a failure that another attempt of the activity may mend; throws what stops the walk. */
async function tryStep(
  deps: ActivityDeps,
  walk: Walk,
  cell: SpaceCell,
  step: (cell: SpaceCell) => Promise<void>,
): Promise<ToolferryError | null> {
  const { store, logger, limits } = deps
  const { id } = cell.target
  try {
    await step(cell)
    return null
  } catch (thrown) {
    walk.signal.throwIfAborted()
    const error = toToolferryError(thrown)
    const reason = { type: error.type, message: error.message }
    if (STOPS_THE_WALK.includes(error.type)) {
      await postponeTarget(store, id, reason)
      throw error
    }
    if (error.type === 'Bug') logger.error({ err: thrown, targetId: id }, 'unexpected error at a target')
    const mayHelp = error.facts.retryable || error.type === 'Bug'
    if (walk.attempts === 'failures') await startTarget(store, id)
    const target = await getTarget(store, id)
    // Skipped by a signal meanwhile: that was its last word.
    if (target === null || !OPEN.includes(target.state)) return null
    if (mayHelp && target.attempts < limits.targetAttempts) {
      await postponeTarget(store, id, reason)
      return error
    }
    await endAsFailed(deps, cell, error)
    return null
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
