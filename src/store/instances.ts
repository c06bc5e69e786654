import { createHash } from 'node:crypto'
import { newId } from '../domain/ids.ts'
import type { McpTool, McpTransport } from '../domain/tool.ts'
import type { Db, Tx } from './client.ts'
import {
  afterId,
  type JsonObject,
  jsonOrNull,
  type Page,
  type PageRequest,
  pageSize,
  parseJson,
  parseJsonOrNull,
  readInChunks,
  toPage,
} from './columns.ts'
import { NotFoundError, StaleWriteError, StoreError } from './errors.ts'
import type { McpInstance, ToolSnapshot } from './generated/sqlite/client.ts'
import { openUrl, urlColumns } from './instance-url.ts'
import { forgetBindings } from './removal.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { isUniqueViolation } from './transaction.ts'

/** Header name → value. */
export type Headers = Record<string, string>
export type AccessMode = 'token' | 'anonymous'
/**
 * `removing`: it is being deleted, and is served as before until its objects are gone from the platforms. `deleted` rows wait,
 * unseen, until every gateway has noticed.
 */
export type InstanceStatus = 'active' | 'inactive' | 'removing' | 'deleted'

export type LastProbe = {
  at: string
  ok: boolean
  error: { type: string; message: string } | null
  serverName: string | null
  serverVersion: string | null
  protocolVersion: string | null
  toolCount: number | null
}

export type InstanceRecord = {
  id: string
  name: string
  description: string
  transport: McpTransport
  url: string
  hasHeaders: boolean
  hasDefaultPassThrough: boolean
  accessMode: AccessMode
  forwardAuthorization: boolean
  limits: JsonObject
  status: InstanceStatus
  lastProbe: LastProbe | null
  rowVersion: number
  revision: number
  createdAt: Date
  updatedAt: Date
}

export type NewInstance = {
  name: string
  description?: string
  transport: McpTransport
  url: string
  headers?: Headers | null
  defaultPassThrough?: Headers | null
  accessMode?: AccessMode
  forwardAuthorization?: boolean
  limits?: JsonObject
  status?: 'active' | 'inactive'
}

/**
 * Absent: unchanged. `headers: null` removes them. Another `url` drops both kinds of headers that are not given anew. A
 * `status` ends a deletion that has not come to its end.
 */
export type InstancePatch = Partial<NewInstance>

export type ToolSnapshotRecord = {
  id: string
  instanceId: string
  headerDigest: string
  tools: McpTool[]
  toolCount: number
  hash: string
  seenAt: Date
  /** When the server was first seen with these tools; null: before this was noted. */
  changedAt: Date | null
}

const TABLE = 'McpInstance'
type SealedColumn = 'sealedHeaders' | 'sealedDefaultPassThrough'

/** Throws StoreError `name_taken`. */
export async function createInstance(store: Store, input: NewInstance): Promise<InstanceRecord> {
  const id = newId()
  const row = await refuseSameName(store, input.name, null, async (tx) => {
    const revision = await bumpRevision(store, tx)
    return tx.mcpInstance.create({ data: newRow(store, id, input, revision) })
  })
  return toRecord(store, row)
}

/** All or none, in one transaction. Throws StoreError `name_taken`. */
export async function createInstances(store: Store, inputs: readonly NewInstance[]): Promise<InstanceRecord[]> {
  const rows = await store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    const created: McpInstance[] = []
    for (const input of inputs) {
      await refuseName(tx, input.name, null)
      created.push(await tx.mcpInstance.create({ data: newRow(store, newId(), input, revision) }))
    }
    return created
  })
  return rows.map((row) => toRecord(store, row))
}

export async function getInstance(store: Store, id: string): Promise<InstanceRecord | null> {
  const [row] = await store.db.findRows('McpInstance', { id })
  return row === undefined || row.status === 'deleted' ? null : toRecord(store, row)
}

