import { setTimeout as sleep } from 'node:timers/promises'
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { NOTIFY_WORKFLOW, notifyWorkflowId } from '../../workflows/messages.ts'
import { dueDeliveries, markHandedOver } from '../store/deliveries.ts'
import type { Store } from '../store/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { TemporalLink } from './sync-runs.ts'

const BATCH = 100
const CALL_TIMEOUT_MS = 5_000

export type NotifierOptions = {
  store: Store
  link: () => TemporalLink | null
  taskQueue: string
  logger: Logger
  signal: AbortSignal
  /** Pause between two looks, ms. */
  intervalMs?: number
}

/**
 * Starts a workflow for each delivery in the outbox. While Temporal is away they wait there; one that Temporal has lost is started
 * again. Several of these side by side do no harm. Ends with the signal.
 */
export async function runNotifier(options: NotifierOptions): Promise<void> {
  const { logger, signal, intervalMs = 1_000 } = options
  while (!signal.aborted) {
    const link = options.link()
    let handedOver = 0
    if (link !== null) {
      try {
        handedOver = await handOver(options.store, link, options.taskQueue)
      } catch (error) {
        const reason = error instanceof Error ? error.name : 'unknown'
        logger.warn({ reason }, 'notices could not be handed to Temporal; they are tried again')
      }
    }
    if (handedOver < BATCH) await sleep(intervalMs, undefined, { signal }).catch(() => undefined)
  }
}

/** One look at the outbox. Answers how many deliveries have a workflow now. */
export async function handOver(store: Store, link: TemporalLink, taskQueue: string): Promise<number> {
  const ids = await dueDeliveries(store, BATCH)
  const started: string[] = []
  try {
    for (const deliveryId of ids) {
      await start(link, taskQueue, deliveryId)
      started.push(deliveryId)
    }
  } finally {
    await markHandedOver(store, started)
  }
  return started.length
}

async function start(link: TemporalLink, taskQueue: string, deliveryId: string): Promise<void> {
  try {
    await link.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      link.client.workflow.start(NOTIFY_WORKFLOW, {
        workflowId: notifyWorkflowId(deliveryId),
        taskQueue,
        args: [{ deliveryId }],
        staticSummary: 'Notice to a webhook',
      }),
    )
  } catch (error) {
    // It is under way: another worker was faster, or it waits for its next attempt.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
  }
}
