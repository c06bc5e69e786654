/** What is done about an MCP server that offers other tools than were deployed. Pure. */

export type ToolsPolicy = 'sync' | 'report'

export type CoveringProfile = {
  id: string
  paused: boolean
  writePolicy: 'upsert-only' | 'create-only' | 'mirror'
  onToolsChanged: ToolsPolicy
  selection: { instanceIds: string[] | 'all'; spaceIds: string[] | 'all' }
}

/**
 * Whether a run brings changed tools to a cell, and for which profile.
 *
 * | profiles that select the cell            | then                           |
 * | ---------------------------------------- | ------------------------------ |
 * | none                                     | as the installation says       |
 * | one that syncs, is not paused and writes | sync, for that profile         |
 * | others only                              | report                         |
 */
export function toolsPolicyOf(
  cell: { instanceId: string; spaceId: string },
  profiles: readonly CoveringProfile[],
  installation: ToolsPolicy,
): { policy: ToolsPolicy; profileId: string | null } {
  const covering = profiles.filter(
    ({ selection: { instanceIds, spaceIds } }) =>
      (instanceIds === 'all' || instanceIds.includes(cell.instanceId)) &&
      (spaceIds === 'all' || spaceIds.includes(cell.spaceId)),
  )
  if (covering.length === 0) return { policy: installation, profileId: null }
  const syncing = covering.find(
    ({ paused, writePolicy, onToolsChanged }) => !paused && writePolicy !== 'create-only' && onToolsChanged === 'sync',
  )
  return syncing === undefined ? { policy: 'report', profileId: null } : { policy: 'sync', profileId: syncing.id }
}

/** How soon a run that did not end well is followed by another one for the same tool list. */
const AGAIN_AFTER_MS = 3_600_000

/**
 * Whether one more run is due for a tool list, after those that there were for it. Each change gives one run; where that one could not
 * bring it everywhere, another one an hour later. What cannot succeed is not asked for here (the caller leaves it out).
 */
export function mayRunForTools(earlier: readonly { state: string; createdAt: Date }[], now: Date): boolean {
  const last = earlier.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0]
  if (last === undefined) return true
  const failed = last.state === 'failed' || last.state === 'partial'
  return failed && last.createdAt.getTime() + AGAIN_AFTER_MS <= now.getTime()
}
