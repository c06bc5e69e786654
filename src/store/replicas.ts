import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from './store.ts'

/** Which revision each gateway process has seen: tells when a change is effective, and when a revoked row may go. */

/** A replica that was not heard of for this long counts as gone. */
export const REPLICA_LIFE_MS = 30_000
const POLL_MS = 50

/** A gateway's heartbeat. Call it after each reading that found something new, and at least every 10 s. */
export async function recordReplica(
  store: Store,
  id: string,
  seenRevision: number,
  at: Date = new Date(),
): Promise<void> {
  await store.write(
    (tx) => tx.gatewayReplica.upsert({ where: { id }, create: { id, seenRevision, at }, update: { seenRevision, at } }),
    { retryUnique: true },
  )
}

/** When a gateway stops. */
export async function removeReplica(store: Store, id: string): Promise<void> {
  await store.write((tx) => tx.gatewayReplica.deleteMany({ where: { id } }))
}

/** The lowest revision that every live replica has seen; null when none is live. */
export async function seenByAllReplicas(store: Store, now: Date = new Date()): Promise<number | null> {
  const rows = await store.db.gatewayReplica.findMany({
    where: { at: { gt: new Date(now.getTime() - REPLICA_LIFE_MS) } },
    select: { seenRevision: true },
  })
  return rows.length === 0 ? null : Math.min(...rows.map((row) => row.seenRevision))
}

/** True as soon as every live replica has seen the revision; false when `timeoutMs` has passed first or none is live. */
export async function waitUntilSeen(store: Store, revision: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const seen = await seenByAllReplicas(store)
    if (seen !== null && seen >= revision) return true
    if (Date.now() >= deadline) return false
    await sleep(POLL_MS)
  }
}

/**
 * Deletes revoked tokens and deleted instances that every live gateway has passed, once they are older than a replica's
 * life (one that was away then has gone or read everything anew).
 */
export async function purgeRevoked(
  store: Store,
  now: Date = new Date(),
): Promise<{ tokens: number; instances: number }> {
  const seen = await seenByAllReplicas(store, now)
  const before = new Date(now.getTime() - 2 * REPLICA_LIFE_MS)
  const revision = seen === null ? {} : { revision: { lte: seen } }
  return store.write(async (tx) => {
    // Tokens of a binding stay as long as it does: a custom one may come back to it, and to no other.
    const orphans = await tx.gatewayToken.findMany({
      where: { state: 'revoked', revokedAt: { lt: before }, ...revision },
      select: { id: true, bindingId: true },
      take: 1000,
    })
    const bindingIds = orphans.flatMap((row) => row.bindingId ?? [])
    const living = await tx.binding.findMany({ where: { id: { in: bindingIds } }, select: { id: true } })
    const alive = new Set(living.map((row) => row.id))
    const ids = orphans.filter((row) => row.bindingId === null || !alive.has(row.bindingId)).map((row) => row.id)
    const tokens = await tx.gatewayToken.deleteMany({ where: { id: { in: ids } } })
    const instances = await tx.mcpInstance.deleteMany({
      where: { status: 'deleted', updatedAt: { lt: before }, ...revision },
    })
    return { tokens: tokens.count, instances: instances.count }
  })
}
