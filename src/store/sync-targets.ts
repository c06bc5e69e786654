import {
  emptyCounts,
  OPEN_SYNC_STATES,
  TARGET_STATES,
  type TargetAction,
  type TargetCounts,
  type TargetState,
} from '../domain/states.ts'
import type { Db, Tx } from './client.ts'
import {
  afterId,
  chunksOf,
  clip,
  jsonOrNull,
  newIds,
  type Page,
  type PageRequest,
  pageSize,
  parseJsonOrNull,
  readInChunks,
  toPage,
} from './columns.ts'
import { NotFoundError } from './errors.ts'
import type { SyncTarget } from './generated/sqlite/client.ts'
import { insertRowsIn } from './insert-rows.ts'
import type { Store } from './store.ts'
import { places, updateEachIn } from './update-each.ts'

export type TargetRecord = {
  id: string
  syncId: string
  spaceId: string
  instanceId: string
  bindingId: string | null
  action: TargetAction | null
  state: TargetState
  /** Field changes as the planner made them, secrets masked; null before planning. */
  changes: unknown[] | null
  attempts: number
  errorType: string | null
  errorMessage: string | null
  /** What a person should know when it is not an error. */
  note: string | null
  /** In a mirror: not in the selection, to be removed. */
  removes: boolean
  /** The foreign object in the way, of a conflict. */
  conflict: TargetConflict | null
  startedAt: Date | null
  finishedAt: Date | null
  updatedAt: Date
}

export type TargetView = TargetRecord & { spaceName: string | null; instanceName: string | null }

export type TargetConflict = { remoteId: string; name: string; because: string }

export type NewTarget = { spaceId: string; instanceId: string; bindingId: string | null; removes?: boolean }

export type FinalTargetState = Exclude<TargetState, 'pending' | 'running'>
export type TargetFailure = { type: string; message: string }

export type PlannedTarget = {
  id: string
  /** null: it failed before anything could be decided. */
  action: TargetAction | null
  changes: readonly unknown[]
  /** `pending` when there is something left to do; else how it ended. */
  state: TargetState
  error?: TargetFailure | null
  note?: string | null
  conflict?: TargetConflict | null
}

/** Rows that are looked for together when a run ends. */
const ENDED_AT_ONCE = 2_000

/** The selection as rows, in chunks. Those that are there already stay as they are. */
export async function createTargets(store: Store, syncId: string, targets: readonly NewTarget[]): Promise<void> {
  for (const chunk of chunksOf(targets)) {
    await store.write(
      async (tx) => {
        const spaceIds = [...new Set(chunk.map((target) => target.spaceId))]
        const rows = await tx.syncTarget.findMany({
          where: { syncId, spaceId: { in: spaceIds } },
          select: { spaceId: true, instanceId: true },
        })
        const known = new Set(rows.map((row) => `${row.spaceId} ${row.instanceId}`))
        const now = new Date()
        const ids = newIds(chunk.length)
        const missing = []
        for (const [index, target] of chunk.entries()) {
          const key = `${target.spaceId} ${target.instanceId}`
          if (known.has(key)) continue
          known.add(key)
          const { spaceId, instanceId, bindingId, removes = false } = target
          const cell = { spaceId, instanceId, bindingId, removes }
          missing.push({ id: ids[index] ?? '', syncId, ...cell, state: 'pending', updatedAt: now })
        }
        await insertRowsIn(tx, 'SyncTarget', missing)
      },
      { retryUnique: true },
    )
  }
}

export async function listTargetsForSpace(store: Store, syncId: string, spaceId: string): Promise<TargetRecord[]> {
  return (await store.db.findRows('SyncTarget', { syncId, spaceId }, { orderBy: 'id' })).map(toTarget)
}

export async function getTarget(store: Store, id: string): Promise<TargetRecord | null> {
  const row = await store.db.syncTarget.findUnique({ where: { id } })
  return row === null ? null : toTarget(row)
}

/** Whether an open run of the platform still has something to do for this binding. */
export async function hasOpenTarget(store: Store, platformId: string, bindingId: string): Promise<boolean> {
  const runs = await store.db.sync.findMany({
    where: { platformId, state: { in: [...OPEN_SYNC_STATES] }, dryRun: false },
    select: { id: true },
  })
  const syncId = { in: runs.map((run) => run.id) }
  return (await store.db.syncTarget.count({ where: { syncId, bindingId, state: { in: ['pending', 'running'] } } })) > 0
}

