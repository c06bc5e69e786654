import { ToolferryError } from '../domain/errors.ts'
import type { Tx } from './client.ts'
import type { DeploymentRecord } from './deployments.ts'
import { lostLeases } from './leases.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { appendSyncEventsIn } from './sync-events.ts'
import { finishTargetsIn, type TargetRecord } from './sync-targets.ts'

/**
 * An object of ours stands on its platform no more. Its tokens end in the same transaction: one that a run has minted since is
 * ended, too, and that run sees it before it writes (beginTargetWrite). Its identity stays for a later return.
 */

type Target = Pick<TargetRecord, 'id' | 'syncId' | 'spaceId' | 'instanceId'>

/**
 * Seen to be gone by somebody who does not hold the space's lease. Nothing is recorded, and the answer is false, when the
 * deployment is not any more as it was before that look (`asOf`): somebody is making it again.
 */
export async function recordGone(
  store: Store,
  bindingId: string,
  syncId: string | null,
  asOf: Pick<DeploymentRecord, 'state' | 'updatedAt'>,
): Promise<boolean> {
  const { state, updatedAt } = asOf
  return await store.write((tx) => endIn(store, tx, { bindingId, state, updatedAt }, syncId))
}

/**
 * After a removal: that it is gone, how the target ended, and the event that tells of it. Throws SpaceBusy when the lease has
 * passed to another: it may stand there again.
 */
export async function landRemoval(
  store: Store,
  target: Target,
  epoch: number,
  bindingId: string | null,
  end: { state: 'succeeded' | 'unchanged'; note: string | null },
): Promise<void> {
  const { id, syncId, spaceId, instanceId } = target
  await store.write(async (tx) => {
    if (bindingId !== null) await endIn(store, tx, { bindingId }, syncId)
    if ((await lostLeases(tx, [{ spaceId, epoch }])).size > 0) {
      throw new ToolferryError('SpaceBusy', 'Another run is writing to this space.')
    }
    await finishTargetsIn(tx, [id], end.state, end.note)
    const data = { targetId: id, spaceId, instanceId, state: end.state }
    await appendSyncEventsIn(store, tx, syncId, [{ type: 'target', data }])
  })
}

type Which = { bindingId: string; state?: string; updatedAt?: Date }

async function endIn(store: Store, tx: Tx, which: Which, syncId: string | null): Promise<boolean> {
  const revision = await bumpRevision(store, tx)
  const now = new Date()
  // What was never there stays so.
  const changed = await tx.deployment.updateMany({
    where: { AND: [which, { state: { not: 'absent' } }] },
    data: {
      state: 'removed',
      ownership: null,
      digests: null,
      applied: null,
      checkpoint: null,
      driftFields: null,
      driftSince: null,
      lastErrorType: null,
      lastErrorMessage: null,
      updatedAt: now,
      ...(syncId === null ? {} : { lastSyncId: syncId }),
    },
  })
  if (changed.count === 0) return false
  await tx.gatewayToken.updateMany({
    where: { bindingId: which.bindingId, state: { not: 'revoked' } },
    data: { state: 'revoked', revokedAt: now, revision },
  })
  return true
}
