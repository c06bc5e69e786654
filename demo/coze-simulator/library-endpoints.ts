import type { Call, Endpoint } from './endpoint.ts'
import {
  long,
  optionalBool,
  optionalInt,
  optionalInts,
  optionalText,
  optionalTexts,
  pageOf,
  requiredId,
} from './endpoint.ts'
import { indexedNow } from './plugin-life.ts'
import { parametersOf } from './tool-parameters.ts'
import type { IndexDoc, Plugin, Tool, World } from './world.ts'
import { canEdit, DEFAULT_ICON_URI, MCP_PLUGIN_TYPE, refusal, spaceFor, userOf } from './world.ts'

/** The lists of plugins (coze.md §2.3, §2.9). None of them tells a plugin's server URL. */
export const pluginLibraryEndpoints: Record<string, Endpoint> = {
  '/api/plugin_api/library_resource_list': { method: 'POST', handle: libraryResourceList },
  '/api/plugin_api/get_playground_plugin_list': { method: 'POST', handle: getPlaygroundPluginList },
  '/api/plugin_api/get_plugin_list': { method: 'POST', handle: getPluginList },
}

const MAX_PAGE = 100

type Listed = { plugin: Plugin; doc: NonNullable<IndexDoc> }

/** Sorted by edit time, newest first; the cursor is the last item's, which equal times make lossy (§2.3 paging). */
function libraryResourceList(call: Call) {
  const { world, userId } = call
  const spaceId = requiredId(call, 'space_id')
  spaceFor(world, spaceId, userId)
  const size = Math.min(optionalInt(call, 'size') ?? 10, MAX_PAGE)
  if (size < 1) throw refusal(world, 'invalidParameter', 'size')
  const cursor = readCursor(world, optionalText(call, 'cursor'))
  const all = listed(call, spaceId)
  const start = cursor === null ? 0 : firstBelow(all, cursor)
  const page = all.slice(start, start + size)
  const repeated = call.fault('duplicate-pages')
  const again = repeated === undefined ? [] : all.slice(Math.max(0, start - (repeated.items ?? 5)), start)
  const stuck = call.fault('stuck-cursor') !== undefined
  const more = stuck || start + size < all.length
  const next = more ? String(page.at(-1)?.doc.updatedMs ?? cursor ?? 0) : ''
  return {
    cursor: stuck && cursor !== null ? String(cursor) : next,
    has_more: more,
    ...(world.switches.totalInLibrary ? { total: all.length } : {}),
    resource_list: [...again, ...page].slice(0, size).map((item) => libraryItem(call, item)),
  }
}

function listed(call: Call, spaceId: string): Listed[] {
  const { world, userId } = call
  const wanted = typeFilter(call)
  const mine = (optionalInt(call, 'user_filter') ?? 0) === 1
  const published = optionalInt(call, 'publish_status_filter') ?? 0
  const name = optionalText(call, 'name') ?? ''
  return [...world.plugins.values()]
    .flatMap((plugin) => {
      const doc = plugin.spaceId === spaceId ? indexedNow(world, plugin) : null
      return doc === null ? [] : [{ plugin, doc }]
    })
    .filter(
      ({ plugin, doc }) =>
        wanted(plugin) &&
        (!mine || plugin.creatorId === userId) &&
        (published === 0 || doc.publishStatus === published) &&
        doc.name.includes(name),
    )
    .sort((a, b) => b.doc.updatedMs - a.doc.updatedMs)
}

/** `[-1]` everything, `[1]` and `[1,-1]` plugins, `[1,N]` plugins of one type; three and more are ignored (Appendix B). */
function typeFilter(call: Call): (plugin: Plugin) => boolean {
  const filter = optionalInts(call, 'res_type_filter') ?? []
  const [type, subType] = filter
  if (filter.length === 0 || filter.length > 2 || type === -1) return () => true
  if (type !== 1) return () => false
  if (subType === undefined || subType === -1) return () => true
  switch (call.world.switches.subTypeFilter) {
    case 'refused':
      throw refusal(call.world, 'invalidParameter', 'res_type_filter')
    case 'empty':
      return () => false
    case 'ignored':
      return () => true
    default:
      return (plugin) => plugin.pluginType === subType
  }
}

function libraryItem(call: Call, { plugin, doc }: Listed) {
  const { world, userId } = call
  const creator = userOf(world, plugin.creatorId)
  const editable = canEdit(world, plugin, userId)
  return {
    res_id: plugin.pluginId,
    res_type: 1,
    res_sub_type: plugin.pluginType,
    name: doc.name,
    desc: doc.desc,
    icon: `${world.origin}/static/${DEFAULT_ICON_URI}`,
    creator_id: plugin.creatorId,
    creator_name: creator.name,
    user_name: creator.uniqueName,
    creator_avatar: `${world.origin}/static/user.png`,
    publish_status: doc.publishStatus,
    biz_res_status: 0,
    collaboration_enable: false,
    edit_time: Math.floor(doc.updatedMs / 1000),
    space_id: plugin.spaceId,
    // The icon's URL, not the server's: a trap of the real one (§2.3).
    biz_extend: { url: `${world.origin}/static/${DEFAULT_ICON_URI}` },
    detail_disable: false,
    del_flag: plugin.deleted,
    actions: [
      { key: 2, enable: editable && !plugin.deleted },
      { key: 4, enable: editable && !plugin.deleted },
    ],
  }
}

