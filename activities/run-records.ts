import { audit, TEMPORAL_ACTOR } from '../src/audit/events.ts'
import { ToolferryError } from '../src/domain/errors.ts'
import type { SyncState } from '../src/domain/states.ts'
import { finalState, isClosed, type TargetCounts } from '../src/domain/states.ts'
import { getBindings, setBindingsEnabled } from '../src/store/bindings.ts'
import { finishRemoval, revokeBeforeRemoval } from '../src/store/deletions.ts'
import { untilGatewaysFollow } from '../src/store/replicas.ts'
import { dropUnchangedTargets, endUnverifiedTargets } from '../src/store/run-targets.ts'
import type { Store } from '../src/store/store.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { countTargets, finishOpenTargets, listTargetsForSpace } from '../src/store/sync-targets.ts'
import { finishSync, getSync, requestPause, type SyncRecord, updateSync } from '../src/store/syncs.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { outcomeOfSpace } from './outcome.ts'

type Failure = { type: string; message: string }

/** A space's phase was given up: what was read back stands, the rest of its targets end here. `verifies`: what was written is read back yet. */
export async function failSpace(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string; verifies?: boolean } & Failure,
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, { syncId: input.syncId, spaceId: input.spaceId }, async () => {
    const { store } = deps
    const { syncId, spaceId, type, message, verifies = false } = input
    await finishOpenTargets(store, syncId, { spaceId }, 'failed', { type, message })
    const sync = verifies ? null : await getSync(store, syncId)
    if (sync !== null) await endUnverifiedTargets(store, sync, { spaceId }, 'failed', { type, message })
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
    if (before !== null && (state === 'paused' || before.state === 'paused')) {
      await adoptPause(deps.store, before, state === 'paused')
    }
    if (!(await updateSync(deps.store, syncId, { state }))) return
    await appendSyncEvent(deps.store, syncId, 'sync', { state })
  })
}

/** The API wrote, and audited, its pause or resume before it signalled: another wish than the store's came by hand. */
async function adoptPause(store: Store, sync: SyncRecord, pause: boolean): Promise<void> {
  if (isClosed(sync.state) || sync.pauseRequested === pause) return
  // Before the wish, by which another attempt would see nothing new.
  await auditByHand(store, sync, pause ? 'pause' : 'resume')
  await requestPause(store, sync.id, pause)
}

/** What was done in Temporal's own console, past the API. */
async function auditByHand(store: Store, sync: SyncRecord, action: 'pause' | 'resume' | 'cancel'): Promise<void> {
  await audit(store, { actor: TEMPORAL_ACTOR, action, resource: 'sync', resourceId: sync.id, outcome: 'allowed' })
}

/**
 * The enable/disable signals: the bindings of this run's instances in the space are switched, which the gateway follows at
 * once, and the pending targets are skipped. Unless it was meant for some instances only, it holds for what is bound in the
 * space later. Audited for whoever signed; `temporal` when nobody did. With a `revision` the store says so already since then,
 * and the signal may be an old one by now: what was changed later stays as it is.
 */
export async function setSpaceAuthorization(
  deps: ActivityDeps,
  input: {
    syncId: string
    spaceId: string
    enabled: boolean
    actor: string
    instanceIds?: string[]
    revision?: number
  },
): Promise<{ changed: number }> {
  return await inActivity(deps.logger, { syncId: input.syncId, spaceId: input.spaceId }, async () => {
    const { store } = deps
    const { syncId, spaceId, enabled, revision } = input
    const sync = await getSync(store, syncId)
    if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
    const { bindingIds } = await setBindingsEnabled(
      store,
      {
        spaceId,
        instanceIds: sync.selection.instanceIds,
        holds: input.instanceIds === undefined && revision === undefined,
      },
      enabled,
      { notSince: revision },
    )
    if (!enabled && sync.action === 'sync') {
      const note = 'Its space was disabled while the run was going on.'
      const which =
        revision === undefined ? { spaceId } : { spaceId, bindingIds: await disabledIn(store, sync, spaceId) }
      await finishOpenTargets(store, syncId, which, 'skipped', null, note)
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

/** Of the run's own bindings in the space. */
async function disabledIn(store: Store, sync: SyncRecord, spaceId: string): Promise<string[]> {
  const targets = await listTargetsForSpace(store, sync.id, spaceId)
  const bindings = await getBindings(
    store,
    targets.flatMap(({ bindingId }) => bindingId ?? []),
  )
  return bindings.filter(({ enabled }) => !enabled).map(({ id }) => id)
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
      await endUnverifiedTargets(store, sync, {}, 'cancelled')
    } else if (input.outcome === 'failed') {
      const failure = { type: input.type, message: input.message }
      await finishOpenTargets(store, sync.id, {}, 'failed', failure)
      await endUnverifiedTargets(store, sync, {}, 'failed', failure)
    }
    const counts = await countTargets(store, sync.id)
    const state = stateOf(input, sync.dryRun, counts)
    const failure = input.outcome === 'failed' ? { errorType: input.type, errorMessage: input.message } : {}
    const removes = sync.action === 'remove' && !sync.dryRun
    const outcome = { state, counts, ...failure }
    // The tokens of what was taken away are refused everywhere by the time that the run is over.
    if (removes) await revokeBeforeRemoval(store, sync)
    if (removes || (sync.writePolicy === 'mirror' && !sync.dryRun)) await untilGatewaysFollow(store)
    const closing = removes ? await finishRemoval(store, sync, outcome) : await finishSync(store, sync.id, outcome)
    if (sync.scheduled) await dropUnchangedTargets(store, sync.id)
    if (closing) {
      await appendSyncEvent(store, sync.id, 'sync', { state, counts })
      // The API writes its wish to cancel before it asks Temporal.
      if (input.outcome === 'cancelled' && !sync.cancelRequested) await auditByHand(store, sync, 'cancel')
      await audit(store, {
        actor: { name: sync.requestedBy, id: null },
        action: 'finish',
        resource: 'sync',
        resourceId: sync.id,
        fields: ['state'],
        outcome: 'allowed',
        requestId: null,
      })
    }
    if (closing) return { state, counts }
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
