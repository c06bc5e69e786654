import { chunksOf } from './columns.ts'
import type { Store } from './store.ts'
import { listSyncEvents } from './sync-events.ts'
import { failureColumns, type NewTarget, type TargetFailure } from './sync-targets.ts'

/** What concerns a run as a whole, or all spaces of an instance. There may be a hundred thousand targets: they are counted and grouped, not listed. */

export type RunExtent = {
  targets: number
  /** Of those that are not only removed: whose tools a run asks for. */
  instanceIds: string[]
  /** In the order in which their targets were made. */
  spaceIds: string[]
}

/** How far a run's targets reach. */
export async function extentOfRun(store: Store, syncId: string): Promise<RunExtent> {
  const [spaces, instances] = await Promise.all([
    store.db.syncTarget.groupBy({
      by: ['spaceId'],
      where: { syncId },
      _count: { _all: true },
      _min: { id: true },
      orderBy: { _min: { id: 'asc' } },
    }),
    store.db.syncTarget.groupBy({
      by: ['instanceId'],
      where: { syncId, removes: false },
      _min: { id: true },
      orderBy: { _min: { id: 'asc' } },
    }),
  ])
  return {
    targets: spaces.reduce((sum, { _count }) => sum + _count._all, 0),
    instanceIds: instances.map(({ instanceId }) => instanceId),
    spaceIds: spaces.map(({ spaceId }) => spaceId),
  }
}

/** Whether the run came so far as to have all its targets: it says so once it has (prepareSync). One that was ended over it may have some. */
export async function hasAllTargets(store: Store, syncId: string): Promise<boolean> {
  const first = await listSyncEvents(store, syncId, 0, 10)
  return first.some(({ type, data }) => type === 'sync' && typeof data.targets === 'number')
}

/** The cells of one instance in a run, those that it only removes left out. */
export async function listTargetsOfInstance(
  store: Store,
  syncId: string,
  instanceId: string,
): Promise<(NewTarget & { id: string })[]> {
  const columns = ['id', 'spaceId', 'instanceId', 'bindingId'] as const
  return await store.db.findRows('SyncTarget', { syncId, instanceId, removes: false }, { columns })
}

const NOT_READ_BACK = 'It was written, but the run ended before it was read back.'

/**
 * What the run has written and nobody has read back since ends as what the run was cut short by: it is shown, and can be tried
 * again. What another run has written since is for that one to read back.
 */
export async function endUnverifiedTargets(
  store: Store,
  run: { id: string; platformId: string },
  which: { spaceId?: string },
  state: 'failed' | 'cancelled',
  error: TargetFailure | null = null,
): Promise<void> {
  const written = await store.db.deployment.findMany({
    where: { platformId: run.platformId, state: 'pending', lastSyncId: run.id, ...which },
    select: { bindingId: true },
  })
  const now = new Date()
  for (const chunk of chunksOf(written)) {
    const bindingId = { in: chunk.map((one) => one.bindingId) }
    await store.write((tx) =>
      tx.syncTarget.updateMany({
        where: { syncId: run.id, bindingId, state: { in: ['succeeded', 'unchanged'] } },
        data: { state, ...failureColumns(error), note: NOT_READ_BACK, finishedAt: now, updatedAt: now },
      }),
    )
  }
}

const DROPPED_AT_ONCE = 2_000

/** Deletes the rows of unchanged targets, in short transactions: of a closed run whose counts say how many there were. */
export async function dropUnchangedTargets(store: Store, syncId: string): Promise<void> {
  for (;;) {
    const rows = await store.db.syncTarget.findMany({
      where: { syncId, state: 'unchanged' },
      select: { id: true },
      take: DROPPED_AT_ONCE,
    })
    for (const chunk of chunksOf(rows)) {
      const ids = chunk.map(({ id }) => id)
      await store.write((tx) => tx.syncTarget.deleteMany({ where: { id: { in: ids } } }))
    }
    if (rows.length < DROPPED_AT_ONCE) return
  }
}
