import type { Tx } from './client.ts'
import { chunksOf, jsonOrNull, newIds, parseJson, parseJsonOrNull, readInChunks } from './columns.ts'
import { NotFoundError, StaleWriteError } from './errors.ts'
import type { Binding } from './generated/sqlite/client.ts'
import { insertRowsIn } from './insert-rows.ts'
import { type Headers, openInstanceColumn } from './instances.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { updateEachIn } from './update-each.ts'

/** What the admin decides for one instance in one space. Lists with names and states are in binding-views.ts. */

export type BindingRecord = {
  id: string
  instanceId: string
  spaceId: string
  enabled: boolean
  expiresAt: Date | null
  /** False: it inherits the instance's default pass-through headers. */
  hasOwnPassThrough: boolean
  /** null: every tool. */
  toolAllowList: string[] | null
  tags: string[]
  rowVersion: number
  revision: number
  createdAt: Date
  updatedAt: Date
}

export type Cell = { instanceId: string; spaceId: string }

/** Absent: unchanged. `passThroughHeaders: null` inherits; `{}` sends none. */
export type BindingPatch = {
  enabled?: boolean
  expiresAt?: Date | null
  passThroughHeaders?: Headers | null
  toolAllowList?: string[] | null
  tags?: string[]
}

/** One binding per cell, made where it is missing, with its deployment row (`absent`). */
export async function ensureBindings(store: Store, cells: readonly Cell[]): Promise<BindingRecord[]> {
  const records: BindingRecord[] = []
  for (const chunk of chunksOf(cells)) {
    records.push(...(await store.write((tx) => ensureBindingsIn(store, tx, null, chunk), { retryUnique: true })))
  }
  return records
}

/** The bindings that these cells have; nothing is made. */
export async function findBindings(store: Store, cells: readonly Cell[]): Promise<BindingRecord[]> {
  const wanted = new Set(cells.map((cell) => `${cell.instanceId} ${cell.spaceId}`))
  const instanceIds = [...new Set(cells.map((cell) => cell.instanceId))]
  const rows = await readInChunks(
    cells.map((cell) => cell.spaceId),
    (chunk) => store.db.binding.findMany({ where: { instanceId: { in: instanceIds }, spaceId: { in: chunk } } }),
  )
  return rows.filter((row) => wanted.has(`${row.instanceId} ${row.spaceId}`)).map(toBinding)
}

/** As ensureBindings, inside a transaction. `revision` null: bumped when something is made. */
export async function ensureBindingsIn(
  store: Store,
  tx: Tx,
  revision: number | null,
  cells: readonly Cell[],
): Promise<BindingRecord[]> {
  const keyOf = (cell: Cell) => `${cell.instanceId} ${cell.spaceId}`
  const wanted = new Map(cells.map((cell) => [keyOf(cell), cell]))
  const instanceIds = [...new Set(cells.map((cell) => cell.instanceId))]
  const spaceIds = [...new Set(cells.map((cell) => cell.spaceId))]
  const found = new Map<string, Binding>()
  for (const chunk of chunksOf(spaceIds)) {
    const rows = await tx.binding.findMany({ where: { instanceId: { in: instanceIds }, spaceId: { in: chunk } } })
    for (const row of rows) found.set(keyOf(row), row)
  }
  const missing = [...wanted].filter(([key]) => !found.has(key)).map(([, cell]) => cell)
  if (missing.length > 0) {
    const stamp = revision ?? (await bumpRevision(store, tx))
    const spaceOf = await checkCells(tx, missing)
    const now = new Date()
    for (const chunk of chunksOf(missing)) {
      const ids = newIds(chunk.length)
      const rows = chunk.map((cell, index) => ({
        ...newRow(ids[index] ?? '', cell, stamp, now),
        // A space that was cut off stays so for what comes later.
        enabled: spaceOf.get(cell.spaceId)?.disabledAt === null,
      }))
      await insertRowsIn(tx, 'Binding', rows)
      await insertRowsIn(
        tx,
        'Deployment',
        rows.map((row) => ({
          bindingId: row.id,
          platformId: spaceOf.get(row.spaceId)?.platformId ?? '',
          spaceId: row.spaceId,
          instanceId: row.instanceId,
          state: 'absent',
          createdAt: now,
          updatedAt: now,
        })),
      )
      for (const row of rows) found.set(keyOf(row), row)
    }
  }
  return [...wanted.keys()].flatMap((key) => {
    const row = found.get(key)
    return row === undefined ? [] : [toBinding(row)]
  })
}

export async function getBinding(store: Store, id: string): Promise<BindingRecord | null> {
  const row = await store.db.binding.findUnique({ where: { id } })
  return row === null ? null : toBinding(row)
}

export async function getBindings(store: Store, ids: readonly string[]): Promise<BindingRecord[]> {
  return (await readInChunks(ids, (chunk) => store.db.findRows('Binding', { id: chunk }))).map(toBinding)
}

export type OpenedBinding = BindingRecord & {
  /** In the clear; null: it inherits the instance's defaults. */
  ownPassThrough: Headers | null
}

