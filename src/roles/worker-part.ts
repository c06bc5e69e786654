import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker } from '@temporalio/worker'
import { limitsFor } from '../../activities/deps.ts'
import { createActivities } from '../../activities/index.ts'
import { ToolferryError } from '../domain/errors.ts'
import type { PlatformAccess } from '../platforms/registry.ts'
import { createPlatformPool } from '../platforms/registry.ts'
import { getPlatform, openCredential, type PlatformRecord } from '../store/platforms.ts'
import type { Store } from '../store/store.ts'
import { connectWorker } from '../temporal/connection.ts'
import { runNotifier } from '../temporal/notifier.ts'
import { runReconciler } from '../temporal/reconciler.ts'
import { runSchedules } from '../temporal/schedules.ts'
import { createSyncRuns } from '../temporal/sync-runs.ts'
import { runToolHints } from '../temporal/tool-hints.ts'
import { createSyncWorker, installTemporalLogger } from '../temporal/worker.ts'
import type { Foundation } from './foundation.ts'
import type { TemporalPart } from './temporal-part.ts'

export type WorkerPart = {
  ready: () => boolean
  /** Settled when the worker polls for the first time; rejects when Temporal cannot be had. */
  started: Promise<void>
  close: () => Promise<void>
}

const RESTART_MS = 2_000

/** The worker and the reconciler. Both wait for Temporal, survive its absence, and end within the worker's grace time. */
export function startWorkerPart(
  foundation: Foundation,
  temporal: TemporalPart,
  origins: { gatewayUrl: () => string; publicUrl: () => string },
): WorkerPart {
  const { config, secrets, store, egress, cozeBudget, logger, processId } = foundation
  const stop = new AbortController()
  const platforms = createPlatformPool({
    load: (platformId) => loadAccess(store, platformId),
    surroundings: { egress, cozeBudget },
  })
  const activities = createActivities({
    store,
    egress,
    logger,
    holdPlatform: (platformId, seen) => platforms.hold(platformId, seen === undefined ? undefined : versionOf(seen)),
    ...origins,
    workerId: processId,
    limits: { ...limitsFor(config.workerTimeoutMs, config.retention), ...config.upkeep },
  })
  let worker: Worker | null = null
  const firstPoll = Promise.withResolvers<void>()

  const work = async () => {
    await temporal.connected
    installTemporalLogger(logger)
    while (!stop.signal.aborted) {
      try {
        const connection = await connectWorker({
          address: temporal.address() ?? '',
          namespace: config.temporal.namespace,
          tls: config.temporal.tls,
          apiKey: secrets.temporalApiKey,
        })
        try {
          worker = await createSyncWorker({
            connection,
            namespace: config.temporal.namespace,
            taskQueue: config.temporal.taskQueue,
            activities,
          })
          const running = worker.run()
          firstPoll.resolve()
          if (stop.signal.aborted) worker.shutdown()
          await running
        } finally {
          worker = null
          await connection.close()
        }
      } catch (error) {
        logger.error({ err: error }, 'the worker stopped by itself; it is started again')
        await sleep(RESTART_MS, undefined, { signal: stop.signal }).catch(() => undefined)
      }
    }
  }
  const runs = createSyncRuns({
    link: temporal.link,
    namespace: config.temporal.namespace,
    taskQueue: config.temporal.taskQueue,
    uiUrl: temporal.uiUrl,
    logger,
  })
  const working = work().catch(firstPoll.reject)
  // Reported by whoever waits for `started`; nobody has to.
  firstPoll.promise.catch(() => undefined)
  const reconciling = runReconciler({ store, runs, link: temporal.link, logger, signal: stop.signal })
  const { taskQueue } = config.temporal
  const { watchToolsSeconds } = config.upkeep
  const scheduling = runSchedules({
    store,
    link: temporal.link,
    taskQueue,
    watchToolsSeconds,
    logger,
    signal: stop.signal,
  })
  const common = { store, link: temporal.link, taskQueue, logger, signal: stop.signal }
  const notifying = runNotifier(common)
  // Where servers are not to be asked, what they say changes nothing.
  const hinting = watchToolsSeconds === 0 ? null : runToolHints(common)

  return {
    ready: () => worker?.getState() === 'RUNNING',
    started: firstPoll.promise,
    close: async () => {
      stop.abort()
      if (worker?.getState() === 'RUNNING') worker.shutdown()
      await Promise.all([working, reconciling, scheduling, notifying, hinting])
      await platforms.close()
    },
  }
}

async function loadAccess(store: Store, platformId: string): Promise<{ version: string; access: PlatformAccess }> {
  const platform = await getPlatform(store, platformId)
  if (platform === null) throw new ToolferryError('TargetGone', 'The platform was deleted.')
  const opened = await openCredential(store, platformId)
  const credential = opened?.credential.password ?? opened?.credential.cookie
  if (opened === null || credential === undefined) {
    throw new ToolferryError(
      'CredentialRefused',
      `«${platform.name}» has no credential. Give it one, and the run continues.`,
    )
  }
  // The store keeps what the API has checked against its schema.
  const access = { kind: platform.kind, settings: platform.settings, credential } as PlatformAccess
  return { version: versionOf({ ...platform, credentialVersion: opened.version }), access }
}

function versionOf({
  rowVersion,
  credentialVersion,
}: Pick<PlatformRecord, 'rowVersion' | 'credentialVersion'>): string {
  return `${rowVersion}/${credentialVersion}`
}
