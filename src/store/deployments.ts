import type { RemoteIdentity } from '../domain/object.ts'
import { DEPLOYMENT_STATES, type DeploymentState } from '../domain/states.ts'
import type { Tx } from './client.ts'
import { chunksOf, clip, clipOrNull, type JsonObject, jsonOrNull, parseJsonOrNull, readInChunks } from './columns.ts'
import { NotFoundError, StoreError } from './errors.ts'
import type { Deployment } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import { updateEachIn, type Value } from './update-each.ts'

/** What is true on the platforms. Written by workers only; every binding has its row from the beginning. */

export type Ownership = 'created' | 'adopted'
/** Field → keyed digest: of the plaintext we wanted, and of the column as it stood after the write. */
export type Digests = { desired: Record<string, string>; written: Record<string, string> }
export type Checkpoint = { step: string; data: unknown }

export type DeploymentRecord = {
  bindingId: string
  platformId: string
  spaceId: string
  instanceId: string
  /** null until an identity is known. After a removal it stays, for a later return. */
  identity: RemoteIdentity | null
  state: DeploymentState
  ownership: Ownership | null
  digests: Digests | null
  /** What was written, without secrets, for showing. */
  applied: JsonObject | null
  checkpoint: Checkpoint | null
  driftFields: string[]
  driftSince: Date | null
  lastErrorType: string | null
  lastErrorMessage: string | null
  lastSyncId: string | null
  appliedAt: Date | null
  verifiedAt: Date | null
  /** Of what was wanted when a write was given up for good. */
  givenUpDigest: string | null
  createdAt: Date
  updatedAt: Date
}

export async function getDeployment(store: Store, bindingId: string): Promise<DeploymentRecord | null> {
  const row = await store.db.deployment.findUnique({ where: { bindingId } })
  return row === null ? null : toDeployment(row)
}

/** By binding id. */
export async function getDeployments(
  store: Store,
  bindingIds: readonly string[],
): Promise<Map<string, DeploymentRecord>> {
  const rows = await readInChunks(bindingIds, (chunk) => store.db.findRows('Deployment', { bindingId: chunk }))
  return new Map(rows.map((row) => [row.bindingId, toDeployment(row)]))
}

/** Before a write: what we are about to make is ours, even if we die before we hear that it is there. */
export async function recordIntent(store: Store, bindingId: string, intent: Omit<Intent, 'bindingId'>): Promise<void> {
  await store.write((tx) => recordIntentsIn(tx, [{ bindingId, ...intent }]))
}

export type Intent = {
  bindingId: string
  syncId: string
  identity: RemoteIdentity | null
  ownership?: Ownership | undefined
}

/** Throws NotFoundError when one of the bindings is not there. */
export async function recordIntentsIn(tx: Tx, intents: readonly Intent[]): Promise<void> {
  await changeEachIn(
    tx,
    intents.map(({ bindingId, syncId, identity, ownership }) => ({
      key: bindingId,
      values: {
        state: 'pending',
        lastSyncId: syncId,
        ...(identity === null ? {} : identityColumns(identity)),
        ...(identity === null && ownership === undefined ? {} : { ownership: ownership ?? 'created' }),
      },
    })),
  )
}

/** After a write. The state stays `pending` until it was verified. */
export async function recordApplied(
  store: Store,
  bindingId: string,
  written: Omit<AppliedRecord, 'bindingId'>,
): Promise<void> {
  await store.write((tx) => recordAppliedIn(tx, [{ bindingId, ...written }]))
}

export type AppliedRecord = {
  bindingId: string
  syncId: string
  identity: RemoteIdentity
  /** Absent: as the intent before the write recorded it. */
  ownership?: Ownership
  digests: Digests
  applied: JsonObject
}

/** Throws NotFoundError when one of the bindings is not there. */
export async function recordAppliedIn(tx: Tx, written: readonly AppliedRecord[]): Promise<void> {
  const now = new Date()
  await changeEachIn(
    tx,
    written.map(({ bindingId, syncId, identity, ownership, digests, applied }) => ({
      key: bindingId,
      values: {
        state: 'pending',
        ...identityColumns(identity),
        ...(ownership === undefined ? {} : { ownership }),
        digests: JSON.stringify(digests),
        applied: JSON.stringify(applied),
        checkpoint: null,
        lastErrorType: null,
        lastErrorMessage: null,
        givenUpDigest: null,
        lastSyncId: syncId,
        appliedAt: now,
      },
    })),
  )
  // Written without an intent before it: then it is ours by this.
  const unowned = written.filter(({ ownership }) => ownership === undefined).map(({ bindingId }) => bindingId)
  if (unowned.length > 0) {
    await tx.deployment.updateMany({
      where: { bindingId: { in: unowned }, ownership: null },
      data: { ownership: 'created' },
    })
  }
}