/** With names, in the order in which they were made. */
export async function listTargets(
  store: Store,
  syncId: string,
  request: PageRequest & {
    state?: TargetState | undefined
    spaceId?: string | undefined
    instanceId?: string | undefined
  } = {},
): Promise<Page<TargetView>> {
  const size = pageSize(request)
  const { state, spaceId, instanceId } = request
  const rows = await store.db.syncTarget.findMany({
    where: {
      syncId,
      ...afterId(request.cursor),
      ...(state === undefined ? {} : { state }),
      ...(spaceId === undefined ? {} : { spaceId }),
      ...(instanceId === undefined ? {} : { instanceId }),
    },
    orderBy: { id: 'asc' },
    take: size + 1,
  })
  const page = toPage(rows, size, (row) => [row.id], toTarget)
  return { items: await withNames(store.db, page.items), nextCursor: page.nextCursor }
}

/** The cells of a run in the given states, for starting another run with just these. */
export async function listTargetCells(
  store: Store,
  syncId: string,
  states: readonly TargetState[],
): Promise<NewTarget[]> {
  return store.db.syncTarget.findMany({
    where: { syncId, state: { in: [...states] } },
    select: { spaceId: true, instanceId: true, bindingId: true, removes: true },
    orderBy: { id: 'asc' },
  })
}

/** Records the plan. A target that has ended already is not planned again; a skipped one is, since it may be enabled by now. */
export async function recordPlan(store: Store, planned: readonly PlannedTarget[]): Promise<void> {
  const now = new Date()
  const rows = planned.map(({ id, action, changes, state, error, note, conflict }) => ({
    key: id,
    values: {
      action,
      changes: jsonOrNull(changes),
      state,
      ...failureColumns(error ?? null),
      note: note ?? null,
      conflict: jsonOrNull(conflict),
      finishedAt: state === 'pending' || state === 'running' ? null : now,
      updatedAt: now,
    },
  }))
  for (const chunk of chunksOf(rows)) {
    await store.write(
      (tx) => updateEachIn(tx, { name: 'SyncTarget', key: 'id' }, chunk, ['pending', 'running', 'skipped']),
      { shared: true },
    )
  }
}

/** One more attempt. False when the target has ended already (skipped by a signal, for example). */
export async function startTarget(store: Store, id: string): Promise<boolean> {
  return store.write(async (tx) => (await startTargetsIn(tx, [id])).size > 0, { shared: true })
}

/** As startTarget, of many. Answers the ids of those that were started. */
export async function startTargetsIn(tx: Tx, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const now = new Date()
  // By hand: this, and what is beside it in a group of writes, is what a run does most.
  const count = await tx.$executeRawUnsafe(
    `UPDATE \`SyncTarget\` SET \`state\` = 'running', \`attempts\` = \`attempts\` + 1, \`updatedAt\` = ?,
       \`startedAt\` = COALESCE(\`startedAt\`, ?) WHERE \`id\` IN (${places(ids)}) AND \`state\` IN ('pending', 'running')`,
    now,
    now,
    ...ids,
  )
  if (count === ids.length) return new Set(ids)
  const rows = await tx.syncTarget.findMany({ where: { id: { in: [...ids] }, state: 'running' }, select: { id: true } })
  return new Set(rows.map(({ id }) => id))
}

/** Back to `pending`: this attempt failed, another will come. The error is shown until then. */
export async function postponeTarget(store: Store, id: string, error: TargetFailure): Promise<void> {
  await store.write((tx) =>
    tx.syncTarget.updateMany({
      where: { id, state: 'running' },
      data: { state: 'pending', ...failureColumns(error), updatedAt: new Date() },
    }),
  )
}

/** Ends a target. Throws NotFoundError. One that has ended already is ended anew: verify may overrule write. */
export async function finishTarget(
  store: Store,
  id: string,
  state: FinalTargetState,
  error: TargetFailure | null = null,
  note?: string | null,
): Promise<void> {
  await store.write((tx) => finishTargetIn(tx, id, state, error, note))
}

async function finishTargetIn(
  tx: Tx,
  id: string,
  state: FinalTargetState,
  error: TargetFailure | null,
  note?: string | null,
): Promise<void> {
  const now = new Date()
  const changed = await tx.syncTarget.updateMany({
    where: { id },
    data: {
      state,
      ...failureColumns(error),
      ...(note === undefined ? {} : { note }),
      finishedAt: now,
      updatedAt: now,
    },
  })
  if (changed.count === 0) throw new NotFoundError('The target')
}

/** Ends targets that went well, all in the same way. Throws NotFoundError when one of them is not there. */
export async function finishTargetsIn(
  tx: Tx,
  ids: readonly string[],
  state: FinalTargetState,
  note: string | null,
): Promise<void> {
  const now = new Date()
  const changed = await tx.$executeRawUnsafe(
    `UPDATE \`SyncTarget\` SET \`state\` = ?, \`errorType\` = NULL, \`errorMessage\` = NULL, \`note\` = ?, \`finishedAt\` = ?,
       \`updatedAt\` = ? WHERE \`id\` IN (${places(ids)})`,
    ...[state, note, now, now, ...ids],
  )
  if (changed < ids.length) throw new NotFoundError('The target')
}

