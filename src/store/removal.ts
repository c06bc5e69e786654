import type { Tx } from './client.ts'
import { chunksOf } from './columns.ts'
import { StoreError } from './errors.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'

/**
 * Deployments that have an object of ours on the platform, or may have: one that was about to be written, whether its run is
 * still at it or has failed in the middle.
 */
export const DEPLOYED = { OR: [{ ownership: { not: null } }, { state: 'pending' }, { checkpoint: { not: null } }] }

/**
 * Drops bindings and their deployments, of some spaces or of one instance. Their tokens are revoked, not deleted: every
 * gateway has to see that first. Throws StoreError `has_deployments` while objects of ours are on a platform, unless
 * `forget`. Answers the revision, or null when there was nothing to drop.
 */
export async function forgetBindings(
  store: Store,
  tx: Tx,
  which: { spaceIds: string[] } | { instanceId: string },
  forget: boolean,
): Promise<number | null> {
  const filters =
    'instanceId' in which
      ? [{ instanceId: which.instanceId }]
      : chunksOf(which.spaceIds).map((ids) => ({ spaceId: { in: ids } }))
  let deployed = 0
  for (const where of filters) {
    deployed += await tx.deployment.count({ where: { ...where, ...DEPLOYED } })
  }
  if (deployed > 0 && !forget) {
    throw new StoreError(
      'has_deployments',
      `${deployed} ${deployed === 1 ? 'object of it is' : 'objects of it are'} still on a platform. Remove them with a removal sync first, or forget the records only.`,
    )
  }
  let revision: number | null = null
  for (const where of filters) {
    const ids = (await tx.binding.findMany({ where, select: { id: true } })).map((row) => row.id)
    for (const chunk of chunksOf(ids)) {
      revision ??= await bumpRevision(store, tx)
      await tx.gatewayToken.updateMany({
        where: { bindingId: { in: chunk }, state: { not: 'revoked' } },
        data: { state: 'revoked', revokedAt: new Date(), revision },
      })
      await tx.deployment.deleteMany({ where: { bindingId: { in: chunk } } })
      await tx.binding.deleteMany({ where: { id: { in: chunk } } })
    }
  }
  return revision
}

/** Revokes every token of an instance, or of a platform's bindings, unless objects of ours are, or may be, still there. */
export async function revokeUndeployed(
  store: Store,
  tx: Tx,
  which: { instanceId: string } | { platformId: string },
): Promise<void> {
  const revision = await bumpRevision(store, tx)
  if ((await tx.deployment.count({ where: { ...which, ...DEPLOYED } })) > 0) return
  const revoke = (where: object) =>
    tx.gatewayToken.updateMany({
      where: { ...where, state: { not: 'revoked' } },
      data: { state: 'revoked', revokedAt: new Date(), revision },
    })
  if ('instanceId' in which) {
    await revoke(which)
    return
  }
  const bindings = await tx.deployment.findMany({ where: which, select: { bindingId: true } })
  for (const chunk of chunksOf(bindings)) await revoke({ bindingId: { in: chunk.map(({ bindingId }) => bindingId) } })
}
