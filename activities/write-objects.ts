import { ToolferryError } from '../src/domain/errors.ts'
import { beyondPlan } from '../src/domain/hold-back.ts'
import type { NormalisedObject, ObservedObject } from '../src/domain/object.ts'
import { compareFields, digestsAfterWrite } from '../src/domain/plan.ts'
import type { Platform, SpaceWriter } from '../src/platforms/platform.ts'
import { getBinding } from '../src/store/bindings.ts'
import { type DeploymentRecord, saveCheckpoint } from '../src/store/deployments.ts'
import { landRemoval } from '../src/store/gone.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { finishTarget, startTarget } from '../src/store/sync-targets.ts'
import { enterPhase, type SyncRecord } from '../src/store/syncs.ts'
import { beginTargetWrite, landTargetWrite } from '../src/store/target-writes.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { desiredFor } from './desired.ts'
import { inActivity } from './in-activity.ts'
import { onPlatform } from './on-platform.ts'
import { outcomeOfSpace } from './outcome.ts'
import { takeSpaceLease } from './space-lease.ts'
import { isRemoval, loadSpaceWork, plannedCells, rightOf, type SpaceCell, type SpaceWork } from './space-work.ts'
import { type Rest, walkTargets } from './walk-targets.ts'

/**
 * Of a space, on its one connection they take turns; what is recorded around each is recorded together. Where a call takes seconds
 * there is nothing to gain.
 */
const DIFY_TARGETS_AT_ONCE = 4

/**
 * Writes what was planned into one space of whatever platform, under the space's lease, target by target, each recorded as it
 * lands. The plan may be old by now: every target is looked at again inside the platform's own transaction, and what has
 * landed in an earlier attempt is found and not repeated.
 */
export async function writeObjects(
  deps: ActivityDeps,
  input: { syncId: string; spaceId: string },
): Promise<SpaceOutcome> {
  return await inActivity(deps.logger, input, async (signal) => {
    const { leaseMs, leaseWaitMs } = deps.limits
    // Every attempt is a holder of its own: one that was given up and still runs must not pass for its successor.
    const holder = `${deps.workerId}/${input.syncId}/${crypto.randomUUID()}`
    await using lease = await takeSpaceLease(deps.store, input.spaceId, holder, {
      leaseMs,
      waitMs: leaseWaitMs,
      signal,
    })
    // Read under the lease, so that nothing of another run's writes is missed.
    const work = await loadSpaceWork(deps, input)
    await enterPhase(deps.store, work.sync, 'write')
    const cells = plannedCells(work)
    if (cells.length === 0) return await outcomeOfSpace(deps.store, input)
    const space = { spaceId: work.space.id, remoteId: work.space.remoteId }
    const interrupted = await onPlatform(deps, work.platform, async (platform) => {
      await using writer = await platform.openSpace(space, { signal, fence: lease.fence })
      const width = platform.kind === 'dify' ? DIFY_TARGETS_AT_ONCE : 1
      return await walkTargets(deps, { work, cells, signal, attempts: 'starts', width }, (cell) =>
        isRemoval(work, cell)
          ? removeOne(deps, work, cell, { writer, epoch: lease.epoch })
          : writeOne(deps, work, cell, { platform, writer, epoch: lease.epoch }),
      )
    })
    return await outcomeOfSpace(deps.store, input, interrupted)
  })
}

