import { readEvents, type ServerSentEvent } from '../event-stream.ts'

/**
 * An MCP client that behaves as Dify's does (dify.md §5.4, §13): the transport follows the last segment of the path, the
 * user agent is python-httpx, and no MCP-Protocol-Version header is sent after initialize. Plain JSON-RPC over fetch, so
 * that nothing in between is kinder than Dify.
 */
export type DifyMcpSession = {
  serverName: string
  listTools(): Promise<string[]>
  /** Answers the text parts of the result, joined. */
  callTool(name: string, args: Record<string, unknown>): Promise<string>
  close(): Promise<void>
}

/** The other end answered with an HTTP status that is not success; `code` is the JSON-RPC error's own reason, if it gave one. */
export class CallRefused extends Error {
  readonly status: number
  readonly reason: string

  constructor(status: number, reason: string) {
    super(`HTTP ${status}${reason === '' ? '' : `: ${reason}`}`)
    this.name = 'CallRefused'
    this.status = status
    this.reason = reason
  }
}

type Json = Record<string, unknown>
type Wire = {
  request(method: string, params: Json): Promise<Json>
  notify(method: string): Promise<void>
  close(): Promise<void>
}

const USER_AGENT = 'python-httpx/0.27.2'
const TIMEOUT_MS = 30_000

/** Connects and says hello. Throws CallRefused when the gateway or the server refuses. */
export async function openAsDify(url: string, headers: Record<string, string>): Promise<DifyMcpSession> {
  const isSse = new URL(url).pathname.replace(/\/+$/, '').endsWith('/sse')
  const all = { 'user-agent': USER_AGENT, ...headers }
  const wire = isSse ? await openSse(url, all) : openStreamableHttp(url, all)
  try {
    const hello = await wire.request('initialize', {
      protocolVersion: '2025-06-18',
      // Announced by Dify, though it answers both with an error.
      capabilities: { sampling: {}, roots: { listChanged: true } },
      clientInfo: { name: 'Dify', version: '1.16.0' },
    })
    await wire.notify('notifications/initialized')
    return {
      serverName: String(asJson(hello.serverInfo).name),
      listTools: async () => {
        const { tools } = await wire.request('tools/list', {})
        return asList(tools).map((tool) => String(asJson(tool).name))
      },
      callTool: async (name, args) => {
        const result = await wire.request('tools/call', { name, arguments: args })
        const text = asList(result.content)
          .map((part) => asJson(part).text)
          .filter((part) => typeof part === 'string')
          .join('\n')
        if (result.isError === true) throw new Error(`The tool ${name} failed: ${text}`)
        return text
      },
      close: () => wire.close(),
    }
  } catch (error) {
    await wire.close()
    throw error
  }
}

function openStreamableHttp(url: string, headers: Record<string, string>): Wire {
  let session: Record<string, string> = {}
  let lastId = -1
  const post = async (body: Json): Promise<Response> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        ...headers,
        ...session,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (!response.ok) throw await refusal(response)
    const id = response.headers.get('mcp-session-id')
    if (id !== null) session = { 'mcp-session-id': id }
    return response
  }
  return {
    request: async (method, params) => {
      const id = ++lastId
      const response = await post({ jsonrpc: '2.0', id, method, params })
      if (!(response.headers.get('content-type') ?? '').includes('text/event-stream')) {
        return resultOf(asJson(await response.json()))
      }
      if (response.body === null) throw new Error(`No answer to ${method}.`)
      for await (const event of readEvents(response.body)) {
        const message = asJson(JSON.parse(event.data))
        if (message.id === id) return resultOf(message)
      }
      throw new Error(`The stream ended before ${method} was answered.`)
    },
    notify: async (method) => {
      await (await post({ jsonrpc: '2.0', method })).body?.cancel()
    },
    close: async () => {
      if (session['mcp-session-id'] === undefined) return
      const response = await fetch(url, { method: 'DELETE', headers: { ...headers, ...session } }).catch(() => null)
      await response?.body?.cancel()
    },
  }
}

async function openSse(url: string, headers: Record<string, string>): Promise<Wire> {
  const ended = new AbortController()
  const response = await fetch(url, {
    headers: { ...headers, accept: 'text/event-stream', 'cache-control': 'no-store' },
    redirect: 'manual',
    signal: ended.signal,
  })
  if (!response.ok || response.body === null) throw await refusal(response)
  const events = readEvents(response.body)
  const endpoint = new URL((await nextEvent(events, 'endpoint')).data, url)
  if (endpoint.origin !== new URL(url).origin) throw new Error('The endpoint event names another origin.')
  let lastId = -1
  const post = async (body: Json) => {
    const answer = await fetch(endpoint, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (!answer.ok) throw await refusal(answer)
    await answer.body?.cancel()
  }
  return {
    request: async (method, params) => {
      const id = ++lastId
      await post({ jsonrpc: '2.0', id, method, params })
      for (;;) {
        const message = asJson(JSON.parse((await nextEvent(events, 'message')).data))
        if (message.id === id) return resultOf(message)
      }
    },
    notify: (method) => post({ jsonrpc: '2.0', method }),
    close: async () => ended.abort(),
  }
}

async function nextEvent(events: AsyncGenerator<ServerSentEvent>, name: string): Promise<ServerSentEvent> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No ${name} event came within ${TIMEOUT_MS} ms.`)), TIMEOUT_MS)
  })
  try {
    for (;;) {
      const next = await Promise.race([events.next(), late])
      if (next.done === true) throw new Error(`The stream ended before a ${name} event came.`)
      if (next.value.event === name) return next.value
    }
  } finally {
    clearTimeout(timer)
  }
}

async function refusal(response: Response): Promise<CallRefused> {
  const text = await response.text()
  try {
    return new CallRefused(response.status, String(asJson(asJson(JSON.parse(text)).error).message ?? ''))
  } catch {
    return new CallRefused(response.status, '')
  }
}

function resultOf(message: Json): Json {
  if (message.error !== undefined) throw new Error(`JSON-RPC error: ${String(asJson(message.error).message)}`)
  return asJson(message.result)
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
