import type { PlannedTarget } from '../src/domain/plan.ts'
import { recordDrift, recordVerified } from '../src/store/deployments.ts'
import type { Store } from '../src/store/store.ts'
import type { SpaceCell } from './space-work.ts'

/**
 * What a profile's check found, on the deployments: drift with its fields and since when, or that all is as it was written.
 * Tools that the MCP server offers otherwise than they were deployed are drift, too: `upstream-tools`.
 */
export async function recordCheck(
  store: Store,
  syncId: string,
  plans: readonly { cell: SpaceCell; plan: PlannedTarget }[],
): Promise<void> {
  const inSync: string[] = []
  for (const { cell, plan } of plans) {
    // What was never written cannot have drifted; what could not be judged, or is not ours to write, stays as it was.
    if (cell.binding === null || cell.deployment?.digests == null) continue
    if (plan.action !== 'unchanged' && plan.action !== 'update' && plan.action !== 'create') continue
    const drift = driftSeen(plan)
    if (drift.length > 0) await recordDrift(store, cell.binding.id, drift, syncId)
    // Drift that somebody has mended on the platform is over, whatever else is still to be written.
    else if (plan.action === 'unchanged' || cell.deployment.state === 'drifted') inSync.push(cell.binding.id)
  }
  await recordVerified(store, inSync, syncId)
}

function driftSeen(plan: PlannedTarget): string[] {
  const toolsDiffer = plan.changes.some((change) => change.field === 'tools')
  // Deleted or edited on the platform: then they are due whatever the MCP server says.
  const dueAnyway = plan.drift.includes('tools') || plan.drift.includes('deleted')
  return toolsDiffer && !dueAnyway ? [...plan.drift, 'upstream-tools'] : plan.drift
}
