import { OPEN_SYNC_STATES } from '../domain/states.ts'
import type { Db, Tx } from './client.ts'
import { NotFoundError, StoreError } from './errors.ts'
import { deleteInstanceIn } from './instances.ts'
import { deletePlatformIn } from './platforms.ts'
import { DEPLOYED, revokeUndeployed } from './removal.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { finishOpenTargets } from './sync-targets.ts'
import { createSyncIn, finishSyncIn, type Selection, type SyncOutcome, type SyncRecord, toSync } from './syncs.ts'

/**
 * Deleting an instance or a platform that has objects on platforms: from the first moment nothing new is written for it, one
 * removal run a platform takes the objects away, and when the last is gone the records follow. What fails leaves it visible as
 * `removing`; deleting it again goes on.
 */

export type Doomed = { instanceId: string } | { platformId: string }

export type DeletionOptions = {
  requestedBy: string
  /** Also objects that the platform's users would miss (COZE agents). */
  acceptWarnings: boolean
}

const IT_IS_BEING_DELETED = 'It is being deleted.'
const OPEN = { in: [...OPEN_SYNC_STATES] }

/**
 * The runs that remove its objects, one a platform: those that are going on already, and new ones where there are none. Empty
 * when nothing of ours is left: then it can be deleted at once. Runs that were about to write for it leave it alone from now on.
 * Throws NotFoundError.
 */
export async function beginDeletion(store: Store, doomed: Doomed, options: DeletionOptions): Promise<SyncRecord[]> {
  const deployed = { ...doomed, ...DEPLOYED }
  // First by itself: whoever began a write before it is seen by what follows, and nobody begins one after it.
  await store.write((tx) => mark(store, tx, doomed))
  await stopWriting(store, doomed)
  return await store.write(async (tx) => {
    const rows = await tx.deployment.findMany({
      where: deployed,
      select: { platformId: true, instanceId: true, spaceId: true },
    })
    const runs: SyncRecord[] = []
    for (const [platformId, cells] of Map.groupBy(rows, (row) => row.platformId)) {
      const selection = {
        instanceIds: [...new Set(cells.map((cell) => cell.instanceId))],
        spaceIds: [...new Set(cells.map((cell) => cell.spaceId))],
      }
      runs.push(await removalRun(store, tx, platformId, selection, doomed, options))
    }
    return runs
  })
}

/**
 * Closes a removal run as `finishSync` does. In the same transaction, so that who sees the run's end sees that as well, what is
 * being deleted and has no object left anywhere goes for good. The rest stays as it is.
 */
export async function finishRemoval(store: Store, run: SyncRecord, outcome: SyncOutcome): Promise<boolean> {
  return await store.write(async (tx) => {
    await bumpRevision(store, tx)
    const closing = await finishSyncIn(tx, run.id, outcome)
    const removing = await removingOf(tx, run)
    for (const id of removing.instanceIds) await unlessDeployed(() => deleteInstanceIn(store, tx, id))
    for (const id of removing.platformIds) await unlessDeployed(() => deletePlatformIn(store, tx, id))
    return closing
  })
}

/**
 * Revokes the tokens of what `finishRemoval` is about to delete, so that gateways can follow before the run is over: manual ones,
 * and those of bindings without an object. Nobody takes a deletion back while its run is open.
 */
export async function revokeBeforeRemoval(store: Store, run: SyncRecord): Promise<void> {
  const seen = await removingOf(store.db, run)
  if (seen.instanceIds.length + seen.platformIds.length === 0) return
  await store.write(async (tx) => {
    await bumpRevision(store, tx)
    const { instanceIds, platformIds } = await removingOf(tx, run)
    for (const instanceId of instanceIds) await revokeUndeployed(store, tx, { instanceId })
    for (const platformId of platformIds) await revokeUndeployed(store, tx, { platformId })
  })
}

