import type { Address } from './address.ts'
import { subjectOf } from './auth.ts'
import type { Call } from './call.ts'
import type { ExchangePlan } from './exchange.ts'
import type { Grant } from './grant.ts'
import { requestHeaders } from './headers.ts'
import type { GatewayLimits } from './limits.ts'
import { RequestBody } from './request-body.ts'
import type { RpcRequest } from './rpc.ts'
import { withAllowedTools } from './rpc.ts'
import type { SubjectSeal } from './session.ts'
import type { EventFilter } from './stream-filter.ts'
import { createEventFilter } from './stream-filter.ts'
import type { GatewayInstance } from './view.ts'

export type PlanInput = {
  call: Call
  instance: GatewayInstance
  grant: Grant
  address: Extract<Address, { refusal: null }>
  /** null for GET and DELETE. */
  message: { body: RequestBody /** Parsed where a policy looked into it. */; request: RpcRequest | null } | null
  /** The client's own `Authorization`, if it goes upstream. */
  forwardedAuthorization: string | null
  seal: SubjectSeal
  limits: GatewayLimits
  /** The path that clients use begins before `/mcp-gateway/`. */
  belowPath: boolean
  releaseBody: () => void
  onToolsAnnounced: () => void
  onReached: () => void
  onUnreachable: () => void
}

/** What an admitted request asks of its upstream, and how the answer is brought back. */
export function planExchange(input: PlanInput): ExchangePlan {
  const { call, instance, grant, address, message, seal, limits } = input
  const { route, req, credential } = call
  const { tools } = grant
  // A caller with a tool allow-list sends on what was judged, not the bytes that another parser may read differently.
  const rewrittenBody = tools === null ? null : (message?.request?.rewritten ?? null)
  const isOpenEnded = route.kind === 'mcp' && req.method === 'GET'
  return {
    target: { origin: grant.origin, connectTimeoutMs: instance.limits.connectTimeoutMs ?? limits.connectTimeoutMs },
    request: {
      path: address.path ?? grant.path,
      method: req.method === 'POST' ? 'POST' : req.method === 'DELETE' ? 'DELETE' : 'GET',
      headers: requestHeaders({
        rawHeaders: req.rawHeaders,
        configured: grant.configured,
        forwardedAuthorization: input.forwardedAuthorization,
        token: credential === null ? null : call.token,
        sessionId: address.sessionId,
        inspected: tools !== null || route.kind === 'sse',
        rewrittenBody: rewrittenBody !== null,
      }),
      body: rewrittenBody === null ? (message?.body ?? null) : new RequestBody([rewrittenBody]),
      idleTimeoutMs: instance.limits.idleTimeoutMs ?? 0,
      headersTimeoutMs: isOpenEnded ? 0 : (instance.limits.headersTimeoutMs ?? limits.headersTimeoutMs),
    },
    eventFilter: eventFilterFor(input),
    jsonFilter: tools === null ? null : (text) => withAllowedTools(text, tools),
    sealSession: (sessionId) => {
      // Most often the very one that the client has just sent.
      const sent = req.headers['mcp-session-id']
      if (address.sessionId === sessionId && typeof sent === 'string') return sent
      return seal.seal('session', instance.id, subjectOf(credential), sessionId)
    },
    forwardedAuthorization: input.forwardedAuthorization !== null,
    releaseBody: input.releaseBody,
    onToolsAnnounced: input.onToolsAnnounced,
    onReached: input.onReached,
    onUnreachable: input.onUnreachable,
  }
}

function eventFilterFor({ call, instance, grant, seal, limits, belowPath }: PlanInput): EventFilter | null {
  const isSse = call.route.kind === 'sse'
  if (!isSse && grant.tools === null) return null
  const subject = subjectOf(call.credential)
  // A client that can send its token in the URL only has no other way to send it with its messages.
  const query = call.tokenInQuery && call.token !== null ? `?token=${encodeURIComponent(call.token)}` : ''
  // Relative to the stream's own URL, as the client knows it, where a proxy before us has taken a path off. Elsewhere from the root:
  // some clients (Java's and Rust's SDKs) take the endpoint as a path of the server.
  const base = belowPath ? 'sse' : `/mcp-gateway/${instance.id}/sse`
  const rewrite = (path: string): string => `${base}/${seal.seal('endpoint', instance.id, subject, path)}${query}`
  return createEventFilter({
    maxEventBytes: limits.maxInspectedBytes,
    endpoint: isSse ? { upstreamUrl: instance.url, rewrite } : null,
    tools: grant.tools,
  })
}
