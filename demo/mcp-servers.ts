import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Child, freePort, startChild, waitUntilReady } from './children.ts'
import { openAsDify } from './dify/mcp-call.ts'

/** A real MCP server, running on loopback and answering. */
export type McpServer = {
  name: string
  description: string
  transport: 'streamable-http' | 'sse'
  url: string
  /** As a client with capabilities like Dify's counts them; the reference server offers fewer to one without. */
  toolCount: number
  child: Child
}

/**
 * Starts @modelcontextprotocol/server-everything over Streamable HTTP and over SSE, and @modelcontextprotocol/server-memory
 * (a stdio server) behind the bridge. `onStarted` gets each child at once, so that it can be stopped if a later one fails.
 */
export async function startMcpServers(dir: string, onStarted: (child: Child) => void): Promise<McpServer[]> {
  const everything = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'))
  const memory = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-memory/dist/index.js'))
  const bridge = fileURLToPath(new URL('./stdio-bridge.ts', import.meta.url))
  const start = async (
    facts: Pick<McpServer, 'name' | 'description' | 'transport'>,
    args: (port: number) => string[],
    env: (port: number) => Record<string, string>,
  ): Promise<McpServer> => {
    const port = await freePort()
    const child = startChild({ name: `MCP server "${facts.name}"`, args: args(port), env: env(port) })
    onStarted(child)
    const url = `http://127.0.0.1:${port}${facts.transport === 'sse' ? '/sse' : '/mcp'}`
    let toolCount = 0
    await waitUntilReady(
      child,
      async () => {
        const session = await openAsDify(url, {})
        toolCount = (await session.listTools()).length
        await session.close()
      },
      60_000,
    )
    return { ...facts, url, toolCount, child }
  }
  return Promise.all([
    start(
      { name: 'everything', description: 'MCP reference server: echo, sums, images', transport: 'streamable-http' },
      () => [everything, 'streamableHttp'],
      (port) => ({ PORT: String(port) }),
    ),
    start(
      { name: 'everything-sse', description: 'The same server over HTTP+SSE', transport: 'sse' },
      () => [everything, 'sse'],
      (port) => ({ PORT: String(port) }),
    ),
    start(
      { name: 'memory', description: 'Knowledge graph that remembers', transport: 'streamable-http' },
      (port) => [bridge, String(port), memory],
      () => ({ MEMORY_FILE_PATH: join(dir, 'memory.jsonl') }),
    ),
  ])
}
