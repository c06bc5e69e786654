import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { type EventStore, StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { CreateMessageResultSchema, ElicitResultSchema, type JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import { z } from 'zod'

/**
 * A server with sessions, made with the 1.x package of the MCP project: Streamable HTTP with an event store (streams can be
 * resumed) and HTTP+SSE. Its tools do what tests need: report progress when told to, wait, ask the client's model and user.
 */
export type SessionServer = {
  url: string
  sseUrl: string
  /** Lets the tool `steps` go on by one step; once more, and it answers. */
  advance(): void
  /** Tells every session something outside of any call. */
  notice(text: string): Promise<void>
  /** One more tool from now on; the sessions are told that the tools have changed. */
  addTool(name: string): void
  /** Tells every session once more that the tools have changed. */
  announceTools(): Promise<void>
  /** GET streams that are open on /mcp with this query. */
  streams(query: string): number
  /** Events stored for resumption so far, all sessions. */
  stored(): JSONRPCMessage[]
  /** Last-Event-ID of the streams that were asked for again. */
  resumed: string[]
  /** Calls of `wait` that are under way, and that ended because the client gave them up. */
  waiting(): number
  cancelled(): number
  /** Sessions of Streamable HTTP that are open. */
  sessions(): number
  stop(): Promise<void>
}

export async function startSessionServer(): Promise<SessionServer> {
  const gate = createGate()
  const stores: StoredEvent[][] = []
  const open = new Map<string, StreamableHTTPServerTransport>()
  const overSse = new Map<string, SSEServerTransport>()
  const servers = new Set<McpServer>()
  const resumed: string[] = []
  const streams: string[] = []
  const added: string[] = []
  let waiting = 0
  let cancelled = 0

  const addTo = (mcp: McpServer, name: string): void => {
    mcp.registerTool(name, { description: `Added: ${name}` }, async () => ({ content: [{ type: 'text', text: name }] }))
  }

  const build = (): McpServer => {
    const mcp = new McpServer({ name: 'sessions', version: '1.0.0' }, { capabilities: { logging: {} } })
    servers.add(mcp)
    for (const name of added) addTo(mcp, name)
    const text = (content: string) => ({ content: [{ type: 'text' as const, text: content }] })
    mcp.registerTool('echo', { inputSchema: { text: z.string() } }, async (args) => text(`echo: ${args.text}`))
    mcp.registerTool(
      'steps',
      { inputSchema: { count: z.number() } },
      async ({ count }, { _meta, sendNotification }) => {
        for (let progress = 1; progress <= count; progress++) {
          await gate.next()
          const progressToken = _meta?.progressToken
          if (progressToken !== undefined) {
            const params = { progressToken, progress, total: count }
            await sendNotification({ method: 'notifications/progress', params })
          }
          await sendNotification({
            method: 'notifications/message',
            params: { level: 'info', data: `step ${progress}` },
          })
        }
        // Clients that read the last step and the answer at once may take the answer first.
        await gate.next()
        return text(`${count} steps`)
      },
    )
    mcp.registerTool('wait', {}, async ({ signal }) => {
      waiting += 1
      if (!signal.aborted) await once(signal, 'abort')
      waiting -= 1
      cancelled += 1
      return text('given up')
    })
    mcp.registerTool('log', {}, async ({ sessionId }) => {
      for (const level of ['debug', 'info', 'error'] as const) {
        await mcp.sendLoggingMessage({ level, data: `a line of ${level}` }, sessionId)
      }
      return text('logged')
    })
    mcp.registerTool('ask_model', { inputSchema: { prompt: z.string() } }, async ({ prompt }, { sendRequest }) => {
      const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }]
      const params = { messages, maxTokens: 10 }
      const answer = await sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema)
      return text(`the model says ${JSON.stringify(answer.content)}`)
    })
    mcp.registerTool('ask_user', { inputSchema: { question: z.string() } }, async ({ question }, { sendRequest }) => {
      const requestedSchema = { type: 'object' as const, properties: { name: { type: 'string' as const } } }
      const params = { message: question, requestedSchema }
      const answer = await sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema)
      return text(`the user answers ${answer.action} ${JSON.stringify(answer.content)}`)
    })
    return mcp
  }

  const serveSession = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const id = request.headers['mcp-session-id']
    const lastEventId = request.headers['last-event-id']
    if (typeof lastEventId === 'string') resumed.push(lastEventId)
    const known = typeof id === 'string' ? open.get(id) : undefined
    if (request.method === 'GET') {
      const query = new URL(request.url ?? '/', 'http://localhost').search
      streams.push(query)
      response.once('close', () => streams.splice(streams.indexOf(query), 1))
    }
    if (known !== undefined) return known.handleRequest(request, response)
    if (id !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}')
      return
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      eventStore: createEventStore(stores),
      onsessioninitialized: (session) => void open.set(session, transport),
      onsessionclosed: (session) => void open.delete(session),
    })
    // Its own types are not written for exactOptionalPropertyTypes.
    await build().connect(transport as Parameters<McpServer['connect']>[0])
    await transport.handleRequest(request, response)
  }

  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname === '/mcp') await serveSession(request, response)
    else if (pathname === '/sse') {
      const transport = new SSEServerTransport('/messages', response)
      overSse.set(transport.sessionId, transport)
      await build().connect(transport)
    } else await overSse.get(searchParams.get('sessionId') ?? '')?.handlePostMessage(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `${origin}/mcp`,
    sseUrl: `${origin}/sse`,
    advance: gate.open,
    notice: async (data) => {
      for (const mcp of servers) {
        if (mcp.isConnected())
          await mcp.server.notification({ method: 'notifications/message', params: { level: 'error', data } })
      }
    },
    addTool: (name) => {
      added.push(name)
      for (const mcp of servers) addTo(mcp, name)
    },
    announceTools: async () => {
      for (const mcp of servers) if (mcp.isConnected()) await mcp.server.sendToolListChanged()
    },
    streams: (query) => streams.filter((one) => one === query).length,
    stored: () => stores.flat().map(({ message }) => message),
    resumed,
    waiting: () => waiting,
    cancelled: () => cancelled,
    sessions: () => open.size,
    async stop() {
      for (const mcp of servers) await mcp.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

type StoredEvent = { id: string; streamId: string; message: JSONRPCMessage }

/** One session's events; also put into `stores`. */
function createEventStore(stores: StoredEvent[][]): EventStore {
  const events: StoredEvent[] = []
  stores.push(events)
  return {
    async storeEvent(streamId, message) {
      const id = `${streamId}_${events.length}`
      events.push({ id, streamId, message })
      return id
    },
    async getStreamIdForEventId(id) {
      return events.find((event) => event.id === id)?.streamId
    },
    async replayEventsAfter(lastId, { send }) {
      const from = events.findIndex(({ id }) => id === lastId)
      const streamId = events[from]?.streamId ?? ''
      for (const event of events.slice(from + 1)) {
        if (event.streamId === streamId && 'jsonrpc' in event.message) await send(event.id, event.message)
      }
      return streamId
    },
  }
}

/** `next` waits for one `open`; those that come first are kept. */
function createGate(): { next(): Promise<void>; open(): void } {
  let kept = 0
  const waiting: (() => void)[] = []
  return {
    next: () => {
      if (kept === 0) return new Promise((resolve) => waiting.push(resolve))
      kept -= 1
      return Promise.resolve()
    },
    open: () => {
      const first = waiting.shift()
      if (first === undefined) kept += 1
      else first()
    },
  }
}
