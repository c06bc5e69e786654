import { ToolferryError } from '../src/domain/errors.ts'
import type { TargetInput } from '../src/domain/plan.ts'
import type { TargetState } from '../src/domain/states.ts'
import { headerSetDigest, upstreamHeaders } from '../src/domain/upstream-headers.ts'
import { type BindingRecord, effectivePassThrough, getBindings } from '../src/store/bindings.ts'
import { type DeploymentRecord, getDeployments } from '../src/store/deployments.ts'
import {
  getInstances,
  getToolSnapshot,
  type Headers,
  type InstanceRecord,
  openDefaultPassThrough,
  openHeaders,
  type ToolSnapshotRecord,
} from '../src/store/instances.ts'
import { getPlatform, type PlatformRecord } from '../src/store/platforms.ts'
import { getSpace, type SpaceRecord } from '../src/store/spaces.ts'
import type { Store } from '../src/store/store.ts'
import { listTargetsForSpace, type TargetRecord } from '../src/store/sync-targets.ts'
import { type CellAuthorization, getSync, openAuthorizations, type SyncRecord } from '../src/store/syncs.ts'
import { openActiveTokens } from '../src/store/tokens.ts'
import type { ActivityDeps } from './deps.ts'

/** What one activity needs to know of one space of one run, read from the store at its beginning. */
export type SpaceWork = {
  sync: SyncRecord
  platform: PlatformRecord
  space: SpaceRecord
  /** Origin that this platform calls. */
  gatewayOrigin: string
  cells: SpaceCell[]
}

/** One target with everything around it. */
export type SpaceCell = {
  /** Names the cell towards the adapter: the binding's id, or the target's while a dry run has no binding. */
  key: string
  target: TargetRecord
  instance: InstanceRecord
  /** null only in a dry run. */
  binding: BindingRecord | null
  token: { id: string; value: string; proven: boolean; expiresAt: Date | null } | null
  deployment: DeploymentRecord | null
  /** The tools as seen with this cell's headers; null when the server could not be asked. */
  snapshot: ToolSnapshotRecord | null
}

/** States in which a target still has something to come. `skipped` is looked at again: its binding may be enabled by now. */
const OPEN_STATES: readonly TargetState[] = ['pending', 'running', 'skipped']

export async function loadSpaceWork(deps: ActivityDeps, ids: { syncId: string; spaceId: string }): Promise<SpaceWork> {
  const { store } = deps
  const sync = await getSync(store, ids.syncId)
  if (sync === null) throw new ToolferryError('TargetGone', 'The sync does not exist any more.')
  const [platform, space] = await Promise.all([getPlatform(store, sync.platformId), getSpace(store, ids.spaceId)])
  if (platform === null || space === null)
    throw new ToolferryError('TargetGone', 'The platform or the space was deleted.')
  const targets = await listTargetsForSpace(store, ids.syncId, ids.spaceId)
  return {
    sync,
    platform,
    space,
    gatewayOrigin: (platform.gatewayUrl ?? deps.publicUrl()).replace(/\/+$/, ''),
    cells: sync.hasAuthorizations
      ? overlay(await loadCells(store, targets), await openAuthorizations(store, sync.id))
      : await loadCells(store, targets),
  }
}

/** A dry run's own authorizations, which no binding holds, as if they had been applied. */
function overlay(cells: SpaceCell[], authorizations: CellAuthorization[]): SpaceCell[] {
  return cells.map((cell) => {
    const { instanceId, spaceId } = cell.target
    const given = authorizations.find((one) => one.instanceId === instanceId && one.spaceId === spaceId)
    if (given === undefined) return cell
    const token =
      given.token === undefined ? cell.token : { id: '', value: given.token, proven: false, expiresAt: null }
    if (cell.binding === null) return { ...cell, token }
    const enabled = given.enabled ?? cell.binding.enabled
    const expiresAt = given.expiresAt === undefined ? cell.binding.expiresAt : given.expiresAt
    return { ...cell, token, binding: { ...cell.binding, enabled, expiresAt } }
  })
}

export function openCells(work: SpaceWork): SpaceCell[] {
  return work.cells.filter((cell) => OPEN_STATES.includes(cell.target.state))
}

/** What was planned to be written and has not landed yet. */
export function plannedCells(work: SpaceWork): SpaceCell[] {
  return work.cells.filter((cell) => cell.target.state === 'pending' || cell.target.state === 'running')
}

/** Whether the cell may be used now. The token's own end counts like the binding's. */
export function rightOf(cell: SpaceCell, now: Date = new Date()): TargetInput['right'] {
  if (cell.binding === null) return 'granted'
  if (!cell.binding.enabled) return 'disabled'
  const ends = [cell.binding.expiresAt, cell.token?.expiresAt ?? null]
  return ends.some((end) => end !== null && end <= now) ? 'expired' : 'granted'
}

/**
 * The upstream headers of cells, by their binding; a cell without one (of a dry run) gets the instance's defaults. Answers a
 * function, since many cells share few header sets.
 */
export async function headerSets(
  store: Store,
  instanceIds: readonly string[],
  bindingIds: readonly string[],
): Promise<(instanceId: string, bindingId: string | null) => Headers> {
  const passThrough = await effectivePassThrough(store, bindingIds)
  const own = new Map<string, Headers>()
  const defaults = new Map<string, Headers>()
  for (const instanceId of new Set(instanceIds)) {
    own.set(instanceId, await openHeaders(store, instanceId))
    defaults.set(instanceId, await openDefaultPassThrough(store, instanceId))
  }
  return (instanceId, bindingId) =>
    upstreamHeaders(
      own.get(instanceId) ?? {},
      (bindingId === null ? defaults.get(instanceId) : passThrough.get(bindingId)) ?? {},
    )
}

async function loadCells(store: Store, targets: TargetRecord[]): Promise<SpaceCell[]> {
  const bindingIds = targets.flatMap((target) => (target.bindingId === null ? [] : [target.bindingId]))
  const instanceIds = targets.map((target) => target.instanceId)
  const [instances, headersOf, bindings, tokens, deployments] = await Promise.all([
    getInstances(store, instanceIds),
    headerSets(store, instanceIds, bindingIds),
    getBindings(store, bindingIds),
    openActiveTokens(store, bindingIds),
    getDeployments(store, bindingIds),
  ])
  const instanceById = new Map(instances.map((instance) => [instance.id, instance]))
  const bindingById = new Map(bindings.map((binding) => [binding.id, binding]))
  const cells: SpaceCell[] = []
  for (const target of targets) {
    const instance = instanceById.get(target.instanceId)
    if (instance === undefined) continue
    const binding = target.bindingId === null ? null : (bindingById.get(target.bindingId) ?? null)
    const token = target.bindingId === null ? undefined : tokens.get(target.bindingId)
    cells.push({
      key: binding?.id ?? target.id,
      target,
      instance,
      binding,
      token:
        token === undefined
          ? null
          : { id: token.id, value: token.secret, proven: token.provenAt !== null, expiresAt: token.expiresAt },
      deployment: target.bindingId === null ? null : (deployments.get(target.bindingId) ?? null),
      snapshot: await getToolSnapshot(
        store,
        instance.id,
        headerSetDigest(store.digest, headersOf(instance.id, target.bindingId)),
      ),
    })
  }
  return cells
}
