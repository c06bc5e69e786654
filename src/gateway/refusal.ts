import type { ClientResponse } from './client.ts'

export type RpcId = string | number | null

/** The ids of what is being answered; none: nobody knows, or they are too many. A batch is answered with an array. */
export type RpcIds = { batch: boolean; ids: RpcId[] }

export const NO_IDS: RpcIds = { batch: false, ids: [null] }

type RefusalFacts = { status: number; rpcCode: number; message: string }

/**
 * Every way in which the gateway says no. 401 is only for a credential that nobody knows: a 401 makes Dify start OAuth
 * (`dify.md §3.3`), so a known but barred one gets 403. -32001 with 404 is what the MCP SDKs send for a lost session.
 */
const REFUSALS = {
  not_found: { status: 404, rpcCode: -32012, message: 'There is nothing at this address.' },
  method_not_allowed: { status: 405, rpcCode: -32013, message: 'This HTTP method is not served here.' },
  origin_refused: { status: 403, rpcCode: -32011, message: 'Requests from this web origin are not served.' },
  credential_missing: {
    status: 401,
    rpcCode: -32010,
    message: 'A gateway token is missing. Send it as "Authorization: Bearer <token>".',
  },
  credential_unknown: { status: 401, rpcCode: -32010, message: 'The gateway token is not known.' },
  credential_revoked: { status: 401, rpcCode: -32010, message: 'The gateway token has been revoked.' },
  credential_expired: { status: 403, rpcCode: -32011, message: 'The gateway token has expired.' },
  binding_disabled: { status: 403, rpcCode: -32011, message: 'This authorization is switched off.' },
  binding_expired: { status: 403, rpcCode: -32011, message: 'This authorization has expired.' },
  wrong_instance: { status: 403, rpcCode: -32011, message: 'The gateway token belongs to another MCP server.' },
  instance_unknown: { status: 404, rpcCode: -32012, message: 'There is no such MCP server here.' },
  instance_inactive: { status: 403, rpcCode: -32011, message: 'This MCP server is switched off.' },
  transport_mismatch: {
    status: 404,
    rpcCode: -32012,
    message: 'This MCP server is served by the other transport: /mcp is Streamable HTTP, /sse is HTTP+SSE.',
  },
  host_refused: { status: 403, rpcCode: -32011, message: 'Requests under this host name are not served.' },
  rate_limited: { status: 429, rpcCode: -32015, message: 'Too many requests. Try again shortly.' },
  too_many_open: {
    status: 429,
    rpcCode: -32015,
    message: 'Too many requests are open. End one, or try again shortly.',
  },
  session_unknown: { status: 404, rpcCode: -32001, message: 'Session not found' },
  endpoint_unknown: { status: 404, rpcCode: -32001, message: 'Session not found' },
  parse_error: { status: 400, rpcCode: -32700, message: 'Parse error: the body is not JSON.' },
  invalid_request: { status: 400, rpcCode: -32600, message: 'Invalid request: the body is not a JSON-RPC message.' },
  header_mismatch: {
    status: 400,
    rpcCode: -32020,
    message: 'Mcp-Method or Mcp-Name do not say what the body says.',
  },
  encoded_body: { status: 415, rpcCode: -32019, message: 'Request bodies must not be compressed.' },
  body_too_large: { status: 413, rpcCode: -32014, message: 'The request body is too large.' },
  body_timeout: { status: 408, rpcCode: -32018, message: 'The request body did not arrive in time.' },
  gateway_busy: { status: 503, rpcCode: -32017, message: 'The gateway is busy. Try again shortly.' },
  store_away: {
    status: 503,
    rpcCode: -32017,
    message: 'The gateway has lost its store and cannot tell any longer who may call.',
  },
  tool_not_allowed: { status: 403, rpcCode: -32011, message: 'This authorization does not include that tool.' },
  upstream_unreachable: { status: 502, rpcCode: -32016, message: 'The MCP server could not be reached.' },
  upstream_suspended: {
    status: 503,
    rpcCode: -32016,
    message: 'The MCP server could not be reached several times; it is tried again shortly.',
  },
  upstream_barred: {
    status: 502,
    rpcCode: -32016,
    message: 'The egress rules do not allow this MCP server’s address.',
  },
  upstream_timeout: { status: 504, rpcCode: -32018, message: 'The MCP server did not answer in time.' },
  upstream_unauthorized: { status: 502, rpcCode: -32016, message: 'The MCP server refused the gateway’s headers.' },
  upstream_refused_caller: { status: 401, rpcCode: -32010, message: 'The MCP server refused your Authorization.' },
  upstream_redirect: { status: 502, rpcCode: -32016, message: 'The MCP server answered with a redirect.' },
  upstream_error: { status: 502, rpcCode: -32016, message: 'The MCP server failed.' },
  upstream_broken: { status: 502, rpcCode: -32016, message: 'The MCP server ended its answer early.' },
  upstream_content: { status: 502, rpcCode: -32016, message: 'The MCP server answered with something else than MCP.' },
  upstream_endpoint: { status: 502, rpcCode: -32016, message: 'The MCP server named an endpoint on another origin.' },
  upstream_too_large: { status: 502, rpcCode: -32016, message: 'The MCP server’s answer is too large.' },
  internal_error: { status: 500, rpcCode: -32603, message: 'Internal error' },
} as const satisfies Record<string, RefusalFacts>

export type RefusalCode = keyof typeof REFUSALS

export function refusalStatus(code: RefusalCode): number {
  return REFUSALS[code].status
}

/** Whether a body is one that sendRefusal has written, of one message. */
export function isRefusal(body: string): boolean {
  try {
    const code = JSON.parse(body)?.error?.data?.code
    return typeof code === 'string' && Object.hasOwn(REFUSALS, code)
  } catch {
    return false
  }
}

export type RefusalOptions = {
  /** Replaces the code's own (an upstream's 4xx). */
  status?: number | undefined
  retryAfterS?: number
}

/**
 * Answers with JSON-RPC errors that carry the request's own ids and the gateway's code in `data.code`. The answer is whole
 * then, but `res.end` is left to the caller. Returns the bytes of the body.
 */
export function sendRefusal(res: ClientResponse, code: RefusalCode, ids: RpcIds, options: RefusalOptions = {}): number {
  const { rpcCode, message, status: ownStatus } = REFUSALS[code]
  const errors = (ids.ids.length === 0 ? [null] : ids.ids).map((id) => ({
    jsonrpc: '2.0',
    id,
    error: { code: rpcCode, message, data: { code } },
  }))
  const body = Buffer.from(JSON.stringify(ids.batch ? errors : errors[0]))
  const headers = [
    'content-type',
    'application/json',
    'content-length',
    String(body.length),
    'cache-control',
    'no-store',
    'x-content-type-options',
    'nosniff',
    'content-security-policy',
    "default-src 'none'; sandbox",
  ]
  const status = options.status ?? ownStatus
  if (options.retryAfterS !== undefined || ownStatus === 503 || status === 429) {
    headers.push('retry-after', String(options.retryAfterS ?? 1))
  }
  res.writeHead(status, headers)
  res.write(body)
  return body.length
}
