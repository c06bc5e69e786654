import { ToolferryError } from '../src/domain/errors.ts'
import { headerSetDigest } from '../src/domain/upstream-headers.ts'
import { discoverTools as discover } from '../src/mcp/discover.ts'
import { getInstance, getToolSnapshot, type Headers, saveToolSnapshot } from '../src/store/instances.ts'
import { listTargetsOfInstance } from '../src/store/sync-targets.ts'
import { getSync } from '../src/store/syncs.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { headerSets } from './space-work.ts'

/**
 * Asks one MCP server for all its tools, once for every distinct set of effective upstream headers in this run: servers may
 * answer differently by tenant. A set that this run has asked already is not asked again after a retry.
 */
export async function discoverTools(
  deps: ActivityDeps,
  input: { syncId: string; instanceId: string },
): Promise<{ headerSets: number; tools: number }> {
  return await inActivity(deps.logger, input, async (signal) => {
    const { store } = deps
    const [sync, instance] = await Promise.all([getSync(store, input.syncId), getInstance(store, input.instanceId)])
    if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
    if (instance === null) throw new ToolferryError('TargetGone', 'The MCP server was deleted.')
    if (instance.status !== 'active') {
      throw new ToolferryError(
        'InvalidDesiredState',
        `«${instance.name}» is ${instance.status}: activate it, then sync again.`,
      )
    }

    const targets = await listTargetsOfInstance(store, input.syncId, input.instanceId)
    const bindingIds = targets.flatMap((target) => (target.bindingId === null ? [] : [target.bindingId]))
    const headersOf = await headerSets(store, [input.instanceId], bindingIds)
    const sets = new Map<string, Headers>()
    for (const target of targets) {
      const headers = headersOf(input.instanceId, target.bindingId)
      sets.set(headerSetDigest(store.digest, headers), headers)
    }

    let tools = 0
    for (const [headerDigest, headers] of sets) {
      const seen = await getToolSnapshot(store, input.instanceId, headerDigest)
      if (seen !== null && seen.seenAt >= sync.createdAt) {
        tools = Math.max(tools, seen.toolCount)
        continue
      }
      const found = await discover({
        url: instance.url,
        transport: instance.transport,
        headers,
        egress: deps.egress,
        signal,
        timeoutMs: deps.limits.mcpTimeoutMs,
      })
      await saveToolSnapshot(store, { instanceId: input.instanceId, headerDigest, tools: found.tools })
      tools = Math.max(tools, found.tools.length)
    }
    return { headerSets: sets.size, tools }
  })
}
