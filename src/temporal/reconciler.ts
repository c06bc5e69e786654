import { setTimeout as sleep } from 'node:timers/promises'
import { WorkflowNotFoundError } from '@temporalio/client'
import type { SyncRuns } from '../api/sync-runs.ts'
import { audit, SYSTEM_ACTOR } from '../audit/events.ts'
import { isClosed } from '../domain/states.ts'
import { getPlatform } from '../store/platforms.ts'
import { endUnverifiedTargets } from '../store/run-targets.ts'
import type { Store } from '../store/store.ts'
import { appendSyncEvent } from '../store/sync-events.ts'
import { countTargets, finishOpenTargets } from '../store/sync-targets.ts'
import { finishSync, getSync, listOpenSyncs, type SyncRecord } from '../store/syncs.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { TemporalLink } from './sync-runs.ts'

export type ReconcilerOptions = {
  store: Store
  runs: SyncRuns
  link: () => TemporalLink | null
  logger: Logger
  signal: AbortSignal
  /** Pause between two passes, ms. */
  intervalMs?: number
}

/**
 * Keeps store and Temporal in step, since neither can be written in the other's transaction: starts runs that were accepted
 * while Temporal was away, sends lost pauses, resumes, cancellations and credentials again, and closes as `failed: RunLost`
 * what was terminated by hand or lost with its history. Everything it does may be done twice. Ends with the signal.
 */
export async function runReconciler(options: ReconcilerOptions): Promise<void> {
  const { logger, signal, intervalMs = 2_000 } = options
  /** Runs that looked ended at the last pass: their last activity may be about to close them. */
  let suspects = new Set<string>()
  while (!signal.aborted) {
    const link = options.link()
    if (link !== null) {
      try {
        suspects = await reconcileOnce(options, link, suspects)
      } catch (error) {
        logger.warn({ err: error }, 'the reconciler could not finish a pass; the next one follows')
      }
    }
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined)
  }
}

const DESCRIBE_TIMEOUT_MS = 5_000

/** One pass over the open runs. Answers those that Temporal says have ended; twice in a row means lost. */
export async function reconcileOnce(
  options: Omit<ReconcilerOptions, 'signal'>,
  link: TemporalLink,
  suspects: ReadonlySet<string>,
): Promise<Set<string>> {
  const ended = new Set<string>()
  for (const sync of await listOpenSyncs(options.store)) {
    try {
      const state = await workflowState(link, sync.workflowId)
      if (state === 'missing' && sync.state === 'queued') await startQueued(options, sync)
      else if (state === 'running') await resend(options, sync)
      else if (suspects.has(sync.id)) await closeAsLost(options, sync, state)
      else ended.add(sync.id)
    } catch (error) {
      // One run's trouble must not keep the others from their turn; what was known of it still is.
      if (suspects.has(sync.id)) ended.add(sync.id)
      options.logger.warn({ err: error, syncId: sync.id }, 'the reconciler could not look after a run; it tries again')
    }
  }
  return ended
}

async function workflowState(link: TemporalLink, workflowId: string): Promise<'running' | 'ended' | 'missing'> {
  try {
    const { status } = await link.client.withDeadline(Date.now() + DESCRIBE_TIMEOUT_MS, () =>
      link.client.workflow.getHandle(workflowId).describe(),
    )
    return status.name === 'RUNNING' ? 'running' : 'ended'
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'missing'
    throw error
  }
}

async function startQueued(options: Omit<ReconcilerOptions, 'signal'>, sync: SyncRecord): Promise<void> {
  const platform = await getPlatform(options.store, sync.platformId)
  const { instanceIds, spaceIds } = sync.selection
  await options.runs.start(sync, {
    platformId: sync.platformId,
    platformKind: platform?.kind ?? 'dify',
    action: sync.action,
    dryRun: sync.dryRun,
    instances: instanceIds.length,
    spaces: spaceIds === 'all' ? 'all' : spaceIds.length,
  })
  // What was wished meanwhile reaches the run before it begins.
  await resend(options, sync)
}

async function resend(options: Omit<ReconcilerOptions, 'signal'>, seen: SyncRecord): Promise<void> {
  const { runs, store } = options
  // Looked at again: the list may be old by now, and an outdated wish must not be repeated after a newer one.
  const sync = await getSync(store, seen.id)
  if (sync === null || isClosed(sync.state)) return
  if (sync.cancelRequested) await runs.cancel(sync)
  else if (sync.pauseRequested && sync.state !== 'paused') await runs.signal(sync, { type: 'pause' })
  else if (!sync.pauseRequested && sync.state === 'paused') await runs.signal(sync, { type: 'resume' })
  if (sync.state === 'waiting_for_credential') {
    const platform = await getPlatform(store, sync.platformId)
    const renewed = platform?.credentialState === 'valid' || platform?.credentialState === 'unknown'
    if (renewed) await runs.signal(sync, { type: 'credentialReplaced' })
  }
}

async function closeAsLost(
  options: Omit<ReconcilerOptions, 'signal'>,
  seen: SyncRecord,
  state: 'ended' | 'missing',
): Promise<void> {
  const { store, logger } = options
  const sync = await getSync(store, seen.id)
  if (sync === null || isClosed(sync.state)) return
  const message =
    state === 'missing'
      ? 'Temporal knows this run no more: its history was lost or deleted.'
      : 'The run was ended in Temporal before it could record its outcome.'
  const failure = { type: 'RunLost', message }
  await finishOpenTargets(store, sync.id, {}, 'failed', failure)
  await endUnverifiedTargets(store, sync, {}, 'failed', failure)
  const counts = await countTargets(store, sync.id)
  const closed = await finishSync(store, sync.id, {
    state: 'failed',
    counts,
    errorType: failure.type,
    errorMessage: failure.message,
  })
  if (!closed) return
  logger.warn({ syncId: sync.id }, 'a run was lost in Temporal and is closed as failed')
  await appendSyncEvent(store, sync.id, 'sync', { state: 'failed', counts })
  await audit(store, {
    actor: SYSTEM_ACTOR,
    action: 'finish',
    resource: 'sync',
    resourceId: sync.id,
    fields: ['state'],
    outcome: 'allowed',
  })
}
