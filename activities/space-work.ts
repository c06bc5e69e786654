import { ToolferryError } from '../src/domain/errors.ts'
import type { TargetInput } from '../src/domain/plan.ts'
import type { TargetState } from '../src/domain/states.ts'
import { headerSetDigest, upstreamHeaders } from '../src/domain/upstream-headers.ts'
import { type BindingRecord, type OpenedBinding, openBindings } from '../src/store/bindings.ts'
import { type DeploymentRecord, getDeployments } from '../src/store/deployments.ts'
import {
  type Headers,
  type InstanceRecord,
  type OpenedInstance,
  openInstances,
  type ToolSnapshotRecord,
} from '../src/store/instances.ts'
import { getPlatform, type PlatformRecord } from '../src/store/platforms.ts'
import { getToolSnapshots } from '../src/store/snapshot-cache.ts'
import { authorizationFor } from '../src/store/space-defaults.ts'
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
  right: AccessRight
  token: CellToken | null
  deployment: DeploymentRecord | null
  /** The tools as seen with this cell's headers; null when the server could not be asked. */
  snapshot: ToolSnapshotRecord | null
  /** Keyed digest of all that decides how the object shall look: another one means that something changed. */
  wantedDigest: string
}

export type AccessRight = {
  enabled: boolean
  expiresAt: Date | null
  /** Its instance or its platform is being deleted: it is only removed any more. */
  deleting?: boolean
}

export type CellToken = {
  id: string
  value: string
  proven: boolean
  expiresAt: Date | null
  origin: 'minted' | 'custom'
  createdAt: Date
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
  const surroundings = surroundingsOf(platform, deps.publicUrl())
  return {
    sync,
    platform,
    space,
    gatewayOrigin,
    cells: await loadCells(store, { platform, space }, targets, await dryRunAuthorizations(store, sync), surroundings),
  }
}

type Surroundings = readonly (string | number)[]

/** What decides for every cell of a platform alike. */
export function surroundingsOf(platform: PlatformRecord, publicUrl: string): Surroundings {
  const gatewayOrigin = (platform.gatewayUrl ?? publicUrl).replace(/\/+$/, '')
  return [gatewayOrigin, platform.rowVersion, platform.credentialVersion]
}

/** Keyed digest of all that decides how a cell's object shall look. */
export function wantedDigestOf(
  store: Pick<Store, 'digest'>,
  parts: {
    instance: Pick<InstanceRecord, 'id' | 'rowVersion'>
    binding: Pick<BindingRecord, 'rowVersion'> | null
    snapshot: Pick<ToolSnapshotRecord, 'hash'> | null
    token: { id: string } | undefined
    surroundings: Surroundings
  },
): string {
  const { instance, binding, snapshot, token, surroundings } = parts
  const wanted = [instance.id, instance.rowVersion, binding?.rowVersion, snapshot?.hash, token?.id, ...surroundings]
  return store.digest(JSON.stringify(wanted))
}

/** What a dry run was given per cell, which no binding holds; a real run has none left, it has applied them. */
export async function dryRunAuthorizations(store: Store, sync: SyncRecord): Promise<CellAuthorization[]> {
  return sync.hasAuthorizations ? await openAuthorizations(store, sync.id) : []
}

/** A dry run's cell as if its authorization had been applied. */
function overlay(cell: SpaceCell, given: CellAuthorization): SpaceCell {
  const token: CellToken | null =
    given.token === undefined
      ? cell.token
      : { id: '', value: given.token, proven: false, expiresAt: null, origin: 'custom', createdAt: new Date() }
  return { ...cell, token, right: rightWith(cell.right, given) }
}

/** What a binding says of access, or in a dry run would say. */
export function rightWith(right: AccessRight, given: CellAuthorization | undefined): AccessRight {
  if (given === undefined) return right
  const expiresAt = given.expiresAt === undefined ? right.expiresAt : given.expiresAt
  return { ...right, enabled: given.enabled ?? right.enabled, expiresAt }
}

export function openCells(work: SpaceWork): SpaceCell[] {
  return work.cells.filter((cell) => OPEN_STATES.includes(cell.target.state))
}

/** What was planned to be written and has not landed yet. */
export function plannedCells(work: SpaceWork): SpaceCell[] {
  return work.cells.filter((cell) => cell.target.state === 'pending' || cell.target.state === 'running')
}

/** Whether the run takes the cell's object away: all that it is about, or what a mirror does not select. */
export function isRemoval({ sync }: Pick<SpaceWork, 'sync'>, { target }: Pick<SpaceCell, 'target'>): boolean {
  return sync.action === 'remove' || target.removes
}

