import { ToolferryError } from '../src/domain/errors.ts'
import type { TargetInput } from '../src/domain/plan.ts'
import type { TargetState } from '../src/domain/states.ts'
import { headerSetDigest, upstreamHeaders } from '../src/domain/upstream-headers.ts'
import { type BindingRecord, effectivePassThrough, getBindings } from '../src/store/bindings.ts'
import { type DeploymentRecord, getDeployments } from '../src/store/deployments.ts'
import {
  getInstances,
  type Headers,
  type InstanceRecord,
  openInstanceHeaders,
  type ToolSnapshotRecord,
} from '../src/store/instances.ts'
import { getPlatform, type PlatformRecord } from '../src/store/platforms.ts'
import { getToolSnapshots } from '../src/store/snapshot-cache.ts'
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
  /** What the binding says of access, or in a dry run would say. */
  right: { enabled: boolean; expiresAt: Date | null }
  token: { id: string; value: string; proven: boolean; expiresAt: Date | null } | null
  deployment: DeploymentRecord | null
  /** The tools as seen with this cell's headers; null when the server could not be asked. */
  snapshot: ToolSnapshotRecord | null
  /** Keyed digest of all that decides how the object shall look: another one means that something changed. */
  wantedDigest: string
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
  const gatewayOrigin = (platform.gatewayUrl ?? deps.publicUrl()).replace(/\/+$/, '')
  const surroundings = [gatewayOrigin, platform.rowVersion, platform.credentialVersion]
  return {
    sync,
    platform,
    space,
    gatewayOrigin,
    cells: await loadCells(store, targets, await dryRunAuthorizations(store, sync), surroundings),
  }
}

/** What a dry run was given per cell, which no binding holds; a real run has none left, it has applied them. */
export async function dryRunAuthorizations(store: Store, sync: SyncRecord): Promise<CellAuthorization[]> {
  return sync.hasAuthorizations ? await openAuthorizations(store, sync.id) : []
}

/** A dry run's cell as if its authorization had been applied. */
function overlay(cell: SpaceCell, given: CellAuthorization): SpaceCell {
  const token = given.token === undefined ? cell.token : { id: '', value: given.token, proven: false, expiresAt: null }
  const enabled = given.enabled ?? cell.binding?.enabled ?? true
  const expiresAt = given.expiresAt === undefined ? (cell.binding?.expiresAt ?? null) : given.expiresAt
  return { ...cell, token, right: { enabled, expiresAt } }
}

export function openCells(work: SpaceWork): SpaceCell[] {
  return work.cells.filter((cell) => OPEN_STATES.includes(cell.target.state))
}

/** What was planned to be written and has not landed yet. */
export function plannedCells(work: SpaceWork): SpaceCell[] {
  return work.cells.filter((cell) => cell.target.state === 'pending' || cell.target.state === 'running')
}

/** Whether the cell may be used now. The token's own end counts like the binding's. */
export function rightOf(cell: Pick<SpaceCell, 'right' | 'token'>, now: Date = new Date()): TargetInput['right'] {
  if (!cell.right.enabled) return 'disabled'
  const ends = [cell.right.expiresAt, cell.token?.expiresAt ?? null]
  return ends.some((end) => end !== null && end <= now) ? 'expired' : 'granted'
}

type CellKey = { instanceId: string; spaceId: string; bindingId: string | null }

/**
 * The upstream headers of cells: of a dry run's authorization, else of the binding, else the instance's defaults. Answers a
 * function, since many cells share few header sets.
 */
export async function headerSets(
  store: Store,
  targets: readonly CellKey[],
  authorizations: readonly CellAuthorization[],
): Promise<(cell: CellKey) => Headers> {
  const bindingIds = targets.flatMap((target) => (target.bindingId === null ? [] : [target.bindingId]))
  const passThrough = await effectivePassThrough(store, bindingIds)
  const headers = await openInstanceHeaders(
    store,
    targets.map((target) => target.instanceId),
  )
  return (cell) => {
    const instance = headers.get(cell.instanceId)
    const given = authorizationFor(cell, authorizations)?.passThroughHeaders
    const bound = cell.bindingId === null ? undefined : passThrough.get(cell.bindingId)
    const inherited = instance?.defaultPassThrough ?? {}
    return upstreamHeaders(instance?.own ?? {}, given === undefined ? (bound ?? inherited) : (given ?? inherited))
  }
}

function authorizationFor(cell: CellKey, authorizations: readonly CellAuthorization[]): CellAuthorization | undefined {
  return authorizations.find((one) => one.instanceId === cell.instanceId && one.spaceId === cell.spaceId)
}

async function loadCells(
  store: Store,
  targets: TargetRecord[],
  authorizations: readonly CellAuthorization[],
  /** What decides for every cell of the space alike. */
  surroundings: readonly (string | number)[],
): Promise<SpaceCell[]> {
  const bindingIds = targets.flatMap((target) => (target.bindingId === null ? [] : [target.bindingId]))
  const instanceIds = targets.map((target) => target.instanceId)
  const [instances, headersOf, bindings, tokens, deployments] = await Promise.all([
    getInstances(store, instanceIds),
    headerSets(store, targets, authorizations),
    getBindings(store, bindingIds),
    openActiveTokens(store, bindingIds),
    getDeployments(store, bindingIds),
  ])
  const instanceById = new Map(instances.map((instance) => [instance.id, instance]))
  const bindingById = new Map(bindings.map((binding) => [binding.id, binding]))
  const keyOf = (target: TargetRecord) => ({
    instanceId: target.instanceId,
    headerDigest: headerSetDigest(store.digest, headersOf(target)),
  })
  const keys = new Map(targets.map((target) => [target.id, keyOf(target)]))
  const snapshotOf = await getToolSnapshots(store, [...keys.values()])
  const cells: SpaceCell[] = []
  for (const target of targets) {
    const key = keys.get(target.id)
    const instance = instanceById.get(target.instanceId)
    if (instance === undefined) continue
    const binding = target.bindingId === null ? null : (bindingById.get(target.bindingId) ?? null)
    const token = target.bindingId === null ? undefined : tokens.get(target.bindingId)
    const given = authorizationFor(target, authorizations)
    const snapshot = key === undefined ? null : snapshotOf(key)
    const wanted = [instance.id, instance.rowVersion, binding?.rowVersion, snapshot?.hash, token?.id, ...surroundings]
    const cell: SpaceCell = {
      key: binding?.id ?? target.id,
      target,
      instance,
      binding,
      right: { enabled: binding?.enabled ?? true, expiresAt: binding?.expiresAt ?? null },
      token:
        token === undefined
          ? null
          : { id: token.id, value: token.secret, proven: token.provenAt !== null, expiresAt: token.expiresAt },
      deployment: target.bindingId === null ? null : (deployments.get(target.bindingId) ?? null),
      snapshot,
      wantedDigest: store.digest(JSON.stringify(wanted)),
    }
    cells.push(given === undefined ? cell : overlay(cell, given))
  }
  return cells
}
