import { unbindable } from './codes.ts'
import type { Call, Endpoint } from './endpoint.ts'
import {
  long,
  optionalBool,
  optionalInt,
  optionalText,
  optionalTexts,
  pageOf,
  requiredId,
  requiredText,
} from './endpoint.ts'
import { callTool, listTools, McpUnreachable } from './mcp-cloud.ts'
import { editDraft } from './plugin-life.ts'
import { parametersOf } from './tool-parameters.ts'
import type { Plugin, Tool } from './world.ts'
import { MCP_PLUGIN_TYPE, pluginFor, pluginToEdit, refusal } from './world.ts'

/** A plugin's tools: read from the MCP server, shown, switched, tried (coze.md §2.7, §2.9, §2.13). */
export const toolEndpoints: Record<string, Endpoint> = {
  '/api/plugin_api/refresh_mcp_plugin_apis': { method: 'POST', writes: true, handle: refreshMcpPluginApis },
  '/api/plugin_api/get_plugin_apis': { method: 'POST', handle: getPluginApis },
  '/api/plugin_api/get_updated_apis': { method: 'POST', handle: getUpdatedApis },
  '/api/plugin_api/update_api': { method: 'POST', writes: true, handle: updateApi },
  '/api/plugin_api/delete_api': { method: 'POST', writes: true, handle: refuseToolEdit },
  '/api/plugin_api/create_api': { method: 'POST', writes: true, handle: refuseToolEdit },
  '/api/plugin_api/debug_api': { method: 'POST', handle: debugApi },
}

async function refreshMcpPluginApis(call: Call) {
  const { world, userId } = call
  const pluginId = requiredId(call, 'plugin_id')
  const spaceId = requiredId(call, 'space_id')
  const plugin = pluginToEdit(world, pluginId, userId)
  if (plugin.spaceId !== spaceId) throw refusal(world, 'invalidParameter', 'space_id')
  if (plugin.pluginType !== MCP_PLUGIN_TYPE) throw refusal(world, 'invalidParameter', 'not an MCP plugin')
  const tools = await readTools(call, plugin)
  // The network took its time: somebody may have deleted the plugin, or taken the lock, in between.
  pluginToEdit(world, pluginId, userId)
  editDraft(world, plugin, { tools }, call.lagMs)
  call.changed()
  return {}
}

/** The server's tools as the draft's: ids and switched-off ones kept by name. Throws mcpUnreachable; the draft is as it was. */
export async function readTools(call: Call, plugin: Plugin): Promise<Tool[]> {
  const { world } = call
  if (call.fault('mcp-unreachable') !== undefined) throw refusal(world, 'mcpUnreachable', 'connection timed out')
  if (call.fault('no-tools') !== undefined) return []
  try {
    const found = await listTools(world, plugin.meta)
    const known = new Map(plugin.tools.map((tool) => [tool.name, tool]))
    return found.map(({ name, desc, inputSchema }) => ({
      apiId: known.get(name)?.apiId ?? world.mintId(),
      name,
      desc,
      inputSchema,
      disabled: known.get(name)?.disabled ?? false,
      debugStatus: 1,
      createdMs: known.get(name)?.createdMs ?? world.clock.nowMs(),
    }))
  } catch (error) {
    if (error instanceof McpUnreachable) throw refusal(world, 'mcpUnreachable', error.message)
    throw error
  }
}

