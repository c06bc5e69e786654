import { type Clock, systemClock } from '../src/domain/clock.ts'
import { toToolferryError } from '../src/domain/errors.ts'
import { headerSetDigest } from '../src/domain/upstream-headers.ts'
import { discoverTools } from '../src/mcp/discover.ts'
import {
  getInstances,
  getToolSnapshot,
  type Headers,
  type InstanceRecord,
  saveToolSnapshot,
  type ToolSnapshotRecord,
} from '../src/store/instances.ts'
import { listDeployedBindings } from '../src/store/rotations.ts'
import type { ToolWatchResult } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { headerSets } from './space-work.ts'
import { judgeTools, type WatchedCell } from './tool-changes.ts'
import { startToolRuns } from './tool-runs.ts'

const SERVERS_AT_ONCE = 4
/** Header sets of one server that are asked in one look; those asked longest ago come first. */
const MOST_SETS = 20

/**
 * Asks the MCP servers that are deployed somewhere for their tools, notes on their deployments where these differ from what was
 * written, and starts a run where the policy says so and the list has settled. Nothing is asked of any platform.
 */
export async function watchTools(
  deps: ActivityDeps,
  input: { instanceIds: readonly string[] | null },
  clock: Clock = systemClock,
): Promise<ToolWatchResult> {
  return await inActivity(deps.logger, {}, async (signal) => {
    const result: ToolWatchResult = {
      asked: 0,
      unreachable: 0,
      changed: 0,
      started: 0,
      unsettledInstanceIds: [],
      settleMs: 0,
    }
    const cells = await listDeployedBindings(deps.store, { instanceIds: input.instanceIds ?? undefined })
    const cellsOf = Map.groupBy(cells, ({ instanceId }) => instanceId)
    const instances = (await getInstances(deps.store, [...cellsOf.keys()])).filter(({ status }) => status === 'active')
    const queue = instances.values()
    const work = async () => {
      for (const instance of queue) {
        signal.throwIfAborted()
        const seen = await lookAt(deps, instance, cellsOf.get(instance.id) ?? [], signal)
        result.asked += 1
        if (seen === null) result.unreachable += 1
        const changed = await judgeTools(deps, instance, seen ?? [])
        result.changed += changed.length
        const runs = await startToolRuns(deps, instance, changed, new Date(clock.now()))
        result.started += runs.started
        if (runs.settlesInMs === null) continue
        result.unsettledInstanceIds.push(instance.id)
        result.settleMs = Math.max(result.settleMs, runs.settlesInMs)
      }
    }
    await Promise.all(Array.from({ length: SERVERS_AT_ONCE }, work))
    return result
  })
}

type Cell = { bindingId: string; platformId: string; spaceId: string; instanceId: string }

/** The cells whose header set was answered, each with the tools that came; null when no set was. */
async function lookAt(
  deps: ActivityDeps,
  instance: InstanceRecord,
  cells: readonly Cell[],
  signal: AbortSignal,
): Promise<WatchedCell[] | null> {
  const { store } = deps
  const headersOf = await headerSets(store, cells, [])
  const sets = new Map<string, { headers: Headers; cells: Cell[] }>()
  for (const cell of cells) {
    const headers = headersOf(cell)
    const digest = headerSetDigest(store.digest, headers)
    const set = sets.get(digest) ?? { headers, cells: [] }
    set.cells.push(cell)
    sets.set(digest, set)
  }
  const seen: WatchedCell[] = []
  let answered = 0
  for (const digest of await longestAgo(deps, instance.id, [...sets.keys()])) {
    const set = sets.get(digest)
    if (set === undefined) continue
    const snapshot = await ask(deps, instance, digest, set.headers, signal)
    if (snapshot === null) continue
    answered += 1
    seen.push(...set.cells.map((cell) => ({ ...cell, snapshot })))
  }
  return answered === 0 ? null : seen
}

async function longestAgo(deps: ActivityDeps, instanceId: string, digests: string[]): Promise<string[]> {
  if (digests.length <= MOST_SETS) return digests
  const seenAt = new Map<string, number>()
  for (const digest of digests) {
    seenAt.set(digest, (await getToolSnapshot(deps.store, instanceId, digest))?.seenAt.getTime() ?? 0)
  }
  return digests.toSorted((a, b) => (seenAt.get(a) ?? 0) - (seenAt.get(b) ?? 0)).slice(0, MOST_SETS)
}

/** null: it did not answer this set; that is a run's business, not the watch's. */
async function ask(
  deps: ActivityDeps,
  instance: InstanceRecord,
  headerDigest: string,
  headers: Headers,
  signal: AbortSignal,
): Promise<ToolSnapshotRecord | null> {
  try {
    const { tools } = await discoverTools({
      url: instance.url,
      transport: instance.transport,
      headers,
      egress: deps.egress,
      signal,
      timeoutMs: deps.limits.mcpTimeoutMs,
    })
    return await saveToolSnapshot(deps.store, { instanceId: instance.id, headerDigest, tools })
  } catch (thrown) {
    signal.throwIfAborted()
    const { type } = toToolferryError(thrown)
    deps.logger.info({ instanceId: instance.id, type }, 'an MCP server could not be asked whether its tools changed')
    return null
  }
}
