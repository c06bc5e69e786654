import { unbindable } from './codes.ts'
import type { Call, Endpoint } from './endpoint.ts'
import { optionalInt, optionalText, requiredId, requiredText } from './endpoint.ts'
import { creatorOf } from './library-endpoints.ts'
import { createPlugin, editDraft, removePlugin } from './plugin-life.ts'
import { charCount, checkContent, checkDesc, checkName, checkUrl, readAuth, readCommonParams } from './rules.ts'
import type { PluginMeta } from './simulator-types.ts'
import { readTools } from './tool-endpoints.ts'
import type { Plugin } from './world.ts'
import {
  copyPairs,
  DEFAULT_ICON_URI,
  emptyMeta,
  MCP_PLUGIN_TYPE,
  pluginFor,
  pluginToEdit,
  refusal,
  roleIn,
  spaceFor,
} from './world.ts'

/** A plugin's own data: register, update, read, delete (coze.md §2.4, §2.5, §2.6, §2.10). */
export const metaEndpoints: Record<string, Endpoint> = {
  '/api/plugin_api/register_plugin_meta': { method: 'POST', writes: true, handle: registerPluginMeta },
  '/api/plugin_api/update_plugin_meta': { method: 'POST', writes: true, handle: updatePluginMeta },
  '/api/plugin_api/get_plugin_info': { method: 'POST', handle: getPluginInfo },
  '/api/plugin_api/del_plugin': { method: 'POST', writes: true, handle: delPlugin },
  '/api/developer/get_icon': { method: 'POST', handle: getIcon },
}

const KNOWN_TYPES = [1, 2, 3, 4, 5, 6, MCP_PLUGIN_TYPE]

async function registerPluginMeta(call: Call) {
  const { world, userId, body } = call
  const spaceId = requiredId(call, 'space_id')
  const space = spaceFor(world, spaceId, userId)
  if (roleIn(space, userId) === 3 && world.switches.memberEdits === 'none') throw refusal(world, 'permissionDenied')
  const pluginType = optionalInt(call, 'plugin_type') ?? 1
  if (!KNOWN_TYPES.includes(pluginType)) throw refusal(world, 'invalidParameter', 'plugin_type')
  for (const field of ['name', 'desc', 'icon', 'auth_type']) {
    if (body[field] === undefined || body[field] === null) throw unbindable(`${field} is required`)
  }
  if (pluginType === MCP_PLUGIN_TYPE) requiredText(call, 'url')
  const meta = readMeta(call, emptyMeta())
  const neighbours = [...world.plugins.values()].filter((plugin) => plugin.spaceId === spaceId && !plugin.deleted)
  refuseDuplicateName(call, meta.name, neighbours)
  if (world.switches.pluginsPerSpace !== null && neighbours.length >= world.switches.pluginsPerSpace) {
    throw refusal(world, 'pluginQuota')
  }
  const plugin = createPlugin(world, { spaceId, creatorId: userId, pluginType, meta }, call.lagMs)
  call.changed()
  if (pluginType === MCP_PLUGIN_TYPE && world.switches.fetchToolsOnRegister) {
    plugin.tools = await readTools(call, plugin).catch(() => [])
  }
  return { msg: 'success', plugin_id: plugin.pluginId }
}

function updatePluginMeta(call: Call) {
  const { world, userId } = call
  const plugin = pluginToEdit(world, requiredId(call, 'plugin_id'), userId)
  refuseStale(call, plugin)
  const pluginType = optionalInt(call, 'plugin_type')
  if (pluginType !== undefined && pluginType !== plugin.pluginType) {
    throw refusal(world, 'invalidParameter', 'plugin_type cannot be changed')
  }
  const meta = readMeta(call, plugin.meta)
  if (meta.name !== plugin.meta.name) {
    refuseDuplicateName(
      call,
      meta.name,
      [...world.plugins.values()].filter(
        (other) => other.spaceId === plugin.spaceId && !other.deleted && other !== plugin,
      ),
    )
  }
  // Another server: nothing is known of its tools until they are read again (§2.6).
  const tools =
    meta.url === plugin.meta.url ? plugin.tools : plugin.tools.map((tool) => ({ ...tool, debugStatus: 0 as const }))
  editDraft(world, plugin, { meta, tools }, call.lagMs)
  call.changed()
  return world.switches.sparseAnswers ? {} : { edit_version: plugin.editVersion }
}

/** `edit_version` in the request must be the current one, when it is given and the switch is on. */
export function refuseStale(call: Call, plugin: Plugin): void {
  const given = optionalInt(call, 'edit_version')
  if (given !== undefined && given !== plugin.editVersion && call.world.switches.strictEditVersion) {
    throw refusal(call.world, 'staleEditVersion')
  }
}

