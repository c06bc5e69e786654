import type { Instance, Space } from './api-types.ts'
import type { DemoCoze } from './coze.ts'
import type { PluginView } from './coze-simulator/simulator-types.ts'

export type CozeAnswer = { success: boolean; resp: string; reason: string }

/** The live plugin of an instance in a space, by its name; null = none, or not the only one. */
export function pluginOf(coze: DemoCoze, space: Space, instance: Instance): PluginView | null {
  // COZE's rules for names know no hyphen.
  const name = instance.name.replaceAll('-', '_')
  const found = coze.simulator
    .plugins(space.remoteId)
    .filter((plugin) => !plugin.foreign && plugin.draft.meta.name === name)
  const [plugin] = found
  return found.length === 1 && plugin !== undefined ? plugin : null
}

/** The button "try it" of COZE's web interface: its cloud calls the tool at the plugin's address, with the plugin's headers. */
export async function tryTool(
  { simulator, user }: DemoCoze,
  plugin: PluginView,
  toolName: string,
  args: Record<string, unknown>,
): Promise<CozeAnswer> {
  const tool = plugin.draft.tools.find((candidate) => candidate.name === toolName)
  if (tool === undefined) return { success: false, resp: '', reason: `the plugin has no tool ${toolName}` }
  const response = await fetch(`${simulator.origin}/api/plugin_api/debug_api`, {
    method: 'POST',
    headers: { cookie: user.cookie, 'content-type': 'application/json', 'agw-js-conv': 'str' },
    body: JSON.stringify({ plugin_id: plugin.pluginId, api_id: tool.apiId, parameters: JSON.stringify(args) }),
  })
  const answer = (await response.json()) as Partial<CozeAnswer> & { msg?: string }
  return { success: answer.success === true, resp: answer.resp ?? '', reason: answer.reason ?? answer.msg ?? '' }
}
