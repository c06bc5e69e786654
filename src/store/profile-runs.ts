import type { ProfileRecord } from './profiles.ts'
import { getSpaces } from './spaces.ts'
import type { Store } from './store.ts'
import type { NewSync, Rotation } from './syncs.ts'

/**
 * What a run of the profile is, as the world is now: instances that are active, spaces of its platform that are still there.
 * `warnings` name how many were left out. A check that heals is a sync.
 */
export async function runOfProfile(
  store: Store,
  profile: ProfileRecord,
): Promise<{ run: Omit<NewSync, 'requestedBy'>; warnings: string[] }> {
  const { instanceIds, spaceIds } = profile.selection
  const active = await store.db.mcpInstance.findMany({
    where: { status: 'active', removingAt: null },
    select: { id: true },
    orderBy: { id: 'asc' },
  })
  const activeIds = active.map((row) => row.id)
  const platform = await store.db.platform.findUnique({ where: { id: profile.platformId }, select: { status: true } })
  if (platform?.status === 'removing') {
    return { run: { ...runBy(profile), selection: { instanceIds: [], spaceIds: [] } }, warnings: [PLATFORM_REMOVING] }
  }
  const instances = instanceIds === 'all' ? activeIds : instanceIds.filter((id) => activeIds.includes(id))
  const spaces = spaceIds === 'all' ? 'all' : await presentSpaces(store, profile.platformId, spaceIds)
  return {
    run: { ...runBy(profile), selection: { instanceIds: instances, spaceIds: spaces, ...rotationOf(profile) } },
    warnings: [
      ...leftOut(instanceIds, instances, 'MCP server', 'deleted or not active'),
      ...leftOut(spaceIds, spaces, 'space', 'deleted or archived'),
    ],
  }
}

const PLATFORM_REMOVING = 'The platform is being deleted: nothing is brought there any more.'
const DAY_MS = 24 * 3_600_000

function runBy(profile: ProfileRecord): Omit<NewSync, 'requestedBy' | 'selection'> {
  return {
    platformId: profile.platformId,
    profileId: profile.id,
    name: profile.name,
    writePolicy: profile.writePolicy,
    dryRun: isCheck(profile),
    acceptWarnings: true,
  }
}

function isCheck({ schedule, driftPolicy }: ProfileRecord): boolean {
  return schedule?.action === 'check' && driftPolicy === 'report'
}

/** A check is about what has drifted, not about what has come of age. */
function rotationOf(profile: ProfileRecord): { rotate?: Rotation } {
  const { rotateAfterDays } = profile
  if (rotateAfterDays === null || isCheck(profile)) return {}
  return { rotate: { by: 'age', before: new Date(Date.now() - rotateAfterDays * DAY_MS).toISOString() } }
}

async function presentSpaces(store: Store, platformId: string, ids: readonly string[]): Promise<string[]> {
  const spaces = await getSpaces(store, ids)
  const present = new Set(
    spaces.filter((space) => space.platformId === platformId && !space.archived).map((space) => space.id),
  )
  return ids.filter((id) => present.has(id))
}

function leftOut(named: string[] | 'all', taken: string[] | 'all', what: string, why: string): string[] {
  const count = named.length - taken.length
  if (named === 'all' || count === 0) return []
  return [`${count} ${what}${count === 1 ? '' : 's'} of the profile left out: ${why}.`]
}
