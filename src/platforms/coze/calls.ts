import {
  accountAnswer,
  anyAnswer,
  enterprisesAnswer,
  historyAnswer,
  libraryAnswer,
  lockAnswer,
  nextVersionAnswer,
  organizationsAnswer,
  type PluginInfo,
  playgroundAnswer,
  pluginAnswer,
  pluginToolsAnswer,
  registerAnswer,
  spacesAnswer,
} from './answers.ts'
import type { CozeClient } from './client.ts'
import { isFault } from './errors.ts'

/** The calls of COZE's web interface that Toolferry makes, one function each (coze.md §2). */

export const MCP_PLUGIN_TYPE = 11
const PLUGIN_RESOURCE = 1
const ANY_SUBTYPE = -1
const LIST_PAGE = 100
const TOOLS_PAGE = 100
/** Reading tools lasts as long as the MCP server needs (coze.md §2.7). */
const REFRESH_TIMEOUT_MS = 90_000

/** What a call needs beside its subject. `fence` is asked right before a write is sent. */
export type Calls = { client: CozeClient; signal: AbortSignal; fence?: () => Promise<void> }

type Header = { name: string; value: string }
export type PluginMeta = {
  name?: string
  desc?: string
  url?: string
  commonParams?: Record<string, Header[]>
  /** Takes away the plugin's own kind of authorization. */
  noAuth?: true
}

export function listEnterprises({ client, signal }: Calls) {
  const path = '/api/permission_api/enterprise/list_enterprises'
  return client.call({ method: 'GET', path, kind: 'read', answer: enterprisesAnswer, signal })
}

export function accountInfo({ client, signal }: Calls) {
  const path = '/passport/account/info/v2/?account_sdk_source=web'
  return client.call({ method: 'GET', path, kind: 'read', answer: accountAnswer, signal })
}

/** `joined: false` is the only form that is known to work (coze.md §2.2). */
export function searchOrganizations({ client, signal }: Calls, enterpriseId: string, page: number, pageSize: number) {
  return client.call({
    path: '/api/permission_api/enterprise/search_organization',
    kind: 'read',
    body: {
      joined: false,
      need_people_number: true,
      need_workspace_number: true,
      page,
      page_size: pageSize,
      enterprise_id: enterpriseId,
    },
    answer: organizationsAnswer,
    signal,
  })
}

/** Without `page` it is not paged (coze.md §2.1). */
export function listSpaces(
  { client, signal }: Calls,
  where: { enterpriseId: string | null; organizationId: string | null },
  paging: { page: number; size: number } | null,
) {
  return client.call({
    path: '/api/playground_api/space/list',
    kind: 'read',
    body: {
      ...(where.enterpriseId === null ? {} : { enterprise_id: where.enterpriseId }),
      ...(where.organizationId === null ? {} : { organization_id: where.organizationId }),
      scope_type: 1,
      ...(paging ?? {}),
    },
    answer: spacesAnswer,
    signal,
  })
}

/** One page of the library. `mcpOnly`: by a filter that nobody has seen at work yet (coze.md §2.3). */
export function libraryPage(
  { client, signal }: Calls,
  query: { spaceId: string; cursor: string | null; mcpOnly: boolean; name?: string },
) {
  return client.call({
    path: '/api/plugin_api/library_resource_list',
    kind: 'read',
    body: {
      space_id: query.spaceId,
      res_type_filter: [PLUGIN_RESOURCE, query.mcpOnly ? MCP_PLUGIN_TYPE : ANY_SUBTYPE],
      size: LIST_PAGE,
      user_filter: 0,
      publish_status_filter: 0,
      ...(query.name === undefined ? {} : { name: query.name }),
      ...(query.cursor === null ? {} : { cursor: query.cursor }),
    },
    answer: libraryAnswer,
    signal,
  })
}

/** null when there is no such plugin. */
export async function pluginInfo({ client, signal }: Calls, pluginId: string): Promise<PluginInfo | null> {
  try {
    const path = '/api/plugin_api/get_plugin_info'
    return await client.call({ path, kind: 'read', body: { plugin_id: pluginId }, answer: pluginAnswer, signal })
  } catch (error) {
    if (isFault(error, 'notFound')) return null
    throw error
  }
}

/** The names of a draft's tools; switched-off ones left out. */
export async function pluginToolNames(calls: Calls, pluginId: string): Promise<string[]> {
  const tools = await pluginTools(calls, pluginId)
  return [...tools].filter(([, enabled]) => enabled).map(([name]) => name)
}

/** A draft's tools by name, all pages: whether they are switched on. */
export async function pluginTools({ client, signal }: Calls, pluginId: string): Promise<Map<string, boolean>> {
  const names = new Map<string, boolean>()
  for (let page = 1; ; page++) {
    const body = { plugin_id: pluginId, page, size: TOOLS_PAGE, order: { order_by: 1, desc: false } }
    const path = '/api/plugin_api/get_plugin_apis'
    const answer = await client.call({ path, kind: 'read', body, answer: pluginToolsAnswer, signal })
    const before = names.size
    for (const tool of answer.api_info) names.set(tool.name, !tool.disabled)
    // COZE may give shorter pages than it was asked for.
    const all = answer.total == null ? answer.api_info.length === 0 : names.size >= answer.total
    const last = all || names.size === before
    if (last) return names
  }
}

