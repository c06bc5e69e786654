import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Agent, buildConnector, Response as UndiciResponse, fetch as undiciFetch } from 'undici'
import type { PluginMeta } from './simulator-types.ts'
import type { World } from './world.ts'

/**
 * COZE's cloud calling an MCP server: really, with the plugin's headers (coze.md §2.7). It sees the public internet as the
 * routes say; what has no route does not answer. Not the product's own MCP client, so that a fault there is not repeated here.
 */

export type CloudTool = { name: string; desc: string; inputSchema: Record<string, unknown> }

/** The server could not be read; the message is for people, with nothing of the server's. */
export class McpUnreachable extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'McpUnreachable'
  }
}

const MAX_PAGES = 50

/** All pages of tools/list. Throws McpUnreachable. */
export function listTools(world: World, meta: PluginMeta): Promise<CloudTool[]> {
  return withSession(world, meta, async (client, options) => {
    const tools: CloudTool[] = []
    let cursor: string | undefined
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await client.listTools(cursor === undefined ? {} : { cursor }, options)
      for (const { name, description, inputSchema } of answer.tools) {
        tools.push({ name, desc: description ?? '', inputSchema })
      }
      if (answer.nextCursor === undefined) return tools
      cursor = answer.nextCursor
    }
    throw new McpUnreachable('tools/list does not end')
  })
}

/** Calls one tool; answers the result as JSON text. Throws McpUnreachable. */
export function callTool(world: World, meta: PluginMeta, name: string, args: Record<string, unknown>): Promise<string> {
  return withSession(world, meta, async (client, options) =>
    JSON.stringify(await client.callTool({ name, arguments: args }, options)),
  )
}

type Work<T> = (client: Client, options: { timeout: number; signal: AbortSignal }) => Promise<T>

async function withSession<T>(world: World, meta: PluginMeta, work: Work<T>): Promise<T> {
  const url = new URL(meta.url)
  for (const { name, value } of meta.commonParams[2]) url.searchParams.set(name, value)
  const headers = headersOf(meta)
  const agent = createAgent(world)
  const network = createNetwork(world, agent)
  const open: { close(): Promise<void> }[] = []
  const connect = async (sse: boolean): Promise<Client> => {
    const client = new Client({ name: 'coze', version: '1.0' }, { versionNegotiation: { mode: 'legacy' } })
    const options = { fetch: network.fetch, requestInit: { headers } }
    const transport = sse ? new SSEClientTransport(url, options) : new StreamableHTTPClientTransport(url, options)
    open.push({
      close: async () => {
        if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession().catch(() => {})
        await client.close().catch(() => {})
      },
    })
    await client.connect(transport, network.options)
    return client
  }
  try {
    return await work(await connectEither(network, connect), network.options)
  } catch (error) {
    if (error instanceof McpUnreachable) throw error
    throw new McpUnreachable(network.failure() ?? (error instanceof Error ? error.name : 'unknown'))
  } finally {
    await Promise.all(open.map(({ close }) => close()))
    await agent.destroy()
  }
}

/** Streamable HTTP first; a server that answers its first request with a 4xx other than "who are you" is taken as HTTP+SSE. */
async function connectEither(network: Network, connect: (sse: boolean) => Promise<Client>): Promise<Client> {
  try {
    return await connect(false)
  } catch (error) {
    const status = network.status()
    if (status === null || status < 400 || status >= 500 || status === 401 || status === 403) throw error
    return connect(true)
  }
}

type Network = {
  fetch: (url: string | URL, init?: RequestInit) => Promise<Response>
  options: { timeout: number; signal: AbortSignal }
  /** What went wrong with the latest request, if it did. */
  failure(): string | null
  /** Of the latest answer. */
  status(): number | null
}

function createNetwork(world: World, agent: Agent): Network {
  const timeoutMs = world.switches.mcpTimeoutMs
  const deadline = AbortSignal.timeout(timeoutMs)
  let failure: string | null = null
  let status: number | null = null
  return {
    options: { timeout: timeoutMs, signal: deadline },
    failure: () => failure,
    status: () => status,
    fetch: async (to, init = {}) => {
      const method = init.method ?? 'GET'
      const headers = new Headers(init.headers)
      const isStream = headers.get('accept') === 'text/event-stream'
      // The stream for unasked messages of Streamable HTTP: nobody waits for any.
      if (method === 'GET' && headers.has('mcp-session-id') && isStream) return new Response(null, { status: 405 })
      const public_ = new URL(to)
      if (realOrigin(world, public_.origin) === undefined) {
        failure = `dial ${public_.host}: no such host`
        throw new McpUnreachable(failure)
      }
      try {
        const response = await undiciFetch(asPlainHttp(public_), {
          method,
          headers: [...headers],
          body: typeof init.body === 'string' ? init.body : undefined,
          redirect: 'manual',
          signal: AbortSignal.any([deadline, ...(init.signal ? [init.signal] : [])]),
          dispatcher: agent,
        })
        status = response.status
        failure = response.ok ? null : `HTTP ${response.status}`
        return new UndiciResponse(response.body, {
          status: response.status,
          headers: response.headers,
        }) as unknown as Response
      } catch (error) {
        failure = deadline.aborted ? `timeout after ${timeoutMs} ms` : `dial ${public_.host}: connection failed`
        throw error
      }
    },
  }
}

/**
 * Connections go where the routes say, while the request keeps its public name: a reverse proxy that ends TLS in front of
 * the server, and passes Host on, looks like this to it.
 */
function createAgent(world: World): Agent {
  const connect = buildConnector({})
  return new Agent({
    connect: (target, callback) => {
      const named = new URL(`http://${target.hostname}${target.port === '' ? '' : `:${target.port}`}`)
      const real = realOrigin(world, `https://${named.host}`) ?? realOrigin(world, named.origin)
      if (real === undefined) return callback(new McpUnreachable('no such host'), null)
      const { hostname, port, protocol } = new URL(real)
      connect({ ...target, hostname, protocol, port: port || (protocol === 'https:' ? '443' : '80') }, callback)
    },
  })
}

function asPlainHttp(url: URL): URL {
  const port = url.port === '' ? '' : `:${url.port}`
  return new URL(`http://${url.hostname}${port}${url.pathname}${url.search}`)
}

function realOrigin(world: World, publicOrigin: string): string | undefined {
  return world.insecureOrigins.has(publicOrigin) ? publicOrigin : world.routes.get(publicOrigin)
}

/** The web form's own User-Agent unless the plugin names one; a key of the Service auth goes where it says. */
function headersOf(meta: PluginMeta): Headers {
  const headers = new Headers({ 'user-agent': 'Coze/1.0' })
  for (const { name, value } of meta.commonParams[4]) headers.set(name, value)
  if (meta.auth.type === 1 && meta.auth.location === 1) headers.set(meta.auth.key, meta.auth.serviceToken)
  return headers
}
