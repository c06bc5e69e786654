import { ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import { getPlatform } from '../src/store/platforms.ts'
import { runOfProfile } from '../src/store/profile-runs.ts'
import { getProfile } from '../src/store/profiles.ts'
import { upsertSpaces } from '../src/store/spaces.ts'
import type { Store } from '../src/store/store.ts'
import { addSyncWarnings, createSync, getSyncByWorkflowId, type SyncRecord } from '../src/store/syncs.ts'
import type { ActivityDeps } from './deps.ts'
import { onPlatform } from './on-platform.ts'

/** The Sync of a run that a schedule has started: made from what the profile says now, once a workflow. */
export async function syncOfProfile(store: Store, profileId: string, workflowId: string): Promise<SyncRecord> {
  const earlier = await getSyncByWorkflowId(store, workflowId)
  if (earlier !== null) return earlier
  const profile = await getProfile(store, profileId)
  if (profile === null) throw new ToolferryError('TargetGone', 'The profile does not exist any more.')
  const { run, warnings } = await runOfProfile(store, profile)
  const { sync } = await createSync(store, { ...run, workflowId, requestedBy: 'schedule' })
  await addSyncWarnings(store, sync.id, warnings)
  return sync
}

/** Asks the platform for its spaces. When it cannot be asked, those known go on: their targets will say what is wrong. */
export async function refreshSpacesOf(deps: ActivityDeps, platformId: string, signal: AbortSignal): Promise<void> {
  const record = await getPlatform(deps.store, platformId)
  if (record === null) return
  try {
    const listed = await onPlatform(deps, record, (platform) => platform.listSpaces({ signal }))
    await upsertSpaces(deps.store, platformId, listed)
  } catch (thrown) {
    signal.throwIfAborted()
    deps.logger.warn({ platformId, type: toToolferryError(thrown).type }, 'the spaces could not be listed anew')
  }
}