function getPluginApis(call: Call) {
  const { world, userId } = call
  const plugin = pluginFor(world, requiredId(call, 'plugin_id'), userId)
  const ids = optionalTexts(call, 'api_ids') ?? []
  const all = plugin.tools.filter(({ apiId }) => ids.length === 0 || ids.includes(apiId))
  const size = Math.min(optionalInt(call, 'size') ?? 10, 100)
  const online = new Set(plugin.online?.tools.map(({ name }) => name) ?? [])
  return {
    api_info: pageOf([...all], optionalInt(call, 'page') ?? 1, size).map((tool) => ({
      plugin_id: plugin.pluginId,
      api_id: tool.apiId,
      name: tool.name,
      desc: tool.desc,
      path: `/${tool.name}`,
      method: 2,
      request_params: parametersOf(tool),
      response_params: [],
      create_time: long(call, Math.floor(tool.createdMs / 1000)),
      debug_status: tool.debugStatus,
      disabled: tool.disabled,
      statistic_data: { bot_quote: 0 },
      online_status: online.has(tool.name) ? 1 : 0,
      api_extend: { auth_mode: 0 },
      debug_example_status: 0,
      function_name: '',
    })),
    total: all.length,
    edit_version: plugin.editVersion,
  }
}

/** The draft's tools against those of the last release, by name. */
function getUpdatedApis(call: Call) {
  const plugin = pluginFor(call.world, requiredId(call, 'plugin_id'), call.userId)
  const draft = new Map(plugin.tools.map((tool) => [tool.name, contentOf(tool)]))
  const online = new Map((plugin.online?.tools ?? []).map((tool) => [tool.name, contentOf(tool)]))
  return {
    created_api_names: [...draft.keys()].filter((name) => !online.has(name)),
    deleted_api_names: [...online.keys()].filter((name) => !draft.has(name)),
    updated_api_names: [...draft]
      .filter(([name, text]) => online.has(name) && online.get(name) !== text)
      .map(([n]) => n),
  }
}

function contentOf({ desc, inputSchema, disabled }: Tool): string {
  return JSON.stringify([desc, inputSchema, disabled])
}

/** Of an MCP plugin's tools only `disabled` can be changed: the rest is the server's [choice]. */
function updateApi(call: Call) {
  const { world, userId, body } = call
  const plugin = pluginToEdit(world, requiredId(call, 'plugin_id'), userId)
  const apiId = requiredId(call, 'api_id')
  const given = optionalInt(call, 'edit_version')
  if (given !== undefined && given !== plugin.editVersion && world.switches.strictEditVersion) {
    throw refusal(world, 'staleEditVersion')
  }
  const foreign = ['name', 'desc', 'path', 'method', 'request_params', 'response_params'].find((field) => field in body)
  if (foreign !== undefined) throw refusal(world, 'invalidParameter', `${foreign} of an MCP tool`)
  const disabled = optionalBool(call, 'disabled')
  if (!plugin.tools.some((tool) => tool.apiId === apiId)) throw refusal(world, 'notFound')
  const tools = plugin.tools.map((tool) =>
    tool.apiId === apiId ? { ...tool, disabled: disabled ?? tool.disabled } : tool,
  )
  editDraft(world, plugin, { tools }, call.lagMs)
  call.changed()
  return { edit_version: plugin.editVersion }
}

function refuseToolEdit(call: Call): never {
  pluginToEdit(call.world, requiredId(call, 'plugin_id'), call.userId)
  throw refusal(call.world, 'invalidParameter', 'the tools of an MCP plugin come from its server')
}

/** A real call, from COZE's cloud to the server. */
async function debugApi(call: Call) {
  const plugin = pluginFor(call.world, requiredId(call, 'plugin_id'), call.userId)
  const apiId = requiredId(call, 'api_id')
  const tool = plugin.tools.find((candidate) => candidate.apiId === apiId)
  if (tool === undefined) throw refusal(call.world, 'notFound')
  requiredText(call, 'parameters')
  const args = readArguments(optionalText(call, 'parameters') ?? '{}')
  try {
    const resp = await callTool(call.world, plugin.meta, tool.name, args)
    return { success: true, resp, reason: '', raw_resp: resp, raw_req: JSON.stringify(args), response_params: [] }
  } catch (error) {
    if (!(error instanceof McpUnreachable)) throw error
    return { success: false, resp: '', reason: error.message, raw_resp: '', raw_req: '', response_params: [] }
  }
}

function readArguments(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {}
  throw unbindable('parameters')
}
