import { holdBack } from '../src/domain/hold-back.ts'
import type { ObservedObject } from '../src/domain/object.ts'
import { type PlannedTarget, planTarget, type RecordedDeployment } from '../src/domain/plan.ts'
import type { DesiredCell } from '../src/platforms/desired.ts'
import type { Platform, SpaceReading, WantedObject } from '../src/platforms/platform.ts'
import {
  type DeploymentRecord,
  type Drift,
  type Failed,
  recordDrift,
  recordFailures,
  recordFound,
  recordVerified,
} from '../src/store/deployments.ts'
import { recordGone } from '../src/store/gone.ts'
import { type PlannedTarget as PlanRow, recordPlan } from '../src/store/sync-targets.ts'
import { enterPhase } from '../src/store/syncs.ts'
import type { SeenToken } from '../src/store/token-rotation.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { desiredFor } from './desired.ts'
import { endFormerTokens } from './former-tokens.ts'
import { holdBackRules } from './hold-back-rules.ts'
import { inActivity } from './in-activity.ts'
import { onPlatform } from './on-platform.ts'
import { outcomeOfSpace } from './outcome.ts'
import { noteNewDrift, recordCheck } from './record-check.ts'
import {
  isRemoval,
  isRotationDue,
  loadSpaceWork,
  openCells,
  rightOf,
  type SpaceCell,
  type SpaceWork,
} from './space-work.ts'

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
      const wanted = cells.filter((cell) => !isRemoval(work, cell))
      const desired = new Map(
        wanted.map((cell) => {
          // A token that is to be replaced is as good as none: what takes its place is not known yet.
          const renewed = isRotationDue(work, cell) ? { ...cell, token: null } : cell
          return [cell.key, desiredFor(renewed, platform, work.gatewayOrigin)]
        }),
      )
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
    const gone = plans.filter(({ cell, plan }) => isRemoval(work, cell) && plan.action === 'unchanged')
    const others = plans.filter((one) => !gone.includes(one))
    const isCheck = work.sync.dryRun && work.sync.profileId !== null
    if (!work.sync.dryRun || isCheck) await noteNewDrift(deps.store, input, others, isCheck)
    if (isCheck) await recordCheck(deps.store, input.syncId, others)
    else if (!work.sync.dryRun) {
      await recordOnDeployments(deps, input.syncId, others)
      for (const { cell } of gone) {
        if (cell.binding === null || cell.deployment === null || cell.deployment.state === 'absent') continue
        await recordGone(deps.store, cell.binding.id, input.syncId, cell.deployment)
      }
    }
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
    desired: isRemoval(work, cell) ? null : (desired.get(cell.key)?.desired ?? null),
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
  const removes = isRemoval(work, cell)
  const refused = reading.refused?.get(cell.key) ?? null
  return planTarget(
    {
      action: removes ? 'remove' : 'sync',
      writePolicy: work.sync.writePolicy,
      right: rightOf(cell),
      desired: desired?.desired ?? null,
      desiredError: desired?.error ?? refused,
      unknownFields: desired?.unknownFields ?? [],
      recorded: recordedOf(cell),
      // What may not be looked at is not known to be gone.
      spaceProblem: reading.problem ?? (removes ? refused : null),
      observed,
      inTheWay: reading.inTheWay.get(cell.key) ?? null,
    },
    deps.store.digest,
  )
}

function recordedOf({ deployment }: SpaceCell): RecordedDeployment | null {
  if (deployment === null) return null
  const { identity, state, digests, applied, checkpoint } = deployment
  // As landTargetWrite recorded it.
  const shown = (applied?.shown ?? {}) as Record<string, string>
  return { identity, state, digests, unfinished: checkpoint !== null, shown }
}

function rowOfPlan(plan: PlannedTarget): Omit<PlanRow, 'id'> {
  const conflict =
    plan.inTheWay === undefined
      ? null
      : { remoteId: plan.inTheWay.remoteId, name: plan.inTheWay.name, because: plan.inTheWay.because }
  const base = { action: plan.action, changes: plan.changes, note: plan.note, error: plan.failure, conflict }
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
    if (found === undefined || binding === null || deployment === null) continue
    // The identity that is recorded may be that of an object that is gone, in whose place this one was made.
    if (deployment.identity?.id === found.identity.id) continue
    await recordFound(deps.store, binding.id, found.identity)
  }
}

async function recordOnDeployments(
  deps: ActivityDeps,
  syncId: string,
  plans: readonly { cell: SpaceCell; plan: PlannedTarget }[],
): Promise<void> {
  const inSync: DeploymentRecord[] = []
  /**
   * Unchanged means that the platform holds the cell's token: an earlier run may have ended before it could end the former one. One
   * that came back unproven counts, too: what it was to give way to never got there.
   */
  const held: SeenToken[] = []
  const drifted: Drift[] = []
  const failed: Failed[] = []
  for (const { cell, plan } of plans) {
    const { deployment } = cell
    const bindingId = cell.binding?.id
    if (bindingId === undefined) continue
    if (plan.action === 'unchanged' && deployment?.digests != null) {
      inSync.push(deployment)
      if (cell.token !== null) held.push({ bindingId, tokenId: cell.token.id })
    }
    if (plan.drift.length > 0 && deployment !== null) drifted.push({ seen: deployment, fields: plan.drift })
    if (plan.failure !== null) {
      failed.push({ bindingId, ...plan.failure, state: plan.action === 'conflict' ? 'conflict' : 'failed', syncId })
    }
  }
  await recordDrift(deps.store, drifted, syncId)
  await recordFailures(deps.store, failed)
  await recordVerified(deps.store, inSync, syncId)
  await endFormerTokens(deps, held)
}
