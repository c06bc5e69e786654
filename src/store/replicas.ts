import { setTimeout as sleep } from 'node:timers/promises'
import { chunksOf, readInChunks } from './columns.ts'
import { currentRevision } from './revision.ts'
import type { Store } from './store.ts'

/** Which revision each gateway process has seen: tells when a change is effective, and when a revoked row may go. */

/** A replica counts as gone this long after what its last report was dated. */
export const REPLICA_LIFE_MS = 30_000
/** How often a gateway reports at least. */
export const REPLICA_BEAT_MS = 10_000
const POLL_MS = 50

/**
 * What a gateway's report is dated that serves what it knows for `maxStaleMs` after its last reading: ahead by as long as it
 * may outlive its row. It may have read the store once more right before the next report, which then did not get through.
 */
export function reportDate(maxStaleMs: number, now: Date = new Date()): Date {
  return new Date(now.getTime() + Math.max(0, maxStaleMs + REPLICA_BEAT_MS - REPLICA_LIFE_MS))
}

/** A gateway's heartbeat, dated by `reportDate`. Call it after each reading that found something new, and every REPLICA_BEAT_MS. */
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

/** For a store that belongs to one process, at its start: whoever reported then is dead and serves nobody. */
export async function removeAllReplicas(store: Store): Promise<void> {
  await store.write((tx) => tx.gatewayReplica.deleteMany())
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

/** As long as a worker waits for gateways that do not come on, by default. */
const FOLLOW_MS = 10_000

/** Resolves once every live gateway has seen what is in the store now; after `timeoutMs`, or with none live, all the same. */
export async function untilGatewaysFollow(store: Store, timeoutMs: number = FOLLOW_MS): Promise<void> {
  if ((await seenByAllReplicas(store)) === null) return
  await waitUntilSeen(store, await currentRevision(store.db), timeoutMs)
}

const PURGE_CHUNK = 1_000

/**
 * Deletes revoked tokens and deleted instances that every live gateway has passed, once they are older than a replica's
 * life (one that was away then has gone or read everything anew). Of a binding that lives on, minted tokens that were revoked
 * before `formerBefore` go; custom ones stay as long as it does: one may come back to it, and to no other. So do manual tokens of an
 * instance that lives on, whatever their origin: the journal names them.
 */
export async function purgeRevoked(
  store: Store,
  now: Date = new Date(),
  formerBefore: Date | null = null,
): Promise<{ tokens: number; instances: number }> {
  const seen = await seenByAllReplicas(store, now)
  const before = new Date(now.getTime() - 2 * REPLICA_LIFE_MS)
  const passed = seen === null ? {} : { revision: { lte: seen } }
  const revoked = { state: 'revoked', revokedAt: { lt: before }, ...passed }
  let tokens = 0
  for (let after = ''; ; ) {
    const rows = await store.db.gatewayToken.findMany({
      where: { ...revoked, id: { gt: after } },
      select: { id: true, instanceId: true, bindingId: true, origin: true, revokedAt: true },
      orderBy: { id: 'asc' },
      take: PURGE_CHUNK,
    })
    const living = await readInChunks(
      rows.flatMap((row) => row.bindingId ?? []),
      (ids) => store.db.binding.findMany({ where: { id: { in: ids } }, select: { id: true } }),
    )
    const served = await readInChunks(
      rows.flatMap(({ bindingId, instanceId }) => (bindingId === null ? instanceId : [])),
      (ids) =>
        store.db.mcpInstance.findMany({ where: { id: { in: ids }, status: { not: 'deleted' } }, select: { id: true } }),
    )
    const alive = new Set([...living, ...served].map((row) => row.id))
    const old = rows.filter(({ instanceId, bindingId, origin, revokedAt }) => {
      if (!alive.has(bindingId ?? instanceId)) return true
      if (bindingId !== null && origin === 'custom') return false
      return formerBefore !== null && revokedAt !== null && revokedAt < formerBefore
    })
    for (const chunk of chunksOf(old)) {
      const ids = chunk.map((row) => row.id)
      tokens += (await store.write((tx) => tx.gatewayToken.deleteMany({ where: { id: { in: ids }, ...revoked } })))
        .count
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < PURGE_CHUNK) break
    after = last.id
  }
  const instances = await store.write((tx) =>
    tx.mcpInstance.deleteMany({ where: { status: 'deleted', updatedAt: { lt: before }, ...passed } }),
  )
  return { tokens, instances: instances.count }
}
