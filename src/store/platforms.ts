import { ToolferryError } from '../domain/errors.ts'
import { newId } from '../domain/ids.ts'
import type { PlatformKind } from '../platforms/platform.ts'
import type { Db, Tx } from './client.ts'
import {
  afterId,
  type JsonObject,
  type Page,
  type PageRequest,
  pageSize,
  parseJson,
  readInChunks,
  toPage,
} from './columns.ts'
import { NotFoundError, StaleWriteError, StoreError } from './errors.ts'
import type { Platform } from './generated/sqlite/client.ts'
import { forgetBindings } from './removal.ts'
import type { Store } from './store.ts'
import { isUniqueViolation } from './transaction.ts'

export type CredentialState = 'none' | 'unknown' | 'valid' | 'refused' | 'expired'
export type PlatformStatus = 'active' | 'removing'
/** {password} or {cookie}. */
export type Credential = Record<string, string>

export type PlatformRecord = {
  id: string
  kind: PlatformKind
  name: string
  remoteKey: string
  settings: JsonObject
  hasCredential: boolean
  credentialState: CredentialState
  /** Counts the credentials given so far: tells a waiting run that there is a new one. */
  credentialVersion: number
  credentialExpiresAt: Date | null
  gatewayUrl: string | null
  limits: JsonObject
  /** Minted tokens that are older are replaced; 0: never; null: as the installation says. */
  rotateAfterDays: number | null
  status: PlatformStatus
  rowVersion: number
  checkedAt: Date | null
  createdAt: Date
  updatedAt: Date
}

export type NewPlatform = {
  kind: PlatformKind
  name: string
  /** sha256 hex of what it points to. */
  remoteKey: string
  settings: JsonObject
  gatewayUrl?: string | null
  limits?: JsonObject
  rotateAfterDays?: number | null
  credential?: Credential | null
  credentialState?: CredentialState
  credentialExpiresAt?: Date | null
  checkedAt?: Date | null
}

export type PlatformPatch = {
  name?: string
  remoteKey?: string
  settings?: JsonObject
  gatewayUrl?: string | null
  limits?: JsonObject
  rotateAfterDays?: number | null
  status?: PlatformStatus
  checkedAt?: Date | null
  /** null forgets the present one. */
  credential?: GivenCredential | null
}

/** `state` is what its check found. */
export type GivenCredential = { credential: Credential; state?: CredentialState; expiresAt?: Date | null }

const TABLE = 'Platform'
const COLUMN = 'sealedCredential'

/** Throws StoreError `name_taken` (field name) or `already_registered` (naming the platform that points there). */
export async function createPlatform(store: Store, input: NewPlatform): Promise<PlatformRecord> {
  const id = newId()
  const now = new Date()
  const credential = input.credential ?? null
  const row = await refuseDuplicates(store, input, null, (tx) =>
    tx.platform.create({
      data: {
        id,
        kind: input.kind,
        name: input.name,
        remoteKey: input.remoteKey,
        settings: JSON.stringify(input.settings),
        sealedCredential: credential === null ? null : seal(store, id, credential),
        credentialState: input.credentialState ?? (credential === null ? 'none' : 'unknown'),
        credentialVersion: credential === null ? 0 : 1,
        credentialExpiresAt: input.credentialExpiresAt ?? null,
        gatewayUrl: input.gatewayUrl ?? null,
        limits: JSON.stringify(input.limits ?? {}),
        rotateAfterDays: input.rotateAfterDays ?? null,
        status: 'active',
        checkedAt: input.checkedAt ?? null,
        createdAt: now,
        updatedAt: now,
      },
    }),
  )
  return toRecord(row)
}

export async function getPlatform(store: Store, id: string): Promise<PlatformRecord | null> {
  const [row] = await store.db.findRows('Platform', { id })
  return row === undefined ? null : toRecord(row)
}

/** The platform that already points there, if any. */
export async function findPlatformByRemoteKey(store: Store, remoteKey: string): Promise<PlatformRecord | null> {
  const row = await store.db.platform.findUnique({ where: { remoteKey } })
  return row === null ? null : toRecord(row)
}

export async function getPlatforms(store: Store, ids: readonly string[]): Promise<PlatformRecord[]> {
  return (await readInChunks(ids, (chunk) => store.db.platform.findMany({ where: { id: { in: chunk } } }))).map(
    toRecord,
  )
}

