import { withAllowedTools } from './rpc.ts'
import { EventSplitter, EventTooLargeError, formatEvent, parseEvent } from './sse.ts'

/** The endpoint event of an HTTP+SSE upstream leads to another origin: clients would take their token there. */
export class ForeignEndpointError extends Error {
  override readonly name = 'ForeignEndpointError'
}

/** Looks into a stream of events on its way to the client. */
export type EventFilter = {
  /** The events that are whole now, one after the other. Throws ForeignEndpointError or EventTooLargeError in place of a bad one. */
  push(chunk: Buffer): Iterable<Buffer>
  /** Nothing may go out yet: the stream has not named its endpoint. */
  awaitsEndpoint(): boolean
}

export type EventFilterOptions = {
  maxEventBytes: number
  /** For HTTP+SSE: the upstream's URL, and how a path on its origin is told to the client. Null: endpoint events mean nothing. */
  endpoint: { upstreamUrl: string; rewrite: (path: string) => string } | null
  /** null: every tool. */
  tools: ReadonlySet<string> | null
}

export function createEventFilter({ maxEventBytes, endpoint, tools }: EventFilterOptions): EventFilter {
  const splitter = new EventSplitter(maxEventBytes)
  let awaiting = endpoint !== null
  const filterOne = (raw: Buffer): Buffer => {
    const event = parseEvent(raw)
    if (event.data === null) return raw
    // Every endpoint event, not just the first: clients may follow a later one as well.
    if (endpoint !== null && event.type === 'endpoint') {
      const path = pathOnOrigin(event.data, endpoint.upstreamUrl)
      awaiting = false
      return formatEvent(event, endpoint.rewrite(path))
    }
    if (tools === null) return raw
    const filtered = allowedOf(event.data, tools)
    return filtered === null || filtered === event.data ? raw : formatEvent(event, filtered)
  }
  return {
    *push(chunk) {
      for (const event of splitter.push(chunk)) yield filterOne(event)
    },
    awaitsEndpoint: () => awaiting,
  }
}

function allowedOf(data: string, tools: ReadonlySet<string>): string | null {
  try {
    return withAllowedTools(data, tools)
  } catch (error) {
    if (error instanceof RangeError) throw new EventTooLargeError('An event is nested too deep.')
    throw error
  }
}

/** Path and query of an endpoint, which may be relative. Throws ForeignEndpointError when it is elsewhere or not a URL. */
function pathOnOrigin(endpoint: string, upstreamUrl: string): string {
  const base = new URL(upstreamUrl)
  const url = URL.canParse(endpoint, base) ? new URL(endpoint, base) : null
  if (url === null || url.origin !== base.origin) throw new ForeignEndpointError('The endpoint is on another origin.')
  return url.pathname + url.search
}
