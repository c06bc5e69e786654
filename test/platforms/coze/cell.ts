import { createHash } from 'node:crypto'
import type { RemoteIdentity } from '../../../src/domain/object.ts'
import {
  compareFields,
  digestsAfterWrite,
  driftOf,
  type FieldDigests,
  type PlannedTarget,
  planTarget,
} from '../../../src/domain/plan.ts'
import type { AppliedObject, Checkpoint, DesiredObject, Platform, SpaceRef } from '../../../src/platforms/platform.ts'
import { never } from './world.ts'

/** What the product's store keeps of one cell; it outlives the process that writes. */
export class CellRecord {
  readonly bindingId: string
  identity: RemoteIdentity | null = null
  checkpoint: Checkpoint | null = null
  digests: FieldDigests | null = null
  keptFields: string[] = []

  constructor(bindingId: string) {
    this.bindingId = bindingId
  }
}

export type RunCell = { record: CellRecord; desired: DesiredObject }

/** One process's walk over some cells of a space, in the product's own order: plan → write → verify, the real planner deciding. */
export async function syncCells(
  platform: Platform,
  space: SpaceRef,
  cells: readonly RunCell[],
  options: { signal?: AbortSignal } = {},
): Promise<(PlannedTarget & { applied: AppliedObject | null; drift: string[] })[]> {
  const signal = options.signal ?? never()
  const desired = new Map(cells.map((cell) => [cell.record.bindingId, platform.normalise(cell.desired)]))
  const wanted = cells.map(({ record }) => ({
    bindingId: record.bindingId,
    identity: record.identity,
    checkpoint: record.checkpoint,
    desired: desired.get(record.bindingId) ?? null,
  }))
  const reading = await platform.read(space, wanted, { signal })
  const plans = cells.map((cell) => planOf(cell, desired, reading))
  for (const { record } of cells) record.identity ??= reading.objects.get(record.bindingId)?.identity ?? null

  const results: (PlannedTarget & { applied: AppliedObject | null; drift: string[] })[] = []
  {
    await using writer = await platform.openSpace(space, { signal, fence: async () => {} })
    for (const [index, { record }] of cells.entries()) {
      const plan = plans[index]
      const object = desired.get(record.bindingId)
      if (plan === undefined || object === undefined) throw new Error('a cell was lost')
      if (plan.action !== 'create' && plan.action !== 'update') {
        results.push({ ...plan, applied: null })
        continue
      }
      const former = record.digests
      let fields: string[] = []
      const applied = await writer.apply({
        action: plan.action,
        bindingId: record.bindingId,
        identity: record.identity,
        desired: object,
        checkpoint: record.checkpoint,
        saveCheckpoint: async (step, data, identity) => {
          record.checkpoint = { step, data }
          if (identity !== undefined) record.identity = identity
        },
        clearCheckpoint: async () => {
          record.checkpoint = null
        },
        fieldsToWrite: (observed) => {
          fields =
            observed === null ? Object.keys(object.fields) : compareFields(object, former, observed, digest).write
          return fields
        },
      })
      record.identity = applied.identity
      record.digests = digestsAfterWrite(object, applied.stored, fields, former, digest)
      record.keptFields = object.keptFields
      record.checkpoint = null
      results.push({ ...plan, applied })
    }
  }
  const written = cells.filter((_, index) => results[index]?.applied != null)
  if (written.length > 0) {
    const seen = await platform.read(
      space,
      written.map(({ record }) => ({ bindingId: record.bindingId, identity: record.identity, desired: null })),
      { signal },
    )
    for (const [index, { record }] of cells.entries()) {
      const result = results[index]
      if (result?.applied == null || record.digests === null) continue
      result.drift = driftOf(record.digests, seen.objects.get(record.bindingId) ?? null, record.keptFields, digest)
    }
  }
  return results
}

function planOf(
  { record }: RunCell,
  desired: ReadonlyMap<string, ReturnType<Platform['normalise']>>,
  reading: Awaited<ReturnType<Platform['read']>>,
): PlannedTarget {
  return planTarget(
    {
      action: 'sync',
      writePolicy: 'upsert-only',
      right: 'granted',
      desired: desired.get(record.bindingId) ?? null,
      desiredError: reading.refused?.get(record.bindingId) ?? null,
      unknownFields: [],
      recorded: { identity: record.identity, state: 'in_sync', digests: record.digests },
      spaceProblem: reading.problem,
      observed: reading.objects.get(record.bindingId) ?? null,
      inTheWay: reading.inTheWay.get(record.bindingId) ?? null,
    },
    digest,
  )
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