export async function getInstances(store: Store, ids: readonly string[]): Promise<InstanceRecord[]> {
  const rows = await readInChunks(ids, (chunk) =>
    store.db.mcpInstance.findMany({ where: { id: { in: chunk }, status: { not: 'deleted' } } }),
  )
  return rows.map((row) => toRecord(store, row))
}

/** In the order of their creation. `search`: a part of the name. */
export async function listInstances(
  store: Store,
  page: PageRequest & { search?: string | undefined; status?: InstanceStatus | undefined } = {},
): Promise<Page<InstanceRecord>> {
  const size = pageSize(page)
  const rows = await store.db.mcpInstance.findMany({
    where: {
      ...afterId(page.cursor),
      ...inStatus(page.status),
      ...(page.search === undefined || page.search === '' ? {} : { name: { contains: page.search } }),
    },
    orderBy: { id: 'asc' },
    take: size + 1,
  })
  return toPage(
    rows,
    size,
    (row) => [row.id],
    (row) => toRecord(store, row),
  )
}

/** `rowVersion`: as read, or null to write regardless. Throws NotFoundError, StaleWriteError, StoreError `name_taken`. */
export async function updateInstance(
  store: Store,
  id: string,
  rowVersion: number | null,
  patch: InstancePatch,
): Promise<InstanceRecord> {
  const row = await refuseSameName(store, patch.name, id, async (tx) => {
    const revision = await bumpRevision(store, tx)
    const before = await tx.mcpInstance.findUnique({ where: { id } })
    if (before === null || before.status === 'deleted') throw new NotFoundError('The instance')
    const moved = patch.url !== undefined && patch.url !== openUrl(store, before)
    const { url, headers, defaultPassThrough, limits, ...plain } = patch
    const changed = await tx.mcpInstance.updateMany({
      where: { id, ...(rowVersion === null ? {} : { rowVersion }) },
      data: {
        ...plain,
        ...(url === undefined ? {} : urlColumns(store, id, url)),
        ...(plain.status === undefined ? {} : { removingAt: null }),
        ...(limits === undefined ? {} : { limits: JSON.stringify(limits) }),
        ...(headers === undefined && !moved ? {} : { sealedHeaders: seal(store, id, 'sealedHeaders', headers) }),
        ...(defaultPassThrough === undefined && !moved
          ? {}
          : { sealedDefaultPassThrough: seal(store, id, 'sealedDefaultPassThrough', defaultPassThrough) }),
        rowVersion: { increment: 1 },
        revision,
        updatedAt: new Date(),
      },
    })
    if (changed.count === 0) throw new StaleWriteError('The instance', before.rowVersion)
    return tx.mcpInstance.findUniqueOrThrow({ where: { id } })
  })
  return toRecord(store, row)
}

/**
 * Deletes the instance with its bindings; its tokens are revoked and its name is free again. Throws StoreError
 * `has_deployments` while objects of it are on a platform, unless `forget`. The rows go in purgeRevoked.
 */
export async function deleteInstance(store: Store, id: string, options: { forget?: boolean } = {}): Promise<void> {
  await store.write((tx) => deleteInstanceIn(store, tx, id, options))
}

/** As `deleteInstance`, within a transaction; what it throws, it throws before it changes anything. */
export async function deleteInstanceIn(
  store: Store,
  tx: Tx,
  id: string,
  options: { forget?: boolean } = {},
): Promise<void> {
  const revision = await bumpRevision(store, tx)
  const row = await tx.mcpInstance.findUnique({ where: { id } })
  if (row === null || row.status === 'deleted') throw new NotFoundError('The instance')
  await forgetBindings(store, tx, { instanceId: id }, options.forget === true)
  await tx.gatewayToken.updateMany({
    where: { instanceId: id, state: { not: 'revoked' } },
    data: { state: 'revoked', revokedAt: new Date(), revision },
  })
  await tx.toolSnapshot.deleteMany({ where: { instanceId: id } })
  await tx.mcpInstance.update({
    where: { id },
    data: {
      name: `deleted ${id}`,
      status: 'deleted',
      removingAt: null,
      sealedQuery: null,
      sealedHeaders: null,
      sealedDefaultPassThrough: null,
      revision,
      rowVersion: { increment: 1 },
      updatedAt: new Date(),
    },
  })
}

