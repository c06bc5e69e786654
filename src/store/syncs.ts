import { newId } from '../domain/ids.ts'
import {
  type CLOSED_SYNC_STATES,
  emptyCounts,
  OPEN_SYNC_STATES,
  type SyncPhase,
  type SyncState,
  type TargetCounts,
} from '../domain/states.ts'
import { type Cell, ensureBindingsIn, updateBindingIn } from './bindings.ts'
import type { Tx } from './client.ts'
import { beforeId, clip, type Page, type PageRequest, pageSize, parseJson, toPage } from './columns.ts'
import { NotFoundError, TokenInUseError } from './errors.ts'
import type { Sync } from './generated/sqlite/client.ts'
import { findIdempotent, type Idempotency, rememberIdempotent } from './idempotency.ts'
import type { Headers } from './instances.ts'
import { bumpRevision } from './revision.ts'
import { tellOfEnd, tellOfWaiting } from './run-notices.ts'
import { applySpaceDefaults, EVERY_SPACE, type SpaceDefault, spaceDefaults } from './space-defaults.ts'
import type { Store } from './store.ts'
import { setCustomTokenIn } from './tokens.ts'
import { isUniqueViolation } from './transaction.ts'
import { places } from './update-each.ts'

export type SyncAction = 'sync' | 'remove'
export type WritePolicy = 'upsert-only' | 'create-only' | 'mirror'
export type Selection = {
  instanceIds: string[]
  spaceIds: string[] | 'all'
  /** The run replaces tokens, too. */
  rotate?: Rotation
}

/** Which tokens a run replaces. Without a profile the run is about those alone, and about nothing else of its selection. */
export type Rotation = {
  /** By age: tokens of ours only; the admin's own are left to the admin. */
  by: 'hand' | 'age'
  /** ISO time: tokens made before it are replaced. null: none is; the admin's own took its place when the run was made. */
  before: string | null
  /** Only these bindings of the selection. */
  bindingIds?: string[]
  /** For the tokens that are replaced; absent: as the installation says. 0: they end as soon as the platform holds the new one. */
  graceSeconds?: number
}

/** What the admin decides for one cell, or (space "all", and then no token) for an instance's others. Absent: unchanged. */
export type CellAuthorization = Cell & {
  token?: string
  expiresAt?: Date | null
  passThroughHeaders?: Headers | null
  enabled?: boolean
}