/** `before` with what the request names; absent fields stay. Throws what COZE refuses. */
function readMeta(call: Call, before: PluginMeta): PluginMeta {
  const { world, body } = call
  const meta: PluginMeta = { ...before }
  const [name, desc, url, brief] = ['name', 'desc', 'url', 'brief_intro'].map((field) => optionalText(call, field))
  if (name !== undefined) checkName(world, name)
  if (desc !== undefined) checkDesc(world, desc)
  if (url !== undefined) checkUrl(world, url)
  if (brief !== undefined) checkContent(world, brief)
  if (brief !== undefined && charCount(brief) > (world.switches.briefIntroMaxChars ?? Number.POSITIVE_INFINITY)) {
    throw refusal(world, 'invalidParameter', 'brief_intro is too long')
  }
  meta.name = name ?? before.name
  meta.desc = desc ?? before.desc
  meta.url = url ?? before.url
  meta.briefIntro = brief ?? before.briefIntro
  if (body.icon !== undefined && body.icon !== null) meta.iconUri = readIcon(call)
  if (body.auth_type !== undefined && body.auth_type !== null) meta.auth = readAuth(world, body)
  if (body.common_params !== undefined && body.common_params !== null) {
    meta.commonParams = readCommonParams(world, body.common_params, before.commonParams)
  }
  return meta
}

function readIcon(call: Call): string {
  const { icon } = call.body
  const uri = typeof icon === 'object' && icon !== null && 'uri' in icon ? icon.uri : undefined
  if (typeof uri !== 'string') throw unbindable('icon.uri')
  if (uri === '') throw refusal(call.world, 'invalidParameter', 'icon.uri is empty')
  return uri
}

function refuseDuplicateName(call: Call, name: string, others: Plugin[]): void {
  if (call.world.switches.duplicateNames !== 'refused') return
  if (others.some((other) => other.meta.name === name)) throw refusal(call.world, 'duplicateName')
}

function getPluginInfo(call: Call) {
  const { world, userId } = call
  const plugin = pluginFor(world, requiredId(call, 'plugin_id'), userId)
  const { meta } = plugin
  let state = { published: plugin.online !== null, status: plugin.changed }
  if (plugin.unseen !== null && plugin.unseen.reads > 0) {
    plugin.unseen.reads -= 1
    state = { published: plugin.unseen.published, status: plugin.unseen.changed }
  }
  return {
    msg: 'success',
    ...(call.fault('no-meta-info') === undefined ? { meta_info: metaInfo(call, meta) } : {}),
    ...state,
    ...(world.switches.sparseAnswers ? {} : { creator: creatorOf(call, plugin), edit_version: plugin.editVersion }),
    statistic_data: { bot_quote: plugin.botQuote },
    plugin_product_status: plugin.productStatus,
    privacy_status: meta.privacy.status,
    privacy_info: meta.privacy.info,
    creation_method: 0,
    ide_code_runtime: '1',
    plugin_type: plugin.pluginType,
  }
}

function metaInfo(call: Call, meta: PluginMeta) {
  return {
    name: meta.name,
    desc: meta.desc,
    url: meta.url,
    icon: { uri: meta.iconUri, url: `${call.world.origin}/static/${meta.iconUri}` },
    auth_type: call.fault('empty-auth-type') === undefined ? [meta.auth.type] : [],
    oauth_info: meta.auth.oauthInfo,
    common_params: Object.fromEntries(
      Object.entries(meta.commonParams).map(([location, pairs]) => [location, copyPairs(pairs)]),
    ),
    ...(meta.auth.type === 1
      ? { location: meta.auth.location, key: meta.auth.key, service_token: meta.auth.serviceToken }
      : {}),
    sub_auth_type: meta.auth.subType,
    auth_payload: meta.auth.payload,
    fixed_export_ip: false,
    private_link_id: '0',
    brief_intro: meta.briefIntro,
    benefit_report_config: {},
  }
}

function delPlugin(call: Call) {
  const { world, userId } = call
  const plugin = pluginToEdit(world, requiredId(call, 'plugin_id'), userId)
  if (plugin.productStatus === 1) throw refusal(world, 'productListed')
  removePlugin(world, plugin, call.lagMs)
  call.changed()
  return {}
}

function getIcon(call: Call) {
  if (optionalInt(call, 'icon_type') !== 3) throw unbindable('icon_type')
  const icon = { uri: DEFAULT_ICON_URI, url: `${call.world.origin}/static/${DEFAULT_ICON_URI}` }
  return { data: { icon_list: [icon] } }
}
