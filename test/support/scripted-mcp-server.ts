import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export type JsonRpcRequest = { jsonrpc: '2.0'; id?: number | string; method: string; params?: Record<string, unknown> }

export type ScriptedTool = Record<string, unknown>

export type ScriptedOptions = {
  tools?: ScriptedTool[]
  /** Tools a page; default all on one. */
  pageSize?: number
  /** Answers a page of tools/list in place of the built-in pagination. */
  page?: (cursor: string | undefined) => { tools: unknown[]; nextCursor?: string }
  /** Every request must carry it, else `status` (default 401). */
  requiredHeader?: { name: string; value: string; status?: number }
  /** Awaited before a request is looked at: holds it back for as long as a test wants. */
  before?: (message: JsonRpcRequest | null, headers: IncomingMessage['headers']) => Promise<void>
  /** Answers a request in place of the server; true = it was answered (or never will be). */
  intercept?: (request: IncomingMessage, response: ServerResponse, message: JsonRpcRequest | null) => boolean
  /** Capabilities in the initialize answer; default tools. */
  capabilities?: Record<string, unknown>
}

export type ScriptedServer = {
  url: string
  port: number
  sessionsOpened(): number
  sessionsClosed(): number
  /** Of every request: method and headers, in order. */
  requests: { method: string; headers: IncomingMessage['headers']; message: JsonRpcRequest | null }[]
  openSockets(): number
  /** Resolves when no socket is open any more. */
  allSocketsClosed(): Promise<void>
  stop(): Promise<void>
}

/** A small MCP server (Streamable HTTP with sessions, 2025-06-18) that does what a test says; made of node:http only. */
export async function startScriptedServer(options: ScriptedOptions = {}): Promise<ScriptedServer> {
  const sessions = new Set<string>()
  const sockets = new Set<Socket>()
  const requests: ScriptedServer['requests'] = []
  let opened = 0
  let closed = 0
  const server = createServer(async (request, response) => {
    const message = await readMessage(request)
    requests.push({ method: request.method ?? '', headers: request.headers, message })
    await options.before?.(message, request.headers)
    const required = options.requiredHeader
    if (required !== undefined && request.headers[required.name.toLowerCase()] !== required.value) {
      return void response.writeHead(required.status ?? 401).end('go away, secret-body')
    }
    if (request.method === 'DELETE') {
      if (sessions.delete(String(request.headers['mcp-session-id']))) closed += 1
      return void response.writeHead(200).end()
    }
    if (options.intercept?.(request, response, message) === true) return
    if (request.method !== 'POST' || message === null) return void response.writeHead(405).end()
    if (message.method === 'initialize') {
      const session = randomUUID()
      sessions.add(session)
      opened += 1
      const result = {
        protocolVersion: '2025-06-18',
        capabilities: options.capabilities ?? { tools: {} },
        serverInfo: { name: 'scripted', version: '1.2.3' },
      }
      return answer(response, message, { result }, { 'mcp-session-id': session })
    }
    if (!sessions.has(String(request.headers['mcp-session-id']))) {
      return void response.writeHead(400, { 'content-type': 'text/plain' }).end('no session')
    }
    if (message.id === undefined) return void response.writeHead(202).end()
    if (message.method === 'tools/list') return answer(response, message, { result: pageOf(options, message) })
    if (message.method === 'tools/call') {
      const result = { content: [{ type: 'text', text: JSON.stringify(message.params) }] }
      return answer(response, message, { result })
    }
    answer(response, message, { error: { code: -32601, message: 'Method not found: secret-body' } })
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0) server.emit('idle')
    })
  })
  // Longer than any test: a client that leaves its socket open is seen, not saved by the idle timeout.
  server.keepAliveTimeout = 600_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    port,
    sessionsOpened: () => opened,
    sessionsClosed: () => closed,
    requests,
    openSockets: () => sockets.size,
    allSocketsClosed: async () => {
      if (sockets.size > 0) await once(server, 'idle')
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export function manyTools(count: number): ScriptedTool[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `tool-${index + 1}`,
    description: `Tool number ${index + 1}`,
    inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
  }))
}

export function answer(
  response: ServerResponse,
  message: JsonRpcRequest,
  body: { result: unknown } | { error: unknown },
  headers: Record<string, string> = {},
): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...body }))
}

function pageOf(options: ScriptedOptions, message: JsonRpcRequest): unknown {
  const cursor = typeof message.params?.cursor === 'string' ? message.params.cursor : undefined
  if (options.page !== undefined) return options.page(cursor)
  const tools = options.tools ?? []
  const start = cursor === undefined ? 0 : Number(cursor)
  const end = start + (options.pageSize ?? tools.length)
  return { tools: tools.slice(start, end), ...(end < tools.length ? { nextCursor: String(end) } : {}) }
}

async function readMessage(request: IncomingMessage): Promise<JsonRpcRequest | null> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text === '' ? null : (JSON.parse(text) as JsonRpcRequest)
}