/**
 * A deployment as it was read before its platform was looked at. What the look found is recorded only while that still stands:
 * whoever holds the space's lease may have written or removed the object meanwhile, and the look was at something else then.
 */
export type Seen = Pick<DeploymentRecord, 'bindingId' | 'updatedAt' | 'driftSince'>

/** What stands on the platform is what was written. */
export async function recordVerified(store: Store, seen: readonly Seen[], syncId: string | null): Promise<void> {
  const now = new Date()
  for (const chunk of chunksOf(seen)) {
    const alike = chunk.map(() => '(`bindingId` = ? AND `updatedAt` = ?)').join(' OR ')
    const sql = `UPDATE \`Deployment\` SET \`state\` = 'in_sync', \`driftFields\` = NULL, \`driftSince\` = NULL, \`lastErrorType\` = NULL,
      \`lastErrorMessage\` = NULL, \`verifiedAt\` = ?, \`updatedAt\` = ?, \`lastSyncId\` = COALESCE(?, \`lastSyncId\`) WHERE ${alike}`
    const values = [now, now, syncId, ...chunk.flatMap(({ bindingId, updatedAt }) => [bindingId, updatedAt])]
    await store.write((tx) => tx.$executeRawUnsafe(sql, ...values), { shared: true })
  }
}

export type Drift = { seen: Seen; fields: readonly string[] }

/**
 * What stands on the platform is not what was written. The time of the first notice is kept. All in one transaction; answers the
 * bindings for which it was recorded.
 */
export async function recordDrift(
  store: Store,
  drifts: readonly Drift[],
  syncId: string | null = null,
): Promise<Set<string>> {
  if (drifts.length === 0) return new Set()
  const now = new Date()
  return await store.write(
    async (tx) => {
      const recorded = new Set<string>()
      for (const { seen, fields } of drifts) {
        const { count } = await tx.deployment.updateMany({
          where: asSeen(seen),
          data: {
            state: 'drifted',
            driftFields: JSON.stringify(fields),
            driftSince: seen.driftSince ?? now,
            verifiedAt: now,
            updatedAt: now,
            ...(syncId === null ? {} : { lastSyncId: syncId }),
          },
        })
        if (count > 0) recorded.add(seen.bindingId)
      }
      return recorded
    },
    { shared: true },
  )
}

/** Those that still stand as they were seen. */
export async function stillAsSeen(store: Store, seen: readonly Seen[]): Promise<Set<string>> {
  const present = await getDeployments(
    store,
    seen.map(({ bindingId }) => bindingId),
  )
  const same = seen.filter(
    ({ bindingId, updatedAt }) => present.get(bindingId)?.updatedAt.getTime() === updatedAt.getTime(),
  )
  return new Set(same.map(({ bindingId }) => bindingId))
}

function asSeen({ bindingId, updatedAt }: Seen) {
  return { bindingId, updatedAt }
}

/**
 * `message`: safe for people to read; it is kept. `givenUpDigest`: of what was wanted and cannot be had; a scheduled run does
 * not try the same again.
 */
export type Failed = {
  bindingId: string
  state?: 'failed' | 'conflict'
  type: string
  message: string
  syncId: string | null
  givenUpDigest?: string
}

export async function recordFailure(
  store: Store,
  bindingId: string,
  failure: Omit<Failed, 'bindingId'>,
): Promise<void> {
  await recordFailures(store, [{ bindingId, ...failure }])
}

/** All in one transaction. Throws NotFoundError when one of the bindings is not there. */
export async function recordFailures(store: Store, failures: readonly Failed[]): Promise<void> {
  if (failures.length === 0) return
  await store.write((tx) =>
    changeEachIn(
      tx,
      failures.map(({ bindingId, state, type, message, syncId, givenUpDigest }) => ({
        key: bindingId,
        values: {
          state: state ?? 'failed',
          lastErrorType: clip(type, 64),
          lastErrorMessage: clip(message, 4000),
          ...(givenUpDigest === undefined ? {} : { givenUpDigest }),
          ...(syncId === null ? {} : { lastSyncId: syncId }),
        },
      })),
    ),
  )
}

/**
 * An object there becomes ours from now on. It is still as somebody else made it: `fields` differ. Throws StoreError
 * `owned_by_another` when it belongs to another binding already.
 */
