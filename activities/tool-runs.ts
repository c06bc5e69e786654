import { mayRunForTools, toolsPolicyOf } from '../src/domain/tool-change.ts'
import type { InstanceRecord } from '../src/store/instances.ts'
import { getPlatform } from '../src/store/platforms.ts'
import { allProfiles } from '../src/store/profiles.ts'
import { createSync, listOpenSyncs, listSyncsOfWorkflow } from '../src/store/syncs.ts'
import { activeTokens } from '../src/store/tokens.ts'
import type { ActivityDeps } from './deps.ts'
import { surroundingsOf, wantedDigestOf } from './space-work.ts'
import type { ChangedCell } from './tool-changes.ts'

/**
 * One run a platform that brings an MCP server's changed tools to the cells whose policy says so, once the list has stood for a
 * while. Each tool list gets one run, however often it is looked at: the run's workflow is named after it. The run is only written
 * here; the reconciler starts it. `settlesInMs`: when the list will have stood long enough; null: nothing waits for that.
 */
export async function startToolRuns(
  deps: ActivityDeps,
  instance: InstanceRecord,
  changed: readonly ChangedCell[],
  now: Date,
): Promise<{ started: number; settlesInMs: number | null }> {
  const { store, logger } = deps
  const { onToolsChanged, toolsSettleSeconds } = deps.limits
  if (changed.length === 0) return { started: 0, settlesInMs: null }
  const profiles = await allProfiles(store)
  let started = 0
  let settlesInMs: number | null = null
  for (const [platformId, all] of Map.groupBy(changed, (cell) => cell.platformId)) {
    const ofPlatform = profiles.filter((profile) => profile.platformId === platformId)
    const decided = all.map((cell) => ({ cell, ...toolsPolicyOf(cell, ofPlatform, onToolsChanged) }))
    const wanted = decided.filter(({ policy }) => policy === 'sync')
    const givenUp = await givenUpOf(
      deps,
      instance,
      platformId,
      wanted.map(({ cell }) => cell),
    )
    const due = wanted.filter(({ cell }) => !givenUp.has(cell.bindingId))
    if (due.length === 0) continue
    const changedAtMs = Math.max(...due.map(({ cell }) => cell.snapshot.changedAt?.getTime() ?? 0))
    const leftMs = changedAtMs + toolsSettleSeconds * 1000 - now.getTime()
    if (leftMs > 0) {
      settlesInMs = Math.max(settlesInMs ?? 0, leftMs)
      continue
    }
    const base = `tools-${instance.id}-${platformId}-${changedAtMs}`
    const earlier = await listSyncsOfWorkflow(store, base)
    if (!mayRunForTools(earlier, now) || (await isUnderWay(deps, platformId, instance.id))) continue
    const profileIds = [...new Set(due.map(({ profileId }) => profileId))]
    const { sync, created } = await createSync(store, {
      platformId,
      // Of several profiles none speaks for the others: then the run heals no drift, like one without a profile.
      profileId: profileIds.length === 1 ? (profileIds[0] ?? null) : null,
      name: `Changed tools of ${instance.name}`,
      selection: { instanceIds: [instance.id], spaceIds: [...new Set(due.map(({ cell }) => cell.spaceId))] },
      acceptWarnings: true,
      workflowId: earlier.length === 0 ? base : `${base}-${earlier.length + 1}`,
      requestedBy: 'tool watch',
    })
    if (!created) continue
    started += 1
    logger.info({ syncId: sync.id, platformId, instanceId: instance.id }, 'tools changed upstream: a run was made')
  }
  return { started, settlesInMs }
}

/** Bindings for which the very state that a run would want was given up before. */
async function givenUpOf(
  { store, publicUrl }: ActivityDeps,
  instance: InstanceRecord,
  platformId: string,
  cells: readonly ChangedCell[],
): Promise<Set<string>> {
  const suspects = cells.filter(({ deployment }) => deployment.givenUpDigest !== null)
  const platform = suspects.length === 0 ? null : await getPlatform(store, platformId)
  if (platform === null) return new Set()
  const surroundings = surroundingsOf(platform, publicUrl())
  const tokens = await activeTokens(
    store,
    suspects.map(({ bindingId }) => bindingId),
  )
  const givenUp = suspects.filter(({ bindingId, binding, snapshot, deployment }) => {
    const token = tokens.get(bindingId)
    return deployment.givenUpDigest === wantedDigestOf(store, { instance, binding, snapshot, token, surroundings })
  })
  return new Set(givenUp.map(({ bindingId }) => bindingId))
}

/** A run that writes this server's tools already: it is looked at again after it. */
async function isUnderWay({ store }: ActivityDeps, platformId: string, instanceId: string): Promise<boolean> {
  const open = await listOpenSyncs(store, { platformId })
  return open.some(
    ({ dryRun, action, selection }) => !dryRun && action === 'sync' && selection.instanceIds.includes(instanceId),
  )
}
