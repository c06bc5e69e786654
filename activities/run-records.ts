import { audit } from '../src/audit/events.ts'
import { ToolferryError } from '../src/domain/errors.ts'
import type { SyncState } from '../src/domain/states.ts'
import { finalState, type TargetCounts } from '../src/domain/states.ts'
import { setBindingsEnabled } from '../src/store/bindings.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { countTargets, dropUnchangedTargets, finishOpenTargets } from '../src/store/sync-targets.ts'
import { finishSync, getSync, requestPause, updateSync } from '../src/store/syncs.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { outcomeOfSpace } from './outcome.ts'

type Failure = { type: string; message: string }

/** A space's phase was given up: what has landed stands, the rest of its targets end here. */
export async function failSpace(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string } & Failure,
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, { syncId: input.syncId, spaceId: input.spaceId }, async () => {
    const { syncId, spaceId, type, message } = input
    await finishOpenTargets(deps.store, syncId, { spaceId }, 'failed', { type, message })
    return await outcomeOfSpace(deps.store, input)
  })
}

/** Carries what the workflow is doing (running, paused, waiting) into the store. */
export async function recordState(deps: ActivityDeps, input: { syncId: string; state: SyncState }): Promise<void> {
  await inActivity(deps.logger, { syncId: input.syncId }, async () => {
    const { syncId, state } = input
    if (state !== 'running' && state !== 'paused' && state !== 'waiting_for_credential') {
      throw new ToolferryError('Bug', `A run cannot be recorded as ${state}.`)
    }
    const before = await getSync(deps.store, syncId)
    // A pause or resume may have come by a signal from Temporal's own console: then it is the admin's wish from now on. Any
    // other change leaves that wish alone, whose signal may be on its way. First, so that another attempt sees the same.
    if (state === 'paused' || before?.state === 'paused') {
      await requestPause(deps.store, syncId, state === 'paused')
    }
    if (!(await updateSync(deps.store, syncId, { state }))) return
    await appendSyncEvent(deps.store, syncId, 'sync', { state })
  })
}

/**
 * The enable/disable signals: the bindings of this run's instances in the space are switched, which the gateway follows at
 * once, and the pending targets are skipped. Audited for whoever signed; `temporal` when nobody did.
 */
export async function setSpaceAuthorization(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string; enabled: boolean; actor: string },
): Promise<{ changed: number }> {
  return await inActivity(deps.logger, { syncId: input.syncId, spaceId: input.spaceId }, async () => {
    const { store } = deps
    const { syncId, spaceId, enabled } = input
    const sync = await getSync(store, syncId)
    if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
    const { bindingIds } = await setBindingsEnabled(
      store,
      { spaceId, instanceIds: sync.selection.instanceIds },
      enabled,
    )
    if (!enabled && sync.action === 'sync') {
      const note = 'Its space was disabled while the run was going on.'
      await finishOpenTargets(store, syncId, { spaceId }, 'skipped', null, note)
    }
    await appendSyncEvent(store, syncId, 'authorization', { spaceId, enabled, bindings: bindingIds.length })
    await audit(store, {
      actor: { name: input.actor, id: null },
      action: enabled ? 'enable' : 'disable',
      resource: 'space',
      resourceId: spaceId,
      fields: ['enabled'],
      outcome: 'allowed',
      requestId: null,
    })
    return { changed: bindingIds.length }
  })
}

export type Ending =
  | { syncId: string; outcome: 'finished' | 'cancelled' }
  | ({ syncId: string; outcome: 'failed' } & Failure)

/** Counts, the final state, the audit. Once closed, a run never changes: a second call answers what stands. */
export async function recordOutcome(
  deps: ActivityDeps,
  input: Ending,
): Promise<{ state: SyncState; counts: TargetCounts }> {
  return await inActivity(deps.logger, { syncId: input.syncId }, async () => {
    const { store } = deps
    const sync = await getSync(store, input.syncId)
    if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
    if (input.outcome === 'cancelled') {
      await finishOpenTargets(store, sync.id, {}, 'cancelled', null, 'The run was cancelled before its turn.')
    } else if (input.outcome === 'failed') {
      await finishOpenTargets(store, sync.id, {}, 'failed', { type: input.type, message: input.message })
    }
    const counts = await countTargets(store, sync.id)
    const state = stateOf(input, sync.dryRun, counts)
    const failure = input.outcome === 'failed' ? { errorType: input.type, errorMessage: input.message } : {}
    const closing = await finishSync(store, sync.id, { state, counts, ...failure })
    if (sync.scheduled) await dropUnchangedTargets(store, sync.id)
    if (closing) {
      await appendSyncEvent(store, sync.id, 'sync', { state, counts })
      await audit(store, {
        actor: { name: sync.requestedBy, id: null },
        action: 'finish',
        resource: 'sync',
        resourceId: sync.id,
        fields: ['state'],
        outcome: 'allowed',
        requestId: null,
      })
      return { state, counts }
    }
    const closed = await getSync(store, sync.id)
    return { state: closed?.state ?? state, counts: closed?.counts ?? counts }
  })
}

function stateOf(
  input: Ending,
  dryRun: boolean,
  counts: TargetCounts,
): 'planned' | 'succeeded' | 'partial' | 'failed' | 'cancelled' {
  if (input.outcome === 'cancelled') return 'cancelled'
  if (input.outcome === 'failed') return 'failed'
  return dryRun ? 'planned' : finalState(counts)
}
