export type Route =
  /** Streamable HTTP. */
  | { kind: 'mcp'; instanceId: string }
  /** HTTP+SSE: its event stream. */
  | { kind: 'sse'; instanceId: string }
  /** HTTP+SSE: where the client posts its messages. */
  | { kind: 'sse-post'; instanceId: string; sealed: string }

// Exact characters only: nothing is decoded, normalised or lower-cased, so there is one spelling of a path and it has one meaning.
const PATH =
  /^\/mcp-gateway\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/(?:(mcp)|sse(?:\/([A-Za-z0-9_-]{20,8192}))?)$/

/** Clients ask for few targets, again and again. One that makes up many has them read anew each time, as all were. */
const routes = new Map<string, Route>()
const MAX_ROUTES = 1_024
const MAX_KEPT_LENGTH = 64

/** Where a request target leads; null = nowhere (404). The query is ignored and never reaches the upstream. */
export function parseRoute(target: string): Route | null {
  const kept = target.length > MAX_KEPT_LENGTH ? undefined : routes.get(target)
  if (kept !== undefined) return kept
  const route = readRoute(target)
  if (route === null || target.length > MAX_KEPT_LENGTH) return route
  if (routes.size >= MAX_ROUTES) routes.clear()
  routes.set(target, route)
  return route
}

function readRoute(target: string): Route | null {
  const query = target.indexOf('?')
  const match = PATH.exec(query === -1 ? target : target.slice(0, query))
  if (match === null) return null
  const [, instanceId = '', mcp, sealed] = match
  if (mcp !== undefined) return { kind: 'mcp', instanceId }
  return sealed === undefined ? { kind: 'sse', instanceId } : { kind: 'sse-post', instanceId, sealed }
}

/** Whether a shared listener should hand the request to the gateway. OAuth metadata is the gateway's to deny (`dify.md §3.4`). */
export function isGatewayTarget(target: string): boolean {
  return target.startsWith('/mcp-gateway/') || target.startsWith('/.well-known/oauth-')
}