export async function recordAdopted(
  store: Store,
  bindingId: string,
  identity: RemoteIdentity,
  fields: readonly string[],
): Promise<void> {
  const now = new Date()
  await store.write(async (tx) => {
    const own = await tx.deployment.findUnique({ where: { bindingId }, select: { platformId: true } })
    const owner = await tx.deployment.findFirst({
      where: {
        remoteId: identity.id,
        platformId: own?.platformId ?? '',
        ownership: { not: null },
        bindingId: { not: bindingId },
      },
      select: { bindingId: true },
    })
    if (owner !== null) {
      throw new StoreError('owned_by_another', `This object belongs to the binding ${owner.bindingId} already.`)
    }
    await changeIn(tx, bindingId, {
      ...identityColumns(identity),
      state: 'drifted',
      ownership: 'adopted',
      digests: null,
      applied: null,
      checkpoint: null,
      driftFields: JSON.stringify(fields),
      driftSince: now,
      lastErrorType: null,
      lastErrorMessage: null,
      givenUpDigest: null,
    })
  })
}

/** Resume data of a change of several steps; null clears it. `identity`: what the platform has just made for us. */
export async function saveCheckpoint(
  store: Store,
  bindingId: string,
  checkpoint: Checkpoint | null,
  identity?: RemoteIdentity,
): Promise<void> {
  await change(store, bindingId, {
    checkpoint: jsonOrNull(checkpoint),
    ...(identity === undefined ? {} : { ...identityColumns(identity), ownership: 'created' }),
  })
}

/**
 * What was found on the platform to be ours, made by an attempt that died before it heard of it. Nothing is recorded when that
 * attempt's change has come to its end since: another run has resumed it, or removed the object.
 */
export async function recordFound(store: Store, bindingId: string, identity: RemoteIdentity): Promise<void> {
  await store.write((tx) =>
    tx.deployment.updateMany({
      where: { bindingId, checkpoint: { not: null } },
      data: { ...identityColumns(identity), ownership: 'created', updatedAt: new Date() },
    }),
  )
}

export async function countDeployments(
  store: Store,
  filter: { platformId?: string; instanceId?: string; spaceId?: string } = {},
): Promise<Record<DeploymentState, number> & { total: number }> {
  const groups = await store.db.deployment.groupBy({ by: ['state'], where: filter, _count: { _all: true } })
  const counts = { absent: 0, pending: 0, in_sync: 0, drifted: 0, failed: 0, conflict: 0, removed: 0, total: 0 }
  for (const group of groups) {
    counts[toState(group.state)] += group._count._all
    counts.total += group._count._all
  }
  return counts
}

export function toDeployment(row: Deployment): DeploymentRecord {
  const { remoteId, remoteKey, digests, applied, checkpoint, driftFields, ...rest } = row
  return {
    ...rest,
    identity: remoteId === null ? null : { id: remoteId, key: remoteKey },
    state: toState(row.state),
    ownership: row.ownership === 'created' || row.ownership === 'adopted' ? row.ownership : null,
    digests: parseJsonOrNull<Digests>(digests),
    applied: parseJsonOrNull<JsonObject>(applied),
    checkpoint: parseJsonOrNull<Checkpoint>(checkpoint),
    driftFields: parseJsonOrNull<string[]>(driftFields) ?? [],
  }
}

function toState(text: string): DeploymentState {
  const state = DEPLOYMENT_STATES.find((known) => known === text)
  if (state === undefined) throw new Error(`a deployment is in the unknown state ${text}`)
  return state
}

function identityColumns(identity: RemoteIdentity) {
  return { remoteId: identity.id, remoteKey: clipOrNull(identity.key, 191) }
}

type RowPatch = Parameters<Tx['deployment']['updateMany']>[0]['data']

/** Rows that name the same columns are one statement. */
async function changeEachIn(tx: Tx, rows: readonly { key: string; values: Record<string, Value> }[]): Promise<void> {
  const updatedAt = new Date()
  const alike = Map.groupBy(rows, ({ values }) => Object.keys(values).join())
  for (const group of alike.values()) {
    const changes = group.map(({ key, values }) => ({ key, values: { ...values, updatedAt } }))
    const changed = await updateEachIn(tx, { name: 'Deployment', key: 'bindingId' }, changes)
    if (changed < new Set(group.map(({ key }) => key)).size) throw new NotFoundError('The binding')
  }
}

async function change(store: Store, bindingId: string, data: RowPatch): Promise<void> {
  await store.write((tx) => changeIn(tx, bindingId, data))
}

async function changeIn(tx: Tx, bindingId: string, data: RowPatch): Promise<void> {
  const changed = await tx.deployment.updateMany({ where: { bindingId }, data: { ...data, updatedAt: new Date() } })
  if (changed.count === 0) throw new NotFoundError('The binding')
}
