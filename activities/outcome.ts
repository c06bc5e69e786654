import type { Store } from '../src/store/store.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { countTargets } from '../src/store/sync-targets.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'

/** What a phase hands back to the workflow: counts only, from the store. */
export async function outcomeOfSpace(
  store: Store,
  ids: { syncId: string; spaceId: string },
  interrupted: 'paused' | null = null,
): Promise<SpaceOutcome> {
  const counts = await countTargets(store, ids.syncId, { spaceId: ids.spaceId })
  await appendSyncEvent(store, ids.syncId, 'space', { spaceId: ids.spaceId, counts })
  return { counts, toWrite: counts.pending + counts.running, interrupted }
}
