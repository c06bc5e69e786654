import type { Clock } from '../../domain/clock.ts'
import type { ForeignObject, ObservedObject } from '../../domain/object.ts'
import type { RemoteSpace, SpaceReading, SpaceRef, WantedObject } from '../platform.ts'
import type { LibraryItem, PlaygroundItem, PluginInfo } from './answers.ts'
import { type Calls, pluginInfo, pluginToolNames, publishedPlugins } from './calls.ts'
import { isFault } from './errors.ts'
import { findForeign, namesOf } from './foreign.ts'
import { listMcpPlugins } from './library.ts'
import type { CozeMemory } from './memory.ts'
import { authorizationIn, isMcp, type OnlinePlugin, observed, onlineOf, pluginOf } from './plugin.ts'
import { intentOf } from './register.ts'

/** How long a publication may take to be seen, and how often it is looked for. */
const PUBLISH_SEEN_MS = 30_000
const LOOK_AGAIN_MS = 3_000

export type ReadContext = {
  calls: Calls
  clock: Clock
  memory: CozeMemory
  listSpaces: (signal: AbortSignal) => Promise<RemoteSpace[]>
}

/**
 * What stands in a space: one paged list, one call for the tools of all our plugins, details only of plugins that are unknown
 * or have changed. What was just written is read back in one call.
 */
export async function readSpace(
  context: ReadContext,
  space: SpaceRef,
  wanted: readonly WantedObject[],
): Promise<SpaceReading> {
  const justPublished = await readBack(context, space, wanted)
  if (justPublished !== null) return { problem: null, objects: justPublished, inTheWay: new Map(), refused: new Map() }

  let items: LibraryItem[]
  try {
    items = await listMcpPlugins(context.calls, space.remoteId, context.memory.habits)
  } catch (error) {
    const problem = await problemOf(context, space, error)
    if (problem === null) throw error
    return { problem, objects: new Map(), inTheWay: new Map(), refused: new Map() }
  }
  for (const item of items) context.memory.spaceOf.set(item.res_id, space.remoteId)
  const { own, refused } = await ownPlugins(context, wanted, items)
  const objects = await withTools(context, space, own)
  const others = wanted.filter(({ bindingId }) => !refused.has(bindingId))
  return { problem: null, refused, objects, inTheWay: await foreignOnes(context, space, others, items, own) }
}

type OwnPlugin = { pluginId: string; info: PluginInfo }
type Refused = NonNullable<SpaceReading['refused']>

/**
 * By binding: found by its recorded id, else by what was about to be registered when we died. One that COZE does not show to
 * this account is neither there nor gone, and no reason to leave the others of the space alone.
 */
async function ownPlugins(
  context: ReadContext,
  wanted: readonly WantedObject[],
  items: readonly LibraryItem[],
): Promise<{ own: Map<string, OwnPlugin>; refused: Refused }> {
  const own = new Map<string, OwnPlugin>()
  const refused: Refused = new Map()
  for (const { bindingId, identity, checkpoint } of wanted) {
    if (identity !== null) {
      let info: PluginInfo | null
      try {
        info = await details(context, identity.id, items)
      } catch (error) {
        if (!isFault(error, 'forbidden', 'refused', 'input')) throw error
        const message = `COZE does not show the plugin ${identity.id}, which is recorded as ours, to this account. ${error.message}`
        refused.set(bindingId, { type: 'Forbidden', message })
        continue
      }
      if (info !== null) {
        own.set(bindingId, { pluginId: identity.id, info })
        continue
      }
    }
    const intent = intentOf(checkpoint ?? null)
    if (intent === null) continue
    for (const item of items.filter(({ name }) => name === intent.name)) {
      const info = await details(context, item.res_id, items)
      if (info === null || !isMcp(info) || info.meta_info.url !== intent.url || info.creator?.self === false) continue
      own.set(bindingId, { pluginId: item.res_id, info })
      break
    }
  }
  return { own, refused }
}

async function details(
  { calls, memory }: ReadContext,
  pluginId: string,
  items: readonly LibraryItem[],
): Promise<PluginInfo | null> {
  const editTimeS = items.find((item) => item.res_id === pluginId)?.edit_time
  const known = memory.details(pluginId, editTimeS)
  if (known !== null) return known
  const info = await pluginInfo(calls, pluginId)
  if (info === null) memory.forget(pluginId)
  else memory.keepDetails(pluginId, editTimeS, info)
  return info
}

async function withTools(
  { calls, memory }: ReadContext,
  space: SpaceRef,
  own: ReadonlyMap<string, OwnPlugin>,
): Promise<Map<string, ObservedObject>> {
  const objects = new Map<string, ObservedObject>()
  const ids = [...own.values()].filter(({ info }) => info.published).map(({ pluginId }) => pluginId)
  const published =
    ids.length === 0 ? new Map<string, PlaygroundItem>() : await publishedPlugins(calls, space.remoteId, ids)
  for (const [bindingId, { pluginId, info }] of own) {
    const item = published.get(pluginId)
    const online = item === undefined ? await draftAsOnline(calls, pluginId) : onlineOf(info, item)
    memory.seenOnline.set(pluginId, online)
    objects.set(bindingId, observed(pluginId, pluginOf(info, online)))
  }
  return objects
}

