import type { PlannedTarget } from '../src/domain/plan.ts'
import {
  type DeploymentRecord,
  type Drift,
  recordDrift,
  recordVerified,
  stillAsSeen,
} from '../src/store/deployments.ts'
import { DRIFT_EVENT, type DriftEventData } from '../src/store/run-notices.ts'
import type { Store } from '../src/store/store.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { UPSTREAM_TOOLS } from '../src/store/tool-changes.ts'
import type { SpaceCell } from './space-work.ts'

/**
 * What a profile's check found, on the deployments: drift with its fields and since when, or that all is as it was written.
 * Tools that the MCP server offers otherwise than they were deployed are drift, too: `upstream-tools`; so is an address of the
 * gateway that changed since: `gateway-url`.
 */
export async function recordCheck(
  store: Store,
  syncId: string,
  plans: readonly { cell: SpaceCell; plan: PlannedTarget }[],
): Promise<void> {
  const inSync: DeploymentRecord[] = []
  const drifted: Drift[] = []
  for (const { cell, plan } of plans) {
    // What was never written cannot have drifted; what could not be judged, or is not ours to write, stays as it was.
    const { deployment } = cell
    if (cell.binding === null || deployment?.digests == null) continue
    if (plan.action !== 'unchanged' && plan.action !== 'update' && plan.action !== 'create') continue
    const drift = driftSeen(plan)
    if (drift.length > 0) drifted.push({ seen: deployment, fields: drift })
    // Drift that somebody has mended on the platform is over, whatever else is still to be written.
    else if (plan.action === 'unchanged' || deployment.state === 'drifted') inSync.push(deployment)
  }
  await recordDrift(store, drifted, syncId)
  await recordVerified(store, inSync, syncId)
}

/**
 * Notes in the run's events what was found drifted for the first time, so that the run can tell of it at its end; before it is
 * recorded on the deployments, after which it would be old news to a second attempt.
 */
export async function noteNewDrift(
  store: Store,
  ids: { syncId: string; spaceId: string },
  plans: readonly { cell: SpaceCell; plan: PlannedTarget }[],
  isCheck: boolean,
): Promise<void> {
  const found = plans.flatMap(({ cell: { binding, deployment }, plan }) => {
    if (binding === null || deployment?.digests == null || deployment.driftSince !== null) return []
    if (plan.action !== 'unchanged' && plan.action !== 'update' && plan.action !== 'create') return []
    const fields = isCheck ? driftSeen(plan) : plan.drift
    return fields.length === 0 ? [] : [{ seen: deployment, fields }]
  })
  if (found.length === 0) return
  // What another run was writing while we looked has not drifted.
  const same = await stillAsSeen(
    store,
    found.map(({ seen }) => seen),
  )
  const news = found.filter(({ seen }) => same.has(seen.bindingId)).map(({ fields }) => fields)
  if (news.length === 0) return
  const data: DriftEventData = {
    spaceId: ids.spaceId,
    objects: news.length,
    fields: [...new Set(news.flat())],
  }
  await appendSyncEvent(store, ids.syncId, DRIFT_EVENT, data)
}

function driftSeen(plan: PlannedTarget): string[] {
  // Deleted or edited on the platform: then it is due whatever we want by now.
  const isOurs = (field: string) =>
    plan.changes.some((change) => change.field === field) &&
    !plan.drift.includes(field) &&
    !plan.drift.includes('deleted')
  return [...plan.drift, ...(isOurs('tools') ? [UPSTREAM_TOOLS] : []), ...(isOurs('url') ? ['gateway-url'] : [])]
}
