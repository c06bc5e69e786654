import { type ErrorType, type ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import type { TargetState } from '../src/domain/states.ts'
import { recordFailure } from '../src/store/deployments.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { finishTarget, getTarget, postponeTarget, startTarget } from '../src/store/sync-targets.ts'
import { getSync } from '../src/store/syncs.ts'
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

const OPEN: readonly TargetState[] = ['pending', 'running']

export type Walk = {
  work: SpaceWork
  cells: readonly SpaceCell[]
  signal: AbortSignal
  /** What counts as an attempt of a target: its step starts it itself, or only a failure does. */
  attempts: 'starts' | 'failures'
}

/**
 * Does one step for each cell, in order. The activity is the unit of retry, the target the unit of truth: a target's failure
 * is counted on its row and the walk goes on; what may succeed later is thrown at the end, so that the next attempt of the
 * activity finds only that left. Answers 'paused' when the admin wants the run to pause: what is done stays done.
 */
export async function walkTargets(
  deps: ActivityDeps,
  walk: Walk,
  step: (cell: SpaceCell) => Promise<void>,
): Promise<'paused' | null> {
  const { work, cells, signal } = walk
  const later: ToolferryError[] = []
  for (const cell of cells) {
    signal.throwIfAborted()
    if (await isPaused(deps, work.sync.id)) return 'paused'
    try {
      await step(cell)
    } catch (thrown) {
      signal.throwIfAborted()
      const error = toToolferryError(thrown)
      const reason = { type: error.type, message: error.message }
      if (STOPS_THE_WALK.includes(error.type)) {
        await postponeTarget(deps.store, cell.target.id, reason)
        throw error
      }
      if (error.type === 'Bug')
        deps.logger.error({ err: thrown, targetId: cell.target.id }, 'unexpected error at a target')
      const mayHelp = error.facts.retryable || error.type === 'Bug'
      if (walk.attempts === 'failures') await startTarget(deps.store, cell.target.id)
      const target = await getTarget(deps.store, cell.target.id)
      // Skipped by a signal meanwhile: that was its last word.
      if (target === null || !OPEN.includes(target.state)) continue
      if (mayHelp && target.attempts < deps.limits.targetAttempts) {
        await postponeTarget(deps.store, cell.target.id, reason)
        later.push(error)
      } else {
        await endAsFailed(deps, cell, error)
      }
    }
  }
  const [first] = later
  if (first !== undefined) throw first
  return null
}

/** A target's last word for this run. The deployment keeps what is known of its object. */
export async function endAsFailed(deps: ActivityDeps, cell: SpaceCell, error: ToolferryError): Promise<void> {
  const state = error.type === 'Conflict' ? 'conflict' : 'failed'
  const { id, syncId, spaceId, instanceId } = cell.target
  await finishTarget(deps.store, id, state, { type: error.type, message: error.message })
  await appendSyncEvent(deps.store, syncId, 'target', { targetId: id, spaceId, instanceId, state })
  if (cell.binding !== null && cell.deployment?.ownership == null) {
    await recordFailure(deps.store, cell.binding.id, {
      state,
      type: error.type,
      message: error.message,
      syncId,
    })
  }
}

async function isPaused(deps: ActivityDeps, syncId: string): Promise<boolean> {
  const sync = await getSync(deps.store, syncId)
  return sync?.pauseRequested === true
}
