import { judgePrune, type PruneVerdict } from '../domain/prune.ts'
import { readInChunks } from './columns.ts'
import { allProfiles, type ProfileSelection } from './profiles.ts'
import { DEPLOYED } from './removal.ts'
import type { Store } from './store.ts'
import type { Selection } from './syncs.ts'

/** What a mirror takes away: deployments of ours that its selection does not hold. */

export type MirrorCell = { instanceId: string; spaceId: string; bindingId: string }

export type MirrorRun = { platformId: string; profileId: string | null; selection: Selection }

/**
 * Our deployments on the run's platform that neither its selection nor any other profile of the platform holds. A profile's
 * selection counts as it is saved: an instance that is only switched off for a while, or a space that is not listed just now,
 * is still held.
 */
export async function mirroredAway(store: Store, run: MirrorRun): Promise<MirrorCell[]> {
  const profiles = (await allProfiles(store)).filter((profile) => profile.platformId === run.platformId)
  const holders: ProfileSelection[] = [run.selection, ...profiles.map((profile) => profile.selection)]
  const deployed = await deployedOn(store, run.platformId)
  return deployed.filter((cell) => !holders.some((selection) => holds(selection, cell)))
}

/**
 * Of what an earlier mirror was to take away and did not: what is still to go for its repetition `run`. What a profile, or a run
 * since, has selected again is not.
 */
export async function stillAway(
  store: Store,
  run: MirrorRun,
  cells: readonly MirrorCell[],
  earlier: { createdAt: Date },
): Promise<MirrorCell[]> {
  if (cells.length === 0) return []
  const wanted = new Set(cells.map(({ bindingId }) => bindingId))
  const away = (await mirroredAway(store, run)).filter(({ bindingId }) => wanted.has(bindingId))
  const since = await store.db.sync.findMany({
    where: { platformId: run.platformId, action: 'sync', dryRun: false, createdAt: { gte: earlier.createdAt } },
    select: { id: true },
  })
  const selected = await readInChunks(
    since.map(({ id }) => id),
    (syncIds) =>
      store.db.syncTarget.findMany({ where: { syncId: { in: syncIds }, removes: false }, select: { bindingId: true } }),
  )
  const again = new Set(selected.map(({ bindingId }) => bindingId))
  return away.filter(({ bindingId }) => !again.has(bindingId))
}

/** Whether so much may go without being asked. */
export async function judgeMirror(
  store: Store,
  platformId: string,
  going: readonly { spaceId: string }[],
): Promise<PruneVerdict> {
  return judgePrune(going.length === 0 ? [] : await deployedOn(store, platformId), going)
}

async function deployedOn(store: Store, platformId: string): Promise<MirrorCell[]> {
  return store.db.deployment.findMany({
    where: { platformId, ...DEPLOYED },
    select: { bindingId: true, instanceId: true, spaceId: true },
    orderBy: { bindingId: 'asc' },
  })
}

function holds({ instanceIds, spaceIds }: ProfileSelection, cell: MirrorCell): boolean {
  return (
    (instanceIds === 'all' || instanceIds.includes(cell.instanceId)) &&
    (spaceIds === 'all' || spaceIds.includes(cell.spaceId))
  )
}
