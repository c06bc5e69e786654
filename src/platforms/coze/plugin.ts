import { ToolferryError } from '../../domain/errors.ts'
import type { ObservedObject } from '../../domain/object.ts'
import type { CommonParams, PlaygroundItem, PluginInfo } from './answers.ts'
import { MCP_PLUGIN_TYPE, type PluginMeta } from './calls.ts'
import type { CozeField } from './normalise.ts'
import { storedTools, toolsByName } from './normalise.ts'

/** What of a plugin is compared: its draft's words, address and header, its tools by name, and whether agents can see it. */
export type CozePlugin = {
  name: string
  description: string
  url: string
  /** The value of its Authorization header; '' when it has none. */
  authorization: string
  tools: readonly string[]
  /** Whether agents see it, and send this Authorization. */
  published: boolean
}

/** What agents see of a plugin: its tools, and whether they send another Authorization than its draft has. */
export type OnlinePlugin = { tools: readonly string[]; isBehind: boolean }

const HEADER_LOCATION = '4'
const LOCATIONS = ['1', '2', '3', HEADER_LOCATION] as const
const AUTHORIZATION = 'Authorization'
/** coze.md §2.14: kinds of a plugin's own authorization, and where a key of it goes. */
const NO_AUTH = 0
const SERVICE_AUTH = 1
const API_KEY = 0
const IN_QUERY = 2

export function pluginOf(info: PluginInfo, { tools, isBehind }: OnlinePlugin): CozePlugin {
  const { name, desc, url } = info.meta_info
  const published = info.published && !isBehind
  return { name, description: desc, url, authorization: authorizationOf(info), tools, published }
}

/** A publication that was accepted need not have taken place. What COZE does not tell of the headers is believed. */
export function onlineOf(info: PluginInfo, item: PlaygroundItem): OnlinePlugin {
  const sent = authorizationIn(item.common_params)
  const isBehind = sent !== '' && sent !== authorizationIn(info.meta_info.common_params)
  return { tools: item.plugin_apis.map((tool) => tool.name), isBehind }
}

/** As authorizationIn; another one, too, when the plugin's own authorization sends one in place of ours. */
function authorizationOf({ meta_info }: PluginInfo): string {
  const ours = authorizationIn(meta_info.common_params)
  return sendsAnother(meta_info) ? `${ours}\n` : ours
}

/** Its own authorization is OAuth, OIDC, or a key that goes into that very header; another key is its users' matter. */
function sendsAnother({ auth_type, sub_auth_type, location, key }: PluginInfo['meta_info']): boolean {
  if (auth_type !== SERVICE_AUTH || sub_auth_type !== API_KEY) return auth_type !== NO_AUTH
  return location !== IN_QUERY && isAuthorization({ name: key })
}

export function observed(pluginId: string, plugin: CozePlugin): ObservedObject {
  const { name, description, url, tools } = plugin
  return {
    identity: { id: pluginId, key: null },
    stored: storedFields(plugin),
    shown: { name, description, url, published: String(plugin.published) },
    tools: toolsByName(tools),
    brokenFields: plugin.published ? [] : ['published'],
  }
}

export function storedFields(plugin: CozePlugin): Record<CozeField, string> {
  const { name, description, url, authorization, tools, published } = plugin
  return { name, description, url, authorization, tools: storedTools(tools), published: String(published) }
}

/** The Authorization that COZE sends. A second one, in whatever case, makes it another: nobody knows which of them counts. */
export function authorizationIn(params: CommonParams): string {
  return (params[HEADER_LOCATION] ?? [])
    .filter(isAuthorization)
    .map(({ value }) => value)
    .join('\n')
}

/** Ours replaced by its name, everybody else's kept, all four locations sent: each present one is replaced as a whole (coze.md §2.6). */
export function withAuthorization(params: CommonParams, value: string): CommonParams {
  const others = (params[HEADER_LOCATION] ?? []).filter((header) => !isAuthorization(header))
  const merged = Object.fromEntries(LOCATIONS.map((location) => [location, params[location] ?? []]))
  return { ...merged, [HEADER_LOCATION]: [{ name: AUTHORIZATION, value }, ...others] }
}

/** What an update has to send so that the named fields stand as desired; null when they do already. */
export function metaToSend(
  info: PluginInfo,
  desired: Record<string, string>,
  fields: readonly string[],
): PluginMeta | null {
  const { name, desc, url, common_params } = info.meta_info
  const meta: PluginMeta = {}
  if (fields.includes('name') && name !== desired.name) meta.name = fieldOf(desired, 'name')
  if (fields.includes('description') && desc !== desired.description) meta.desc = fieldOf(desired, 'description')
  if (fields.includes('url') && url !== desired.url) meta.url = fieldOf(desired, 'url')
  if (fields.includes('authorization') && authorizationOf(info) !== desired.authorization) {
    meta.commonParams = withAuthorization(common_params, fieldOf(desired, 'authorization'))
    if (sendsAnother(info.meta_info)) meta.noAuth = true
  }
  return Object.keys(meta).length === 0 ? null : meta
}

export function isMcp(info: PluginInfo): boolean {
  return info.plugin_type == null || info.plugin_type === MCP_PLUGIN_TYPE
}

/** Names the plugin for people: as COZE shows it, and its id, which is in the address of its page. */
export function describePlugin(pluginId: string, info: PluginInfo): string {
  return `«${info.meta_info.name}» (${pluginId})`
}

export function fieldOf(fields: Record<string, string>, field: CozeField): string {
  const value = fields[field]
  if (value === undefined) throw new ToolferryError('Bug', `The desired COZE plugin lacks its field “${field}”.`)
  return value
}

/** Two addresses of one instance's gateway, whatever host they name: its id is in the path (coze.md §4). */
export function samePath(one: string, other: string): boolean {
  const [a, b] = [pathOf(one), pathOf(other)]
  return a !== null && a === b
}

const GATEWAY_PATH = /\/mcp-gateway\/[0-9a-f-]{36}\/(?:mcp|sse)$/

/** Whether a plugin calls a Toolferry gateway at all. */
export function callsGateway(url: string): boolean {
  return GATEWAY_PATH.test(pathOf(url) ?? '')
}

/** Of the gateway's path its own part: a proxy may serve it below another one. */
function pathOf(url: string): string | null {
  if (!URL.canParse(url)) return null
  const { pathname } = new URL(url)
  return GATEWAY_PATH.exec(pathname)?.[0] ?? pathname
}

function isAuthorization(header: { name: string }): boolean {
  return header.name.trim().toLowerCase() === AUTHORIZATION.toLowerCase()
}
