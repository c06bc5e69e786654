import { ToolferryError } from '../src/domain/errors.ts'
import { driftOf } from '../src/domain/plan.ts'
import { recordDrift, recordVerified } from '../src/store/deployments.ts'
import { updateSync } from '../src/store/syncs.ts'
import { listTokensOfBinding, revokeTokens } from '../src/store/tokens.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { onPlatform } from './on-platform.ts'
import { outcomeOfSpace } from './outcome.ts'
import { readSpace } from './plan-space.ts'
import { loadSpaceWork } from './space-work.ts'
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
    await updateSync(store, input.syncId, { phase: 'verify' })
    const written = work.cells.filter((cell) => cell.binding !== null && cell.target.state === 'succeeded')
    if (work.sync.action === 'remove' || written.length === 0) return await outcomeOfSpace(store, input)

    const reading = await onPlatform(deps, work.platform, (platform) =>
      readSpace(platform, work, written, new Map(), signal),
    )
    const verified: string[] = []
    for (const cell of written) {
      const digests = cell.deployment?.digests
      if (cell.binding === null || digests == null) continue
      const kept = Array.isArray(cell.deployment?.applied?.keptFields)
        ? cell.deployment.applied.keptFields.map(String)
        : []
      const drift = driftOf(digests, reading.objects.get(cell.key) ?? null, kept, store.digest)
      if (drift.length === 0) {
        verified.push(cell.binding.id)
        continue
      }
      await recordDrift(store, cell.binding.id, drift, input.syncId)
      const message = `It was changed on the platform right after it was written (${drift.join(', ')}). Sync again, and see who else writes there.`
      await endAsFailed(deps, cell, new ToolferryError('Conflict', message))
    }
    await recordVerified(store, verified, input.syncId)
    await endFormerTokens(deps, verified)
    return await outcomeOfSpace(store, input)
  })
}

async function endFormerTokens(deps: ActivityDeps, bindingIds: readonly string[]): Promise<void> {
  for (const bindingId of bindingIds) {
    const tokens = await listTokensOfBinding(deps.store, bindingId)
    const retiring = tokens.filter((token) => token.state === 'retiring').map((token) => token.id)
    if (retiring.length > 0) await revokeTokens(deps.store, retiring)
  }
}
