import { Context } from '@temporalio/activity'
import { ToolferryError } from '../src/domain/errors.ts'
import { describePrune } from '../src/domain/prune.ts'
import { TARGET_STATES } from '../src/domain/states.ts'
import { ensureBindings, findBindings } from '../src/store/bindings.ts'
import { chunksOf } from '../src/store/columns.ts'
import { getInstances } from '../src/store/instances.ts'
import { judgeMirror, mirroredAway, stillAway } from '../src/store/mirror.ts'
import { getPlatform } from '../src/store/platforms.ts'
import { cellsOfRotation } from '../src/store/rotations.ts'
import { extentOfRun } from '../src/store/run-targets.ts'
import { listUsableSpaceIds } from '../src/store/spaces.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { createTargets, listTargetCells, type NewTarget } from '../src/store/sync-targets.ts'
import { addSyncWarnings, getSync, type SyncRecord, updateSync } from '../src/store/syncs.ts'
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
    else if (sync.selection.rotate !== undefined && sync.profileId === null) {
      await createCells(deps, sync, await cellsOfRotation(store, sync))
    } else await selectCells(deps, sync, signal)
    if (sync.writePolicy === 'mirror' && sync.action === 'sync' && sync.retryOf === null) await mirrorCells(deps, sync)
    const { targets, instanceIds, spaceIds } = await extentOfRun(store, sync.id)
    await appendSyncEvent(store, sync.id, 'sync', { state: 'running', targets })
    return {
      syncId: sync.id,
      platformKind: platform.kind,
      action: sync.action,
      dryRun: sync.dryRun,
      instanceIds,
      spaceIds,
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

/** Just what the plan named, spaces that came since left out; what it would remove is the mirror's matter. */
async function plannedCells(deps: ActivityDeps, sync: SyncRecord, planOf: string): Promise<void> {
  const cells = await listTargetCells(deps.store, planOf, TARGET_STATES)
  await createCells(
    deps,
    sync,
    cells.filter((cell) => cell.removes !== true),
  )
}

/**
 * What the selection does not hold (any more) is to be removed: of a plan that is applied, just what it named. Too much at
 * once is only reported, until somebody confirms it; a dry run shows it all the same.
 */
async function mirrorCells(deps: ActivityDeps, sync: SyncRecord): Promise<void> {
  const { store } = deps
  const away = await mirroredAway(store, sync)
  const planned = sync.planOf === null ? null : await listTargetCells(store, sync.planOf, TARGET_STATES)
  const named =
    planned === null ? null : new Set(planned.flatMap((cell) => (cell.removes === true ? (cell.bindingId ?? []) : [])))
  const going = named === null ? away : away.filter((cell) => named.has(cell.bindingId))
  const verdict = await judgeMirror(store, sync.platformId, going)
  if (verdict.needsConfirmation) {
    const confirm = sync.dryRun ? 'To remove them' : 'Nothing of it was removed. To do so'
    const warning = `${describePrune(verdict)}. ${confirm}, run it with "confirmPrune": true.`
    if (!sync.confirmPrune) await addSyncWarnings(store, sync.id, [warning])
    if (!sync.confirmPrune && !sync.dryRun) return
  }
  await createTargets(
    store,
    sync.id,
    going.map((cell) => ({ ...cell, removes: true })),
  )
}

/** Just what did not end well in the run before; what a mirror was to take away only if nobody has selected it again since. */
async function retryCells(deps: ActivityDeps, sync: SyncRecord, retryOf: string): Promise<void> {
  const { store } = deps
  const cells = await listTargetCells(store, retryOf, ['failed', 'conflict', 'cancelled', 'pending', 'running'])
  const [going, others] = [cells.filter(isGoing), cells.filter((cell) => cell.removes !== true)]
  await createCells(deps, sync, others)
  const earlier = await getSync(store, retryOf)
  if (going.length === 0 || earlier === null) return
  const away = await stillAway(store, sync, going, earlier)
  await createTargets(
    store,
    sync.id,
    away.map((cell) => ({ ...cell, removes: true })),
  )
}

function isGoing(cell: NewTarget): cell is NewTarget & { bindingId: string } {
  return cell.removes === true && cell.bindingId !== null
}

/** Cells whose bindings and targets are made together. */
const CELLS_AT_ONCE = 2_000

async function createCells(
  deps: ActivityDeps,
  sync: SyncRecord,
  cells: readonly { instanceId: string; spaceId: string }[],
): Promise<void> {
  const keyOf = (cell: { instanceId: string; spaceId: string }) => `${cell.instanceId} ${cell.spaceId}`
  // What was never bound has nothing to be removed.
  const onlyLooks = sync.dryRun || sync.action === 'remove'
  const gone = new Set<string>()
  // Piece by piece: what is kept in memory does not grow with the run, and another attempt finds what was made.
  for (const piece of chunksOf(cells, CELLS_AT_ONCE)) {
    const instances = await getInstances(
      deps.store,
      piece.map(({ instanceId }) => instanceId),
    )
    const known = new Set(instances.map(({ id }) => id))
    // Deleted since the selection was made, or the run that this one repeats or applies: the others have their turn.
    const chunk = piece.filter(({ instanceId }) => known.has(instanceId))
    for (const { instanceId } of piece) if (!known.has(instanceId)) gone.add(instanceId)
    const bindings = await (onlyLooks ? findBindings : ensureBindings)(deps.store, chunk)
    const bindingIds = new Map(bindings.map((binding) => [keyOf(binding), binding.id]))
    await createTargets(
      deps.store,
      sync.id,
      chunk.map(({ instanceId, spaceId }) => ({
        instanceId,
        spaceId,
        bindingId: bindingIds.get(keyOf({ instanceId, spaceId })) ?? null,
      })),
    )
  }
  if (gone.size === 0) return
  await addSyncWarnings(deps.store, sync.id, [
    `${gone.size} MCP server${gone.size === 1 ? '' : 's'} left out: deleted since.`,
  ])
}
