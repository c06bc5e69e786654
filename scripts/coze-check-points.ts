import { z } from 'zod'
import { ToolferryError } from '../src/domain/errors.ts'
import {
  type Calls,
  deletePlugin,
  libraryPage,
  lockPlugin,
  MCP_PLUGIN_TYPE,
  nextVersion,
  pluginInfo,
  pluginToolNames,
  publishedPlugins,
  publishPlugin,
  registerPlugin,
  unlockPlugin,
  updatePlugin,
} from '../src/platforms/coze/calls.ts'
import type { CozeClient } from '../src/platforms/coze/client.ts'
import type { CozeCookie } from '../src/platforms/coze/cookie.ts'
import { isFault } from '../src/platforms/coze/errors.ts'
import { administeredSpaces, organizationsOf, whoIs } from '../src/platforms/coze/spaces.ts'

/** The points of docs/coze-checklist.md, by their numbers. What they answer are names, numbers and yes or no: never a secret. */
export type CheckPoint = { number: number; title: string; look(world: CheckWorld): Promise<string[]> }

export type CheckWorld = {
  calls: Calls
  openWith(cookieHeader: string): CozeClient
  cookie: CozeCookie
  enterpriseId: string | null
  /** Given, or the first that the account administers. */
  spaceId: string | null
  mcpUrl: string | null
  /** An MCP plugin that is there: somebody's, only to be looked at. */
  pluginId: string | null
  /** The one made with --write: the only one that is changed, and deleted. */
  madeId: string | null
}

const MADE_NAME = 'Toolferry_check'
const NOT_MADE = ['not looked at: no plugin was made']

const LOGIN_COOKIES = [
  'sessionid',
  'sessionid_ss',
  'sid_tt',
  'sid_guard',
  'uid_tt',
  'uid_tt_ss',
  'sid_ucp_v1',
  'ssid_ucp_v1',
]
const anything = z.looseObject({})

export const READ_POINTS: readonly CheckPoint[] = [
  {
    number: 3,
    title: 'list_enterprises',
    async look({ calls }) {
      const who = await whoIs(calls)
      if (who.user === null) return ['does not tell whose cookie it is']
      return [
        `answers; user ${who.user.id}; ${who.enterprises === null ? 'by the second way only' : `${who.enterprises.length} enterprises`}`,
      ]
    },
  },
  {
    number: 2,
    title: 'search_organization',
    async look({ calls, enterpriseId }) {
      if (enterpriseId === null) return ['not asked without --enterprise-id']
      const body = {
        joined: false,
        need_people_number: true,
        need_workspace_number: true,
        page: 1,
        page_size: 20,
        enterprise_id: enterpriseId,
      }
      const path = '/api/permission_api/enterprise/search_organization'
      const answer = await calls.client.call({ path, kind: 'read', body, answer: anything, signal: calls.signal })
      return [`fields: ${fieldNames(answer).join(', ')}`]
    },
  },
  {
    number: 11,
    title: 'spaces',
    async look(world) {
      const organizations = await organizationsOf(world.calls, world.enterpriseId)
      const spaces = await administeredSpaces(world.calls, world.enterpriseId, organizations)
      world.spaceId ??= spaces[0]?.remoteId ?? null
      const roles = spaces.map((space) => space.role)
      return [
        `${organizations.length} organizations; ${roles.filter((role) => role === 'owner').length} spaces as owner, ${roles.filter((role) => role === 'admin').length} as administrator`,
      ]
    },
  },
  {
    number: 1,
    title: 'library filter [1,11]',
    async look(world) {
      if (world.spaceId === null) return ['no space to look at']
      const query = { spaceId: world.spaceId, cursor: null }
      const filtered = await libraryPage(world.calls, { ...query, mcpOnly: true })
      const all = await libraryPage(world.calls, { ...query, mcpOnly: false })
      const types = (items: typeof all.resource_list) =>
        [...new Set(items.map((item) => item.res_sub_type ?? 'none'))].sort().join(' ') || 'nothing'
      world.pluginId ??=
        all.resource_list.find((item) => item.res_sub_type === MCP_PLUGIN_TYPE && !item.del_flag)?.res_id ?? null
      return [`sub-types listed with it: ${types(filtered.resource_list)}; without: ${types(all.resource_list)}`]
    },
  },
  {
    number: 8,
    title: 'an MCP plugin that is there',
    async look({ calls, spaceId, pluginId }) {
      if (spaceId === null || pluginId === null) return ['none in the first page of the space; run again with --write']
      const info = await pluginInfo(calls, pluginId)
      const published = await publishedPlugins(calls, spaceId, [pluginId])
      const seen = published.get(pluginId)
      return [
        `plugin_type ${info?.plugin_type ?? 'missing'}, published ${info?.published}, changed since ${info?.status}, edit_version ${info?.edit_version ?? 'missing'}`,
        `get_plugin_apis: ${(await pluginToolNames(calls, pluginId)).length} tools; get_playground_plugin_list: ${seen === undefined ? 'not in it' : `${seen.plugin_apis.length} tools, version «${seen.version_name}», headers ${Object.keys(seen.common_params).length > 0 ? 'there' : 'missing'}`}`,
      ]
    },
  },
  {
    number: 9,
    title: 'reduced cookie',
    async look({ calls, cookie, openWith }) {
      const kept = cookie.header.split('; ').filter((pair) => LOGIN_COOKIES.includes(pair.slice(0, pair.indexOf('='))))
      const client = openWith(kept.join('; '))
      try {
        const who = await whoIs({ ...calls, client })
        const left = cookie.expiresAt === null ? 'unknown' : cookie.expiresAt.toISOString().slice(0, 10)
        return [
          `the ${kept.length} login cookies alone ${who.user === null ? 'do not tell who' : 'are enough for reading'}; sid_guard says until ${left}`,
        ]
      } finally {
        await client.close()
      }
    },
  },
]

