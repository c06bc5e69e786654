import type { PluginMeta } from './simulator-types.ts'
import type { Plugin, Release, Tool, World } from './world.ts'
import { MCP_PLUGIN_TYPE, refusal } from './world.ts'

/** What happens to a plugin, whoever causes it: a call to the API, or a person in the web interface. */

export type NewPlugin = {
  spaceId: string
  creatorId: string
  pluginType: number
  meta: PluginMeta
  tools?: readonly Tool[]
  foreign?: boolean
  updatedMs?: number
}

export function createPlugin(world: World, plugin: NewPlugin, lagMs: number): Plugin {
  const made: Plugin = {
    pluginId: world.mintId(),
    spaceId: plugin.spaceId,
    creatorId: plugin.creatorId,
    pluginType: plugin.pluginType,
    editVersion: 1,
    deleted: false,
    changed: false,
    meta: plugin.meta,
    tools: plugin.tools ?? [],
    online: null,
    history: [],
    lock: null,
    botQuote: 0,
    productStatus: 0,
    createdMs: world.clock.nowMs(),
    updatedMs: plugin.updatedMs ?? editTime(world, plugin.spaceId),
    index: [],
    foreign: plugin.foreign ?? false,
    unseen: null,
  }
  world.plugins.set(made.pluginId, made)
  reindex(world, made, lagMs)
  return made
}

/** A change of the draft: edit_version up, `status` true, list updated after the lag. */
export function editDraft(
  world: World,
  plugin: Plugin,
  change: { meta?: PluginMeta; tools?: readonly Tool[] },
  lagMs: number,
): void {
  plugin.meta = change.meta ?? plugin.meta
  plugin.tools = change.tools ?? plugin.tools
  plugin.editVersion += 1
  plugin.changed = true
  plugin.updatedMs = editTime(world, plugin.spaceId)
  reindex(world, plugin, lagMs)
}

/** Draft → online. The checks are the caller's. */
export function releaseDraft(
  world: World,
  plugin: Plugin,
  release: { versionName: string; versionDesc: string; publisherId: string },
  lagMs: number,
): Release {
  plugin.updatedMs = editTime(world, plugin.spaceId)
  const made: Release = { ...release, meta: plugin.meta, tools: plugin.tools, versionTs: String(plugin.updatedMs) }
  plugin.online = made
  plugin.history.unshift(made)
  plugin.changed = false
  reindex(world, plugin, lagMs)
  return made
}

export function removePlugin(world: World, plugin: Plugin, lagMs: number): void {
  plugin.deleted = true
  const visibleAtMs = Math.max(world.clock.nowMs() + lagMs, plugin.index.at(-1)?.visibleAtMs ?? 0)
  plugin.index = [...plugin.index, { visibleAtMs, doc: null }]
}

/** `v1.0.0` for the first (or when the last cannot be read), else the third part + 1 (coze.md Appendix B). */
export function nextVersion(plugin: Plugin): string {
  const parts = plugin.online?.versionName.split('.') ?? []
  const third = parts[2]
  if (parts.length < 3 || third === undefined || !/^\d+$/.test(third)) return 'v1.0.0'
  return [...parts.slice(0, 2), String(BigInt(third) + 1n), ...parts.slice(3)].join('.')
}

/** Whether `version` is a semantic version greater than `than`. Null = it cannot be read. */
export function isGreaterVersion(version: string, than: string): boolean | null {
  const mine = parseVersion(version)
  if (mine === null) return null
  const other = parseVersion(than) ?? [0n, 0n, 0n]
  for (const [index, part] of mine.entries()) {
    const against = other[index] ?? 0n
    if (part !== against) return part > against
  }
  return false
}

/** At least one tool on, and each that is on has passed its debugging. Throws toolsCheckFailed. */
export function checkTools(world: World, plugin: Plugin): void {
  const enabled = plugin.tools.filter(({ disabled }) => !disabled)
  if (enabled.length === 0) throw refusal(world, 'toolsCheckFailed', 'at least one enabled tool is required')
  const waiting = enabled.filter(({ debugStatus }) => debugStatus === 0)
  if (waiting.length > 0) {
    throw refusal(world, 'toolsCheckFailed', `tools not debugged yet: ${waiting.map(({ name }) => name).join(', ')}`)
  }
}

/** What the list says of a plugin now; null = nothing. */
export function indexedNow(world: World, plugin: Plugin) {
  const nowMs = world.clock.nowMs()
  return plugin.index.filter(({ visibleAtMs }) => visibleAtMs <= nowMs).at(-1)?.doc ?? null
}

export function isLiveMcp(plugin: Plugin): boolean {
  return plugin.pluginType === MCP_PLUGIN_TYPE && !plugin.deleted
}

function reindex(world: World, plugin: Plugin, lagMs: number): void {
  const { name, desc } = plugin.meta
  const nowMs = world.clock.nowMs()
  // A later change never overtakes an earlier one.
  const visibleAtMs = Math.max(nowMs + lagMs, plugin.index.at(-1)?.visibleAtMs ?? 0)
  const doc = { name, desc, publishStatus: plugin.online === null ? 1 : 2, updatedMs: plugin.updatedMs } as const
  plugin.index = [...keptDocs(plugin, nowMs), { visibleAtMs, doc }]
}

/** Drops what no reader can see any more. */
function keptDocs(plugin: Plugin, nowMs: number): Plugin['index'] {
  const seen = plugin.index.findLastIndex(({ visibleAtMs }) => visibleAtMs <= nowMs)
  return seen <= 0 ? plugin.index : plugin.index.slice(seen)
}

/**
 * The list pages by edit time, which the real one does not keep apart (§2.3): here no two edits of a space share a
 * millisecond, so that equal times are something a test asks for, not something that happens to it.
 */
function editTime(world: World, spaceId: string): number {
  const space = world.spaces.get(spaceId)
  const nowMs = world.clock.nowMs()
  if (space === undefined) return nowMs
  space.lastEditMs = Math.max(nowMs, space.lastEditMs + 1)
  return space.lastEditMs
}

function parseVersion(text: string): bigint[] | null {
  const match = /^v?(\d{1,20})\.(\d{1,20})\.(\d{1,20})$/.exec(text)
  return match === null ? null : match.slice(1).map(BigInt)
}