/** By id, each with its own pass-through headers. */
export async function openBindings(store: Store, ids: readonly string[]): Promise<Map<string, OpenedBinding>> {
  const rows = await readInChunks(ids, (chunk) => store.db.findRows('Binding', { id: chunk }))
  return new Map(rows.map((row) => [row.id, { ...toBinding(row), ownPassThrough: openBindingPassThrough(store, row) }]))
}

/** `rowVersion`: as read, or null to write regardless. Throws NotFoundError, StaleWriteError (then nothing changed). */
export async function updateBinding(
  store: Store,
  id: string,
  rowVersion: number | null,
  patch: BindingPatch,
): Promise<BindingRecord> {
  const [record] = await updateBindings(store, [{ id, rowVersion, patch }])
  if (record === undefined) throw new NotFoundError('The binding')
  return record
}

/** All or nothing: one stale row version and none is changed. */
export async function updateBindings(
  store: Store,
  changes: readonly { id: string; rowVersion: number | null; patch: BindingPatch }[],
): Promise<BindingRecord[]> {
  if (changes.length === 0) return []
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    const records: BindingRecord[] = []
    for (const { id, rowVersion, patch } of changes) {
      records.push(await updateBindingIn(store, tx, revision, id, rowVersion, patch))
    }
    return records
  })
}

/** As updateBinding, inside a transaction that has bumped the revision. */
export async function updateBindingIn(
  store: Store,
  tx: Tx,
  revision: number,
  id: string,
  rowVersion: number | null,
  patch: BindingPatch,
): Promise<BindingRecord> {
  const changed = await tx.binding.updateMany({
    where: { id, ...(rowVersion === null ? {} : { rowVersion }) },
    data: {
      ...(patch.enabled === undefined ? {} : { enabled: patch.enabled }),
      ...(patch.expiresAt === undefined ? {} : { expiresAt: patch.expiresAt }),
      ...(patch.passThroughHeaders === undefined
        ? {}
        : { sealedPassThrough: seal(store, id, patch.passThroughHeaders) }),
      ...(patch.toolAllowList === undefined ? {} : { toolAllowList: jsonOrNull(patch.toolAllowList) }),
      ...(patch.tags === undefined ? {} : { tags: JSON.stringify(patch.tags) }),
      rowVersion: { increment: 1 },
      revision,
      updatedAt: new Date(),
    },
  })
  const row = await tx.binding.findUnique({ where: { id } })
  if (row === null) throw new NotFoundError('The binding')
  if (changed.count === 0) throw new StaleWriteError('The binding', row.rowVersion)
  return toBinding(row)
}

/** The same change to many bindings, whatever their row versions, in few statements. */
export async function updateBindingsIn(
  store: Store,
  tx: Tx,
  revision: number,
  ids: readonly string[],
  patch: Pick<BindingPatch, 'enabled' | 'expiresAt' | 'passThroughHeaders'>,
): Promise<void> {
  const { enabled, expiresAt, passThroughHeaders } = patch
  for (const chunk of chunksOf(ids)) {
    await tx.binding.updateMany({
      where: { id: { in: chunk } },
      data: {
        ...(enabled === undefined ? {} : { enabled }),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        ...(passThroughHeaders === null ? { sealedPassThrough: null } : {}),
        rowVersion: { increment: 1 },
        revision,
        updatedAt: new Date(),
      },
    })
    if (passThroughHeaders == null) continue
    // Sealed for its own row.
    const rows = chunk.map((id) => ({ key: id, values: { sealedPassThrough: seal(store, id, passThroughHeaders) } }))
    await updateEachIn(tx, { name: 'Binding', key: 'id' }, rows)
  }
}

/** How many of an instance's bindings and manual tokens have pass-through headers of their own, which nobody can read back. */
export async function countOwnHeaders(store: Store, instanceId: string): Promise<number> {
  const bindings = await store.db.binding.count({ where: { instanceId, sealedPassThrough: { not: null } } })
  const tokens = await store.db.gatewayToken.count({ where: { instanceId, sealedHeaders: { not: null } } })
  return bindings + tokens
}

export type SpaceSwitch = {
  spaceId: string
  /** Only the bindings of these; default: all that are there. */
  instanceIds?: readonly string[] | undefined
  /** Whether it holds for what is bound there later, too. Default: when it is about all instances. */
  holds?: boolean
}

/**
 * Switches bindings on or off: by id, or those of a space (of the given instances, or of all). Answers which ones changed,
 * and the revision that says so, or the current one when nothing changed. `notSince`: a revision; what was changed after it
 * has had a later word and stays.
 */