export const WRITE_POINTS: readonly CheckPoint[] = [
  {
    number: 7,
    title: 'register',
    async look(world) {
      const { calls, spaceId, mcpUrl } = world
      if (spaceId === null || mcpUrl === null) return ['not without --space-id and --mcp-url']
      const meta = { name: MADE_NAME, desc: 'Made by coze:check; deleted at its end.', url: mcpUrl }
      const commonParams = { '1': [], '2': [], '3': [], '4': [] }
      try {
        world.madeId = await registerPlugin(calls, spaceId, { ...meta, commonParams })
      } catch (error) {
        if (!isFault(error, 'lost')) throw error
        const where = `It may be there all the same: look for «${MADE_NAME}» in COZE and delete it.`
        throw new ToolferryError(error.type, `${error.message} ${where}`, { cause: error })
      }
      const tools = await pluginToolNames(calls, world.madeId)
      return [`plugin ${world.madeId}; tools right after: ${tools.length}`]
    },
  },
  {
    number: 4,
    title: 'refresh',
    async look({ calls, madeId, spaceId }) {
      if (madeId === null) return NOT_MADE
      const path = '/api/plugin_api/refresh_mcp_plugin_apis'
      const body = { plugin_id: madeId, space_id: spaceId }
      const answer = await calls.client.call({
        path,
        kind: 'repeatable',
        body,
        answer: anything,
        signal: calls.signal,
        timeoutMs: 90_000,
        quotesOthers: true,
      })
      return [`fields: ${fieldNames(answer).join(', ')}; tools after: ${(await pluginToolNames(calls, madeId)).length}`]
    },
  },
  {
    number: 8,
    title: 'publish',
    async look({ calls, madeId: id, spaceId }) {
      if (id === null) return NOT_MADE
      const version = await nextVersion(calls, id, spaceId ?? '')
      await publishPlugin(calls, id, version)
      const info = await pluginInfo(calls, id)
      const seen = (await publishedPlugins(calls, spaceId ?? '', [id])).get(id)
      return [
        `as ${version}: published ${info?.published}, changed since ${info?.status}; seen at once by agents: ${seen !== undefined}`,
      ]
    },
  },
  {
    number: 5,
    title: 'lock and stale edit_version',
    async look({ calls, madeId: id }) {
      if (id === null) return NOT_MADE
      const other = await lockPlugin(calls, id)
      const info = await pluginInfo(calls, id)
      const stale = await refusalOf(() =>
        updatePlugin(calls, id, { desc: 'Again.' }, Math.max(0, (info?.edit_version ?? 1) - 1)),
      )
      await unlockPlugin(calls, id)
      return [`lock ${other === null ? 'taken' : 'is somebody else’s'}; an update with an old edit_version: ${stale}`]
    },
  },
  {
    number: 12,
    title: 'delete',
    async look(world) {
      const { madeId: id } = world
      if (id === null) return NOT_MADE
      await deletePlugin(world.calls, id)
      const again = await refusalOf(() => deletePlugin(world.calls, id))
      return [
        `done; a second time: ${again}; details after: ${(await pluginInfo(world.calls, id)) === null ? 'gone' : 'still there'}`,
      ]
    },
  },
]

async function refusalOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'accepted'
  } catch (error) {
    return error instanceof Error ? error.message : 'refused'
  }
}

/** The names in an answer, without its values. */
function fieldNames(value: unknown, prefix = ''): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [`${prefix}[]`] : fieldNames(value[0], `${prefix}[]`)
  if (typeof value !== 'object' || value === null) return [prefix]
  return Object.entries(value).flatMap(([key, inner]) => fieldNames(inner, prefix === '' ? key : `${prefix}.${key}`))
}