/** The upstream headers in the clear. */
export async function openHeaders(store: Store, instanceId: string): Promise<Headers> {
  return openColumn(store, instanceId, 'sealedHeaders')
}

/** The pass-through headers of bindings that inherit, in the clear. */
export async function openDefaultPassThrough(store: Store, instanceId: string): Promise<Headers> {
  return openColumn(store, instanceId, 'sealedDefaultPassThrough')
}

/** An instance with both of its header sets in the clear. */
export type OpenedInstance = InstanceRecord & { own: Headers; defaultPassThrough: Headers }

/** Rows as they stood at their revision, by store: every space of a run wants the same ones. Sealed as they are in the database. */
const seenRows = new WeakMap<Store, Map<string, McpInstance>>()
const KEPT_ROWS = 1000

/** By id. One that is not there, or was deleted, is left out. `lastProbe` may be an older one. */
export async function openInstances(store: Store, ids: readonly string[]): Promise<Map<string, OpenedInstance>> {
  const cache = seenRows.get(store) ?? new Map<string, McpInstance>()
  seenRows.set(store, cache)
  const known = await readInChunks(ids, (chunk) =>
    store.db.findRows('McpInstance', { id: chunk }, { columns: ['id', 'revision', 'status'] }),
  )
  const present = known.filter(({ status }) => status !== 'deleted')
  const changed = present.filter(({ id, revision }) => cache.get(id)?.revision !== revision).map(({ id }) => id)
  const rows = await readInChunks(changed, (chunk) => store.db.findRows('McpInstance', { id: chunk }))
  for (const row of rows) cache.set(row.id, row)
  const opened = new Map<string, OpenedInstance>()
  for (const { id } of present) {
    const row = cache.get(id)
    if (row === undefined || row.status === 'deleted') continue
    opened.set(id, {
      ...toRecord(store, row),
      own: openInstanceColumn(store, id, 'sealedHeaders', row.sealedHeaders),
      defaultPassThrough: openInstanceColumn(store, id, 'sealedDefaultPassThrough', row.sealedDefaultPassThrough),
    })
  }
  for (const oldest of cache.keys()) {
    if (cache.size <= KEPT_ROWS) break
    cache.delete(oldest)
  }
  return opened
}

/** Opens what was read with the row: for readers of many rows. */
export function openInstanceColumn(
  store: Pick<Store, 'sealer'>,
  id: string,
  column: SealedColumn,
  sealed: string | null,
): Headers {
  return sealed === null ? {} : parseJson<Headers>(store.sealer.open({ table: TABLE, column, rowId: id }, sealed))
}

/** Not part of what an admin decides: the row version stays. */
export async function setLastProbe(store: Store, id: string, probe: LastProbe): Promise<void> {
  await store.write((tx) => tx.mcpInstance.updateMany({ where: { id }, data: { lastProbe: jsonOrNull(probe) } }))
}

/** `headerDigest`: store.digest of the effective header set. `hash` is computed over the tools as canonical JSON text. */
export async function saveToolSnapshot(
  store: Store,
  input: { instanceId: string; headerDigest: string; tools: readonly McpTool[] },
): Promise<ToolSnapshotRecord> {
  const tools = JSON.stringify(input.tools)
  const seenAt = new Date()
  const hash = createHash('sha256').update(tools).digest('hex')
  const values = { tools, toolCount: input.tools.length, hash, seenAt }
  const key = { instanceId: input.instanceId, headerDigest: input.headerDigest }
  const where = { instanceId_headerDigest: key }
  const row = await store.write(
    async (tx) => {
      const before = await tx.toolSnapshot.findUnique({ where, select: { hash: true } })
      const changedAt = before?.hash === hash ? {} : { changedAt: seenAt }
      return tx.toolSnapshot.upsert({
        where,
        create: { id: newId(), ...key, ...values, changedAt: seenAt },
        update: { ...values, ...changedAt },
      })
    },
    { retryUnique: true },
  )
  return toSnapshot(row)
}