export type SyncRecord = {
  id: string
  platformId: string
  profileId: string | null
  name: string
  action: SyncAction
  state: SyncState
  phase: SyncPhase
  selection: Selection
  hasAuthorizations: boolean
  writePolicy: WritePolicy
  dryRun: boolean
  acceptWarnings: boolean
  /** A mirror may remove more than half of what stands there. */
  confirmPrune: boolean
  retryOf: string | null
  planOf: string | null
  workflowId: string
  /** Started by a schedule: its workflow has a name of its own, and unchanged targets are counted, not kept. */
  scheduled: boolean
  runId: string | null
  counts: TargetCounts
  warnings: string[]
  errorType: string | null
  errorMessage: string | null
  pauseRequested: boolean
  cancelRequested: boolean
  requestedBy: string
  eventSeq: number
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

export type NewSync = {
  platformId: string
  profileId?: string | null
  name: string
  action?: SyncAction
  selection: Selection
  writePolicy?: WritePolicy
  dryRun?: boolean
  acceptWarnings?: boolean
  confirmPrune?: boolean
  retryOf?: string | null
  planOf?: string | null
  /** Default `sync-<id>`. A second Sync of the same workflow is the first one. */
  workflowId?: string
  requestedBy: string
  /** A real run applies them to its bindings now; a dry run keeps them, sealed. */
  authorizations?: readonly CellAuthorization[]
}

const TABLE = 'Sync'
const COLUMN = 'sealedAuthorizations'
const OPEN = { in: [...OPEN_SYNC_STATES] }

/**
 * Writes the Sync, its authorizations and its idempotency key in one transaction. `created` is false when the key or the
 * workflow made one before: then that one is answered and nothing changes. Throws IdempotencyKeyReusedError,
 * TokenInUseError, InvalidDesiredState (field token), NotFoundError for unknown cells.
 */
export async function createSync(
  store: Store,
  input: NewSync,
  idempotency: Idempotency | null = null,
): Promise<{ sync: SyncRecord; created: boolean }> {
  try {
    const defaults = await spaceDefaults(store, input)
    return await store.write((tx) => createSyncIn(store, tx, input, idempotency, defaults))
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    // Another process was faster with this key or workflow; else it is a token that somebody took meanwhile.
    const earlier = await store.write((tx) => findEarlier(tx, input.workflowId ?? null, idempotency))
    if (earlier === null) throw new TokenInUseError()
    return { sync: toSync(earlier), created: false }
  }
}

export async function getSync(store: Store, id: string): Promise<SyncRecord | null> {
  const [row] = await store.db.findRows('Sync', { id })
  return row === undefined ? null : toSync(row)
}

export async function getSyncByWorkflowId(store: Store, workflowId: string): Promise<SyncRecord | null> {
  const row = await store.db.sync.findUnique({ where: { workflowId } })
  return row === null ? null : toSync(row)
}

/** The newest first. */
export async function listSyncs(
  store: Store,
  request: PageRequest & {
    state?: SyncState | undefined
    platformId?: string | undefined
    profileId?: string | undefined
  } = {},
): Promise<Page<SyncRecord>> {
  const size = pageSize(request)
  const { state, platformId, profileId } = request
  const rows = await store.db.sync.findMany({
    where: {
      ...beforeId(request.cursor),
      ...(state === undefined ? {} : { state }),
      ...(platformId === undefined ? {} : { platformId }),
      ...(profileId === undefined ? {} : { profileId }),
    },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toSync)
}

/** Every open run, the oldest first: what the reconciler and the space switch walk. */
export async function listOpenSyncs(store: Store, filter: { platformId?: string } = {}): Promise<SyncRecord[]> {
  const rows = await store.db.sync.findMany({ where: { state: OPEN, ...filter }, orderBy: { id: 'asc' } })
  return rows.map(toSync)
}

/** The runs whose workflow has this name, or this name and a number after it. */
export async function listSyncsOfWorkflow(store: Store, workflowId: string): Promise<SyncRecord[]> {
  const rows = await store.db.sync.findMany({
    where: { OR: [{ workflowId }, { workflowId: { startsWith: `${workflowId}-` } }] },
  })
  return rows.map(toSync)
}

/** The run of a profile that is still going on, or null. */
export async function findOpenSyncOfProfile(store: Store, profileId: string): Promise<SyncRecord | null> {
  const row = await store.db.sync.findFirst({ where: { state: OPEN, profileId } })
  return row === null ? null : toSync(row)
}

/** A dry run's authorizations in the clear, for applying its plan. */
export async function openAuthorizations(store: Store, syncId: string): Promise<CellAuthorization[]> {
  const row = await store.db.sync.findUnique({ where: { id: syncId }, select: { sealedAuthorizations: true } })
  if (row === null) throw new NotFoundError('The sync')
  if (row.sealedAuthorizations === null) return []
  type Stored = Omit<CellAuthorization, 'expiresAt'> & { expiresAt?: string | null }
  const text = store.sealer.open({ table: TABLE, column: COLUMN, rowId: syncId }, row.sealedAuthorizations)
  return parseJson<Stored[]>(text).map(({ expiresAt, ...rest }) => ({
    ...rest,
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt === null ? null : new Date(expiresAt) }),
  }))
}

export type SyncProgress = {
  /** An open state; closing is finishSync. */
  state?: 'queued' | 'running' | 'paused' | 'waiting_for_credential'
  phase?: SyncPhase
  runId?: string
  counts?: TargetCounts
  warnings?: string[]
  startedAt?: Date
}