/** What the run removes from and that is itself being deleted. */
async function removingOf(db: Db, run: SyncRecord): Promise<{ instanceIds: string[]; platformIds: string[] }> {
  const instances = await db.mcpInstance.findMany({
    where: { id: { in: run.selection.instanceIds }, status: { not: 'deleted' }, removingAt: { not: null } },
    select: { id: true },
  })
  const platforms = await db.platform.findMany({
    where: { id: run.platformId, status: 'removing' },
    select: { id: true },
  })
  return { instanceIds: instances.map(({ id }) => id), platformIds: platforms.map(({ id }) => id) }
}

/** Runs that were about to write for it skip that: a target that has ended is not begun. */
export async function stopWriting(store: Store, doomed: Doomed): Promise<void> {
  const where = { state: OPEN, action: 'sync', ...('platformId' in doomed ? doomed : {}) }
  const runs = await store.db.sync.findMany({ where, select: { id: true } })
  const which = 'instanceId' in doomed ? { instanceId: doomed.instanceId } : {}
  for (const { id } of runs) await finishOpenTargets(store, id, which, 'skipped', null, IT_IS_BEING_DELETED)
}

async function mark(store: Store, tx: Tx, doomed: Doomed): Promise<void> {
  const now = new Date()
  if ('platformId' in doomed) {
    const changed = await tx.platform.updateMany({
      where: { id: doomed.platformId },
      data: { status: 'removing', rowVersion: { increment: 1 }, updatedAt: now },
    })
    if (changed.count === 0) throw new NotFoundError('The platform')
    await tx.sync.updateMany({
      where: { platformId: doomed.platformId, action: 'sync', state: OPEN },
      data: { cancelRequested: true },
    })
    return
  }
  const revision = await bumpRevision(store, tx)
  const id = doomed.instanceId
  const changed = await tx.mcpInstance.updateMany({
    where: { id, status: { not: 'deleted' }, removingAt: null },
    data: { removingAt: now, revision, rowVersion: { increment: 1 }, updatedAt: now },
  })
  if (changed.count > 0) return
  if ((await tx.mcpInstance.count({ where: { id, status: { not: 'deleted' } } })) === 0) {
    throw new NotFoundError('The instance')
  }
}

/** The open run that does it already, or a new one. */
async function removalRun(
  store: Store,
  tx: Tx,
  platformId: string,
  selection: { instanceIds: string[]; spaceIds: string[] },
  doomed: Doomed,
  options: DeletionOptions,
): Promise<SyncRecord> {
  const open = await tx.sync.findMany({
    where: { platformId, action: 'remove', dryRun: false, state: OPEN, cancelRequested: false },
    orderBy: { id: 'desc' },
  })
  const known = open.map(toSync).find((run) => covers(run.selection, selection))
  if (known !== undefined) return known
  const names = await namesOf(tx, platformId, 'instanceId' in doomed ? doomed.instanceId : null)
  const { sync } = await createSyncIn(
    store,
    tx,
    {
      platformId,
      action: 'remove',
      name: `Delete ${names}`,
      selection,
      acceptWarnings: options.acceptWarnings,
      requestedBy: options.requestedBy,
    },
    null,
  )
  return sync
}

function covers(run: Selection, cells: { instanceIds: string[]; spaceIds: string[] }): boolean {
  const { instanceIds, spaceIds } = run
  return (
    cells.instanceIds.every((id) => instanceIds.includes(id)) &&
    (spaceIds === 'all' || cells.spaceIds.every((id) => spaceIds.includes(id)))
  )
}

async function namesOf(tx: Tx, platformId: string, instanceId: string | null): Promise<string> {
  const platform = await tx.platform.findUnique({ where: { id: platformId }, select: { name: true } })
  if (instanceId === null) return platform?.name ?? 'a platform'
  const instance = await tx.mcpInstance.findUnique({ where: { id: instanceId }, select: { name: true } })
  return `${instance?.name ?? 'an instance'} from ${platform?.name ?? 'a platform'}`
}

/** Gone already is fine, too. */
async function unlessDeployed(deletion: () => Promise<void>): Promise<void> {
  try {
    await deletion()
  } catch (error) {
    const expected = error instanceof StoreError && (error.code === 'has_deployments' || error.code === 'not_found')
    if (!expected) throw error
  }
}