export async function setBindingsEnabled(
  store: Store,
  which: { bindingIds: readonly string[] } | SpaceSwitch,
  enabled: boolean,
  options: { notSince?: number | undefined } = {},
): Promise<{ bindingIds: string[]; revision: number }> {
  const unchanged = options.notSince === undefined ? {} : { revision: { lte: options.notSince } }
  const filters =
    'bindingIds' in which
      ? chunksOf(which.bindingIds).map((ids) => ({ id: { in: ids } }))
      : which.instanceIds === undefined
        ? [{ spaceId: which.spaceId }]
        : chunksOf(which.instanceIds).map((ids) => ({ spaceId: which.spaceId, instanceId: { in: ids } }))
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    if ('spaceId' in which && (which.holds ?? which.instanceIds === undefined))
      await markSpace(tx, which.spaceId, enabled)
    const bindingIds: string[] = []
    for (const filter of filters) {
      const where = { ...filter, ...unchanged, enabled: !enabled }
      bindingIds.push(...(await tx.binding.findMany({ where, select: { id: true } })).map((row) => row.id))
      await tx.binding.updateMany({
        where,
        data: { enabled, revision, rowVersion: { increment: 1 }, updatedAt: new Date() },
      })
    }
    return { bindingIds, revision }
  })
}

/** The time of the first cut stays. */
async function markSpace(tx: Tx, id: string, enabled: boolean): Promise<void> {
  const now = new Date()
  await tx.space.updateMany({
    where: { id, disabledAt: enabled ? { not: null } : null },
    data: { disabledAt: enabled ? null : now, updatedAt: now },
  })
}

/** The binding's own pass-through headers in the clear; null: it inherits. Throws NotFoundError. */
export async function openPassThrough(store: Store, bindingId: string): Promise<Headers | null> {
  const row = await store.db.binding.findUnique({ where: { id: bindingId } })
  if (row === null) throw new NotFoundError('The binding')
  return openBindingPassThrough(store, row)
}

/** What the gateway adds for each binding: its own headers, else its instance's defaults. By binding id. */
export async function effectivePassThrough(store: Store, bindingIds: readonly string[]): Promise<Map<string, Headers>> {
  const rows = await readInChunks(bindingIds, (chunk) => store.db.binding.findMany({ where: { id: { in: chunk } } }))
  const heirs = rows.filter((row) => row.sealedPassThrough === null).map((row) => row.instanceId)
  const instances = await readInChunks(heirs, (chunk) =>
    store.db.mcpInstance.findMany({
      where: { id: { in: chunk } },
      select: { id: true, sealedDefaultPassThrough: true },
    }),
  )
  const defaults = new Map(
    instances.map((row) => [
      row.id,
      openInstanceColumn(store, row.id, 'sealedDefaultPassThrough', row.sealedDefaultPassThrough),
    ]),
  )
  return new Map(rows.map((row) => [row.id, openBindingPassThrough(store, row) ?? defaults.get(row.instanceId) ?? {}]))
}

/** Opens what was read with the row. */
export function openBindingPassThrough(
  store: Pick<Store, 'sealer'>,
  row: Pick<Binding, 'id' | 'sealedPassThrough'>,
): Headers | null {
  if (row.sealedPassThrough === null) return null
  return parseJson<Headers>(store.sealer.open(placeOf(row.id), row.sealedPassThrough))
}

export function toBinding(row: Binding): BindingRecord {
  const { sealedPassThrough, toolAllowList, tags, ...rest } = row
  return {
    ...rest,
    hasOwnPassThrough: sealedPassThrough !== null,
    toolAllowList: parseJsonOrNull<string[]>(toolAllowList),
    tags: parseJson<string[]>(tags),
  }
}

type CellSpace = { platformId: string; disabledAt: Date | null }

/** The spaces, by id. Throws NotFoundError for a cell whose instance or space does not exist. */
async function checkCells(tx: Tx, cells: readonly Cell[]): Promise<Map<string, CellSpace>> {
  const spaces = await readInChunks(
    cells.map((cell) => cell.spaceId),
    (chunk) =>
      tx.space.findMany({ where: { id: { in: chunk } }, select: { id: true, platformId: true, disabledAt: true } }),
  )
  const instances = await readInChunks(
    cells.map((cell) => cell.instanceId),
    (chunk) =>
      tx.mcpInstance.findMany({ where: { id: { in: chunk }, status: { not: 'deleted' } }, select: { id: true } }),
  )
  const spaceOf = new Map<string, CellSpace>(spaces.map((space) => [space.id, space]))
  const known = new Set(instances.map((instance) => instance.id))
  for (const cell of cells) {
    if (!spaceOf.has(cell.spaceId)) throw new NotFoundError(`The space ${cell.spaceId}`)
    if (!known.has(cell.instanceId)) throw new NotFoundError(`The instance ${cell.instanceId}`)
  }
  return spaceOf
}

function newRow(id: string, cell: Cell, revision: number, now: Date): Binding {
  return {
    id,
    instanceId: cell.instanceId,
    spaceId: cell.spaceId,
    enabled: true,
    expiresAt: null,
    sealedPassThrough: null,
    toolAllowList: null,
    tags: '[]',
    told: null,
    rowVersion: 1,
    revision,
    createdAt: now,
    updatedAt: now,
  }
}

function placeOf(id: string) {
  return { table: 'Binding', column: 'sealedPassThrough', rowId: id }
}

function seal(store: Store, id: string, headers: Headers | null): string | null {
  return headers === null ? null : store.sealer.seal(placeOf(id), JSON.stringify(headers))
}
