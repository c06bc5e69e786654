import { toToolferryError } from '../src/domain/errors.ts'
import { fieldDigest } from '../src/domain/plan.ts'
import type { Platform } from '../src/platforms/platform.ts'
import { type BindingRecord, getBindings } from '../src/store/bindings.ts'
import { type DeploymentRecord, getDeployments } from '../src/store/deployments.ts'
import type { InstanceRecord, ToolSnapshotRecord } from '../src/store/instances.ts'
import { getPlatform, type PlatformRecord } from '../src/store/platforms.ts'
import { clearToolsChanged, markToolsChanged } from '../src/store/tool-changes.ts'
import type { ActivityDeps } from './deps.ts'
import { desiredFor } from './desired.ts'

/** A deployed cell, and the tools that its MCP server offers it now. */
export type WatchedCell = {
  bindingId: string
  platformId: string
  spaceId: string
  instanceId: string
  snapshot: ToolSnapshotRecord
}

/** A cell whose tools on the platform are not what its MCP server offers. */
export type ChangedCell = WatchedCell & { binding: BindingRecord; deployment: DeploymentRecord }

/**
 * Which of these cells would be written otherwise now, for their tools alone: what the platform would be given is compared with
 * what it was given, so that a change that the platform cannot tell is none. Noted on the deployments, with since when.
 */
export async function judgeTools(
  deps: ActivityDeps,
  instance: InstanceRecord,
  cells: readonly WatchedCell[],
): Promise<ChangedCell[]> {
  const { store } = deps
  const ids = cells.map(({ bindingId }) => bindingId)
  const deployments = await getDeployments(store, ids)
  const bindings = new Map((await getBindings(store, ids)).map((binding) => [binding.id, binding]))
  const candidates = cells.flatMap((cell): ChangedCell[] => {
    const deployment = deployments.get(cell.bindingId)
    const binding = bindings.get(cell.bindingId)
    if (deployment?.digests == null || binding === undefined || !binding.enabled) return []
    return mayDiffer(deployment, cell.snapshot) ? [{ ...cell, binding, deployment }] : []
  })
  const changed: ChangedCell[] = []
  const same: DeploymentRecord[] = []
  for (const [platformId, group] of Map.groupBy(candidates, (cell) => cell.platformId)) {
    const toolsOf = await withPlatform(deps, platformId, (platform, record) =>
      givenTools(deps, instance, platform, record),
    )
    if (toolsOf === null) continue
    for (const cell of group) {
      const digest = toolsOf(cell)
      if (digest === null) continue
      if (digest === cell.deployment.digests?.desired.tools) same.push(cell.deployment)
      else changed.push(cell)
    }
  }
  await markToolsChanged(
    store,
    changed.map(({ deployment }) => deployment),
  )
  await clearToolsChanged(store, same)
  return changed
}

/** What was written after the list had changed was written with it. */
function mayDiffer(deployment: DeploymentRecord, snapshot: ToolSnapshotRecord): boolean {
  if (deployment.driftFields.length > 0 || snapshot.changedAt === null || deployment.appliedAt === null) return true
  return deployment.appliedAt <= snapshot.changedAt
}

/** The digest of the tools that the platform would be given for a cell; null when that cannot be said. */
function givenTools(
  { store, publicUrl }: ActivityDeps,
  instance: InstanceRecord,
  platform: Platform,
  record: PlatformRecord,
): (cell: ChangedCell) => string | null {
  const known = new Map<string, string | null>()
  const origin = (record.gatewayUrl ?? publicUrl()).replace(/\/+$/, '')
  return ({ binding, snapshot }) => {
    const key = `${snapshot.hash} ${JSON.stringify(binding.toolAllowList)}`
    const before = known.get(key)
    if (before !== undefined) return before
    const { desired } = desiredFor({ key: binding.id, instance, binding, token: null, snapshot }, platform, origin)
    const tools = desired?.fields.tools
    const digest = tools === undefined ? null : fieldDigest(store.digest, 'tools', tools)
    known.set(key, digest)
    return digest
  }
}

/** null: its adapter cannot be had (no credential, for example). Nothing is asked of the platform itself. */
async function withPlatform<T>(
  deps: ActivityDeps,
  platformId: string,
  work: (platform: Platform, record: PlatformRecord) => T,
): Promise<T | null> {
  const record = await getPlatform(deps.store, platformId)
  if (record === null) return null
  try {
    await using held = await deps.holdPlatform(platformId)
    return work(held.platform, record)
  } catch (thrown) {
    deps.logger.info({ platformId, type: toToolferryError(thrown).type }, 'changed tools could not be judged')
    return null
  }
}
