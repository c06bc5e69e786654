import { CLOSED_SYNC_STATES, OPEN_SYNC_STATES } from '../domain/states.ts'
import { chunksOf } from './columns.ts'
import type { Store } from './store.ts'

/** Runs that are looked at together, and rows of a run that go together. */
const RUNS_CHUNK = 100
const ROWS_CHUNK = 1_000

/**
 * Deletes closed runs that finished before `before`, with their targets and events, in short transactions; a process that dies in
 * between leaves a run with less of it, which goes the next time. What is still looked at stays: the last run of a deployment, and
 * the plan or the failed run that an open one goes by. Answers how many runs went.
 */
export async function purgeSyncs(store: Store, before: Date, signal?: AbortSignal): Promise<number> {
  let purged = 0
  for (let after = ''; ; ) {
    const rows = await store.db.sync.findMany({
      where: { state: { in: [...CLOSED_SYNC_STATES] }, finishedAt: { lt: before }, id: { gt: after } },
      select: { id: true },
      orderBy: { id: 'asc' },
      take: RUNS_CHUNK,
    })
    const kept = await referenced(
      store,
      rows.map(({ id }) => id),
    )
    for (const { id } of rows) {
      signal?.throwIfAborted()
      if (kept.has(id)) continue
      await purgeSync(store, id)
      purged += 1
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < RUNS_CHUNK) return purged
    after = last.id
  }
}

async function referenced(store: Store, ids: string[]): Promise<Set<string>> {
  const open = { in: [...OPEN_SYNC_STATES] }
  const [deployments, plans, retries] = await Promise.all([
    store.db.deployment.findMany({
      where: { lastSyncId: { in: ids } },
      select: { lastSyncId: true },
      distinct: ['lastSyncId'],
    }),
    store.db.sync.findMany({ where: { planOf: { in: ids }, state: open }, select: { planOf: true } }),
    store.db.sync.findMany({ where: { retryOf: { in: ids }, state: open }, select: { retryOf: true } }),
  ])
  const all = [
    ...deployments.map((row) => row.lastSyncId),
    ...plans.map((row) => row.planOf),
    ...retries.map((row) => row.retryOf),
  ]
  return new Set(all.filter((id) => id !== null))
}

/** The run itself goes last. */
async function purgeSync(store: Store, id: string): Promise<void> {
  for (;;) {
    const targets = await store.db.syncTarget.findMany({
      where: { syncId: id },
      select: { id: true },
      take: ROWS_CHUNK,
    })
    for (const chunk of chunksOf(targets)) {
      const ids = chunk.map((row) => row.id)
      await store.write((tx) => tx.syncTarget.deleteMany({ where: { id: { in: ids } } }))
    }
    if (targets.length < ROWS_CHUNK) break
  }
  for (;;) {
    const first = await store.db.syncEvent.findFirst({ where: { syncId: id }, orderBy: { seq: 'asc' } })
    if (first === null) break
    const below = first.seq + ROWS_CHUNK
    await store.write((tx) => tx.syncEvent.deleteMany({ where: { syncId: id, seq: { lt: below } } }))
  }
  await store.write(async (tx) => {
    await tx.idempotencyKey.deleteMany({ where: { syncId: id } })
    await tx.sync.deleteMany({ where: { id } })
  })
}
