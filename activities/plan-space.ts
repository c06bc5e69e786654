import { holdBack } from '../src/domain/hold-back.ts'
import type { ObservedObject } from '../src/domain/object.ts'
import { type PlannedTarget, planTarget } from '../src/domain/plan.ts'
import type { Platform, SpaceReading, WantedObject } from '../src/platforms/platform.ts'
import { recordDrift, recordFailure, recordFound, recordVerified } from '../src/store/deployments.ts'
import { type PlannedTarget as PlanRow, recordPlan } from '../src/store/sync-targets.ts'
import { enterPhase } from '../src/store/syncs.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { type DesiredCell, desiredFor } from './desired.ts'
import { endFormerTokens } from './former-tokens.ts'
import { holdBackRules } from './hold-back-rules.ts'
import { inActivity } from './in-activity.ts'
import { onPlatform } from './on-platform.ts'
import { outcomeOfSpace } from './outcome.ts'
import { recordCheck } from './record-check.ts'
import { loadSpaceWork, openCells, rightOf, type SpaceCell, type SpaceWork } from './space-work.ts'

/**
 * Compares one space with what is desired and decides every target: create, update, unchanged, remove, conflict, skip. Reads
 * the platform once. A dry run ends here: nothing was minted, nothing written. A
 * profile's check is one; it notes what drifted.
 */
export async function planSpace(deps: ActivityDeps, input: { syncId: string; spaceId: string }): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, input, async (signal) => {
    const work = await loadSpaceWork(deps, input)
    await enterPhase(deps.store, work.sync, 'plan')
    const cells = openCells(work)
    const rulesOf = await holdBackRules(deps.store, work)
    const plans = await onPlatform(deps, work.platform, async (platform) => {
      const desired = new Map(cells.map((cell) => [cell.key, desiredFor(cell, platform, work.gatewayOrigin)]))
      const reading = await readSpace(platform, work, cells, desired, signal)
      if (!work.sync.dryRun) await recordWhatWasFound(deps, cells, reading)
      return cells.map((cell) => {
        const plan = planCell(deps, work, cell, desired.get(cell.key), reading)
        return { cell, plan: holdBack(plan, rulesOf(cell)) }
      })
    })

    await recordPlan(
      deps.store,
      plans.map(({ cell, plan }) => ({ id: cell.target.id, ...rowOfPlan(plan) })),
    )
    if (!work.sync.dryRun) await recordOnDeployments(deps, input.syncId, plans)
    else if (work.sync.profileId !== null) await recordCheck(deps.store, input.syncId, plans)
    return await outcomeOfSpace(deps.store, input)
  })
}

/** The adapter's reading of the space for these cells. */
export async function readSpace(
  platform: Platform,
  work: SpaceWork,
  cells: readonly SpaceCell[],
  desired: ReadonlyMap<string, DesiredCell>,
  signal: AbortSignal,
): Promise<SpaceReading> {
  const wanted: WantedObject[] = cells.map((cell) => ({
    bindingId: cell.key,
    identity: cell.deployment?.identity ?? platform.proposeIdentity(cell.instance.id),
    checkpoint: cell.deployment?.checkpoint ?? null,
    desired: work.sync.action === 'remove' ? null : (desired.get(cell.key)?.desired ?? null),
  }))
  return await platform.read({ spaceId: work.space.id, remoteId: work.space.remoteId }, wanted, { signal })
}

function planCell(
  deps: ActivityDeps,
  work: SpaceWork,
  cell: SpaceCell,
  desired: DesiredCell | undefined,
  reading: SpaceReading,
): PlannedTarget {
  const observed: ObservedObject | null = reading.objects.get(cell.key) ?? null
  return planTarget(
    {
      action: work.sync.action,
      writePolicy: work.sync.writePolicy,
      right: rightOf(cell),
      desired: desired?.desired ?? null,
      desiredError: desired?.error ?? reading.refused?.get(cell.key) ?? null,
      unknownFields: desired?.unknownFields ?? [],
      recorded: cell.deployment,
      spaceProblem: reading.problem,
      observed,
      inTheWay: reading.inTheWay.get(cell.key) ?? null,
    },
    deps.store.digest,
  )
}

function rowOfPlan(plan: PlannedTarget): Omit<PlanRow, 'id'> {
  const base = { action: plan.action, changes: plan.changes, note: plan.note, error: plan.failure }
  switch (plan.action) {
    case 'create':
    case 'update':
    case 'remove':
      return { ...base, state: 'pending' }
    case 'unchanged':
      return { ...base, state: 'unchanged' }
    case 'skip':
      return { ...base, state: 'skipped' }
    case 'conflict':
      return { ...base, state: 'conflict' }
    case null:
      return { ...base, state: 'failed' }
  }
}

/** An object that an earlier attempt made without hearing of it, on a platform that assigns identities itself. */
async function recordWhatWasFound(
  deps: ActivityDeps,
  cells: readonly SpaceCell[],
  reading: SpaceReading,
): Promise<void> {
  for (const { key, binding, deployment } of cells) {
    const found = reading.objects.get(key)
    if (found === undefined || binding === null || deployment === null || deployment.identity !== null) continue
    await recordFound(deps.store, binding.id, found.identity)
  }
}

async function recordOnDeployments(
  deps: ActivityDeps,
  syncId: string,
  plans: readonly { cell: SpaceCell; plan: PlannedTarget }[],
): Promise<void> {
  const inSync: string[] = []
  /** Unchanged means that the platform holds the active token: an earlier run may have ended before it could end the former one. */
  const proven: string[] = []
  for (const { cell, plan } of plans) {
    const bindingId = cell.binding?.id
    if (bindingId === undefined) continue
    if (plan.action === 'unchanged' && cell.deployment?.digests != null) {
      inSync.push(bindingId)
      if (cell.token?.proven === true) proven.push(bindingId)
    }
    if (plan.drift.length > 0) await recordDrift(deps.store, bindingId, plan.drift, syncId)
    if (plan.failure !== null) {
      await recordFailure(deps.store, bindingId, {
        ...plan.failure,
        state: plan.action === 'conflict' ? 'conflict' : 'failed',
        syncId,
      })
    }
  }
  await recordVerified(deps.store, inSync, syncId)
  await endFormerTokens(deps, proven)
}
