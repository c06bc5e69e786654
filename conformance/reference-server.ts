import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import {
  createMcpHandler,
  createRequestStateCodec,
  type EventStore,
  hostHeaderValidationResponse,
  isLegacyRequest,
  type JSONRPCMessage,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  McpServer,
  originValidationResponse,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import {
  registerAskingTools,
  registerPlainTools,
  registerPrompts,
  registerResources,
  text,
} from './reference-features.ts'
import { registerRounds } from './reference-rounds.ts'

/** The name it gives itself: who scores it asserts first that it is the one that answers. */
export const REFERENCE_NAME = 'toolferry-conformance-reference'

export type ReferenceServer = { port: number; stop(): Promise<void> }

/**
 * A full-featured MCP server on a free port of 127.0.0.1, path /mcp, made with the MCP project's own server package:
 * sessions up to 2025-11-25 with resumption, stateless 2026-07-28, DNS-rebinding protection.
 */
export async function startReferenceServer(): Promise<ReferenceServer> {
  const states = createRequestStateCodec<{ round: number }>({ key: randomBytes(32) })
  const build = (): McpServer => {
    const mcp = new McpServer(
      { name: REFERENCE_NAME, version: '1.0.0' },
      {
        capabilities: {
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
          logging: {},
          completions: {},
        },
        requestState: { verify: states.verify },
      },
    )
    registerPlainTools(mcp)
    registerAskingTools(mcp)
    registerPrompts(mcp)
    registerResources(mcp)
    registerRounds(mcp, states)
    mcp.server.setRequestHandler('resources/subscribe', async () => ({}))
    mcp.server.setRequestHandler('resources/unsubscribe', async () => ({}))
    mcp.registerTool('test_trigger_tool_change', { description: 'Tells of changed tools' }, async () => {
      modern.notify.toolsChanged()
      return text('told')
    })
    mcp.registerTool('test_trigger_prompt_change', { description: 'Tells of changed prompts' }, async () => {
      modern.notify.promptsChanged()
      return text('told')
    })
    return mcp
  }
  const modern = createMcpHandler(build, { legacy: 'reject' })
  const sessions = createSessions(build)

  const serve = async (request: Request): Promise<Response> =>
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins()) ??
    ((await isLegacyRequest(request)) ? sessions.serve(request) : modern.fetch(request))

  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing, serve).catch(() => outgoing.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      await sessions.close()
      await modern.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

type Sessions = { serve(request: Request): Promise<Response>; close(): Promise<void> }

function createSessions(build: () => McpServer): Sessions {
  const transports = new Map<string, WebStandardStreamableHTTPServerTransport>()
  return {
    async serve(request) {
      const id = request.headers.get('mcp-session-id')
      const known = id === null ? undefined : transports.get(id)
      if (known !== undefined) return known.handleRequest(request)
      if (id !== null) {
        const error = { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }
        return Response.json(error, { status: 404 })
      }
      const transport = new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        eventStore: createEventStore(),
        retryInterval: 50,
        onsessioninitialized: (sessionId) => void transports.set(sessionId, transport),
        onsessionclosed: (sessionId) => void transports.delete(sessionId),
      })
      await build().connect(transport)
      return transport.handleRequest(request)
    },
    async close() {
      for (const transport of transports.values()) await transport.close()
    },
  }
}

function createEventStore(): EventStore {
  const events: { id: string; streamId: string; message: JSONRPCMessage }[] = []
  return {
    async storeEvent(streamId, message) {
      const id = `${streamId}/${events.length}`
      events.push({ id, streamId, message })
      return id
    },
    async getStreamIdForEventId(eventId) {
      return events.find(({ id }) => id === eventId)?.streamId
    },
    async replayEventsAfter(lastEventId, { send }) {
      const index = events.findIndex(({ id }) => id === lastEventId)
      const streamId = events[index]?.streamId ?? ''
      for (const event of events.slice(index + 1)) {
        if (event.streamId === streamId && 'jsonrpc' in event.message) await send(event.id, event.message)
      }
      return streamId
    },
  }
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  serve: (request: Request) => Promise<Response>,
): Promise<void> {
  const left = new AbortController()
  outgoing.once('close', () => left.abort())
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const headers = new Headers()
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
    headers.append(incoming.rawHeaders[i] ?? '', incoming.rawHeaders[i + 1] ?? '')
  }
  const response = await serve(
    new Request(`http://${incoming.headers.host ?? 'localhost'}${incoming.url ?? '/'}`, {
      method: incoming.method ?? 'GET',
      headers,
      signal: left.signal,
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    }),
  )
  outgoing.writeHead(response.status, Object.fromEntries(response.headers)).flushHeaders()
  if (response.body === null) outgoing.end()
  else
    Readable.fromWeb(response.body)
      .on('error', () => outgoing.destroy())
      .pipe(outgoing)
}