export async function getToolSnapshot(
  store: Store,
  instanceId: string,
  headerDigest: string,
): Promise<ToolSnapshotRecord | null> {
  const [row] = await store.db.findRows('ToolSnapshot', { instanceId, headerDigest })
  return row === undefined ? null : toSnapshot(row)
}

export async function latestToolSnapshot(store: Store, instanceId: string): Promise<ToolSnapshotRecord | null> {
  const row = await store.db.toolSnapshot.findFirst({
    where: { instanceId },
    orderBy: [{ seenAt: 'desc' }, { id: 'desc' }],
  })
  return row === null ? null : toSnapshot(row)
}

async function openColumn(store: Store, id: string, column: SealedColumn): Promise<Headers> {
  const row = await store.db.mcpInstance.findUnique({ where: { id } })
  if (row === null) throw new NotFoundError('The instance')
  return openInstanceColumn(store, id, column, row[column])
}

function seal(store: Store, id: string, column: SealedColumn, headers: Headers | null | undefined): string | null {
  if (headers === null || headers === undefined || Object.keys(headers).length === 0) return null
  return store.sealer.seal({ table: TABLE, column, rowId: id }, JSON.stringify(headers))
}

async function refuseSameName<T>(
  store: Store,
  name: string | undefined,
  ownId: string | null,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  try {
    return await store.write(async (tx) => {
      await refuseName(tx, name, ownId)
      return work(tx)
    })
  } catch (error) {
    if (isUniqueViolation(error)) await refuseName(store.db, name, ownId)
    throw error
  }
}

async function refuseName(db: Db, name: string | undefined, ownId: string | null): Promise<void> {
  if (name === undefined) return
  const same = await db.mcpInstance.findUnique({ where: { name } })
  if (same !== null && same.id !== ownId) {
    throw new StoreError('name_taken', `There is already an instance named "${name}". Choose another name.`, 'name')
  }
}

function inStatus(status: InstanceStatus | undefined) {
  if (status === undefined) return { status: { not: 'deleted' } }
  return status === 'removing'
    ? { status: { not: 'deleted' }, removingAt: { not: null } }
    : { status, removingAt: null }
}

function toRecord(store: Store, row: McpInstance): InstanceRecord {
  const { sealedQuery: _query, sealedHeaders, sealedDefaultPassThrough, lastProbe, limits, removingAt, ...rest } = row
  return {
    ...rest,
    url: openUrl(store, row),
    hasHeaders: sealedHeaders !== null,
    hasDefaultPassThrough: sealedDefaultPassThrough !== null,
    limits: parseJson<JsonObject>(limits),
    lastProbe: parseJsonOrNull<LastProbe>(lastProbe),
    // The store wrote these words itself.
    transport: row.transport as McpTransport,
    accessMode: row.accessMode as AccessMode,
    status: removingAt === null || row.status === 'deleted' ? (row.status as InstanceStatus) : 'removing',
  }
}

function toSnapshot(row: ToolSnapshot): ToolSnapshotRecord {
  return { ...row, tools: parseJson<McpTool[]>(row.tools) }
}

function newRow(store: Store, id: string, input: NewInstance, revision: number): McpInstance {
  const now = new Date()
  return {
    id,
    name: input.name,
    description: input.description ?? '',
    transport: input.transport,
    ...urlColumns(store, id, input.url),
    sealedHeaders: seal(store, id, 'sealedHeaders', input.headers),
    sealedDefaultPassThrough: seal(store, id, 'sealedDefaultPassThrough', input.defaultPassThrough),
    accessMode: input.accessMode ?? 'token',
    forwardAuthorization: input.forwardAuthorization ?? false,
    limits: JSON.stringify(input.limits ?? {}),
    status: input.status ?? 'active',
    removingAt: null,
    lastProbe: null,
    rowVersion: 1,
    revision,
    createdAt: now,
    updatedAt: now,
  }
}
