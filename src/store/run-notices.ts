import type { PlatformRef, RunData } from '../domain/notices.ts'
import type { TargetCounts } from '../domain/states.ts'
import type { Tx } from './client.ts'
import { parseJson } from './columns.ts'
import { postNotice } from './deliveries.ts'
import type { Sync } from './generated/sqlite/client.ts'

/** What a run tells of, in the transaction that makes it so. */

/** The data of a sync event of this type: what was found drifted in a space for the first time. */
export const DRIFT_EVENT = 'drift'
export type DriftEventData = { spaceId: string; objects: number; fields: string[] }

/** A run has just been closed. */
export async function tellOfEnd(tx: Tx, syncId: string): Promise<void> {
  const sync = await tx.sync.findUnique({ where: { id: syncId } })
  if (sync === null) return
  if (sync.state === 'failed' || sync.state === 'partial') {
    const type = sync.state === 'failed' ? 'sync.failed' : 'sync.partial'
    await postNotice(tx, sync.id, { type, data: await runData(tx, sync) })
  }
  await tellOfDrift(tx, sync)
}

/** A run has just begun to wait. Told once for each credential that was refused. */
export async function tellOfWaiting(tx: Tx, syncId: string): Promise<void> {
  const sync = await tx.sync.findUnique({ where: { id: syncId } })
  if (sync === null) return
  const platform = await tx.platform.findUnique({
    where: { id: sync.platformId },
    select: { credentialVersion: true },
  })
  await postNotice(tx, `${sync.id}:${platform?.credentialVersion ?? 0}`, {
    type: 'sync.waiting_for_credential',
    data: await runData(tx, sync),
  })
}

/** All that the run's spaces found. A space that was planned twice has said it twice. */
async function tellOfDrift(tx: Tx, sync: Sync): Promise<void> {
  const events = await tx.syncEvent.findMany({ where: { syncId: sync.id, type: DRIFT_EVENT }, select: { data: true } })
  if (events.length === 0) return
  const bySpace = new Map<string, DriftEventData>()
  for (const { data } of events) {
    const found = parseJson<DriftEventData>(data)
    if (found.objects > (bySpace.get(found.spaceId)?.objects ?? 0)) bySpace.set(found.spaceId, found)
  }
  const spaces = [...bySpace.values()]
  await postNotice(tx, sync.id, {
    type: 'drift.found',
    data: {
      ...(await platformRef(tx, sync.platformId)),
      syncId: sync.id,
      name: sync.name,
      objects: spaces.reduce((sum, { objects }) => sum + objects, 0),
      spaces: spaces.length,
      fields: [...new Set(spaces.flatMap(({ fields }) => fields))].sort(),
    },
  })
}

async function runData(tx: Tx, sync: Sync): Promise<RunData> {
  return {
    ...(await platformRef(tx, sync.platformId)),
    syncId: sync.id,
    name: sync.name,
    counts: parseJson<TargetCounts>(sync.counts),
    error: sync.errorType === null ? null : { type: sync.errorType, message: sync.errorMessage ?? '' },
  }
}

export async function platformRef(tx: Tx, platformId: string): Promise<PlatformRef> {
  const platform = await tx.platform.findUnique({ where: { id: platformId }, select: { name: true, kind: true } })
  return { platformId, platformName: platform?.name ?? '', platformKind: platform?.kind ?? '' }
}
