import type { HoldBack } from '../src/domain/hold-back.ts'
import { getProfile } from '../src/store/profiles.ts'
import type { Store } from '../src/store/store.ts'
import { listTargetsForSpace } from '../src/store/sync-targets.ts'
import type { SpaceCell, SpaceWork } from './space-work.ts'

/** What keeps this run from writing a cell that could be written: the plan it applies, its profile, an earlier failure. */
export async function holdBackRules(store: Store, work: SpaceWork): Promise<(cell: SpaceCell) => HoldBack> {
  const { sync, space } = work
  const agreedRows = sync.planOf === null ? [] : await listTargetsForSpace(store, sync.planOf, space.id)
  const agreedOf = new Map(agreedRows.map((row) => [row.instanceId, row]))
  const profile = sync.profileId === null ? null : await getProfile(store, sync.profileId)
  return (cell) => {
    const row = agreedOf.get(cell.instance.id)
    const agreed = row === undefined ? null : { action: row.action, changes: row.changes ?? [] }
    return {
      ...(sync.planOf === null ? {} : { agreed }),
      // A dry run says what would be done; what its profile does about drift is not decided by looking.
      // A run that was started on its own, for another reason, heals no drift that nobody told it to heal.
      reportsDrift: !sync.dryRun && (profile === null ? sync.scheduled : profile.driftPolicy === 'report'),
      givenUp: sync.scheduled && !sync.dryRun && cell.deployment?.givenUpDigest === cell.wantedDigest,
    }
  }
}