/** Whether the cell may be used now. The token's own end counts like the binding's. */
export function rightOf(cell: Pick<SpaceCell, 'right' | 'token'>, now: Date = new Date()): TargetInput['right'] {
  if (cell.right.deleting === true) return 'deleting'
  if (!cell.right.enabled) return 'disabled'
  const ends = [cell.right.expiresAt, cell.token?.expiresAt ?? null]
  return ends.some((end) => end !== null && end <= now) ? 'expired' : 'granted'
}

/** Whether this run gives the cell's object a second token: it has one of ours, and its token is from before the run's line. */
export function isRotationDue({ sync }: Pick<SpaceWork, 'sync'>, cell: SpaceCell): boolean {
  const { rotate } = sync.selection
  if (rotate === undefined || rotate.before === null || cell.token === null) return false
  if (cell.deployment?.ownership == null) return false
  if (rotate.by === 'age' && cell.token.origin === 'custom') return false
  return cell.token.createdAt < new Date(rotate.before)
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
  const [bindings, instances] = await Promise.all([
    openBindings(store, idsOf(targets)),
    openInstances(
      store,
      targets.map((target) => target.instanceId),
    ),
  ])
  return headersFrom(bindings, instances, authorizations)
}

function headersFrom(
  bindings: ReadonlyMap<string, OpenedBinding>,
  instances: ReadonlyMap<string, OpenedInstance>,
  authorizations: readonly CellAuthorization[],
): (cell: CellKey) => Headers {
  return (cell) => {
    const instance = instances.get(cell.instanceId)
    const given = authorizationFor(cell, authorizations)?.passThroughHeaders
    const bound = cell.bindingId === null ? undefined : bindings.get(cell.bindingId)?.ownPassThrough
    const inherited = instance?.defaultPassThrough ?? {}
    return upstreamHeaders(instance?.own ?? {}, given === undefined ? (bound ?? inherited) : (given ?? inherited))
  }
}

function withoutHeaders(opened: OpenedBinding | undefined): BindingRecord | null {
  if (opened === undefined) return null
  const { ownPassThrough: _headers, ...binding } = opened
  return binding
}

function idsOf(targets: readonly CellKey[]): string[] {
  return targets.flatMap((target) => (target.bindingId === null ? [] : [target.bindingId]))
}

async function loadCells(
  store: Store,
  place: { platform: PlatformRecord; space: SpaceRecord },
  targets: TargetRecord[],
  authorizations: readonly CellAuthorization[],
  surroundings: Surroundings,
): Promise<SpaceCell[]> {
  const bindingIds = idsOf(targets)
  const instanceIds = targets.map((target) => target.instanceId)
  const [instanceById, bindingById, tokens, deployments] = await Promise.all([
    openInstances(store, instanceIds),
    openBindings(store, bindingIds),
    openActiveTokens(store, bindingIds),
    getDeployments(store, bindingIds),
  ])
  const headersOf = headersFrom(bindingById, instanceById, authorizations)
  const keyOf = (target: TargetRecord) => ({
    instanceId: target.instanceId,
    headerDigest: headerSetDigest(store.digest, headersOf(target)),
  })
  const keys = new Map(targets.map((target) => [target.id, keyOf(target)]))
  const snapshotOf = await getToolSnapshots(store, [...keys.values()])
  const cells: SpaceCell[] = []
  for (const target of targets) {
    const key = keys.get(target.id)
    const opened = instanceById.get(target.instanceId)
    if (opened === undefined) continue
    // Only the headers' digest goes on from here.
    const { own: _own, defaultPassThrough: _defaults, ...instance } = opened
    const binding = target.bindingId === null ? null : withoutHeaders(bindingById.get(target.bindingId))
    const token = target.bindingId === null ? undefined : tokens.get(target.bindingId)
    const given = authorizationFor(target, authorizations)
    const snapshot = key === undefined ? null : snapshotOf(key)
    const cell: SpaceCell = {
      key: binding?.id ?? target.id,
      target,
      instance,
      binding,
      right: {
        enabled: binding?.enabled ?? place.space.disabledAt === null,
        expiresAt: binding?.expiresAt ?? null,
        deleting: instance.status === 'removing' || place.platform.status === 'removing',
      },
      token:
        token === undefined
          ? null
          : {
              id: token.id,
              value: token.secret,
              proven: token.provenAt !== null,
              expiresAt: token.expiresAt,
              origin: token.origin,
              createdAt: token.createdAt,
            },
      deployment: target.bindingId === null ? null : (deployments.get(target.bindingId) ?? null),
      snapshot,
      wantedDigest: wantedDigestOf(store, { instance, binding, snapshot, token, surroundings }),
    }
    cells.push(given === undefined ? cell : overlay(cell, given))
  }
  return cells
}
