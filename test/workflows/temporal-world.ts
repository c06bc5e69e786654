import { Client, type WorkflowHandle } from '@temporalio/client'
import type { NativeConnection, Worker } from '@temporalio/worker'
import { connectWorker } from '../../src/temporal/connection.ts'
import { createSyncWorker, installTemporalLogger } from '../../src/temporal/worker.ts'
import { SYNC_WORKFLOW, type SyncInput, type SyncResult, syncWorkflowId } from '../../workflows/messages.ts'
import type { SyncWorkflow } from '../../workflows/sync.ts'
import { silentLogger } from '../support/logger.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'
import { createScript, type Replies, type Script, scriptedActivities } from './scripted-activities.ts'

export type SyncHandle = WorkflowHandle<typeof SyncWorkflow>

export type TestRun = {
  handle: SyncHandle
  firstRunId: string
  script: Script
  result: () => Promise<SyncResult>
}

export type OtherRun = {
  handle: WorkflowHandle
  firstRunId: string
  script: Script
  result: () => Promise<unknown>
}

export type TemporalWorld = {
  temporal: TestTemporal
  worker: Worker
  scripts: Map<string, Script>
  connection: NativeConnection
  /** Starts a run whose activities do what the script says. */
  start(
    name: string,
    prepared?: Partial<Script['prepared']>,
    replies?: Replies,
    input?: Partial<SyncInput>,
  ): Promise<TestRun>
  /** Starts another workflow than a run. */
  startOther(workflowType: string, workflowId: string, args: object[], replies?: Replies): Promise<OtherRun>
  close(): Promise<void>
}

export type WatchRun = Pick<TestRun, 'firstRunId' | 'script'> & {
  handle: WorkflowHandle
  result: () => Promise<unknown>
}

export const TASK_QUEUE = 'toolferry-scripted'

/** A real Temporal server and the product's own worker, with scripted activities behind it. `identity`: of client and worker. */
export async function startTemporalWorld(identity?: string): Promise<TemporalWorld> {
  installTemporalLogger(silentLogger)
  const temporal = await startTestTemporal()
  const { connection: clientConnection, namespace } = temporal
  const client = new Client({
    connection: clientConnection,
    namespace,
    ...(identity === undefined ? {} : { identity }),
  })
  const scripts = new Map<string, Script>()
  const connection = await connectWorker({ address: temporal.address, namespace: temporal.namespace })
  const worker = await createSyncWorker({
    connection,
    namespace: temporal.namespace,
    taskQueue: TASK_QUEUE,
    activities: scriptedActivities(scripts),
    ...(identity === undefined ? {} : { identity }),
  })
  const running = worker.run()
  return {
    temporal,
    worker,
    scripts,
    connection,
    async start(name, prepared = {}, replies = {}, input = {}) {
      const script = createScript(name, prepared, replies)
      const workflowId = syncWorkflowId(name)
      scripts.set(workflowId, script)
      const handle = await client.workflow.start<typeof SyncWorkflow>(SYNC_WORKFLOW, {
        workflowId,
        taskQueue: TASK_QUEUE,
        staticSummary: 'Dify sync: 2 MCP servers × 3 spaces',
        args: [{ syncId: name, searchAttributes: true, ...input }],
      })
      return { handle, firstRunId: handle.firstExecutionRunId, script, result: () => handle.result() }
    },
    async startOther(workflowType, workflowId, args, replies = {}) {
      const script = createScript(workflowId, {}, replies)
      scripts.set(workflowId, script)
      const handle = await client.workflow.start(workflowType, { workflowId, taskQueue: TASK_QUEUE, args })
      return { handle, firstRunId: handle.firstExecutionRunId, script, result: () => handle.result() }
    },
    async close() {
      worker.shutdown()
      await running
      await connection.close()
      await temporal.stop()
    },
  }
}
