import type { McpServerFacts, McpTarget } from './client.ts'
import { withMcpSession } from './client.ts'

/**
 * One real MCP handshake, closed at once: proves that URL, transport and headers work. Errors as `withMcpSession`.
 * Through our own gateway, call it with `egress.forOwnGateway(origin)`.
 */
export function handshake(target: McpTarget): Promise<McpServerFacts> {
  return withMcpSession(target, async (session) => session.server)
}
