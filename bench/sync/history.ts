import type { Client } from '@temporalio/client'

/** What a run left in Temporal, over all its executions: a large one continues as new. */
export type RunHistory = {
  executions: number
  activities: number
  /** Of the largest execution, and of all together. Bytes as the server counts them against its limits (engineering.md §B). */
  events: { largest: number; sum: number }
  bytes: { largest: number; sum: number }
}

/** The history of a run that has ended. */
export async function historyOf(client: Client, workflowId: string): Promise<RunHistory> {
  const seen: RunHistory = {
    executions: 0,
    activities: 0,
    events: { largest: 0, sum: 0 },
    bytes: { largest: 0, sum: 0 },
  }
  let runId: string | undefined
  do {
    const handle = client.workflow.getHandle(workflowId, runId)
    const [{ events }, { historyLength, historySize }] = await Promise.all([handle.fetchHistory(), handle.describe()])
    seen.executions += 1
    seen.activities += events?.filter((event) => event.activityTaskScheduledEventAttributes != null).length ?? 0
    add(seen.events, historyLength)
    add(seen.bytes, historySize ?? 0)
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId || undefined
  } while (runId !== undefined)
  return seen
}

function add(total: { largest: number; sum: number }, one: number): void {
  total.largest = Math.max(total.largest, one)
  total.sum += one
}
