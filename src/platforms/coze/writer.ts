import { createHash } from 'node:crypto'
import type { Clock } from '../../domain/clock.ts'
import { ToolferryError } from '../../domain/errors.ts'
import type { RemoteIdentity } from '../../domain/object.ts'
import type { AppliedObject, PlatformChange, RemoveOptions, SpaceRef, SpaceWriter } from '../platform.ts'
import type { PluginInfo } from './answers.ts'
import { type Calls, pluginInfo, pluginTools, refreshTools, updatePlugin } from './calls.ts'
import { isFault } from './errors.ts'
import { findForeign } from './foreign.ts'
import { findByName } from './library.ts'
import { withEditLock } from './lock.ts'
import type { CozeMemory } from './memory.ts'
import { NAME_ATTEMPTS, numberedName } from './normalise.ts'
import {
  type CozePlugin,
  describePlugin,
  fieldOf,
  isMcp,
  metaToSend,
  observed,
  pluginOf,
  storedFields,
} from './plugin.ts'
import { isPublished, publish, publishingVersion } from './publish.ts'
import { readOnline } from './read.ts'
import { findEarlier, intentOf, register } from './register.ts'
import { removePlugin } from './remove.ts'

/** `calls.fence` is asked right before every write. */
export type WriteContext = { calls: Calls; clock: Clock; memory: CozeMemory }

const UPDATES = 3
/** An earlier attempt made it; nobody but us has a reason to edit it yet. */
const MADE_BY_THIS_CHANGE = ['registered', 'refreshed', 'publishing']
/** From here on the draft's tools are those of this very change. */
const REFRESHED = ['refreshed', 'publishing']

/** COZE has no lock of a whole space: one writer at a time is the lease's doing, and within it calls take turns. */
export function openSpaceWriter(context: WriteContext, space: SpaceRef): SpaceWriter {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work, work)
    last = turn.catch(() => {})
    return turn
  }
  return {
    apply: (change) => inTurn(() => apply(context, space, change)),
    remove: (identity, options = {}) => inTurn(() => remove(context, space, identity, options)),
    [Symbol.asyncDispose]: () => inTurn(async () => {}),
  }
}

/**
 * One plugin, step by step, each recorded before the next: register or update → refresh → publish. An attempt that died in
 * between is resumed by looking at what stands there.
 */
async function apply(context: WriteContext, space: SpaceRef, change: PlatformChange): Promise<AppliedObject> {
  let pluginId = change.identity?.id ?? null
  let info = pluginId === null ? null : await pluginInfo(context.calls, pluginId)
  const intent = intentOf(change.checkpoint)
  if (info === null && intent !== null) {
    const found = await findEarlier(context, space, intent)
    if (found !== null) {
      pluginId = found.pluginId
      info = found.info
      await change.saveCheckpoint('registered', {}, { id: pluginId, key: null })
    }
  }
  if (pluginId === null || info === null) return await create(context, space, change)
  return await update(context, space, change, pluginId, info)
}

/** What an attempt that died may have registered is looked for until it is sure that there is nothing; it is one more to remove. */
async function remove(
  context: WriteContext,
  space: SpaceRef,
  identity: RemoteIdentity | null,
  { force = false, checkpoint = null }: RemoveOptions,
): Promise<void> {
  const intent = intentOf(checkpoint)
  const found = intent === null ? null : await findEarlier(context, space, intent)
  const own = new Set([found?.pluginId, identity?.id].filter((id) => id !== undefined))
  for (const id of own) await removePlugin(context, space, { id, key: null }, force)
}

async function create(context: WriteContext, space: SpaceRef, change: PlatformChange): Promise<AppliedObject> {
  const { fields } = change.desired
  change.fieldsToWrite(null)
  await refuseForeign(context, space, change)
  const { pluginId, name } = await register(context, space, change)
  const identity: RemoteIdentity = { id: pluginId, key: null }
  await change.saveCheckpoint('registered', {}, identity)
  context.memory.spaceOf.set(pluginId, space.remoteId)
  await refresh(context, space, pluginId, change)
  const versionName = await publish(context, space, pluginId, change, { of: fingerprint(change) })
  const plugin: CozePlugin = {
    name,
    description: fieldOf(fields, 'description'),
    url: fieldOf(fields, 'url'),
    authorization: fieldOf(fields, 'authorization'),
    tools: Object.keys(change.desired.tools),
    published: true,
  }
  context.memory.published.set(pluginId, { plugin, versionName })
  return applied(identity, plugin, true)
}

