/** What a mirror would take away, against what is there: the guard against a selection that was emptied by mistake. Pure. */

export type PruneVerdict = {
  /** Deployments of the platform that would go, and how many there are. */
  removed: number
  total: number
  /** Spaces that would lose more than half of theirs. */
  spaces: number
  needsConfirmation: boolean
}

/**
 * | of the platform's deployments | of a space's deployments | then         |
 * | ----------------------------- | ------------------------ | ------------ |
 * | more than half go             | any                      | confirmation |
 * | at most half go               | more than half go        | confirmation |
 * | at most half go               | at most half go          | goes on      |
 *
 * All are more than half. `deployed` holds every deployment of the platform, those that go among them.
 */
export function judgePrune(
  deployed: readonly { spaceId: string }[],
  removed: readonly { spaceId: string }[],
): PruneVerdict {
  const there = Map.groupBy(deployed, ({ spaceId }) => spaceId)
  const going = Map.groupBy(removed, ({ spaceId }) => spaceId)
  const spaces = [...going].filter(([id, cells]) => isMostOf(cells.length, there.get(id)?.length ?? 0)).length
  const most = isMostOf(removed.length, deployed.length)
  return {
    removed: removed.length,
    total: deployed.length,
    spaces,
    needsConfirmation: most || spaces > 0,
  }
}

/** For people: what would go. */
export function describePrune({ removed, total, spaces }: PruneVerdict): string {
  const where = spaces === 0 ? '' : ` (${spaces} ${spaces === 1 ? 'space loses' : 'spaces lose'} more than half)`
  return `The selection does not hold ${removed} of the ${total} deployments that stand on this platform${where}`
}

function isMostOf(part: number, whole: number): boolean {
  return part > 0 && part * 2 > whole
}
