import { afterEach, beforeEach, expect } from 'vitest'
import { createSteeredClock, type SteeredClock } from '../../demo/coze-simulator/clock.ts'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'

/** The gateway's public name, as COZE's cloud calls it. */
export const PUBLIC = 'https://gateway.example.com'
export const SPACE_LIST = 'playground_api/space/list'

export type Json = Record<string, unknown>
export type Answer = { status: number; headers: Headers; text: string; json: Json }

export let clock: SteeredClock
export let simulator: CozeSimulator
export let owner: CozeAccount
export let spaceId: string
export let mcp: ScriptedServer
/** Run after each test. */
export const stops: (() => Promise<void>)[] = []

async function start(): Promise<void> {
  clock = createSteeredClock()
  simulator = await startCozeSimulator({ clock })
  stops.push(simulator.stop)
  owner = simulator.addAccount({ name: '张三' })
  spaceId = simulator.addSpace({ name: '研发空间', ownerId: owner.userId })
}

/** A fresh coze.cn before each test: one person with a team space, and an MCP server behind the public name. */
export function useSimulator(): void {
  beforeEach(async () => {
    await start()
    mcp = await startScriptedServer({
      tools: manyTools(3),
      pageSize: 2,
      requiredHeader: { name: 'authorization', value: 'Bearer tfg_right' },
    })
    stops.push(mcp.stop)
    simulator.route(PUBLIC, new URL(mcp.url).origin)
  })

  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()))
  })
}

/** As the web UI calls: plugin endpoints by name, others by their path after /api/. */
export async function call(name: string, body: Json = {}, headers: Json = {}, method = 'POST'): Promise<Answer> {
  const path = name.startsWith('/') ? name : `/api/${name.includes('/') ? name : `plugin_api/${name}`}`
  const all = { cookie: owner.cookie, 'content-type': 'application/json', 'agw-js-conv': 'str', ...headers }
  const response = await fetch(simulator.origin + path, {
    method,
    headers: Object.entries(all)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, String(value)]),
    ...(method === 'POST' ? { body: JSON.stringify(body) } : {}),
    redirect: 'manual',
  })
  const text = await response.text()
  let json: Json = {}
  try {
    json = JSON.parse(text)
  } catch {}
  return { status: response.status, headers: response.headers, text, json }
}

export async function code(name: string, body: Json = {}, headers: Json = {}): Promise<unknown> {
  return (await call(name, body, headers)).json.code
}

export function registration(changes: Json = {}): Json {
  return {
    name: '天气',
    desc: '天气查询',
    url: `${PUBLIC}/mcp`,
    icon: { uri: 'plugin_icon/default_icon.png' },
    auth_type: 0,
    oauth_info: '{}',
    space_id: spaceId,
    common_params: { 1: [], 2: [], 3: [], 4: [{ name: 'Authorization', value: 'Bearer tfg_right' }] },
    ide_code_runtime: '1',
    plugin_type: 11,
    brief_intro: '',
    ...changes,
  }
}

export async function register(changes: Json = {}): Promise<string> {
  const { json } = await call('register_plugin_meta', registration(changes))
  expect(json).toMatchObject({ code: 0, msg: 'success', plugin_id: expect.stringMatching(/^\d{19}$/) })
  return String(json.plugin_id)
}

/** register → refresh → publish. */
export async function publishNew(changes: Json = {}): Promise<string> {
  const pluginId = await register(changes)
  expect(await code('refresh_mcp_plugin_apis', { plugin_id: pluginId, space_id: spaceId })).toBe(0)
  expect(await code('publish_plugin', publication(pluginId, 'v1.0.0'))).toBe(0)
  return pluginId
}

export function publication(pluginId: string, version: string): Json {
  return { plugin_id: pluginId, privacy_status: false, privacy_info: '', version_name: version, version_desc: 'sync' }
}

export async function info(pluginId: string): Promise<Json> {
  return (await call('get_plugin_info', { plugin_id: pluginId })).json
}

export type Item = { res_id: string; name: string; del_flag: boolean; publish_status: number }

export async function list(body: Json = {}): Promise<{ items: Item[]; cursor: string; more: boolean; code: unknown }> {
  const { json } = await call('library_resource_list', {
    space_id: spaceId,
    res_type_filter: [1, 11],
    size: 100,
    ...body,
  })
  return {
    items: (json.resource_list ?? []) as Item[],
    cursor: String(json.cursor),
    more: json.has_more === true,
    code: json.code,
  }
}
