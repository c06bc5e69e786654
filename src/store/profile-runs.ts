import type { ProfileRecord } from './profiles.ts'
import { getSpaces } from './spaces.ts'
import type { Store } from './store.ts'
import type { NewSync } from './syncs.ts'

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
    where: { status: 'active' },
    select: { id: true },
    orderBy: { id: 'asc' },
  })
  const activeIds = active.map((row) => row.id)
  const instances = instanceIds === 'all' ? activeIds : instanceIds.filter((id) => activeIds.includes(id))
  const spaces = spaceIds === 'all' ? 'all' : await presentSpaces(store, profile.platformId, spaceIds)
  return {
    run: {
      platformId: profile.platformId,
      profileId: profile.id,
      name: profile.name,
      selection: { instanceIds: instances, spaceIds: spaces },
      writePolicy: profile.writePolicy,
      dryRun: profile.schedule?.action === 'check' && profile.driftPolicy === 'report',
      acceptWarnings: true,
    },
    warnings: [
      ...leftOut(instanceIds, instances, 'MCP server', 'deleted or not active'),
      ...leftOut(spaceIds, spaces, 'space', 'deleted or archived'),
    ],
  }
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