/** False, and nothing changed, when the run is closed or unknown. The first `running` sets its start; a run that begins to wait is told of. */
export async function updateSync(store: Store, id: string, progress: SyncProgress): Promise<boolean> {
  const { counts, warnings, ...plain } = progress
  return store.write(
    async (tx) => {
      if (progress.state === 'running') {
        await tx.sync.updateMany({
          where: { id, state: OPEN, startedAt: null },
          data: { startedAt: progress.startedAt ?? new Date() },
        })
      }
      const waits = progress.state === 'waiting_for_credential'
      const before = waits ? await tx.sync.findUnique({ where: { id }, select: { state: true } }) : null
      const changed = await tx.sync.updateMany({
        where: { id, state: OPEN },
        data: {
          ...plain,
          ...(counts === undefined ? {} : { counts: JSON.stringify(counts) }),
          ...(warnings === undefined ? {} : { warnings: JSON.stringify(warnings) }),
        },
      })
      if (waits && changed.count > 0 && before?.state !== progress.state) await tellOfWaiting(tx, id)
      return changed.count > 0
    },
    { shared: progress.state === undefined },
  )
}

/** Shows the phase, unless it is shown already. `seen`: the run as it was read a moment ago. */
export async function enterPhase(
  store: Store,
  seen: Pick<SyncRecord, 'id' | 'phase'>,
  phase: SyncPhase,
): Promise<void> {
  if (seen.phase === phase) return
  const sql = `UPDATE \`Sync\` SET \`phase\` = ? WHERE \`id\` = ? AND \`state\` IN (${places(OPEN.in)})`
  await store.write((tx) => tx.$executeRawUnsafe(sql, phase, seen.id, ...OPEN.in), { shared: true })
}

export async function isPauseRequested(store: Store, id: string): Promise<boolean> {
  const [row] = await store.db.findRows('Sync', { id }, { columns: ['pauseRequested'] })
  return row?.pauseRequested === true
}

/** Adds warnings that are not there yet. */
export async function addSyncWarnings(store: Store, id: string, warnings: readonly string[]): Promise<void> {
  if (warnings.length === 0) return
  await store.write(async (tx) => {
    const row = await tx.sync.findUnique({ where: { id }, select: { warnings: true } })
    if (row === null) return
    const all = new Set([...parseJson<string[]>(row.warnings), ...warnings])
    await tx.sync.updateMany({ where: { id }, data: { warnings: JSON.stringify([...all]) } })
  })
}

export type SyncOutcome = {
  state: (typeof CLOSED_SYNC_STATES)[number]
  counts?: TargetCounts
  errorType?: string | null
  errorMessage?: string | null
}

/** Closes the run, and tells of it. False when it was closed before: then it stands as it was closed. */
export async function finishSync(store: Store, id: string, outcome: SyncOutcome): Promise<boolean> {
  return await store.write((tx) => finishSyncIn(tx, id, outcome))
}

/** As `finishSync`, within a transaction. */
export async function finishSyncIn(tx: Tx, id: string, outcome: SyncOutcome): Promise<boolean> {
  const changed = await tx.sync.updateMany({
    where: { id, state: OPEN },
    data: {
      state: outcome.state,
      phase: 'done',
      ...(outcome.counts === undefined ? {} : { counts: JSON.stringify(outcome.counts) }),
      errorType: outcome.errorType ?? null,
      errorMessage:
        outcome.errorMessage === undefined || outcome.errorMessage === null ? null : clip(outcome.errorMessage, 4000),
      finishedAt: new Date(),
    },
  })
  if (changed.count > 0) await tellOfEnd(tx, id)
  return changed.count > 0
}

/** What the admin wants of the open run. False when it is closed. */
export async function requestPause(store: Store, id: string, pause: boolean): Promise<boolean> {
  const changed = await store.write((tx) =>
    tx.sync.updateMany({ where: { id, state: OPEN }, data: { pauseRequested: pause } }),
  )
  return changed.count > 0
}

export async function requestCancel(store: Store, id: string): Promise<boolean> {
  const changed = await store.write((tx) =>
    tx.sync.updateMany({ where: { id, state: OPEN }, data: { cancelRequested: true } }),
  )
  return changed.count > 0
}

/** Runs by state, for the overview. */
export async function countSyncs(store: Store): Promise<Partial<Record<SyncState, number>>> {
  const groups = await store.db.sync.groupBy({ by: ['state'], _count: { _all: true } })
  return Object.fromEntries(groups.map((group) => [group.state, group._count._all]))
}

