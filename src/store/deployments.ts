import type { RemoteIdentity } from '../domain/object.ts'
import { DEPLOYMENT_STATES, type DeploymentState } from '../domain/states.ts'
import type { Tx } from './client.ts'
import { chunksOf, clip, clipOrNull, type JsonObject, jsonOrNull, parseJsonOrNull, readInChunks } from './columns.ts'
import { NotFoundError } from './errors.ts'
import type { Deployment } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'

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
  const rows = await readInChunks(bindingIds, (chunk) =>
    store.db.deployment.findMany({ where: { bindingId: { in: chunk } } }),
  )
  return new Map(rows.map((row) => [row.bindingId, toDeployment(row)]))
}

/** Before a write: what we are about to make is ours, even if we die before we hear that it is there. */
export async function recordIntent(store: Store, bindingId: string, intent: Intent): Promise<void> {
  await store.write((tx) => recordIntentIn(tx, bindingId, intent))
}

export type Intent = { syncId: string; identity: RemoteIdentity | null; ownership?: Ownership }

export async function recordIntentIn(tx: Tx, bindingId: string, intent: Intent): Promise<void> {
  await changeIn(tx, bindingId, {
    state: 'pending',
    lastSyncId: intent.syncId,
    ...(intent.identity === null ? {} : identityColumns(intent.identity)),
    ...(intent.identity === null && intent.ownership === undefined ? {} : { ownership: intent.ownership ?? 'created' }),
  })
}

/** After a write. The state stays `pending` until it was verified. */
export async function recordApplied(store: Store, bindingId: string, written: AppliedRecord): Promise<void> {
  await store.write((tx) => recordAppliedIn(tx, bindingId, written))
}

export type AppliedRecord = {
  syncId: string
  identity: RemoteIdentity
  /** Absent: as the intent before the write recorded it. */
  ownership?: Ownership
  digests: Digests
  applied: JsonObject
}

export async function recordAppliedIn(tx: Tx, bindingId: string, written: AppliedRecord): Promise<void> {
  const { ownership } = written
  await changeIn(tx, bindingId, {
    state: 'pending',
    ...identityColumns(written.identity),
    ...(ownership === undefined ? {} : { ownership }),
    digests: JSON.stringify(written.digests),
    applied: JSON.stringify(written.applied),
    checkpoint: null,
    lastErrorType: null,
    lastErrorMessage: null,
    givenUpDigest: null,
    lastSyncId: written.syncId,
    appliedAt: new Date(),
  })
  // Written without an intent before it: then it is ours by this.
  if (ownership === undefined) {
    await tx.deployment.updateMany({ where: { bindingId, ownership: null }, data: { ownership: 'created' } })
  }
}

/** What stands on the platform is what was written. */
export async function recordVerified(
  store: Store,
  bindingIds: readonly string[],
  syncId: string | null,
): Promise<void> {
  const now = new Date()
  for (const chunk of chunksOf(bindingIds)) {
    await store.write((tx) =>
      tx.deployment.updateMany({
        where: { bindingId: { in: chunk } },
        data: {
          state: 'in_sync',
          driftFields: null,
          driftSince: null,
          lastErrorType: null,
          lastErrorMessage: null,
          verifiedAt: now,
          updatedAt: now,
          ...(syncId === null ? {} : { lastSyncId: syncId }),
        },
      }),
    )
  }
}

/** What stands on the platform is not what was written. The time of the first notice is kept. */
export async function recordDrift(
  store: Store,
  bindingId: string,
  fields: readonly string[],
  syncId: string | null = null,
): Promise<void> {
  const now = new Date()
  await store.write(async (tx) => {
    const row = await tx.deployment.findUnique({ where: { bindingId }, select: { driftSince: true } })
    if (row === null) throw new NotFoundError('The binding')
    await tx.deployment.updateMany({
      where: { bindingId },
      data: {
        state: 'drifted',
        driftFields: JSON.stringify(fields),
        driftSince: row.driftSince ?? now,
        verifiedAt: now,
        updatedAt: now,
        ...(syncId === null ? {} : { lastSyncId: syncId }),
      },
    })
  })
}

/**
 * `message`: safe for people to read; it is kept. `givenUpDigest`: of what was wanted and cannot be had; a scheduled run does
 * not try the same again.
 */
export async function recordFailure(
  store: Store,
  bindingId: string,
  failure: {
    state?: 'failed' | 'conflict'
    type: string
    message: string
    syncId: string | null
    givenUpDigest?: string
  },
): Promise<void> {
  await change(store, bindingId, {
    state: failure.state ?? 'failed',
    lastErrorType: clip(failure.type, 64),
    lastErrorMessage: clip(failure.message, 4000),
    ...(failure.givenUpDigest === undefined ? {} : { givenUpDigest: failure.givenUpDigest }),
    ...(failure.syncId === null ? {} : { lastSyncId: failure.syncId }),
  })
}

/** Our object is gone from the platform. Its identity stays for a later return. */
export async function recordRemoved(store: Store, bindingId: string, syncId: string | null): Promise<void> {
  await change(store, bindingId, {
    state: 'removed',
    ownership: null,
    digests: null,
    applied: null,
    checkpoint: null,
    driftFields: null,
    driftSince: null,
    lastErrorType: null,
    lastErrorMessage: null,
    ...(syncId === null ? {} : { lastSyncId: syncId }),
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

/** What was found on the platform to be ours, made by an attempt that died before it heard of it. */
export async function recordFound(store: Store, bindingId: string, identity: RemoteIdentity): Promise<void> {
  await change(store, bindingId, { ...identityColumns(identity), ownership: 'created' })
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

async function change(store: Store, bindingId: string, data: RowPatch): Promise<void> {
  await store.write((tx) => changeIn(tx, bindingId, data))
}

async function changeIn(tx: Tx, bindingId: string, data: RowPatch): Promise<void> {
  const changed = await tx.deployment.updateMany({ where: { bindingId }, data: { ...data, updatedAt: new Date() } })
  if (changed.count === 0) throw new NotFoundError('The binding')
}
