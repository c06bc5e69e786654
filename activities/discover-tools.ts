import { ToolferryError, toToolferryError } from '../src/domain/errors.ts'
import { headerSetDigest } from '../src/domain/upstream-headers.ts'
import { discoverTools as discover } from '../src/mcp/discover.ts'
import { getBindings } from '../src/store/bindings.ts'
import {
  getInstance,
  getToolSnapshot,
  type Headers,
  type InstanceRecord,
  saveToolSnapshot,
} from '../src/store/instances.ts'
import { listTargetsOfInstance } from '../src/store/run-targets.ts'
import { authorizationFor } from '../src/store/space-defaults.ts'
import type { Store } from '../src/store/store.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { finishOpenTargets } from '../src/store/sync-targets.ts'
import { getSync, type SyncRecord } from '../src/store/syncs.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { noteRevision } from './protocol-revisions.ts'
import { dryRunAuthorizations, headerSets, rightOf, rightWith } from './space-work.ts'

/** Every workspace may have headers of its own: a thousand of them, one after the other, would take longer than the activity may. */
const SETS_AT_ONCE = 8

type HeaderSet = { headers: Headers; targetIds: string[] }

/**
 * Asks one MCP server for all its tools, once for every distinct set of effective upstream headers in this run: servers may
 * answer differently by tenant, and one tenant's wrong header is not another's failure. A set that this run has asked
 * already is not asked again after a retry.
 */
export async function discoverTools(
  deps: ActivityDeps,
  input: { syncId: string; instanceId: string },
): Promise<{ headerSets: number; tools: number }> {
  return await inActivity(deps.logger, input, async (signal) => {
    const { store } = deps
    const { sync, instance } = await loadBoth(store, input)
    // Its targets are skipped by the plan.
    if (instance.status === 'removing') return { headerSets: 0, tools: 0 }
    if (instance.status !== 'active') {
      throw new ToolferryError(
        'InvalidDesiredState',
        `«${instance.name}» is ${instance.status}: activate it, then sync again.`,
      )
    }
    const sets = await unseenSets(store, sync, instance)
    const later: unknown[] = []
    let tools = 0
    const ask = async (headerDigest: string, { headers, targetIds }: HeaderSet) => {
      try {
        const found = await discover({
          url: instance.url,
          transport: instance.transport,
          headers,
          egress: deps.egress,
          signal,
          timeoutMs: deps.limits.mcpTimeoutMs,
        })
        // The proofs of its tokens ask the gateway the same way.
        noteRevision(deps, instance.id, found.protocolVersion)
        await saveToolSnapshot(store, { instanceId: instance.id, headerDigest, tools: found.tools })
        tools = Math.max(tools, found.tools.length)
      } catch (thrown) {
        const error = toToolferryError(thrown)
        if (signal.aborted || error.facts.retryable || error.type === 'Bug') later.push(thrown)
        else await failSet(store, input, targetIds, error)
      }
    }
    const queue = sets.entries()
    const askOn = async () => {
      for (const [headerDigest, set] of queue) {
        if (signal.aborted) return
        await ask(headerDigest, set).catch((error: unknown) => later.push(error))
      }
    }
    await Promise.all(Array.from({ length: SETS_AT_ONCE }, askOn))
    signal.throwIfAborted()
    if (later.length > 0) throw later[0]
    return { headerSets: sets.size, tools }
  })
}

/** The server was given up: the targets whose header set it never answered end here. */
export async function failInstance(
  deps: ActivityDeps,
  input: { syncId: string; instanceId: string; type: string; message: string },
): Promise<void> {
  const { syncId, instanceId, type, message } = input
  await inActivity(deps.logger, { syncId, instanceId }, async () => {
    const { sync, instance } = await loadBoth(deps.store, input).catch(() => ({ sync: null, instance: null }))
    if (sync === null) return await failSet(deps.store, input, undefined, { type, message })
    for (const { targetIds } of (await unseenSets(deps.store, sync, instance)).values()) {
      await failSet(deps.store, input, targetIds, { type, message })
    }
  })
}

async function failSet(
  store: Store,
  input: { syncId: string; instanceId: string },
  targetIds: readonly string[] | undefined,
  error: { type: string; message: string },
): Promise<void> {
  const { syncId, instanceId } = input
  const which = targetIds === undefined ? { instanceId } : { targetIds }
  await finishOpenTargets(store, syncId, which, 'failed', { type: error.type, message: error.message })
  await appendSyncEvent(store, syncId, 'instance', { instanceId, state: 'failed', errorType: error.type })
}

async function loadBoth(
  store: Store,
  input: { syncId: string; instanceId: string },
): Promise<{ sync: SyncRecord; instance: InstanceRecord }> {
  const [sync, instance] = await Promise.all([getSync(store, input.syncId), getInstance(store, input.instanceId)])
  if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
  if (instance === null) throw new ToolferryError('TargetGone', 'The MCP server was deleted.')
  return { sync, instance }
}

/** The header sets of this run's targets that may be used, by digest, without those that this run has asked already. */
async function unseenSets(store: Store, sync: SyncRecord, instance: InstanceRecord): Promise<Map<string, HeaderSet>> {
  const targets = await listTargetsOfInstance(store, sync.id, instance.id)
  const authorizations = await dryRunAuthorizations(store, sync)
  const headersOf = await headerSets(store, targets, authorizations)
  const bindings = await getBindings(
    store,
    targets.flatMap((target) => target.bindingId ?? []),
  )
  const bindingById = new Map(bindings.map((binding) => [binding.id, binding]))
  const sets = new Map<string, HeaderSet>()
  for (const target of targets) {
    const bound = target.bindingId === null ? undefined : bindingById.get(target.bindingId)
    const right = rightWith(bound ?? { enabled: true, expiresAt: null }, authorizationFor(target, authorizations))
    if (rightOf({ right, token: null }) !== 'granted') continue
    const headers = headersOf(target)
    const digest = headerSetDigest(store.digest, headers)
    const set = sets.get(digest) ?? { headers, targetIds: [] }
    set.targetIds.push(target.id)
    sets.set(digest, set)
  }
  // Since a worker began with the run: the time of its creation is of the API's clock, the snapshot's is of a worker's.
  const since = sync.startedAt ?? sync.createdAt
  for (const digest of [...sets.keys()]) {
    const seen = await getToolSnapshot(store, instance.id, digest)
    if (seen !== null && seen.seenAt >= since) sets.delete(digest)
  }
  return sets
}
