import { setTimeout as sleep } from 'node:timers/promises'
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { TOOL_WATCH_WORKFLOW, toolHintWorkflowId } from '../../workflows/messages.ts'
import type { Store } from '../store/store.ts'
import { clearToolHint, listToolHints } from '../store/tool-hints.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { TemporalLink } from './sync-runs.ts'

const BATCH = 50
const CALL_TIMEOUT_MS = 5_000

export type ToolHintsOptions = {
  store: Store
  link: () => TemporalLink | null
  taskQueue: string
  logger: Logger
  signal: AbortSignal
  /** Pause between two looks, ms. */
  intervalMs?: number
}

/**
 * Has an MCP server asked at once that said that its tools have changed: by the watch's workflow, for this server alone. While
 * Temporal is away the hints wait. Several of these side by side do no harm. Ends with the signal.
 */
export async function runToolHints(options: ToolHintsOptions): Promise<void> {
  const { logger, signal, intervalMs = 2_000 } = options
  while (!signal.aborted) {
    const link = options.link()
    if (link !== null) {
      try {
        await followHints(options.store, link, options.taskQueue)
      } catch (error) {
        const reason = error instanceof Error ? error.name : 'unknown'
        logger.warn({ reason }, 'what MCP servers said of their tools could not be followed; it is tried again')
      }
    }
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined)
  }
}

/** One look at the hints. Answers how many looks at servers were started. */
export async function followHints(store: Store, link: TemporalLink, taskQueue: string): Promise<number> {
  let started = 0
  for (const hint of await listToolHints(store, BATCH)) {
    // One that is being looked at keeps its hint: it is looked at once more when that is over.
    if (!(await start(link, taskQueue, hint.instanceId))) continue
    await clearToolHint(store, hint)
    started += 1
  }
  return started
}

/** False: it is being looked at already. */
async function start(link: TemporalLink, taskQueue: string, instanceId: string): Promise<boolean> {
  try {
    await link.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      link.client.workflow.start(TOOL_WATCH_WORKFLOW, {
        workflowId: toolHintWorkflowId(instanceId),
        taskQueue,
        args: [{ instanceIds: [instanceId] }],
        staticSummary: 'An MCP server said that its tools have changed',
      }),
    )
    return true
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false
    throw error
  }
}
