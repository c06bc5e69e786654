import { z } from '@hono/zod-openapi'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import { isClosed } from '../domain/states.ts'
import { listSyncEvents } from '../store/sync-events.ts'
import { getSync } from '../store/syncs.ts'
import { rightOf } from './auth.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { invalidRequest } from './problem.ts'
import { defineRoute } from './route.ts'
import { idParam } from './schemas.ts'
import { findSync } from './syncs.ts'

/** Events of another process are found by looking; those of this one come at once. */
const POLL_MS = 500
const HEARTBEAT_MS = 15_000
/** A run's last events may be written right after it was closed. */
const AFTERGLOW_MS = 300
const BATCH = 200

const eventsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/syncs/{id}/events',
  operationId: 'streamSyncEvents',
  tags: ['syncs'],
  summary:
    'Live events (SSE) from the beginning, or after the one named; ends when the run is closed (then answers 204), or within about a second of the end of the key or session it was opened with',
  request: {
    params: idParam,
    query: z.object({
      after: z.coerce.number().int().min(0).max(999_999_999).optional().openapi({
        description:
          'Only events after this one, such as the lastEvent of a run that was read a moment ago. Last-Event-ID wins.',
      }),
    }),
    headers: z.object({
      'last-event-id': z.string().optional().openapi({ description: 'The number of the last event seen.' }),
    }),
  },
  responses: {
    200: {
      content: { 'text/event-stream': { schema: z.string() } },
      description: 'Events: id = number, event = type, data = JSON',
    },
    204: { description: 'The run is closed and everything was seen; EventSource stops' },
  },
})

export function registerSyncStream(app: Api, deps: ApiDeps): void {
  app.openapi(eventsRoute, async (c) => {
    const sync = await findSync(deps, c.req.valid('param').id)
    const after = parseEventId(c.req.valid('header')['last-event-id']) ?? c.req.valid('query').after ?? 0
    if (isClosed(sync.state) && after >= sync.eventSeq) return c.body(null, 204)
    const mayHave = rightOf(deps.store, c.get('principal'))
    const response = streamSSE(c, async (stream) => {
      try {
        await pump(deps, sync.id, after, stream, mayHave)
      } catch (error) {
        deps.logger.warn(
          { syncId: sync.id, error: error instanceof Error ? error.name : 'unknown' },
          'an event stream broke',
        )
      }
    })
    response.headers.set('x-accel-buffering', 'no')
    return response
  })
}

/** Writes what comes until the run is closed, the listener is gone, or may not listen any more. */
async function pump(
  deps: ApiDeps,
  syncId: string,
  after: number,
  stream: SSEStreamingApi,
  mayHave: () => Promise<boolean>,
): Promise<void> {
  let wake: () => void = () => undefined
  const unsubscribe = deps.store.onSyncEvent(syncId, () => wake())
  stream.onAbort(() => wake())
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  try {
    let seen = after
    let lastWriteMs = Date.now()
    let closing = false
    while (!stream.aborted && !stream.closed && (await mayHave())) {
      const events = await listSyncEvents(deps.store, syncId, seen, BATCH)
      for (const event of events) {
        // A slow reader may have kept the one before waiting for long.
        if (!(await mayHave())) return
        const data = JSON.stringify({ ...event.data, at: event.at.toISOString() })
        await stream.writeSSE({ id: String(event.seq), event: event.type, data })
        seen = event.seq
        lastWriteMs = Date.now()
      }
      if (events.length > 0) continue
      if (closing) return
      const sync = await getSync(deps.store, syncId)
      if (sync === null) return
      closing = isClosed(sync.state)
      if (Date.now() - lastWriteMs >= HEARTBEAT_MS) {
        await stream.write(': still here\n\n')
        lastWriteMs = Date.now()
      }
      await pause(closing ? AFTERGLOW_MS : POLL_MS)
    }
  } finally {
    unsubscribe()
  }
}

function parseEventId(text: string | undefined): number | null {
  if (text === undefined || text === '') return null
  if (!/^\d{1,9}$/.test(text)) {
    throw invalidRequest([{ field: 'Last-Event-ID', message: 'must be the number of an event of this stream' }])
  }
  return Number(text)
}
