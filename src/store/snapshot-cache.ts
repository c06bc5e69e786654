import { readInChunks } from './columns.ts'
import { getToolSnapshot, type ToolSnapshotRecord } from './instances.ts'
import type { Store } from './store.ts'

/** Snapshots in memory, the least recently used first out: every space of a run wants the same ones, and tools are large. */
const KEPT_SNAPSHOTS = 500
/** All but the tools themselves. */
const SNAPSHOT_FACTS = ['id', 'instanceId', 'headerDigest', 'toolCount', 'hash', 'seenAt', 'changedAt'] as const
const kept = new WeakMap<Store, Map<string, ToolSnapshotRecord>>()

/**
 * Many snapshots, as getToolSnapshot. Their tools are read once and then shared: the same `tools` array comes back as long as
 * its hash stands in the store, and nobody may change it.
 */
export async function getToolSnapshots(
  store: Store,
  keys: readonly { instanceId: string; headerDigest: string }[],
): Promise<(key: { instanceId: string; headerDigest: string }) => ToolSnapshotRecord | null> {
  const nameOf = (key: { instanceId: string; headerDigest: string }) => `${key.instanceId} ${key.headerDigest}`
  const digests = [...new Set(keys.map((key) => key.headerDigest))]
  const rows = await readInChunks(
    keys.map((key) => key.instanceId),
    (chunk) =>
      store.db.findRows('ToolSnapshot', { instanceId: chunk, headerDigest: digests }, { columns: SNAPSHOT_FACTS }),
  )
  const cache = kept.get(store) ?? new Map<string, ToolSnapshotRecord>()
  kept.set(store, cache)
  const found = new Map<string, ToolSnapshotRecord>()
  const wanted = new Set(keys.map(nameOf))
  for (const row of rows) {
    const name = nameOf(row)
    if (!wanted.has(name)) continue
    const known = cache.get(name)
    const record =
      known?.hash === row.hash
        ? { ...row, tools: known.tools }
        : await getToolSnapshot(store, row.instanceId, row.headerDigest)
    if (record === null) continue
    cache.delete(name)
    cache.set(name, record)
    found.set(name, record)
  }
  for (const oldest of cache.keys()) {
    if (cache.size <= KEPT_SNAPSHOTS) break
    cache.delete(oldest)
  }
  return (key) => found.get(nameOf(key)) ?? null
}
