/** An MCP Tool as servers send it: only what the product relies on is typed, the rest passes through. */
export type McpTool = {
  name: string
  title?: string
  description?: string
  inputSchema: Record<string, unknown>
  outputSchema?: Record<string, unknown>
  annotations?: Record<string, unknown>
  _meta?: Record<string, unknown>
}

export type McpTransport = 'streamable-http' | 'sse'
