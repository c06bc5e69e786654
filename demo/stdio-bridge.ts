import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'

/**
 * Puts an MCP server that speaks only over standard input and output on Streamable HTTP: messages are carried to and
 * fro, unread. Each HTTP session has a process of its own; it ends with the session, or when the session is idle.
 *
 * As a program: node demo/stdio-bridge.ts <port> <server script> [arguments…] — serves http://127.0.0.1:<port>/mcp.
 */
export type StdioBridge = { url: string; close(): Promise<void> }

type Command = { command: string; args: string[]; env?: Record<string, string> }
type Session = { http: StreamableHTTPServerTransport; close(): Promise<void>; touch(): void }

const IDLE_MS = 10 * 60_000

/** `port` 0 takes a free one. */
export async function startStdioBridge(command: Command, port: number): Promise<StdioBridge> {
  const sessions = new Map<string, Session>()
  const server = createServer((request, response) => {
    handle(request, response, sessions, command).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      if (response.headersSent) response.destroy()
      else refuse(response, 500, reason)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve())
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The bridge has no port.')
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    close: async () => {
      await Promise.all([...sessions.values()].map((session) => session.close()))
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  sessions: Map<string, Session>,
  command: Command,
): Promise<void> {
  if (new URL(request.url ?? '/', 'http://bridge').pathname !== '/mcp') return refuse(response, 404, 'Not found')
  const id = request.headers['mcp-session-id']
  if (typeof id === 'string') {
    const session = sessions.get(id)
    if (session === undefined) return refuse(response, 404, 'Session not found')
    session.touch()
    await session.http.handleRequest(request, response)
  } else if (request.method === 'POST') {
    const session = await openSession(command, sessions)
    await session.http.handleRequest(request, response)
    // A first message that was not a valid initialize leaves no session behind.
    if (session.http.sessionId === undefined) await session.close()
  } else refuse(response, 400, 'Mcp-Session-Id is missing')
}

async function openSession(command: Command, sessions: Map<string, Session>): Promise<Session> {
  const stdio = new StdioClientTransport({
    command: command.command,
    args: command.args,
    env: { ...getDefaultEnvironment(), ...command.env },
    stderr: 'ignore',
  })
  let timer: NodeJS.Timeout | undefined
  let closing: Promise<void> | null = null
  const http = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => {
      sessions.set(id, session)
    },
  })
  const session: Session = {
    http,
    touch: () => {
      clearTimeout(timer)
      timer = setTimeout(() => session.close(), IDLE_MS).unref()
    },
    close: () => {
      closing ??= (async () => {
        clearTimeout(timer)
        if (http.sessionId !== undefined) sessions.delete(http.sessionId)
        await http.close()
        await stdio.close()
      })()
      return closing
    },
  }
  http.onmessage = (message) => {
    stdio.send(message).catch(() => session.close())
  }
  stdio.onmessage = (message) => {
    http.send(message).catch(() => session.close())
  }
  http.onclose = () => session.close()
  stdio.onclose = () => session.close()
  await stdio.start()
  await http.start()
  session.touch()
  return session
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32000, message }, id: null }))
}

if (import.meta.main) {
  const [port, script, ...args] = process.argv.slice(2)
  if (port === undefined || script === undefined)
    throw new Error('usage: stdio-bridge.ts <port> <server script> [arguments…]')
  // The one setting that a bridged server of the demo needs.
  const file = process.env.MEMORY_FILE_PATH
  const env: Record<string, string> = file === undefined ? {} : { MEMORY_FILE_PATH: file }
  const bridge = await startStdioBridge({ command: process.execPath, args: [script, ...args], env }, Number(port))
  process.once('SIGTERM', () => bridge.close())
}
