import { listOpenSyncs, type SyncRecord } from '../store/syncs.ts'
import type { ApiDeps } from './deps.ts'
import type { SyncSignal } from './sync-runs.ts'

/** Tells every open run that the filter lets through; answers how many heard it. What was missed the reconciler repeats. */
export async function signalOpenRuns(
  deps: ApiDeps,
  which: { platformId: string; filter?: (run: SyncRecord) => boolean },
  signal: SyncSignal,
): Promise<number> {
  const runs = await listOpenSyncs(deps.store, { platformId: which.platformId })
  const wanted = runs.filter(which.filter ?? (() => true))
  const outcomes = await Promise.all(wanted.map((run) => deps.syncRuns.signal(run, signal)))
  return outcomes.filter((outcome) => outcome === 'sent').length
}
