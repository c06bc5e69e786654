import { ToolferryError } from '../domain/errors.ts'
import type { NormalisedObject } from '../domain/object.ts'
import type { Failure } from '../domain/plan.ts'
import type { McpTool, McpTransport } from '../domain/tool.ts'
import type { Platform } from './platform.ts'

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

export type Wish = {
  bindingId: string
  instance: { id: string; name: string; description: string; transport: McpTransport; forwardAuthorization: boolean }
  /** null: it is still to be minted. */
  token: { value: string } | null
  /** null: the MCP server could not be asked. */
  tools: McpTool[] | null
  toolAllowList: string[] | null
  /** What the platform calls, without a slash at its end. */
  gatewayOrigin: string
}

export type DesiredCell =
  | { desired: NormalisedObject; unknownFields: string[]; error: null }
  | { desired: null; unknownFields: string[]; error: Failure }

/** What a binding's object should look like on its platform, or why that cannot be said. Pure. */
export function desiredObject(wish: Wish, platform: Pick<Platform, 'normalise'>): DesiredCell {
  const { instance, token, tools } = wish
  if (tools === null) {
    const message = `The tools of «${instance.name}» are not known: its MCP server could not be asked.`
    return { desired: null, unknownFields: [], error: { type: 'UpstreamUnreachable', message } }
  }
  if (instance.forwardAuthorization) {
    const message = `«${instance.name}» forwards Authorization to its MCP server, but that is the header in which a platform sends its gateway token. Turn forwarding off, then sync again.`
    return { desired: null, unknownFields: [], error: { type: 'InvalidDesiredState', message } }
  }
  try {
    const desired = platform.normalise({
      bindingId: wish.bindingId,
      instanceId: instance.id,
      name: instance.name,
      description: instance.description,
      url: `${wish.gatewayOrigin}${gatewayPath(instance.id, instance.transport)}`,
      transport: instance.transport,
      authorization: authorizationOf(token ?? { value: TOKEN_TO_COME }),
      tools: allowedTools(tools, wish.toolAllowList),
    })
    return { desired, unknownFields: token === null ? ['authorization'] : [], error: null }
  } catch (thrown) {
    if (!(thrown instanceof ToolferryError)) throw thrown
    return { desired: null, unknownFields: [], error: { type: thrown.type, message: thrown.message } }
  }
}

/** What the gateway lets the platform see (architecture §7); what it hides is not offered there either. */
function allowedTools(tools: McpTool[], allowList: string[] | null): McpTool[] {
  return allowList === null ? tools : tools.filter((tool) => allowList.includes(tool.name))
}