/** What agents see, many plugins in one call; those never published are missing. */
export async function publishedPlugins({ client, signal }: Calls, spaceId: string, pluginIds: readonly string[]) {
  const answer = await client.call({
    path: '/api/plugin_api/get_playground_plugin_list',
    kind: 'read',
    body: {
      page: 1,
      size: Math.max(1, pluginIds.length),
      space_id: spaceId,
      plugin_ids: pluginIds,
      plugin_types: [MCP_PLUGIN_TYPE],
    },
    answer: playgroundAnswer,
    signal,
  })
  return new Map(answer.data.plugin_list.map((plugin) => [plugin.id, plugin]))
}

/** Never repeated by itself: a lost answer is the caller's to clear up (coze.md §4). */
export async function registerPlugin(
  { client, signal, fence }: Calls,
  spaceId: string,
  meta: Required<Omit<PluginMeta, 'noAuth'>>,
): Promise<string> {
  const answer = await client.call({
    path: '/api/plugin_api/register_plugin_meta',
    kind: 'write',
    body: {
      ...metaBody({ ...meta, noAuth: true }),
      icon: { uri: 'plugin_icon/default_icon.png' },
      space_id: spaceId,
      ide_code_runtime: '1',
      plugin_type: MCP_PLUGIN_TYPE,
    },
    answer: registerAnswer,
    signal,
    ...(fence === undefined ? {} : { fence }),
  })
  return answer.plugin_id
}

/** What is absent stays as it is; the icon is never sent, and of authorizations only that there is none (coze.md §2.6). */
export async function updatePlugin(
  { client, signal, fence }: Calls,
  pluginId: string,
  meta: PluginMeta,
  editVersion: number | null,
): Promise<void> {
  await client.call({
    path: '/api/plugin_api/update_plugin_meta',
    kind: 'write',
    body: {
      plugin_id: pluginId,
      plugin_type: MCP_PLUGIN_TYPE,
      ...metaBody(meta),
      ...(editVersion === null ? {} : { edit_version: editVersion }),
    },
    answer: anyAnswer,
    signal,
    ...(fence === undefined ? {} : { fence }),
  })
}

/** COZE's cloud connects to the MCP server and rewrites the draft's tools; safe to repeat (coze.md §2.7). */
export async function refreshTools({ client, signal, fence }: Calls, pluginId: string, spaceId: string): Promise<void> {
  await client.call({
    path: '/api/plugin_api/refresh_mcp_plugin_apis',
    kind: 'repeatable',
    body: { plugin_id: pluginId, space_id: spaceId },
    answer: anyAnswer,
    signal,
    timeoutMs: REFRESH_TIMEOUT_MS,
    quotesOthers: true,
    ...(fence === undefined ? {} : { fence }),
  })
}

export async function nextVersion({ client, signal }: Calls, pluginId: string, spaceId: string): Promise<string> {
  const path = '/api/plugin_api/get_plugin_next_version'
  const body = { plugin_id: pluginId, space_id: spaceId }
  return (await client.call({ path, kind: 'read', body, answer: nextVersionAnswer, signal })).next_version_name
}

export async function publishPlugin(
  { client, signal, fence }: Calls,
  pluginId: string,
  versionName: string,
): Promise<void> {
  await client.call({
    path: '/api/plugin_api/publish_plugin',
    kind: 'write',
    body: {
      plugin_id: pluginId,
      privacy_status: false,
      privacy_info: '',
      version_name: versionName,
      version_desc: 'Toolferry',
    },
    answer: anyAnswer,
    signal,
    ...(fence === undefined ? {} : { fence }),
  })
}

/** The newest published versions, newest first. */
export async function publishedVersions(
  { client, signal }: Calls,
  pluginId: string,
  spaceId: string,
): Promise<string[]> {
  const path = '/api/plugin_api/get_plugin_publish_history'
  const body = { plugin_id: pluginId, space_id: spaceId, page: 1, size: 20 }
  const answer = await client.call({ path, kind: 'read', body, answer: historyAnswer, signal })
  return answer.plugin_publish_info_list.map((published) => published.version_name)
}

export async function deletePlugin({ client, signal, fence }: Calls, pluginId: string): Promise<void> {
  const path = '/api/plugin_api/del_plugin'
  const body = { plugin_id: pluginId }
  await client.call({ path, kind: 'write', body, answer: anyAnswer, signal, ...(fence === undefined ? {} : { fence }) })
}

/** Answers who else is editing the plugin, or null when the lock is ours. */
export async function lockPlugin({ client, signal }: Calls, pluginId: string): Promise<{ holder: string } | null> {
  const path = '/api/plugin_api/check_and_lock_plugin_edit'
  const body = { plugin_id: pluginId }
  const { data } = await client.call({ path, kind: 'repeatable', body, answer: lockAnswer, signal })
  if (data == null || !data.Occupied || data.user == null || data.user.self === true) return null
  return { holder: data.user.name || 'somebody else' }
}

export async function unlockPlugin({ client, signal }: Calls, pluginId: string): Promise<void> {
  const path = '/api/plugin_api/unlock_plugin_edit'
  await client.call({ path, kind: 'repeatable', body: { plugin_id: pluginId }, answer: anyAnswer, signal })
}

function metaBody(meta: PluginMeta): Record<string, unknown> {
  return {
    ...(meta.name === undefined ? {} : { name: meta.name }),
    ...(meta.desc === undefined ? {} : { desc: meta.desc, brief_intro: [...meta.desc].slice(0, 50).join('') }),
    ...(meta.url === undefined ? {} : { url: meta.url }),
    ...(meta.commonParams === undefined ? {} : { common_params: meta.commonParams }),
    ...(meta.noAuth === undefined ? {} : { auth_type: 0, oauth_info: '{}' }),
  }
}
