import { ProtocolError, SdkError, SdkErrorCode } from '@modelcontextprotocol/client'
import { ToolferryError } from '../domain/errors.ts'
import { retryAfterMs } from '../domain/retry-after.ts'
import type { McpTransport } from '../domain/tool.ts'
import type { Deadline } from './deadline.ts'

/** How long one server's Retry-After is heeded: a run plans nothing before every server was asked. */
const LONGEST_WISH_MS = 5 * 60_000

/**
 * Failures of a call to an MCP server as errors of ours:
 *
 * | what happened                                             | type                 |
 * | --------------------------------------------------------- | -------------------- |
 * | egress policy                                             | InvalidDesiredState  |
 * | DNS, connection, TLS, redirect, 4xx and 5xx, not MCP      | UpstreamUnreachable  |
 * | 401, 403                                                  | UpstreamUnauthorized |
 * | 429                                                       | RateLimited          |
 * | the time is over                                          | Timeout              |
 * | the caller aborted                                        | the signal's reason  |
 *
 * No text of the server, no header and no URL goes into a message: the SDK's errors do quote bodies, so they are not kept as causes either.
 */
export function toMcpError(
  thrown: unknown,
  facts: { deadline: Deadline; failure: ToolferryError | null; timeoutMs: number },
): unknown {
  if (facts.deadline.expired()) {
    return new ToolferryError(
      'Timeout',
      `The MCP server did not finish within ${facts.timeoutMs / 1000} s. Check that it answers, or raise the limit.`,
    )
  }
  if (facts.deadline.signal.aborted) return facts.deadline.signal.reason
  if (thrown instanceof ToolferryError) return thrown
  return facts.failure ?? protocolFailure(thrown)
}

/** A response's fault, or null when it may be MCP. Bodies are not read. */
export function responseFailure(
  method: string,
  transport: McpTransport,
  status: number,
  headers: { get(name: string): string | null },
): ToolferryError | null {
  if (status === 401 || status === 403) {
    return new ToolferryError(
      'UpstreamUnauthorized',
      `The MCP server refused the headers it was given (HTTP ${status}).`,
    )
  }
  if (status === 429) {
    const waitMs = retryAfterMs(headers.get('retry-after'), Date.now(), LONGEST_WISH_MS)
    return new ToolferryError(
      'RateLimited',
      'The MCP server asks to slow down (HTTP 429).',
      waitMs === undefined ? {} : { retryAfterMs: waitMs },
    )
  }
  if (status >= 300 && status < 400) {
    return unreachable(
      `The MCP server answered with a redirect (HTTP ${status}), which is not followed. Give the URL that it leads to.`,
    )
  }
  if (status === 404 || status === 405) {
    return unreachable(
      `The MCP server answered HTTP ${status}. Check the path of the URL and the transport (${otherWay(transport)}).`,
    )
  }
  if (status >= 400) return unreachable(`The MCP server answered HTTP ${status}.`)
  if (status === 202 || status === 204) return null
  return contentFailure(method, transport, headers.get('content-type'))
}

function contentFailure(method: string, transport: McpTransport, contentType: string | null): ToolferryError | null {
  const mediaType = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const stream = mediaType === 'text/event-stream'
  if (transport === 'sse') {
    // Answers come over the stream that the GET opened; what a POST answers itself does not matter.
    if (method !== 'GET' || stream) return null
    return unreachable(
      `The MCP server answered the SSE connection with ${nameMediaType(mediaType)} instead of an event stream. Check the URL and the transport.`,
    )
  }
  if (stream || mediaType === 'application/json' || method === 'DELETE') return null
  return unreachable(
    `The MCP server answered with ${nameMediaType(mediaType)} instead of JSON or an event stream. Check that the URL is the MCP endpoint.`,
  )
}

/** Why a request got no response. */
export function networkFailure(error: unknown): ToolferryError {
  for (const cause of causesOf(error)) {
    if (cause instanceof ToolferryError) return cause
    const code = codeOf(cause)
    if (code === null) continue
    if (
      code === 'UND_ERR_CONNECT_TIMEOUT' ||
      code === 'UND_ERR_HEADERS_TIMEOUT' ||
      code === 'UND_ERR_BODY_TIMEOUT' ||
      code === 'ETIMEDOUT'
    ) {
      return new ToolferryError('Timeout', `The MCP server did not answer in time (${code}).`)
    }
    return unreachable(
      NETWORK_MESSAGES[code] ?? tlsMessage(code) ?? `The connection to the MCP server failed (${code}).`,
    )
  }
  return unreachable('The connection to the MCP server failed.')
}

export function tooManyBytes(maxBytes: number): ToolferryError {
  return unreachable(`The MCP server sent more than ${Math.floor(maxBytes / 1024)} KiB, which is more than is read.`)
}

/** The server spoke HTTP, and what it said is not usable MCP. */
function protocolFailure(error: unknown): ToolferryError {
  if (error instanceof ProtocolError) {
    return unreachable(`The MCP server answered with JSON-RPC error ${error.code}.`)
  }
  if (error instanceof SdkError) {
    if (error.code === SdkErrorCode.ConnectionClosed)
      return unreachable('The MCP server closed the connection before it had answered.')
    return unreachable(`The MCP server's answer is not valid MCP (${error.code}).`)
  }
  if (error instanceof SyntaxError) return unreachable('The MCP server answered something that is not JSON.')
  return unreachable('The MCP server answered something that is not valid MCP.')
}

const NETWORK_MESSAGES: Record<string, string> = {
  ECONNREFUSED: 'The MCP server refused the connection (ECONNREFUSED): nothing listens at its host and port.',
  ENOTFOUND: "The MCP server's host name is unknown (ENOTFOUND). Check the URL and DNS.",
  EAI_AGAIN: "The MCP server's host name could not be resolved now (EAI_AGAIN). Check DNS.",
  EHOSTUNREACH: 'There is no route to the MCP server (EHOSTUNREACH).',
  ENETUNREACH: 'There is no route to the MCP server (ENETUNREACH).',
  ECONNRESET: 'The MCP server closed the connection (ECONNRESET).',
  UND_ERR_SOCKET: 'The MCP server closed the connection before it had answered.',
  EPROTO: 'The TLS handshake with the MCP server failed (EPROTO). Is the URL’s https right?',
}

function tlsMessage(code: string): string | null {
  if (!/CERT|TLS|SSL|SIGNATURE|CRL|ISSUER|SELF_SIGNED/.test(code)) return null
  return `The TLS certificate of the MCP server is not accepted (${code}).`
}

function* causesOf(error: unknown): Generator<unknown> {
  let current: unknown = error
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    yield current
    if (current instanceof AggregateError) yield* current.errors
    current = current.cause
  }
}

function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' && /^[A-Z0-9_]+$/.test(error.code) ? error.code : null
}

/** Only the shape of a media type is shown: the rest of the header is the server's text. */
function nameMediaType(mediaType: string): string {
  return /^[a-z0-9.+-]{1,40}\/[a-z0-9.+-]{1,60}$/.test(mediaType) ? mediaType : 'no known content type'
}

function otherWay(transport: McpTransport): string {
  return transport === 'sse' ? 'it was called by SSE' : 'it was called by Streamable HTTP'
}

function unreachable(message: string): ToolferryError {
  return new ToolferryError('UpstreamUnreachable', message)
}
