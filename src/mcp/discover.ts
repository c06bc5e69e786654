import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/client'
import { z } from 'zod'
import { ToolferryError } from '../domain/errors.ts'
import type { McpTool } from '../domain/tool.ts'
import type { McpServerFacts, McpSession, McpTarget } from './client.ts'
import { withMcpSession } from './client.ts'

export type DiscoverTarget = McpTarget & {
  /** Default 200. */
  maxPages?: number
  /** Default 5,000. */
  maxTools?: number
}

export type DiscoveredTools = McpServerFacts & {
  tools: McpTool[]
  /** What was left out or put right, for people. */
  warnings: string[]
}

/** Tools are checked one by one: a single bad one must not hide the others. */
const page = z.looseObject({ tools: z.array(z.unknown()), nextCursor: z.string().nullish() })

/**
 * All pages of `tools/list`, in the server's order. Throws as `withMcpSession`; a list that never ends or is too long is
 * UpstreamUnreachable: a part of it would look like tools that were removed.
 */
export function discoverTools(target: DiscoverTarget): Promise<DiscoveredTools> {
  return withMcpSession(target, async (session) => {
    const collected = new Map<string, McpTool>()
    const warnings: string[] = []
    const cursors = new Set<string>()
    const maxPages = target.maxPages ?? 200
    const maxTools = target.maxTools ?? 5_000
    let cursor: string | undefined
    for (let pageNumber = 1; ; pageNumber += 1) {
      const { tools, nextCursor } = await listPage(session, cursor, warnings)
      const before = collected.size
      const repeated = collect(tools, collected, warnings)
      if (collected.size > maxTools) throw endless(`more than ${maxTools} tools`)
      if (nextCursor === undefined) break
      if (cursors.has(nextCursor)) {
        // Servers that ignore the cursor send the same page for ever; that page is the whole list.
        if (collected.size > before || tools.length === 0) throw endless('a cursor that it had given before')
        warnings.length -= repeated
        warnings.push('The server ignores the page cursor of tools/list; its first page was taken as the whole list.')
        break
      }
      if (pageNumber === maxPages) throw endless(`more than ${maxPages} pages`)
      cursors.add(nextCursor)
      cursor = nextCursor
    }
    return { ...session.server, tools: [...collected.values()], warnings }
  })
}

async function listPage(
  session: McpSession,
  cursor: string | undefined,
  warnings: string[],
): Promise<{ tools: unknown[]; nextCursor: string | undefined }> {
  try {
    const params = cursor === undefined ? {} : { cursor }
    const answer = await session.client.request({ method: 'tools/list', params }, page, session.requestOptions)
    return { tools: answer.tools, nextCursor: answer.nextCursor ?? undefined }
  } catch (error) {
    const withoutTools = session.client.getServerCapabilities()?.tools === undefined
    if (withoutTools && error instanceof ProtocolError && error.code === ProtocolErrorCode.MethodNotFound) {
      warnings.push('The server offers no tools.')
      return { tools: [], nextCursor: undefined }
    }
    throw error
  }
}

/** Adds the usable tools of a page; answers how many names it had already. */
function collect(tools: unknown[], collected: Map<string, McpTool>, warnings: string[]): number {
  let repeated = 0
  for (const [index, tool] of tools.entries()) {
    if (!isRecord(tool) || typeof tool.name !== 'string' || tool.name === '') {
      warnings.push(`A tool without a name was left out (number ${index + 1} of its page).`)
    } else if (collected.has(tool.name)) {
      repeated += 1
      warnings.push(`Tool “${shorten(tool.name)}” is listed twice; the first was taken.`)
    } else if (isRecord(tool.inputSchema)) {
      collected.set(tool.name, { ...tool, name: tool.name, inputSchema: tool.inputSchema })
    } else {
      warnings.push(`Tool “${shorten(tool.name)}” has no input schema; it is taken as one without parameters.`)
      collected.set(tool.name, { ...tool, name: tool.name, inputSchema: { type: 'object', properties: {} } })
    }
  }
  return repeated
}

function endless(what: string): ToolferryError {
  return new ToolferryError(
    'UpstreamUnreachable',
    `The MCP server's tools/list did not end: it gave ${what}. Its pagination must be corrected.`,
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shorten(name: string): string {
  return name.length > 80 ? `${name.slice(0, 79)}…` : name
}
