import { ToolferryError } from '../src/domain/errors.ts'
import type { NormalisedObject } from '../src/domain/object.ts'
import type { Failure } from '../src/domain/plan.ts'
import type { McpTool, McpTransport } from '../src/domain/tool.ts'
import type { Platform } from '../src/platforms/platform.ts'
import type { SpaceCell } from './space-work.ts'

/** Stands for a token that is not minted yet; never written anywhere. */
const TOKEN_TO_COME = 'tfg_not_minted_yet'

/** The URL that a platform calls for an instance: it ends in /mcp or /sse, from which Dify tells the transport (dify.md §5.4). */
export function gatewayPath(instanceId: string, transport: McpTransport): string {
  return `/mcp-gateway/${instanceId}/${transport === 'sse' ? 'sse' : 'mcp'}`
}

/** The header value that a platform sends to the gateway. */
export function authorizationOf(token: { value: string }): string {
  return `Bearer ${token.value}`
}

export type DesiredCell =
  | { desired: NormalisedObject; unknownFields: string[]; error: null }
  | { desired: null; unknownFields: string[]; error: Failure }

/** What a cell should look like on its platform, or why that cannot be said. */
export function desiredFor(cell: SpaceCell, platform: Platform, gatewayOrigin: string): DesiredCell {
  if (cell.snapshot === null) {
    const message = `The tools of «${cell.instance.name}» are not known: its MCP server could not be asked.`
    return { desired: null, unknownFields: [], error: { type: 'UpstreamUnreachable', message } }
  }
  if (cell.instance.forwardAuthorization) {
    const message = `«${cell.instance.name}» forwards Authorization to its MCP server, but that is the header in which a platform sends its gateway token. Turn forwarding off, then sync again.`
    return { desired: null, unknownFields: [], error: { type: 'InvalidDesiredState', message } }
  }
  try {
    const desired = platform.normalise({
      bindingId: cell.key,
      instanceId: cell.instance.id,
      name: cell.instance.name,
      description: cell.instance.description,
      url: `${gatewayOrigin}${gatewayPath(cell.instance.id, cell.instance.transport)}`,
      transport: cell.instance.transport,
      authorization: authorizationOf(cell.token ?? { value: TOKEN_TO_COME }),
      tools: allowedTools(cell.snapshot.tools, cell.binding?.toolAllowList ?? null),
    })
    return { desired, unknownFields: cell.token === null ? ['authorization'] : [], error: null }
  } catch (thrown) {
    if (!(thrown instanceof ToolferryError)) throw thrown
    return { desired: null, unknownFields: [], error: { type: thrown.type, message: thrown.message } }
  }
}

/** What the gateway lets the platform see (architecture §7); what it hides is not offered there either. */
function allowedTools(tools: McpTool[], allowList: string[] | null): McpTool[] {
  return allowList === null ? tools : tools.filter((tool) => allowList.includes(tool.name))
}
