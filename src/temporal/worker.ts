import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DefaultLogger, makeTelemetryFilterString, type NativeConnection, Runtime, Worker } from '@temporalio/worker'
import type { Activities } from '../../activities/index.ts'
import type { Logger } from '../telemetry/logger.ts'

const WORKFLOWS_PATH = fileURLToPath(new URL('../../workflows/index.ts', import.meta.url))
/** Made by scripts/bundle-workflows.ts when an image is built; elsewhere it is not there, and every worker bundles for itself. */
export const WORKFLOW_BUNDLE_PATH = fileURLToPath(new URL('../../dist/workflow-bundle.js', import.meta.url))

/** Sends the SDK's own log lines to ours. Once a process, before the first connection or worker. */
export function installTemporalLogger(logger: Logger): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
      // Meta can hold a failure's whole text; the type of what happened is enough here, our activities log their own.
      const fields = { workflowId: meta?.workflowId, activityType: meta?.activityType, attempt: meta?.attempt }
      if (level === 'ERROR') logger.error(fields, message)
      else logger.warn(fields, message)
    }),
    // Without this, Core writes lines of its own, with whole failures in them, past the logger.
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
  })
}

/** A worker for all workflows. `run()` ends after `shutdown()`; activities get 5 s to come to an end, and are resumed later. */
export async function createSyncWorker(options: {
  connection: NativeConnection
  namespace: string
  taskQueue: string
  activities: Activities
  /** Names the worker in histories and in the Web UI. Default: the SDK's process id and host name. */
  identity?: string
}): Promise<Worker> {
  return await Worker.create({
    connection: options.connection,
    namespace: options.namespace,
    taskQueue: options.taskQueue,
    ...(existsSync(WORKFLOW_BUNDLE_PATH)
      ? { workflowBundle: { codePath: WORKFLOW_BUNDLE_PATH } }
      : { workflowsPath: WORKFLOWS_PATH }),
    activities: options.activities,
    ...(options.identity === undefined ? {} : { identity: options.identity }),
    // A run has up to eight spaces in work. Those of COZE wait for their turn for most of their hours, and must not keep others out.
    maxConcurrentActivityTaskExecutions: 100,
    // A cancellation reaches an activity with its heartbeat's answer: the SDK must not hold heartbeats back.
    maxHeartbeatThrottleInterval: '2 seconds',
    defaultHeartbeatThrottleInterval: '2 seconds',
    shutdownGraceTime: '5 seconds',
    shutdownForceTime: '20 seconds',
  })
}
