import { Context } from '@temporalio/activity'
import { ToolferryError } from '../src/domain/errors.ts'
import { TARGET_STATES } from '../src/domain/states.ts'
import { ensureBindings, findBindings } from '../src/store/bindings.ts'
import { getPlatform } from '../src/store/platforms.ts'
import { listUsableSpaceIds } from '../src/store/spaces.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { createTargets, listTargetCells } from '../src/store/sync-targets.ts'
import { getSync, type SyncRecord, updateSync } from '../src/store/syncs.ts'
import type { PreparedSync } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { refreshSpacesOf, syncOfProfile } from './profile-run.ts'

/**
 * The selection becomes targets. A scheduled run gets its Sync here, keyed by the workflow's id, so that a second attempt
 * finds the first one's. A real run gets its bindings, too; a dry run creates nothing.
 */
export async function prepareSync(
  deps: ActivityDeps,
  input: { syncId?: string; profileId?: string | undefined },
): Promise<PreparedSync> {
  // Absent only for standalone activities, which these are not.
  const workflow = Context.current().info.workflowExecution ?? { workflowId: '', runId: '' }
  return await inActivity(deps.logger, {}, async (signal) => {
    const { store } = deps
    const sync = await findSync(deps, input, workflow.workflowId)
    const platform = await getPlatform(store, sync.platformId)
    if (platform === null) throw new ToolferryError('TargetGone', 'The platform was deleted.')
    await updateSync(store, sync.id, { state: 'running', phase: 'prepare', runId: workflow.runId })

    if (sync.planOf !== null) await plannedCells(deps, sync, sync.planOf)
    else if (sync.retryOf !== null) await retryCells(deps, sync, sync.retryOf)
    else await selectCells(deps, sync, signal)
    const cells = await listTargetCells(store, sync.id, TARGET_STATES)
    await appendSyncEvent(store, sync.id, 'sync', { state: 'running', targets: cells.length })
    return {
      syncId: sync.id,
      platformKind: platform.kind,
      action: sync.action,
      dryRun: sync.dryRun,
      instanceIds: [...new Set(cells.map((cell) => cell.instanceId))],
      spaceIds: [...new Set(cells.map((cell) => cell.spaceId))],
      concurrency: deps.limits.spaceConcurrency,
      credentialWaitMs: deps.limits.credentialWaitMs,
      heartbeatTimeoutMs: deps.limits.heartbeatTimeoutMs,
    }
  })
}

async function findSync(
  deps: ActivityDeps,
  input: { syncId?: string; profileId?: string | undefined },
  workflowId: string,
): Promise<SyncRecord> {
  if (input.syncId !== undefined) {
    const sync = await getSync(deps.store, input.syncId)
    if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
    return sync
  }
  if (input.profileId === undefined) throw new ToolferryError('Bug', 'A run without a sync and without a profile.')
  return await syncOfProfile(deps.store, input.profileId, workflowId)
}

/** Every instance × every space of the selection. */
async function selectCells(deps: ActivityDeps, sync: SyncRecord, signal: AbortSignal): Promise<void> {
  const { instanceIds, spaceIds } = sync.selection
  // A profile takes in what came since; a sync by hand is about the spaces that the admin has seen.
  if (sync.profileId !== null && spaceIds === 'all') await refreshSpacesOf(deps, sync.platformId, signal)
  const spaces = spaceIds === 'all' ? await listUsableSpaceIds(deps.store, sync.platformId) : spaceIds
  const cells = spaces.flatMap((spaceId) => instanceIds.map((instanceId) => ({ instanceId, spaceId })))
  await createCells(deps, sync, cells)
}

/** Just what the plan named, spaces that came since left out. */
async function plannedCells(deps: ActivityDeps, sync: SyncRecord, planOf: string): Promise<void> {
  await createCells(deps, sync, await listTargetCells(deps.store, planOf, TARGET_STATES))
}

/** Just what did not end well in the run before. */
async function retryCells(deps: ActivityDeps, sync: SyncRecord, retryOf: string): Promise<void> {
  const cells = await listTargetCells(deps.store, retryOf, ['failed', 'conflict', 'cancelled', 'pending', 'running'])
  await createCells(deps, sync, cells)
}

async function createCells(
  deps: ActivityDeps,
  sync: SyncRecord,
  cells: readonly { instanceId: string; spaceId: string }[],
): Promise<void> {
  const keyOf = (cell: { instanceId: string; spaceId: string }) => `${cell.instanceId} ${cell.spaceId}`
  const bindingIds = new Map<string, string>()
  const bindings = await (sync.dryRun ? findBindings : ensureBindings)(deps.store, cells)
  for (const binding of bindings) bindingIds.set(keyOf(binding), binding.id)
  await createTargets(
    deps.store,
    sync.id,
    cells.map(({ instanceId, spaceId }) => ({
      instanceId,
      spaceId,
      bindingId: bindingIds.get(keyOf({ instanceId, spaceId })) ?? null,
    })),
  )
}
