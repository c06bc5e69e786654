import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { Agent } from 'undici'
import { ToolferryError } from '../domain/errors.ts'
import { judgeHeaders } from '../domain/header-rules.ts'
import type { McpTransport } from '../domain/tool.ts'
import { createEgressAgent } from '../egress/connector.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import type { Deadline } from './deadline.ts'
import { startDeadline } from './deadline.ts'
import { toMcpError } from './errors.ts'
import type { McpFetch } from './fetch.ts'
import { createMcpFetch } from './fetch.ts'

/** An MCP server and how to call it. `timeoutMs` bounds the whole operation, connecting and all pages included. */
export type McpTarget = {
  url: string
  transport: McpTransport
  /** Sent with every request. */
  headers: Readonly<Record<string, string>>
  egress: EgressPolicy
  signal: AbortSignal
  timeoutMs: number
  /** Sockets to use and to leave open; default: own ones, closed at the end. Made with the same egress policy. */
  agent?: Agent
  /** Most bytes read from the server in the whole operation; default 16 MiB. */
  maxBytes?: number
}

export type McpServerFacts = {
  /** Null when the server does not say (it need not since protocol 2026-07-28). */
  serverName: string | null
  serverVersion: string | null
  protocolVersion: string
}

export type McpSession = {
  client: Client
  server: McpServerFacts
  /** Options for every request of the session: they end with it. */
  requestOptions: { signal: AbortSignal; timeout: number }
}

const MAX_BYTES = 16 * 1024 * 1024
/** How long saying goodbye may take, in ms: also after an abort, so it is short. */
const CLOSE_TIMEOUT_MS = 2_000

/**
 * Opens a session, runs `work` in it and closes it, whatever happens: DELETE for Streamable HTTP sessions, the stream ended for
 * SSE, all sockets closed. Speaks every protocol revision: 2026-07-28 by discovery, else the `initialize` handshake.
 *
 * Throws InvalidDesiredState (egress or headers refused), UpstreamUnreachable, UpstreamUnauthorized, RateLimited, Timeout;
 * after an abort the signal's own reason. Messages hold no header value, no URL and nothing of the server's bodies.
 */
export async function withMcpSession<T>(target: McpTarget, work: (session: McpSession) => Promise<T>): Promise<T> {
  target.signal.throwIfAborted()
  const url = target.egress.checkUrl(target.url)
  refuseBadHeaders(target.headers)
  const deadline = startDeadline(target.signal, target.timeoutMs)
  const agent = target.agent ?? createEgressAgent(target.egress)
  const http = createMcpFetch({
    agent,
    transport: target.transport,
    signal: deadline.signal,
    maxBytes: target.maxBytes ?? MAX_BYTES,
    closeTimeoutMs: CLOSE_TIMEOUT_MS,
  })
  const opened: Opened[] = []
  try {
    const session = await deadline.race(openSession(target, url, http, deadline, opened))
    return await deadline.race(work(session))
  } catch (error) {
    throw toMcpError(error, { deadline, failure: http.failure(), timeoutMs: target.timeoutMs })
  } finally {
    deadline.clear()
    await Promise.all(opened.map(closeSession))
    if (target.agent === undefined) await agent.destroy()
  }
}

type Opened = { client: Client; transport: StreamableHTTPClientTransport | SSEClientTransport }

async function openSession(
  target: McpTarget,
  url: URL,
  http: McpFetch,
  deadline: Deadline,
  opened: Opened[],
): Promise<McpSession> {
  // The SDK's own timer must not fire before the deadline, which knows the right error.
  const requestOptions = { signal: deadline.signal, timeout: target.timeoutMs + 1_000 }
  const connect = async (mode: 'auto' | 'legacy'): Promise<McpSession> => {
    const client = new Client({ name: 'toolferry', version: '0.1.0' }, { versionNegotiation: { mode } })
    const options = { fetch: http.fetch, requestInit: { headers: { ...target.headers } } }
    const transport =
      target.transport === 'sse'
        ? new SSEClientTransport(url, options)
        : new StreamableHTTPClientTransport(url, options)
    opened.push({ client, transport })
    await client.connect(transport, requestOptions)
    return { client, server: factsOf(client), requestOptions }
  }
  // HTTP+SSE is a transport of 2024-11-05: there is nothing to discover.
  if (target.transport === 'sse') return connect('legacy')
  try {
    return await connect('auto')
  } catch (error) {
    // Servers older than discovery may answer an unknown first request with a 5xx or something that is not JSON-RPC.
    if (deadline.signal.aborted || !http.answered() || http.failure()?.type !== 'UpstreamUnreachable') throw error
    return connect('legacy')
  }
}

function factsOf(client: Client): McpServerFacts {
  const server = client.getServerVersion()
  return {
    serverName: server?.name ?? null,
    serverVersion: server?.version ?? null,
    protocolVersion: client.getNegotiatedProtocolVersion() ?? 'unknown',
  }
}

/** Best effort: a server that does not take the goodbye has its own session timeout. */
async function closeSession({ client, transport }: Opened): Promise<void> {
  if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession().catch(() => {})
  await client.close().catch(() => {})
  await transport.close().catch(() => {})
}

function refuseBadHeaders(headers: Readonly<Record<string, string>>): void {
  const [problem] = judgeHeaders(headers, 'headers')
  if (problem !== undefined) {
    throw new ToolferryError('InvalidDesiredState', `${problem.field}: ${problem.reason}`, { field: problem.field })
  }
}
