import { deleteExpiredConsoleSessions } from './api-keys.ts'
import { purgeAudit } from './audit.ts'
import { purgeDeliveries } from './deliveries.ts'
import { purgeIdempotencyKeys } from './idempotency.ts'
import { purgeJournal } from './journal.ts'
import { purgeRevoked } from './replicas.ts'
import type { Store } from './store.ts'
import { purgeSyncs } from './sync-retention.ts'

/** How long what is over is kept, days. */
export type Retention = {
  /** Runs with their targets and events; notices that were delivered or given up. */
  syncDays: number
  /** The gateway's journal, and with it the former tokens that it names. */
  journalDays: number
  auditDays: number
}

/** How many rows went. */
export type Purged = {
  syncs: number
  journalEntries: number
  auditEvents: number
  tokens: number
  instances: number
  deliveries: number
  sessions: number
}

const DAY_MS = 24 * 3_600_000
/** A caller that repeats its request does so within a day. */
const IDEMPOTENCY_DAYS = 1

/** Deletes what has been kept long enough, piece by piece; whatever of it is done stays done. Rejects with the signal's reason. */
export async function applyRetention(
  store: Store,
  keep: Retention,
  signal: AbortSignal,
  now: Date = new Date(),
): Promise<Purged> {
  const before = (days: number) => new Date(now.getTime() - days * DAY_MS)
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted()
    return await work()
  }
  const syncs = await inTurn(() => purgeSyncs(store, before(keep.syncDays), signal))
  const deliveries = await inTurn(() => purgeDeliveries(store, before(keep.syncDays)))
  const journalEntries = await inTurn(() => purgeJournal(store, before(keep.journalDays)))
  const auditEvents = await inTurn(() => purgeAudit(store, before(keep.auditDays)))
  const { tokens, instances } = await inTurn(() => purgeRevoked(store, now, before(keep.journalDays)))
  const sessions = await inTurn(() => deleteExpiredConsoleSessions(store, now))
  await inTurn(() => purgeIdempotencyKeys(store, before(IDEMPOTENCY_DAYS)))
  return { syncs, journalEntries, auditEvents, tokens, instances, deliveries, sessions }
}
