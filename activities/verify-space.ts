import { ToolferryError } from '../src/domain/errors.ts'
import { type Digest, driftOf, fieldDigest } from '../src/domain/plan.ts'
import { authorizationOf } from '../src/platforms/desired.ts'
import { type DeploymentRecord, recordDrift, recordVerified } from '../src/store/deployments.ts'
import { enterPhase } from '../src/store/syncs.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { endFormerTokens } from './former-tokens.ts'
import { inActivity } from './in-activity.ts'
import { onPlatform } from './on-platform.ts'
import { outcomeOfSpace } from './outcome.ts'
import { readSpace } from './plan-space.ts'
import { type CellToken, loadSpaceWork, type SpaceCell } from './space-work.ts'
import { endAsFailed } from './walk-targets.ts'

/**
 * Reads the space back and compares with what was written. Only then is a deployment in sync, and only then does a
 * binding's former token end: the platform demonstrably uses the new one.
 */
export async function verifySpace(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string },
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, input, async (signal) => {
    const { store } = deps
    const work = await loadSpaceWork(deps, input)
    await enterPhase(store, work.sync, 'verify')
    const written = work.cells.filter(wasWritten)
    if (work.sync.action === 'remove' || written.length === 0) return await outcomeOfSpace(store, input)

    const reading = await onPlatform(deps, work.platform, (platform) =>
      readSpace(platform, work, written, new Map(), signal),
    )
    const verified: DeploymentRecord[] = []
    for (const cell of written) {
      const { deployment } = cell
      if (deployment?.digests == null) continue
      const refused = reading.refused?.get(cell.key)
      if (refused !== undefined) {
        await endAsFailed(deps, cell, new ToolferryError(refused.type, refused.message))
        continue
      }
      const kept = Array.isArray(deployment.applied?.keptFields) ? deployment.applied.keptFields.map(String) : []
      const drift = driftOf(deployment.digests, reading.objects.get(cell.key) ?? null, kept, store.digest)
      if (drift.length === 0) {
        verified.push(deployment)
        continue
      }
      const recorded = await recordDrift(store, [{ seen: deployment, fields: drift }], input.syncId)
      // Another run has written or removed it since: that is for its own verify to judge.
      if (recorded.size === 0) continue
      const message = `It was changed on the platform right after it was written (${drift.join(', ')}). Sync again, and see who else writes there.`
      await endAsFailed(deps, cell, new ToolferryError('Conflict', message))
    }
    await recordVerified(store, verified, input.syncId)
    const stands = new Set(verified.map(({ bindingId }) => bindingId))
    await endFormerTokens(
      deps,
      written.flatMap(({ binding, token, deployment }) =>
        binding !== null && stands.has(binding.id) && holdsToken(deployment, token, store.digest)
          ? [{ bindingId: binding.id, tokenId: token.id }]
          : [],
      ),
    )
    return await outcomeOfSpace(store, input)
  })
}

/** What another run wrote while this one waited for the space is unchanged here, and pending until somebody has read it back. */
function wasWritten({ binding, target, deployment }: SpaceCell): boolean {
  if (binding === null || target.removes) return false
  return target.state === 'succeeded' || (target.state === 'unchanged' && deployment?.state === 'pending')
}

/**
 * Whether the platform was given the token that was active when this was read, and that was proven. It need not: the admin may
 * have set another one since the write, and then the former one is what the platform still sends.
 */
function holdsToken(deployment: DeploymentRecord | null, token: CellToken | null, digest: Digest): token is CellToken {
  const written = deployment?.digests?.desired.authorization
  if (token === null || !token.proven || written === undefined) return false
  return written === fieldDigest(digest, 'authorization', authorizationOf(token))
}
