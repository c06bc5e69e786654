import { type Clock, systemClock } from '../src/domain/clock.ts'
import { listPlatformsWithOldTokens, rotationAges } from '../src/store/rotations.ts'
import { createSync } from '../src/store/syncs.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'

const DAY_MS = 24 * 3_600_000

/**
 * Where the platform or else the installation says so: has the tokens that are too old replaced, by one run a platform and day at most. The run is only
 * written here; the reconciler starts it, as it does for every run that Temporal has not heard of.
 */
export async function startDueRotations(
  deps: ActivityDeps,
  clock: Clock = systemClock,
): Promise<{ rotations: number }> {
  return await inActivity(deps.logger, {}, async (signal) => {
    const { store, logger } = deps
    const nowMs = clock.now()
    const today = new Date(nowMs).toISOString().slice(0, 10)
    const ages = await rotationAges(store, deps.limits.rotateAfterDays)
    let rotations = 0
    for (const [days, platforms] of Map.groupBy(ages, ([, age]) => age)) {
      const before = new Date(nowMs - days * DAY_MS)
      const ids = platforms.map(([platformId]) => platformId)
      for (const { platformId, instanceIds, spaceIds } of await listPlatformsWithOldTokens(store, ids, before)) {
        signal.throwIfAborted()
        const { sync, created } = await createSync(store, {
          platformId,
          name: `Rotate tokens older than ${days} days`,
          selection: { instanceIds, spaceIds, rotate: { by: 'age', before: before.toISOString() } },
          acceptWarnings: true,
          workflowId: `rotation-${platformId}-${today}`,
          requestedBy: 'schedule',
        })
        if (!created) continue
        rotations += 1
        logger.info({ syncId: sync.id, platformId }, 'tokens are old enough to be replaced: a run was made for them')
      }
    }
    return { rotations }
  })
}