/** The plan has looked a moment ago; whoever writes without a plan looks now. */
async function refuseForeign(context: WriteContext, space: SpaceRef, change: PlatformChange): Promise<void> {
  const { calls, memory } = context
  const url = fieldOf(change.desired.fields, 'url')
  let message = memory.inTheWay.recall(space.remoteId, url)
  if (message === undefined) {
    const name = fieldOf(change.desired.fields, 'name')
    const items = await findByName(calls, space.remoteId, name)
    message = (await findForeign(url, items, (item) => pluginInfo(calls, item.res_id)))?.message ?? null
  }
  if (message !== null) throw new ToolferryError('Conflict', message)
}

async function update(
  context: WriteContext,
  space: SpaceRef,
  change: PlatformChange,
  pluginId: string,
  first: PluginInfo,
): Promise<AppliedObject> {
  const { calls, memory } = context
  if (!isMcp(first)) {
    throw new ToolferryError(
      'Conflict',
      `The plugin ${describePlugin(pluginId, first)} is not an MCP plugin any more. Delete it in COZE, then sync again.`,
    )
  }
  const identity: RemoteIdentity = { id: pluginId, key: null }
  const online = memory.seenOnline.get(pluginId) ?? (await readOnline(calls, space.remoteId, pluginId, first))
  memory.seenOnline.delete(pluginId)
  const before = pluginOf(first, online)
  const fields = change.fieldsToWrite(observed(pluginId, before))
  const mine = isOfThisChange(change)
  if (fields.length === 0) return applied(identity, before, false)

  memory.forget(pluginId)
  memory.published.delete(pluginId)
  const isFresh = MADE_BY_THIS_CHANGE.includes(change.checkpoint?.step ?? '') || !first.published
  return await withEditLock(context, isFresh ? null : { pluginId, info: first }, async () => {
    const sent = await sendMeta(context, change, pluginId, first, fields)
    let { info } = sent
    const readsTools = fields.some((field) => field !== 'name' && field !== 'description')
    const refreshed = mine && REFRESHED.includes(change.checkpoint?.step ?? '') && !sent.changed
    if (readsTools && !refreshed) {
      await refresh(context, space, pluginId, change)
      // An update has made the draft differ; a refresh alone may have changed nothing.
      if (!sent.changed && info.published) info = (await pluginInfo(calls, pluginId)) ?? info
    }
    const tools = readsTools ? await toolsAfter(calls, pluginId, first, change) : online.tools
    const versionName =
      sent.changed || info.status || !info.published
        ? await publishOnce(context, space, pluginId, change, sent.changed)
        : null
    const after: CozePlugin = {
      ...pluginOf(info, { tools, isBehind: false }),
      ...written(sent.desired, fields),
      published: true,
    }
    if (versionName !== null) memory.published.set(pluginId, { plugin: after, versionName })
    return applied(identity, after, true)
  })
}

/** `desired`: as it was sent, the name perhaps with a number. `changed`: the draft may differ from what is published. */
type SentMeta = { info: PluginInfo; changed: boolean; desired: Record<string, string> }