/**
 * Ends those of the run's targets that have not ended: all, or of a space, or of an instance, or some. Answers how many. In short
 * transactions: a run may have a hundred thousand of them, and what has ended meanwhile stays as it ended.
 */
export async function finishOpenTargets(
  store: Store,
  syncId: string,
  which: { spaceId?: string; instanceId?: string; bindingIds?: readonly string[]; targetIds?: readonly string[] },
  state: FinalTargetState,
  error: TargetFailure | null = null,
  note?: string | null,
): Promise<number> {
  const now = new Date()
  const open = { syncId, state: { in: ['pending', 'running'] } }
  const data = {
    state,
    ...failureColumns(error),
    ...(note === undefined ? {} : { note }),
    finishedAt: now,
    updatedAt: now,
  }
  const where = {
    ...open,
    ...(which.spaceId === undefined ? {} : { spaceId: which.spaceId }),
    ...(which.instanceId === undefined ? {} : { instanceId: which.instanceId }),
  }
  const filters = [
    ...chunksOf(which.bindingIds ?? []).map((ids) => ({ bindingId: { in: ids } })),
    ...chunksOf(which.targetIds ?? []).map((ids) => ({ id: { in: ids } })),
    ...(which.bindingIds === undefined && which.targetIds === undefined ? [{}] : []),
  ]
  let count = 0
  for (const filter of filters) {
    for (;;) {
      // Those that were ended are no longer found, so this comes to an end.
      const rows = await store.db.syncTarget.findMany({
        where: { AND: [where, filter] },
        select: { id: true },
        take: ENDED_AT_ONCE,
      })
      for (const chunk of chunksOf(rows)) {
        const ids = chunk.map(({ id }) => id)
        count += (await store.write((tx) => tx.syncTarget.updateMany({ where: { ...open, id: { in: ids } }, data })))
          .count
      }
      if (rows.length < ENDED_AT_ONCE) break
    }
  }
  return count
}

/** Targets by state: of the run, or of one of its spaces. */
export async function countTargets(
  store: Store,
  syncId: string,
  filter: { spaceId?: string } = {},
): Promise<TargetCounts> {
  const counts = emptyCounts()
  const { spaceId } = filter
  if (spaceId !== undefined) {
    const rows = await store.db.findRows('SyncTarget', { syncId, spaceId }, { columns: ['state'] })
    for (const { state } of rows) counts[toState(state)] += 1
    return { ...counts, total: rows.length }
  }
  const groups = await store.db.syncTarget.groupBy({ by: ['state'], where: { syncId }, _count: { _all: true } })
  for (const group of groups) {
    counts[toState(group.state)] += group._count._all
    counts.total += group._count._all
  }
  return counts
}

async function withNames(db: Db, targets: TargetRecord[]): Promise<TargetView[]> {
  const [spaces, instances] = await Promise.all([
    readInChunks(
      targets.map((target) => target.spaceId),
      (chunk) => db.space.findMany({ where: { id: { in: chunk } }, select: { id: true, name: true } }),
    ),
    readInChunks(
      targets.map((target) => target.instanceId),
      (chunk) =>
        db.mcpInstance.findMany({
          where: { id: { in: chunk }, status: { not: 'deleted' } },
          select: { id: true, name: true },
        }),
    ),
  ])
  const spaceNames = new Map(spaces.map((row) => [row.id, row.name]))
  const instanceNames = new Map(instances.map((row) => [row.id, row.name]))
  return targets.map((target) => ({
    ...target,
    spaceName: spaceNames.get(target.spaceId) ?? null,
    instanceName: instanceNames.get(target.instanceId) ?? null,
  }))
}

export function failureColumns(error: TargetFailure | null) {
  return {
    errorType: error === null ? null : clip(error.type, 64),
    errorMessage: error === null ? null : clip(error.message, 4000),
  }
}

function toTarget(row: SyncTarget): TargetRecord {
  return {
    ...row,
    // The store wrote these words itself.
    action: row.action as TargetAction | null,
    state: toState(row.state),
    changes: parseJsonOrNull<unknown[]>(row.changes),
    conflict: parseJsonOrNull<TargetConflict>(row.conflict),
  }
}

function toState(text: string): TargetState {
  const state = TARGET_STATES.find((known) => known === text)
  if (state === undefined) throw new Error(`a target is in the unknown state ${text}`)
  return state
}