/** Answers what is left: recording that it landed, while the next target is already being written. */
async function writeOne(
  deps: ActivityDeps,
  work: SpaceWork,
  cell: SpaceCell,
  at: { platform: Platform; writer: SpaceWriter; epoch: number },
): Promise<Rest | undefined> {
  const { store } = deps
  const { platform, writer, epoch } = at
  const { binding, deployment, target } = cell
  if (binding === null) throw new ToolferryError('Bug', 'A target without a binding came to be written.')
  const { token } = cell
  if (rightOf(cell) !== 'granted') return await endAsCutOff(deps, cell)
  const { desired, error } = desiredFor(cell, platform, work.gatewayOrigin)
  if (error !== null) throw new ToolferryError(error.type, error.message)
  // The admin set another token after this run's proofs: it stays pending, and the workflow has it proven first.
  if (token === null || !token.proven) return

  const identity = deployment?.identity ?? platform.proposeIdentity(cell.instance.id)
  const begun = await beginTargetWrite(store, target, epoch, {
    bindingId: binding.id,
    tokenId: token.id,
    identity,
    mayUse: (right) => rightOf({ token, right: { ...cell.right, ...right } }) === 'granted',
  })
  if (begun === 'refused') return await endAsCutOff(deps, cell)
  // Replaced since: as above. The other one is proven and written in the next round.
  if (begun === 'ended' || begun === 'replaced') return
  const former = deployment?.digests ?? null
  let fields: string[] = []
  const applied = await writer.apply({
    action: target.action === 'update' ? 'update' : 'create',
    bindingId: cell.key,
    identity,
    desired,
    checkpoint: deployment?.checkpoint ?? null,
    saveCheckpoint: (step, data, assigned) => saveCheckpoint(store, binding.id, { step, data }, assigned),
    clearCheckpoint: () => saveCheckpoint(store, binding.id, null),
    fieldsToWrite: (observed: ObservedObject | null) => {
      fields =
        observed === null ? Object.keys(desired.fields) : compareFields(desired, former, observed, store.digest).write
      if (work.sync.planOf !== null) refuseBeyondPlan(target.changes ?? [], fields, desired)
      return fields
    },
  })
  const record = {
    bindingId: binding.id,
    syncId: work.sync.id,
    identity: applied.identity,
    ownership: deployment?.ownership ?? ('created' as const),
    digests: digestsAfterWrite(desired, applied.stored, fields, former, store.digest),
    applied: { shown: applied.shown, tools: Object.keys(applied.tools), keptFields: desired.keptFields },
  }
  const wrote = applied.wrote || wroteInThisRun(deployment, work.sync)
  const end = { state: wrote ? 'succeeded' : 'unchanged', note: desired.warnings.join(' ') || null } as const
  const land = () => landTargetWrite(store, target, epoch, record, end)
  if (platform.kind === 'dify') return land
  // Where a write takes seconds there is nothing to gain.
  return void (await land())
}

/** An admin has cut it off, or its time ran out, since the plan. */
async function endAsCutOff(deps: ActivityDeps, cell: SpaceCell): Promise<undefined> {
  const binding = cell.binding === null ? null : await getBinding(deps.store, cell.binding.id)
  const right = rightOf({ token: cell.token, right: { ...cell.right, ...binding } })
  const note = `It ${right === 'granted' ? 'was cut off' : LOST[right]} while the run was going on.`
  await endTarget(deps, cell, 'skipped', note)
}

const LOST = { disabled: 'was disabled', expired: 'expired', deleting: 'came to be deleted' }

/** Called inside the platform's own transaction, before anything is written. */
function refuseBeyondPlan(changes: readonly unknown[], fields: readonly string[], desired: NormalisedObject): void {
  const beyond = beyondPlan(changes, fields, desired)
  if (beyond.length === 0) return
  const message = `It changed while the plan was being applied (${beyond.join(', ')}) and was left alone. Plan again.`
  throw new ToolferryError('Conflict', message)
}

/** A crash between the record of the write and the end of its target: found unchanged now, but it was this run's work. */
function wroteInThisRun(deployment: DeploymentRecord | null, sync: SyncRecord): boolean {
  return deployment?.lastSyncId === sync.id && deployment.appliedAt !== null && deployment.appliedAt >= sync.createdAt
}

async function endTarget(deps: ActivityDeps, cell: SpaceCell, state: 'skipped', note: string | null): Promise<void> {
  const { id, syncId, spaceId, instanceId } = cell.target
  await finishTarget(deps.store, id, state, null, note)
  await appendSyncEvent(deps.store, syncId, 'target', { targetId: id, spaceId, instanceId, state })
}

/** The platform's object first, then the token: a tool that is still there never meets a dead credential. */
async function removeOne(
  deps: ActivityDeps,
  work: SpaceWork,
  cell: SpaceCell,
  { writer, epoch }: { writer: SpaceWriter; epoch: number },
): Promise<undefined> {
  const { sync } = work
  const { identity = null, checkpoint = null } = cell.deployment ?? {}
  const land = async (state: 'succeeded' | 'unchanged', note: string | null) =>
    await landRemoval(deps.store, cell.target, epoch, cell.binding?.id ?? null, { state, note })
  if (identity === null && checkpoint === null) return void (await land('unchanged', 'It is not there.'))
  if (!(await startTarget(deps.store, cell.target.id))) return
  // What a mirror takes away nobody has looked at, unless it was confirmed.
  const force = sync.action === 'remove' ? sync.acceptWarnings : sync.confirmPrune
  await writer.remove(identity, { force, checkpoint })
  await land('succeeded', null)
}