/** Brings the draft's words, address and header to what is desired. Somebody else's edit in between is read and respected once. */
async function sendMeta(
  context: WriteContext,
  change: PlatformChange,
  pluginId: string,
  first: PluginInfo,
  fields: readonly string[],
): Promise<SentMeta> {
  const { calls } = context
  let desired = change.desired.fields
  let number = 1
  let info = first
  let changed = false
  for (let attempt = 1; ; attempt++) {
    const meta = metaToSend(info, desired, fields)
    if (meta === null) return { info, changed, desired }
    try {
      await updatePlugin(calls, pluginId, meta, info.edit_version ?? null)
      return { info: { ...info, status: true }, changed: true, desired }
    } catch (error) {
      // Another plugin has the name: nothing was changed.
      if (isFault(error, 'duplicateName') && meta.name !== undefined && number < NAME_ATTEMPTS) {
        number += 1
        attempt -= 1
        desired = { ...desired, name: numberedName(fieldOf(change.desired.fields, 'name'), number) }
        continue
      }
      if (attempt === UPDATES || !isFault(error, 'lost', 'busy', 'editConflict')) throw error
      if (!isFault(error, 'editConflict')) changed = true
    }
    const now = await pluginInfo(calls, pluginId)
    if (now === null) throw new ToolferryError('TargetGone', 'The plugin was deleted in COZE while it was written.')
    info = now
  }
}

/** Whatever COZE says here is about the MCP server behind the gateway, which its own cloud has just called (coze.md §2.7). */
async function refresh(
  { calls }: WriteContext,
  space: SpaceRef,
  pluginId: string,
  change: PlatformChange,
): Promise<void> {
  try {
    await refreshTools(calls, pluginId, space.remoteId)
  } catch (error) {
    if (!isFault(error, 'refused', 'input', 'notReady', 'busy', 'versionTooLow', 'duplicateName')) throw error
    const { host } = new URL(fieldOf(change.desired.fields, 'url'))
    throw new ToolferryError(
      'UpstreamUnreachable',
      `COZE could not read the tools from the MCP server through the gateway at ${host}. Check that the gateway can be reached from the internet under that name. ${error.message}`,
      { cause: error },
    )
  }
  await change.saveCheckpoint('refreshed', { of: fingerprint(change) })
}

/** What an earlier attempt of this change may have published already is not published again. */
async function publishOnce(
  context: WriteContext,
  space: SpaceRef,
  pluginId: string,
  change: PlatformChange,
  draftChanged: boolean,
): Promise<string> {
  const before = isOfThisChange(change) && !draftChanged ? publishingVersion(change.checkpoint) : null
  if (before !== null && (await isPublished(context, space, pluginId, before))) return before
  return await publish(context, space, pluginId, change, { of: fingerprint(change) })
}

/** The fields that were written, as they now stand. */
function written(desired: Record<string, string>, fields: readonly string[]): Partial<CozePlugin> {
  return {
    ...(fields.includes('name') ? { name: fieldOf(desired, 'name') } : {}),
    ...(fields.includes('description') ? { description: fieldOf(desired, 'description') } : {}),
    ...(fields.includes('url') ? { url: fieldOf(desired, 'url') } : {}),
    ...(fields.includes('authorization') ? { authorization: fieldOf(desired, 'authorization') } : {}),
  }
}

/** What agents will see of the tools just read: those that somebody has switched off in COZE stay off. */
async function toolsAfter(
  calls: Calls,
  pluginId: string,
  before: PluginInfo,
  change: PlatformChange,
): Promise<string[]> {
  const names = Object.keys(change.desired.tools)
  if (!before.published) return names
  const tools = await pluginTools(calls, pluginId)
  return names.filter((name) => tools.get(name) !== false)
}

/** Whether the resume data is of this very desired state, not of one that was given up. */
function isOfThisChange(change: PlatformChange): boolean {
  const data = change.checkpoint?.data
  return typeof data === 'object' && data !== null && 'of' in data && data.of === fingerprint(change)
}

/** A plain digest: what goes in has a secret of 190 bits in it, so it tells nothing. */
function fingerprint(change: PlatformChange): string {
  const { url, authorization, tools } = change.desired.fields
  return createHash('sha256')
    .update(JSON.stringify([url, authorization, tools]))
    .digest('hex')
    .slice(0, 32)
}

function applied(identity: RemoteIdentity, plugin: CozePlugin, wrote: boolean): AppliedObject {
  const { shown, tools } = observed(identity.id, plugin)
  return { identity, stored: storedFields(plugin), shown, tools, wrote }
}
