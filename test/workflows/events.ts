import type { Client } from '@temporalio/client'
import { defaultPayloadConverter } from '@temporalio/common'

type History = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>
export type HistoryEvent = NonNullable<History['events']>[number]
type Payload = Parameters<typeof defaultPayloadConverter.fromPayload>[0]

export async function eventsOf(client: Client, workflowId: string, runId?: string): Promise<HistoryEvent[]> {
  return (await client.workflow.getHandle(workflowId, runId).fetchHistory()).events ?? []
}

/** Names of the activities that were scheduled, in order. */
export function scheduled(events: readonly HistoryEvent[]): string[] {
  return events.flatMap((event) => event.activityTaskScheduledEventAttributes?.activityType?.name ?? [])
}

/** Every activity's input in the clear. */
export function activityInputs(events: readonly HistoryEvent[]): Record<string, unknown>[] {
  return events.flatMap((event) =>
    (event.activityTaskScheduledEventAttributes?.input?.payloads ?? []).map((payload) => decode(payload) as never),
  )
}

/** What the workflow was started with. */
export function startInput<T>(events: readonly HistoryEvent[]): T | undefined {
  const payload = events[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]
  return payload === undefined ? undefined : (decode(payload) as T)
}

/** What the Web UI shows beside the activities. */
export function summaries(events: readonly HistoryEvent[]): string[] {
  return events.flatMap((event) => {
    const summary = event.userMetadata?.summary
    return event.activityTaskScheduledEventAttributes == null || summary == null ? [] : [String(decode(summary))]
  })
}

/** Activities that have no ending in this history. */
export function unfinished(events: readonly HistoryEvent[]): string[] {
  const open = new Map<string, string>()
  for (const event of events) {
    const name = event.activityTaskScheduledEventAttributes?.activityType?.name
    if (name != null) open.set(String(event.eventId), name)
    const ended =
      event.activityTaskCompletedEventAttributes ??
      event.activityTaskFailedEventAttributes ??
      event.activityTaskCanceledEventAttributes ??
      event.activityTaskTimedOutEventAttributes
    if (ended != null) open.delete(String(ended.scheduledEventId))
  }
  return [...open.values()]
}

function decode(payload: Payload): unknown {
  return defaultPayloadConverter.fromPayload(payload)
}