/** As createSync, inside a transaction. `defaults`: what its authorizations of every space stand for. */
export async function createSyncIn(
  store: Store,
  tx: Tx,
  input: NewSync,
  idempotency: Idempotency | null,
  defaults: readonly SpaceDefault[] = [],
): Promise<{ sync: SyncRecord; created: boolean }> {
  const earlier = await findEarlier(tx, input.workflowId ?? null, idempotency)
  if (earlier !== null) return { sync: toSync(earlier), created: false }
  const id = newId()
  const authorizations = input.authorizations ?? []
  const dryRun = input.dryRun ?? false
  const graceSeconds = input.selection.rotate?.graceSeconds ?? null
  const named = authorizations.filter(({ spaceId }) => spaceId !== EVERY_SPACE)
  if (!dryRun && named.length > 0) await applyAuthorizations(store, tx, named, { graceSeconds })
  await applySpaceDefaults(store, tx, defaults)
  const row = await tx.sync.create({
    data: {
      id,
      platformId: input.platformId,
      profileId: input.profileId ?? null,
      name: clip(input.name, 191),
      action: input.action ?? 'sync',
      state: 'queued',
      phase: 'prepare',
      selection: JSON.stringify(input.selection),
      sealedAuthorizations:
        dryRun && authorizations.length > 0
          ? store.sealer.seal({ table: TABLE, column: COLUMN, rowId: id }, JSON.stringify(authorizations))
          : null,
      writePolicy: input.writePolicy ?? 'upsert-only',
      dryRun,
      acceptWarnings: input.acceptWarnings ?? false,
      confirmPrune: input.confirmPrune ?? false,
      retryOf: input.retryOf ?? null,
      planOf: input.planOf ?? null,
      workflowId: input.workflowId ?? ownWorkflowId(id),
      counts: JSON.stringify(emptyCounts()),
      warnings: '[]',
      requestedBy: clip(input.requestedBy, 191),
      createdAt: new Date(),
    },
  })
  if (idempotency !== null) await rememberIdempotent(tx, idempotency, id)
  return { sync: toSync(row), created: true }
}

async function findEarlier(tx: Tx, workflowId: string | null, idempotency: Idempotency | null): Promise<Sync | null> {
  const syncId = idempotency === null ? null : await findIdempotent(tx, idempotency)
  if (syncId !== null) return tx.sync.findUnique({ where: { id: syncId } })
  return workflowId === null ? null : tx.sync.findUnique({ where: { workflowId } })
}

async function applyAuthorizations(
  store: Store,
  tx: Tx,
  authorizations: readonly CellAuthorization[],
  options: { graceSeconds: number | null },
): Promise<void> {
  const revision = await bumpRevision(store, tx)
  const bindings = await ensureBindingsIn(store, tx, revision, authorizations)
  const idOf = new Map(bindings.map((binding) => [`${binding.instanceId} ${binding.spaceId}`, binding.id]))
  for (const { instanceId, spaceId, token, ...patch } of authorizations) {
    const bindingId = idOf.get(`${instanceId} ${spaceId}`)
    if (bindingId === undefined) throw new NotFoundError('The binding')
    if (Object.values(patch).some((value) => value !== undefined)) {
      await updateBindingIn(store, tx, revision, bindingId, null, patch)
    }
    if (token !== undefined) await setCustomTokenIn(store, tx, revision, bindingId, token, options)
  }
}

/** The name of a workflow that is started for one Sync. */
function ownWorkflowId(syncId: string): string {
  return `sync-${syncId}`
}

export function toSync(row: Sync): SyncRecord {
  const { sealedAuthorizations, selection, counts, warnings, ...rest } = row
  return {
    ...rest,
    // The store wrote these words itself.
    action: row.action as SyncAction,
    state: row.state as SyncState,
    phase: row.phase as SyncPhase,
    writePolicy: row.writePolicy as WritePolicy,
    selection: parseJson<Selection>(selection),
    counts: parseJson<TargetCounts>(counts),
    warnings: parseJson<string[]>(warnings),
    hasAuthorizations: sealedAuthorizations !== null,
    scheduled: row.workflowId !== ownWorkflowId(row.id),
  }
}