export async function listPlatforms(
  store: Store,
  page: PageRequest & { kind?: PlatformKind | undefined } = {},
): Promise<Page<PlatformRecord>> {
  const size = pageSize(page)
  const rows = await store.db.platform.findMany({
    where: { ...afterId(page.cursor), ...(page.kind === undefined ? {} : { kind: page.kind }) },
    orderBy: { id: 'asc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toRecord)
}

/** Those that have a credential, of one kind. */
export async function platformsWithCredential(store: Store, kind: PlatformKind): Promise<PlatformRecord[]> {
  const where = { kind, sealedCredential: { not: null } }
  return (await store.db.platform.findMany({ where, orderBy: { id: 'asc' } })).map(toRecord)
}

/**
 * `rowVersion`: the version the caller read, or null to write regardless. Another `remoteKey` drops the credential: it
 * was given for another place. Throws NotFoundError, StaleWriteError, and as createPlatform.
 */
export async function updatePlatform(
  store: Store,
  id: string,
  rowVersion: number | null,
  patch: PlatformPatch,
): Promise<PlatformRecord> {
  const row = await refuseDuplicates(store, patch, id, async (tx) => {
    const before = await tx.platform.findUnique({ where: { id } })
    if (before === null) throw new NotFoundError('The platform')
    const moved = patch.remoteKey !== undefined && patch.remoteKey !== before.remoteKey
    const { settings, limits, credential, ...plain } = patch
    const changed = await tx.platform.updateMany({
      where: { id, ...(rowVersion === null ? {} : { rowVersion }) },
      data: {
        ...plain,
        ...(settings === undefined ? {} : { settings: JSON.stringify(settings) }),
        ...(limits === undefined ? {} : { limits: JSON.stringify(limits) }),
        ...(credential === undefined && !moved ? {} : credentialColumns(store, id, credential ?? null)),
        rowVersion: { increment: 1 },
        updatedAt: new Date(),
      },
    })
    if (changed.count === 0) throw new StaleWriteError('The platform', before.rowVersion)
    return tx.platform.findUniqueOrThrow({ where: { id } })
  })
  return toRecord(row)
}

/** Notes when a check of the saved platform was made; changes nothing an admin decides, so the row version stays. */
export async function setPlatformChecked(store: Store, id: string, at: Date = new Date()): Promise<void> {
  await store.write((tx) => tx.platform.updateMany({ where: { id }, data: { checkedAt: at } }))
}

/**
 * Deletes the platform's records: spaces, bindings, deployments, profiles; its tokens are revoked. Runs stay, as history.
 * Throws StoreError `has_deployments` while objects of ours are on the platform, unless `forget`.
 */
export async function deletePlatform(store: Store, id: string, options: { forget?: boolean } = {}): Promise<void> {
  await store.write((tx) => deletePlatformIn(store, tx, id, options))
}

/** As `deletePlatform`, within a transaction; what it throws, it throws before it changes anything. */
export async function deletePlatformIn(
  store: Store,
  tx: Tx,
  id: string,
  options: { forget?: boolean } = {},
): Promise<void> {
  if ((await tx.platform.findUnique({ where: { id } })) === null) throw new NotFoundError('The platform')
  const spaces = await tx.space.findMany({ where: { platformId: id }, select: { id: true } })
  await forgetBindings(store, tx, { spaceIds: spaces.map((space) => space.id) }, options.forget === true)
  await tx.space.deleteMany({ where: { platformId: id } })
  await tx.syncProfile.deleteMany({ where: { platformId: id } })
  await tx.platform.delete({ where: { id } })
}

/**
 * Seals a new credential and counts it. `rowVersion`: of the platform that it was given for; one that points elsewhere by now
 * must not get it. Throws NotFoundError, StaleWriteError.
 */
export async function setCredential(
  store: Store,
  id: string,
  given: GivenCredential & { rowVersion?: number },
): Promise<PlatformRecord> {
  return updateRow(store, id, given.rowVersion ?? null, credentialColumns(store, id, given))
}

export async function clearCredential(store: Store, id: string): Promise<PlatformRecord> {
  return updateRow(store, id, null, credentialColumns(store, id, null))
}

/**
 * `version`: the credential that was tried. When a newer one was given meanwhile, nothing changes and false is answered.
 * Without `expiresAt`, what is known of its end stands.
 */
export async function setCredentialState(
  store: Store,
  id: string,
  state: CredentialState,
  version: number,
  expiresAt?: Date | null,
): Promise<boolean> {
  const changed = await store.write((tx) =>
    tx.platform.updateMany({
      where: { id, credentialVersion: version, sealedCredential: { not: null } },
      data: {
        credentialState: state,
        ...(expiresAt === undefined ? {} : { credentialExpiresAt: expiresAt }),
        updatedAt: new Date(),
      },
    }),
  )
  return changed.count > 0
}

/** The credential in the clear with its version, or null when there is none. */
export async function openCredential(
  store: Store,
  id: string,
): Promise<{ credential: Credential; version: number } | null> {
  const [row] = await store.db.findRows('Platform', { id }, { columns: ['sealedCredential', 'credentialVersion'] })
  if (row === undefined || row.sealedCredential === null) return null
  const text = store.sealer.open({ table: TABLE, column: COLUMN, rowId: id }, row.sealedCredential)
  return { credential: parseJson<Credential>(text), version: row.credentialVersion }
}

function seal(store: Store, id: string, credential: Credential): string {
  return store.sealer.seal({ table: TABLE, column: COLUMN, rowId: id }, JSON.stringify(credential))
}

function credentialColumns(store: Store, id: string, given: GivenCredential | null) {
  if (given === null) return { sealedCredential: null, credentialState: 'none', credentialExpiresAt: null }
  return {
    sealedCredential: seal(store, id, given.credential),
    credentialState: given.state ?? 'unknown',
    credentialExpiresAt: given.expiresAt ?? null,
    credentialVersion: { increment: 1 },
  }
}

type RowPatch = Parameters<Tx['platform']['updateMany']>[0]['data']

async function updateRow(store: Store, id: string, rowVersion: number | null, data: RowPatch): Promise<PlatformRecord> {
  const row = await store.write(async (tx) => {
    const changed = await tx.platform.updateMany({
      where: { id, ...(rowVersion === null ? {} : { rowVersion }) },
      data: { ...data, updatedAt: new Date() },
    })
    const after = await tx.platform.findUnique({ where: { id } })
    if (after === null) throw new NotFoundError('The platform')
    if (changed.count === 0) throw new StaleWriteError('The platform', after.rowVersion)
    return after
  })
  return toRecord(row)
}

/** Runs the write; a clash is told before it when it can be seen, and after it when another process was faster. */
async function refuseDuplicates<T>(
  store: Store,
  wanted: { name?: string; remoteKey?: string },
  ownId: string | null,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  try {
    return await store.write(async (tx) => {
      await refuseDuplicate(tx, wanted, ownId)
      return work(tx)
    })
  } catch (error) {
    if (isUniqueViolation(error)) await refuseDuplicate(store.db, wanted, ownId)
    throw error
  }
}

async function refuseDuplicate(
  db: Db,
  wanted: { name?: string; remoteKey?: string },
  ownId: string | null,
): Promise<void> {
  if (wanted.remoteKey !== undefined) {
    const same = await db.platform.findUnique({ where: { remoteKey: wanted.remoteKey } })
    if (same !== null && same.id !== ownId) {
      throw new StoreError(
        'already_registered',
        `This is already registered as the platform "${same.name}". Change that one instead.`,
      )
    }
  }
  if (wanted.name !== undefined) {
    const same = await db.platform.findUnique({ where: { name: wanted.name } })
    if (same !== null && same.id !== ownId) {
      throw new StoreError(
        'name_taken',
        `There is already a platform named "${wanted.name}". Choose another name.`,
        'name',
      )
    }
  }
}

function toRecord(row: Platform): PlatformRecord {
  const { sealedCredential, settings, limits, ...rest } = row
  if (row.kind !== 'dify' && row.kind !== 'coze')
    throw new ToolferryError('Bug', `The platform ${row.id} is of an unknown kind.`)
  return {
    ...rest,
    kind: row.kind,
    settings: parseJson<JsonObject>(settings),
    limits: parseJson<JsonObject>(limits),
    hasCredential: sealedCredential !== null,
    // The store wrote these words itself.
    credentialState: row.credentialState as CredentialState,
    status: row.status as PlatformStatus,
  }
}
