import { ToolferryError } from '../src/domain/errors.ts'
import { beyondPlan } from '../src/domain/hold-back.ts'
import type { NormalisedObject, ObservedObject } from '../src/domain/object.ts'
import { compareFields, digestsAfterWrite } from '../src/domain/plan.ts'
import type { Platform, SpaceWriter } from '../src/platforms/platform.ts'
import { getBinding } from '../src/store/bindings.ts'
import { type DeploymentRecord, recordRemoved, saveCheckpoint } from '../src/store/deployments.ts'
import { appendSyncEvent } from '../src/store/sync-events.ts'
import { finishTarget, startTarget } from '../src/store/sync-targets.ts'
import { type SyncRecord, updateSync } from '../src/store/syncs.ts'
import { beginTargetWrite, landTargetWrite } from '../src/store/target-writes.ts'
import { listTokensOfBinding, revokeTokens } from '../src/store/tokens.ts'
import type { SpaceOutcome } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { desiredFor } from './desired.ts'
import { inActivity } from './in-activity.ts'
import { onPlatform } from './on-platform.ts'
import { outcomeOfSpace } from './outcome.ts'
import { takeSpaceLease } from './space-lease.ts'
import { loadSpaceWork, plannedCells, rightOf, type SpaceCell, type SpaceWork } from './space-work.ts'
import { walkTargets } from './walk-targets.ts'

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
    await updateSync(deps.store, input.syncId, { phase: 'write' })
    // Every attempt is a holder of its own: one that was given up and still runs must not pass for its successor.
    const holder = `${deps.workerId}/${input.syncId}/${crypto.randomUUID()}`
    await using lease = await takeSpaceLease(deps.store, input.spaceId, holder, {
      leaseMs,
      waitMs: leaseWaitMs,
      signal,
    })
    // Read under the lease, so that nothing of another run's writes is missed.
    const work = await loadSpaceWork(deps, input)
    const cells = plannedCells(work)
    if (cells.length === 0) return await outcomeOfSpace(deps.store, input)
    const space = { spaceId: work.space.id, remoteId: work.space.remoteId }
    const interrupted = await onPlatform(deps, work.platform, async (platform) => {
      await using writer = await platform.openSpace(space, { signal, fence: lease.fence })
      return await walkTargets(deps, { work, cells, signal, attempts: 'starts' }, (cell) =>
        work.sync.action === 'remove'
          ? removeOne(deps, work, cell, writer)
          : writeOne(deps, work, cell, { platform, writer, epoch: lease.epoch }),
      )
    })
    return await outcomeOfSpace(deps.store, input, interrupted)
  })
}

async function writeOne(
  deps: ActivityDeps,
  work: SpaceWork,
  cell: SpaceCell,
  at: { platform: Platform; writer: SpaceWriter; epoch: number },
): Promise<void> {
  const { store } = deps
  const { platform, writer, epoch } = at
  const { binding, deployment, target } = cell
  if (binding === null) throw new ToolferryError('Bug', 'A target without a binding came to be written.')
  // Enabled a moment ago is not enough: the admin may have cut it off while earlier targets were written.
  const right = rightOf({ token: cell.token, right: (await getBinding(store, binding.id)) ?? cell.right })
  if (right !== 'granted') {
    const note =
      right === 'disabled' ? 'It was disabled while the run was going on.' : 'It expired while the run was going on.'
    await endTarget(deps, cell, 'skipped', note)
    return
  }
  const { desired, error } = desiredFor(cell, platform, work.gatewayOrigin)
  if (error !== null) throw new ToolferryError(error.type, error.message)
  // The admin set another token after this run's proofs: it stays pending, and the workflow has it proven first.
  if (cell.token === null || !cell.token.proven) return

  const identity = deployment?.identity ?? platform.proposeIdentity(cell.instance.id)
  if (!(await beginTargetWrite(store, target, epoch, { bindingId: binding.id, identity }))) return
  const former = deployment?.digests ?? null
  let fields: string[] = []
  const applied = await writer.apply({
    action: target.action === 'update' ? 'update' : 'create',
    bindingId: cell.key,
    identity,
    desired,
    checkpoint: deployment?.checkpoint ?? null,
    saveCheckpoint: (step, data, assigned) => saveCheckpoint(store, binding.id, { step, data }, assigned),
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
  await landTargetWrite(store, target, epoch, record, end)
}

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

async function endTarget(
  deps: ActivityDeps,
  cell: SpaceCell,
  state: 'succeeded' | 'unchanged' | 'skipped',
  note: string | null,
): Promise<void> {
  const { id, syncId, spaceId, instanceId } = cell.target
  await finishTarget(deps.store, id, state, null, note)
  await appendSyncEvent(deps.store, syncId, 'target', { targetId: id, spaceId, instanceId, state })
}

/** The platform's object first, then the token: a tool that is still there never meets a dead credential. */
async function removeOne(deps: ActivityDeps, work: SpaceWork, cell: SpaceCell, writer: SpaceWriter): Promise<void> {
  const { store } = deps
  if (cell.binding === null || cell.deployment?.identity == null) {
    await endTarget(deps, cell, 'unchanged', 'It is not there.')
    return
  }
  if (!(await startTarget(store, cell.target.id))) return
  await writer.remove(cell.deployment.identity, { force: work.sync.acceptWarnings })
  await recordRemoved(store, cell.binding.id, work.sync.id)
  const tokens = await listTokensOfBinding(store, cell.binding.id)
  await revokeTokens(
    store,
    tokens.filter((token) => token.state !== 'revoked').map((token) => token.id),
  )
  await endTarget(deps, cell, 'succeeded', null)
}