/** Published plugins with their tools; by ids without pages. */
function getPlaygroundPluginList(call: Call) {
  const { world, userId } = call
  const spaceId = requiredId(call, 'space_id')
  spaceFor(world, spaceId, userId)
  const ids = optionalTexts(call, 'plugin_ids') ?? []
  const types = optionalInts(call, 'plugin_types') ?? []
  const all = [...world.plugins.values()]
    .filter(
      (plugin) =>
        plugin.spaceId === spaceId &&
        !plugin.deleted &&
        plugin.online !== null &&
        (ids.length === 0 || ids.includes(plugin.pluginId)) &&
        (types.length === 0
          ? plugin.pluginType !== MCP_PLUGIN_TYPE || !world.switches.playgroundNeedsType
          : types.includes(plugin.pluginType)),
    )
    .sort((a, b) => b.updatedMs - a.updatedMs)
  const [page, size] = [optionalInt(call, 'page') ?? 1, Math.min(optionalInt(call, 'size') ?? 10, MAX_PAGE)]
  const shown = ids.length > 0 ? all : pageOf(all, page, size)
  return { data: { plugin_list: shown.map((plugin) => playgroundItem(call, plugin)), total: all.length } }
}

function playgroundItem(call: Call, plugin: Plugin) {
  const { world } = call
  const online = plugin.online
  const meta = online?.meta ?? plugin.meta
  return {
    id: plugin.pluginId,
    name: meta.name,
    desc_for_human: meta.desc,
    plugin_icon: `${world.origin}/static/${meta.iconUri}`,
    plugin_type: plugin.pluginType,
    status: 4,
    auth: meta.auth.type,
    plugin_apis: (online?.tools ?? []).filter(({ disabled }) => !disabled).map((tool) => playgroundTool(plugin, tool)),
    create_time: long(call, Math.floor(plugin.createdMs / 1000)),
    update_time: long(call, Math.floor(plugin.updatedMs / 1000)),
    creator: creatorOf(call, plugin),
    space_id: plugin.spaceId,
    statistic_data: { bot_quote: plugin.botQuote },
    common_params: meta.commonParams,
    plugin_product_status: plugin.productStatus,
    creation_method: 0,
    is_official: false,
    version_ts: long(call, online?.versionTs ?? 0),
    version_name: online?.versionName ?? '',
  }
}

function playgroundTool(plugin: Plugin, tool: Tool) {
  return {
    name: tool.name,
    desc: tool.desc,
    parameters: parametersOf(tool),
    plugin_id: plugin.pluginId,
    plugin_name: plugin.meta.name,
    api_id: tool.apiId,
    function_name: '',
    run_mode: 0,
  }
}

/** Legacy; MCP plugins are not in it unless the switch says that types need not be asked for. */
function getPluginList(call: Call) {
  const { world, userId } = call
  const spaceId = requiredId(call, 'space_id')
  spaceFor(world, spaceId, userId)
  const name = optionalText(call, 'name') ?? ''
  const published = optionalBool(call, 'publish_status')
  const own = (optionalInt(call, 'scope_type') ?? 0) === 1
  const [page, size] = [optionalInt(call, 'page') ?? 1, Math.min(optionalInt(call, 'size') ?? 10, MAX_PAGE)]
  const all = [...world.plugins.values()]
    .filter(
      (plugin) =>
        plugin.spaceId === spaceId &&
        !plugin.deleted &&
        (plugin.pluginType !== MCP_PLUGIN_TYPE || !world.switches.playgroundNeedsType) &&
        (!own || plugin.creatorId === userId) &&
        (published === undefined || (plugin.online !== null) === published) &&
        plugin.meta.name.includes(name),
    )
    .sort((a, b) => b.updatedMs - a.updatedMs)
  const plugin_infos = pageOf(all, page, size).map((plugin) => ({
    plugin_id: plugin.pluginId,
    plugin_desc: plugin.meta.desc,
    name: plugin.meta.name,
    plugin_type: plugin.pluginType,
    publish_status: plugin.online !== null,
    common_params: plugin.meta.commonParams,
    api_names: plugin.tools.map((tool) => tool.name),
    creator: creatorOf(call, plugin),
    cur_user_can_del: canEdit(world, plugin, userId),
    space_id: plugin.spaceId,
  }))
  return { data: { plugin_infos, total: all.length, page, size } }
}

/** COZE's Creator; `space_roly_type` is its own spelling (§2.4). */
export function creatorOf({ world, userId }: Call, plugin: Plugin, of: string = plugin.creatorId) {
  const user = userOf(world, of)
  return {
    id: user.userId,
    name: user.name,
    avatar_url: `${world.origin}/static/user.png`,
    self: user.userId === userId,
    space_roly_type: world.spaces.get(plugin.spaceId)?.roles.get(user.userId) ?? 0,
    user_unique_name: user.uniqueName,
    user_label: {},
  }
}

/** Omitted, "" or "0" is the first page. */
function readCursor(world: World, cursor: string | undefined): number | null {
  if (cursor === undefined || cursor === '' || cursor === '0') return null
  if (!/^\d{1,16}$/.test(cursor)) throw refusal(world, 'invalidParameter', 'cursor')
  return Number(cursor)
}

function firstBelow(all: Listed[], cursor: number): number {
  const index = all.findIndex(({ doc }) => doc.updatedMs < cursor)
  return index === -1 ? all.length : index
}
