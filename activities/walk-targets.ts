import { type ErrorType, ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import { recordFailure } from '../src/store/deployments.ts'
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
      if (STOPS_THE_WALK.includes(error.type)) throw error
      if (error.type === 'Bug')
        deps.logger.error({ err: thrown, targetId: cell.target.id }, 'unexpected error at a target')
      const mayHelp = error.facts.retryable || error.type === 'Bug'
      if (walk.attempts === 'failures') await startTarget(deps.store, cell.target.id)
      const attempts = (await getTarget(deps.store, cell.target.id))?.attempts ?? 0
      if (mayHelp && attempts < deps.limits.targetAttempts) {
        await postponeTarget(deps.store, cell.target.id, { type: error.type, message: error.message })
        later.push(error)
      } else {
        await endAsFailed(deps, cell, error)
      }
    }
  }
  const [first] = later
  if (first !== undefined) throw asRetryable(first)
  return null
}

/** A target's last word for this run. The deployment keeps what is known of its object. */
export async function endAsFailed(deps: ActivityDeps, cell: SpaceCell, error: ToolferryError): Promise<void> {
  const state = error.type === 'Conflict' ? 'conflict' : 'failed'
  await finishTarget(deps.store, cell.target.id, state, { type: error.type, message: error.message })
  if (cell.binding !== null && cell.deployment?.ownership == null) {
    await recordFailure(deps.store, cell.binding.id, {
      state,
      type: error.type,
      message: error.message,
      syncId: cell.target.syncId,
    })
  }
}

async function isPaused(deps: ActivityDeps, syncId: string): Promise<boolean> {
  const sync = await getSync(deps.store, syncId)
  return sync?.pauseRequested === true
}

/** Carries a message of one target to Temporal with a type that it retries. */
function asRetryable(error: ToolferryError): ToolferryError {
  if (error.facts.retryable) return error
  return new ToolferryError('Unavailable', error.message, { cause: error })
}
