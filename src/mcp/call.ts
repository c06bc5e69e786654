import { ProtocolError } from '@modelcontextprotocol/client'
import { z } from 'zod'
import type { McpServerFacts, McpTarget } from './client.ts'
import { withMcpSession } from './client.ts'

export type CallTarget = McpTarget & { name: string; arguments: Record<string, unknown> }

/**
 * What the server answered, as it is: for showing, never for a log or an error message.
 * `error` is a JSON-RPC error (an unknown tool, wrong arguments); a tool's own failure is a result with `isError`.
 */
export type ToolCallOutcome = McpServerFacts &
  ({ ok: true; result: ToolCallResult } | { ok: false; error: { code: number; message: string } })

export type ToolCallResult = {
  content: Record<string, unknown>[]
  isError: boolean
  structuredContent?: unknown
}

const callResult = z.looseObject({
  content: z.array(z.looseObject({ type: z.string() })).default([]),
  isError: z.boolean().default(false),
  structuredContent: z.unknown().optional(),
})

/** Calls one tool in a session of its own. Throws as `withMcpSession`. */
export function callTool(target: CallTarget): Promise<ToolCallOutcome> {
  return withMcpSession<ToolCallOutcome>(target, async ({ client, server, requestOptions }) => {
    try {
      const params = { name: target.name, arguments: target.arguments }
      const answer = await client.request({ method: 'tools/call', params }, callResult, requestOptions)
      const { content, isError, structuredContent } = answer
      return {
        ...server,
        ok: true,
        result: { content, isError, ...(structuredContent === undefined ? {} : { structuredContent }) },
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return { ...server, ok: false, error: { code: error.code, message: error.message } }
    }
  })
}
