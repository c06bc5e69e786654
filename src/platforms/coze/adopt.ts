import type { ObservedObject } from '../../domain/object.ts'
import type { AdoptionQuery, SpaceRef } from '../platform.ts'
import type { LibraryItem, PluginInfo } from './answers.ts'
import { pluginInfo } from './calls.ts'
import { namesOf } from './foreign.ts'
import { listMcpPlugins } from './library.ts'
import { isMcp, observed, pluginOf, samePath } from './plugin.ts'
import { draftAsOnline, type ReadContext } from './read.ts'

/**
 * An MCP plugin of the space that may become ours: the one with that id, else one of our names that calls our gateway's path or
 * the MCP server itself. COZE's list tells no addresses, so a plugin of another name has to be named by its id.
 */
export async function findAdoptable(
  { calls, memory }: ReadContext,
  space: SpaceRef,
  query: AdoptionQuery,
): Promise<ObservedObject | null> {
  const items = await listMcpPlugins(calls, space.remoteId, memory.habits)
  const { name = '', url = '' } = query.desired.fields
  const callsUs = (info: PluginInfo) => samePath(info.meta_info.url, url) || info.meta_info.url === query.upstreamUrl
  const isMeant = ({ res_id, name: listed }: LibraryItem) =>
    query.remoteId === null ? namesOf(name).includes(listed) : res_id === query.remoteId
  for (const { res_id: pluginId } of items.filter(isMeant)) {
    const info = await pluginInfo(calls, pluginId)
    if (info === null || !isMcp(info) || (query.remoteId === null && !callsUs(info))) continue
    memory.spaceOf.set(pluginId, space.remoteId)
    return observed(pluginId, pluginOf(info, await draftAsOnline(calls, pluginId)))
  }
  return null
}
