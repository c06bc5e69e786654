import type { Tx } from './client.ts'
import { type JsonObject, parseJson } from './columns.ts'
import { NotFoundError } from './errors.ts'
import { insertRowsIn } from './insert-rows.ts'
import type { Store } from './store.ts'
import { afterCommit } from './transaction.ts'

/** What happened in a sync, in order. `data` holds ids, names, states and counts, never a secret. */
export type SyncEventRecord = { syncId: string; seq: number; type: string; data: JsonObject; at: Date }
export type NewSyncEvent = { type: string; data: JsonObject }

/** Answers the event's number within its sync (1, 2, …). Throws NotFoundError. */
export async function appendSyncEvent(
  store: Store,
  syncId: string,
  type: string,
  data: JsonObject = {},
): Promise<number> {
  return appendSyncEvents(store, syncId, [{ type, data }])
}

/** Answers the number of the last one. */
export async function appendSyncEvents(store: Store, syncId: string, events: readonly NewSyncEvent[]): Promise<number> {
  return store.write((tx) => appendSyncEventsIn(store, tx, syncId, events), { shared: true })
}

/** As appendSyncEvents, together with what the events tell about. */
export async function appendSyncEventsIn(
  store: Store,
  tx: Tx,
  syncId: string,
  events: readonly NewSyncEvent[],
): Promise<number> {
  // The increment locks the sync's row: events of two processes get different numbers and become visible in order.
  const changed = await tx.$executeRawUnsafe(
    'UPDATE `Sync` SET `eventSeq` = `eventSeq` + ? WHERE `id` = ?',
    events.length,
    syncId,
  )
  if (changed === 0) throw new NotFoundError('The sync')
  const [row] = await tx.$queryRawUnsafe<{ eventSeq: number }[]>('SELECT `eventSeq` FROM `Sync` WHERE `id` = ?', syncId)
  const last = Number(row?.eventSeq)
  if (events.length === 0) return last
  const at = new Date()
  await insertRowsIn(
    tx,
    'SyncEvent',
    events.map(({ type, data }, index) => ({
      syncId,
      seq: last - events.length + 1 + index,
      type,
      data: JSON.stringify(data),
      at,
    })),
  )
  afterCommit(tx, () => store.emit.syncEvent(syncId, last))
  return last
}

/** The events after number `afterSeq`, at most `limit`, in order. */
export async function listSyncEvents(
  store: Store,
  syncId: string,
  afterSeq: number,
  limit = 200,
): Promise<SyncEventRecord[]> {
  const rows = await store.db.syncEvent.findMany({
    where: { syncId, seq: { gt: afterSeq } },
    orderBy: { seq: 'asc' },
    take: limit,
  })
  return rows.map((row) => ({ ...row, data: parseJson<JsonObject>(row.data) }))
}
