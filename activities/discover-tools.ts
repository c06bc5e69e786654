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
import { GivenUp, inActivity } from './in-activity.ts'
import { noteRevision } from './protocol-revisions.ts'
import { dryRunAuthorizations, headerSets, rightOf, rightWith } from './space-work.ts'

/** Every workspace may have headers of its own: a thousand of them, one after the other, would take longer than the activity may. */
const SETS_AT_ONCE = 8

/** Attempts that an MCP server may fail. */
const SERVER_ATTEMPTS = 4

type HeaderSet = { headers: Headers; targetIds: string[] }

/**
 * Asks one MCP server for all its tools, once for every distinct set of effective upstream headers in this run: servers may
 * answer differently by tenant, and one tenant's wrong header is not another's failure. A set that this run has asked
 * already is not asked again after a retry. A server that stays away is given up soon; while our own store is away the
 * activity is tried as long as every other one.
 */
export async function discoverTools(
  deps: ActivityDeps,
  input: { syncId: string; instanceId: string },
): Promise<{ headerSets: number; tools: number }> {
  return await inActivity(deps.logger, input, async (signal, known) => {
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
    const failures = Number(known.value ?? 0)
    const isLast = failures + 1 >= SERVER_ATTEMPTS
    /** What another attempt may mend: of the server, and of our own store. */
    const away: unknown[] = []
    const lost: unknown[] = []
    let tools = 0
    const isAway = (thrown: unknown) => {
      // Known at once: an attempt that takes too long does not come to its end.
      if (away.push(thrown) === 1) known.keep(failures + 1)
    }
    const ask = async (headerDigest: string, { headers, targetIds }: HeaderSet) => {
      let isAnswered = false
      try {
        const found = await discover({
          url: instance.url,
          transport: instance.transport,
          headers,
          egress: deps.egress,
          signal,
          timeoutMs: deps.limits.mcpTimeoutMs,
        })
        isAnswered = true
        // The proofs of its tokens ask the gateway the same way.
        noteRevision(deps, instance.id, found.protocolVersion)
        await saveToolSnapshot(store, { instanceId: instance.id, headerDigest, tools: found.tools })
        tools = Math.max(tools, found.tools.length)
      } catch (thrown) {
        const error = toToolferryError(thrown)
        if (!signal.aborted && !error.facts.retryable && error.type !== 'Bug') {
          await failSet(store, input, targetIds, error)
        } else if (isAnswered) lost.push(thrown)
        else isAway(thrown)
      }
    }
    const queue = sets.entries()
    const askOn = async () => {
      for (const [headerDigest, set] of queue) {
        // What answers at all has answered before.
        if (signal.aborted || (isLast && away.length >= SETS_AT_ONCE)) return
        await ask(headerDigest, set).catch((error: unknown) => lost.push(error))
      }
    }
    await Promise.all(Array.from({ length: SETS_AT_ONCE }, askOn))
    signal.throwIfAborted()
    if (lost.length > 0) throw lost[0]
    if (away.length > 0) throw isLast ? new GivenUp(away[0]) : away[0]
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
    const { sync, instance } = await loadBoth(deps.store, input).catch((thrown: unknown) => {
      if (toToolferryError(thrown).type !== 'TargetGone') throw thrown
      return { sync: null, instance: null }
    })
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
