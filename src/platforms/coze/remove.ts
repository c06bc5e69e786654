import { ToolferryError } from '../../domain/errors.ts'
import type { RemoteIdentity } from '../../domain/object.ts'
import type { SpaceRef } from '../platform.ts'
import { deletePlugin, pluginInfo } from './calls.ts'
import { isFault } from './errors.ts'
import { findByName } from './library.ts'
import { callsGateway, describePlugin, isMcp } from './plugin.ts'
import type { WriteContext } from './writer.ts'

const ATTEMPTS = 3
const LOOK_AGAIN_MS = 3_000
const INDEX_LAG_MS = 30_000
const LISTED = 1

/**
 * Deletes our plugin. Not one that somebody made into something else, not one of the store, and not one that agents use
 * unless `force`: deleting cannot be undone and breaks them (coze.md §2.10). One that is gone already is fine.
 */
export async function removePlugin(
  context: WriteContext,
  space: SpaceRef,
  identity: RemoteIdentity,
  force: boolean,
): Promise<void> {
  const { calls, clock, memory } = context
  const pluginId = identity.id
  for (let attempt = 1; ; attempt++) {
    const info = await pluginInfo(calls, pluginId)
    if (info === null) break
    const plugin = describePlugin(pluginId, info)
    if (!isMcp(info) || !callsGateway(info.meta_info.url)) {
      throw refuse(`The plugin ${plugin} was given another address in COZE, so it is not removed. Delete it there.`)
    }
    if (!(await isInSpace(context, space, pluginId, info.meta_info.name))) {
      throw refuse(`The plugin ${plugin} is not in this space (any more), so it is not removed. Delete it in COZE.`)
    }
    const agents = info.statistic_data?.bot_quote ?? 0
    if (agents > 0 && !force) {
      throw refuse(
        `The plugin ${plugin} is used by ${agents} ${agents === 1 ? 'agent' : 'agents'}, which would lose it. Take it out of them in COZE, or start the removal again with "acceptWarnings": true.`,
      )
    }
    if (info.plugin_product_status === LISTED) {
      throw refuse(`The plugin ${plugin} is listed in the COZE store. Unlist it there, then remove it.`)
    }
    try {
      await deletePlugin(calls, pluginId)
      break
    } catch (error) {
      // Whether it is gone its details tell, not the words of a refusal.
      if (attempt === ATTEMPTS || !isFault(error, 'lost', 'busy', 'notFound')) throw error
    }
    await clock.sleep(LOOK_AGAIN_MS, calls.signal)
  }
  memory.forget(pluginId)
  memory.published.delete(pluginId)
  memory.seenOnline.delete(pluginId)
}

/** COZE's details do not tell the space; the list does, some time after the plugin was made. */
async function isInSpace(context: WriteContext, space: SpaceRef, pluginId: string, name: string): Promise<boolean> {
  const { calls, clock, memory } = context
  const untilMs = clock.now() + INDEX_LAG_MS
  for (;;) {
    const known = memory.spaceOf.get(pluginId)
    if (known !== undefined) return known === space.remoteId
    const items = await findByName(calls, space.remoteId, name)
    if (items.some((item) => item.res_id === pluginId)) memory.spaceOf.set(pluginId, space.remoteId)
    else if (clock.now() >= untilMs) return false
    else await clock.sleep(LOOK_AGAIN_MS, calls.signal)
  }
}

function refuse(message: string): ToolferryError {
  return new ToolferryError('Conflict', message)
}
