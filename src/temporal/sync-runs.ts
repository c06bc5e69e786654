import {
  type Client,
  isGrpcServiceError,
  ServiceError,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandle,
  WorkflowNotFoundError,
} from '@temporalio/client'
import { TypedSearchAttributes } from '@temporalio/common'
import { SYNC_WORKFLOW, type SyncInput, type SyncStatus } from '../../workflows/messages.ts'
import type { LiveStatus, RunRef, SignalOutcome, SyncRuns, SyncSignal, SyncSummary } from '../api/sync-runs.ts'
import type { Logger } from '../telemetry/logger.ts'
import { SEARCH_ATTRIBUTES } from './search-attributes.ts'

/** What is known of the cluster once it has answered; null while it is away. */
export type TemporalLink = {
  client: Client
  searchAttributes: boolean
  /** Registers the search attributes again: a cluster that lost its database has lost them, too. */
  renew?: () => Promise<void>
}

const QUERY_TIMEOUT_MS = 3_000
/** The SDK's own retries would keep a caller of the API waiting for most of a minute. */
const CALL_TIMEOUT_MS = 5_000

/** The API's and the reconciler's way to Temporal. While it is away nothing throws: the store knows what is wanted. */
export function createSyncRuns(options: {
  link: () => TemporalLink | null
  namespace: string
  taskQueue: string
  uiUrl: () => string | null
  logger: Logger
}): SyncRuns {
  const onHandle = async (run: RunRef, call: (handle: WorkflowHandle) => Promise<unknown>): Promise<SignalOutcome> => {
    const link = options.link()
    if (link === null) return 'unavailable'
    try {
      await link.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
        call(link.client.workflow.getHandle(run.workflowId)),
      )
      return 'sent'
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return 'gone'
      options.logger.warn({ syncId: run.id, reason: nameOf(error) }, 'Temporal did not take a message for a run')
      return 'unavailable'
    }
  }

  const startRun = async (link: TemporalLink, run: RunRef, summary: SyncSummary): Promise<void> => {
    const input: SyncInput = { syncId: run.id, searchAttributes: link.searchAttributes }
    await link.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () =>
      link.client.workflow.start(SYNC_WORKFLOW, {
        workflowId: run.workflowId,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        taskQueue: options.taskQueue,
        args: [input],
        staticSummary: describeRun(summary),
        ...(link.searchAttributes ? { typedSearchAttributes: attributesOf(summary) } : {}),
      }),
    )
  }

  return {
    async start(run, summary) {
      const link = options.link()
      if (link === null) return 'unavailable'
      try {
        await startRun(link, run, summary).catch(async (error: unknown) => {
          if (!isInvalidArgument(error) || link.renew === undefined) throw error
          await link.renew()
          await startRun(link, run, summary)
        })
        return 'started'
      } catch (error) {
        if (error instanceof WorkflowExecutionAlreadyStartedError) return 'started'
        options.logger.warn({ syncId: run.id, reason: nameOf(error) }, 'Temporal did not start a run; it stays queued')
        return 'unavailable'
      }
    },

    signal: (run, signal) => onHandle(run, (handle) => handle.signal(signal.type, ...argsOf(signal))),

    cancel: (run) => onHandle(run, (handle) => handle.cancel()),

    async query(run): Promise<LiveStatus | null> {
      const link = options.link()
      if (link === null) return null
      try {
        return await link.client.withDeadline(Date.now() + QUERY_TIMEOUT_MS, () =>
          link.client.workflow.getHandle(run.workflowId).query<SyncStatus>('status'),
        )
      } catch (error) {
        // A live view is an extra: the store's projection is the answer without it.
        options.logger.debug({ syncId: run.id, reason: nameOf(error) }, 'no live status')
        return null
      }
    },

    uiUrl(workflowId, runId) {
      const origin = options.uiUrl()
      if (origin === null) return null
      const path = `/namespaces/${encodeURIComponent(options.namespace)}/workflows/${encodeURIComponent(workflowId)}`
      return runId == null ? `${origin}${path}` : `${origin}${path}/${encodeURIComponent(runId)}/history`
    },
  }
}

/** "Dify sync: 3 MCP servers × 12 spaces": what stands at the top of the run in the Web UI. Words and counts only. */
export function describeRun(summary: SyncSummary): string {
  const platform = summary.platformKind === 'dify' ? 'Dify' : 'COZE'
  const kind = summary.dryRun ? 'plan (dry run)' : summary.action === 'remove' ? 'removal' : 'sync'
  const spaces = summary.spaces === 'all' ? 'all spaces' : `${summary.spaces} space${summary.spaces === 1 ? '' : 's'}`
  return `${platform} ${kind}: ${summary.instances} MCP server${summary.instances === 1 ? '' : 's'} × ${spaces}`
}

function attributesOf(summary: SyncSummary): TypedSearchAttributes {
  const kind = summary.dryRun ? 'dry-run' : summary.action
  return new TypedSearchAttributes([
    { key: SEARCH_ATTRIBUTES.platform, value: summary.platformId },
    { key: SEARCH_ATTRIBUTES.runKind, value: kind },
  ])
}

function argsOf(signal: SyncSignal): unknown[] {
  if (!('spaceId' in signal)) return []
  const { type: _type, ...authorization } = signal
  return [authorization]
}

/** gRPC INVALID_ARGUMENT: what a cluster says to a search attribute that it does not know. */
function isInvalidArgument(error: unknown): boolean {
  return error instanceof ServiceError && isGrpcServiceError(error.cause) && error.cause.code === 3
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown'
}