/** What agents see of one plugin. */
export async function readOnline(
  calls: Calls,
  spaceId: string,
  pluginId: string,
  info: PluginInfo,
): Promise<OnlinePlugin> {
  const item = info.published ? (await publishedPlugins(calls, spaceId, [pluginId])).get(pluginId) : undefined
  return item === undefined ? await draftAsOnline(calls, pluginId) : onlineOf(info, item)
}

/** Where COZE does not tell what agents see, the draft stands for it. */
export async function draftAsOnline(calls: Calls, pluginId: string): Promise<OnlinePlugin> {
  return { tools: await pluginToolNames(calls, pluginId), isBehind: false }
}

async function foreignOnes(
  context: ReadContext,
  space: SpaceRef,
  wanted: readonly WantedObject[],
  items: readonly LibraryItem[],
  own: ReadonlyMap<string, OwnPlugin>,
): Promise<Map<string, ForeignObject>> {
  const ownIds = new Set([...own.values()].map(({ pluginId }) => pluginId))
  const inTheWay = new Map<string, ForeignObject>()
  for (const { bindingId, desired } of wanted) {
    const { name, url } = desired?.fields ?? {}
    if (name === undefined || url === undefined || own.has(bindingId)) continue
    const names = namesOf(name)
    const others = items.filter((item) => names.includes(item.name) && !ownIds.has(item.res_id))
    const foreign = await findForeign(url, others, (item) => details(context, item.res_id, items))
    context.memory.inTheWay.note(space.remoteId, url, foreign?.message ?? null)
    if (foreign !== null) inTheWay.set(bindingId, foreign)
  }
  return inTheWay
}

/**
 * All that was asked for was published by this very adapter and not read since: then one call tells whether agents see
 * it. The address is not in that answer; it is known from the version, which is the one that we published.
 */
async function readBack(
  { calls, clock, memory }: ReadContext,
  space: SpaceRef,
  wanted: readonly WantedObject[],
): Promise<Map<string, ObservedObject> | null> {
  const expected = new Map(wanted.map(({ bindingId, identity }) => [bindingId, identity?.id ?? '']))
  const known = wanted.every(({ desired, identity }) => desired === null && memory.published.has(identity?.id ?? ''))
  if (!known || expected.size === 0) return null
  const ids = [...expected.values()]
  const untilMs = clock.now() + PUBLISH_SEEN_MS
  for (;;) {
    const seen = await publishedPlugins(calls, space.remoteId, ids)
    const unseen = ids.filter((id) => {
      const version = seen.get(id)?.version_name
      return version === undefined || (version !== '' && version !== memory.published.get(id)?.versionName)
    })
    if (unseen.length > 0 && clock.now() < untilMs) {
      await clock.sleep(LOOK_AGAIN_MS, calls.signal)
      continue
    }
    const objects = new Map<string, ObservedObject>()
    for (const [bindingId, id] of expected) {
      const item = seen.get(id)
      const ours = memory.published.get(id)
      memory.published.delete(id)
      if (ours === undefined) continue
      if (item === undefined || unseen.includes(id)) {
        const info = await pluginInfo(calls, id)
        if (info === null) continue
        const online = item === undefined ? await draftAsOnline(calls, id) : onlineOf(info, item)
        objects.set(bindingId, observed(id, pluginOf(info, online)))
        continue
      }
      const authorization = authorizationIn(item.common_params)
      const tools = item.plugin_apis.map((tool) => tool.name)
      objects.set(
        bindingId,
        observed(id, {
          name: item.name || ours.plugin.name,
          description: item.desc_for_human || ours.plugin.description,
          url: ours.plugin.url,
          authorization: Object.keys(item.common_params).length === 0 ? ours.plugin.authorization : authorization,
          tools,
          published: true,
        }),
      )
    }
    return objects
  }
}

/** A space that is not among the user's any more is gone for us, whatever words COZE has for it. */
async function problemOf(context: ReadContext, space: SpaceRef, error: unknown): Promise<SpaceReading['problem']> {
  if (!isFault(error, 'forbidden', 'notFound', 'input', 'refused')) return null
  const spaces = await context.listSpaces(context.calls.signal)
  if (!spaces.some(({ remoteId }) => remoteId === space.remoteId)) {
    const message = `The space is not among those in which the cookie’s user is owner or administrator (any more). ${error.message}`
    return { type: 'TargetGone', message }
  }
  return error.type === 'Forbidden' ? { type: 'Forbidden', message: error.message } : null
}
