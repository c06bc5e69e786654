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
import { forgetBindings } from './removal.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { isUniqueViolation } from './transaction.ts'

/** Header name → value. */
export type Headers = Record<string, string>
export type AccessMode = 'token' | 'anonymous'
/** `deleted` rows wait, unseen, until every gateway has noticed. */
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

/** Absent: unchanged. `headers: null` removes them. Another `url` drops both kinds of headers that are not given anew. */
export type InstancePatch = Partial<Omit<NewInstance, 'status'>> & { status?: InstanceStatus }

export type ToolSnapshotRecord = {
  id: string
  instanceId: string
  headerDigest: string
  tools: McpTool[]
  toolCount: number
  hash: string
  seenAt: Date
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
  return toRecord(row)
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
  return rows.map(toRecord)
}

export async function getInstance(store: Store, id: string): Promise<InstanceRecord | null> {
  const row = await store.db.mcpInstance.findUnique({ where: { id } })
  return row === null || row.status === 'deleted' ? null : toRecord(row)
}

export async function getInstances(store: Store, ids: readonly string[]): Promise<InstanceRecord[]> {
  const rows = await readInChunks(ids, (chunk) =>
    store.db.mcpInstance.findMany({ where: { id: { in: chunk }, status: { not: 'deleted' } } }),
  )
  return rows.map(toRecord)
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
      status: page.status ?? { not: 'deleted' },
      ...(page.search === undefined || page.search === '' ? {} : { name: { contains: page.search } }),
    },
    orderBy: { id: 'asc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toRecord)
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
    const moved = patch.url !== undefined && patch.url !== before.url
    const { headers, defaultPassThrough, limits, ...plain } = patch
    const changed = await tx.mcpInstance.updateMany({
      where: { id, ...(rowVersion === null ? {} : { rowVersion }) },
      data: {
        ...plain,
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
  return toRecord(row)
}

/**
 * Deletes the instance with its bindings; its tokens are revoked and its name is free again. Throws StoreError
 * `has_deployments` while objects of it are on a platform, unless `forget`. The rows go in purgeRevoked.
 */
export async function deleteInstance(store: Store, id: string, options: { forget?: boolean } = {}): Promise<void> {
  await store.write(async (tx) => {
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
        sealedHeaders: null,
        sealedDefaultPassThrough: null,
        revision,
        rowVersion: { increment: 1 },
        updatedAt: new Date(),
      },
    })
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

/** Both header sets of many instances, in the clear, by instance id. One that is not there has none. */
export async function openInstanceHeaders(
  store: Store,
  instanceIds: readonly string[],
): Promise<Map<string, { own: Headers; defaultPassThrough: Headers }>> {
  const rows = await readInChunks(instanceIds, (chunk) =>
    store.db.mcpInstance.findMany({
      where: { id: { in: chunk } },
      select: { id: true, sealedHeaders: true, sealedDefaultPassThrough: true },
    }),
  )
  return new Map(
    rows.map((row) => [
      row.id,
      {
        own: openInstanceColumn(store, row.id, 'sealedHeaders', row.sealedHeaders),
        defaultPassThrough: openInstanceColumn(store, row.id, 'sealedDefaultPassThrough', row.sealedDefaultPassThrough),
      },
    ]),
  )
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
  const values = {
    tools,
    toolCount: input.tools.length,
    hash: createHash('sha256').update(tools).digest('hex'),
    seenAt: new Date(),
  }
  const key = { instanceId: input.instanceId, headerDigest: input.headerDigest }
  const row = await store.write(
    (tx) =>
      tx.toolSnapshot.upsert({
        where: { instanceId_headerDigest: key },
        create: { id: newId(), ...key, ...values },
        update: values,
      }),
    { retryUnique: true },
  )
  return toSnapshot(row)
}

export async function getToolSnapshot(
  store: Store,
  instanceId: string,
  headerDigest: string,
): Promise<ToolSnapshotRecord | null> {
  const row = await store.db.toolSnapshot.findUnique({
    where: { instanceId_headerDigest: { instanceId, headerDigest } },
  })
  return row === null ? null : toSnapshot(row)
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

function toRecord(row: McpInstance): InstanceRecord {
  const { sealedHeaders, sealedDefaultPassThrough, lastProbe, limits, ...rest } = row
  return {
    ...rest,
    hasHeaders: sealedHeaders !== null,
    hasDefaultPassThrough: sealedDefaultPassThrough !== null,
    limits: parseJson<JsonObject>(limits),
    lastProbe: parseJsonOrNull<LastProbe>(lastProbe),
    // The store wrote these words itself.
    transport: row.transport as McpTransport,
    accessMode: row.accessMode as AccessMode,
    status: row.status as InstanceStatus,
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
    url: input.url,
    sealedHeaders: seal(store, id, 'sealedHeaders', input.headers),
    sealedDefaultPassThrough: seal(store, id, 'sealedDefaultPassThrough', input.defaultPassThrough),
    accessMode: input.accessMode ?? 'token',
    forwardAuthorization: input.forwardAuthorization ?? false,
    limits: JSON.stringify(input.limits ?? {}),
    status: input.status ?? 'active',
    lastProbe: null,
    rowVersion: 1,
    revision,
    createdAt: now,
    updatedAt: now,
  }
}
