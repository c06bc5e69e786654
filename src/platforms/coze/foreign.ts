import type { ForeignObject } from '../../domain/object.ts'
import type { LibraryItem, PluginInfo } from './answers.ts'
import { numberedName } from './normalise.ts'
import { describePlugin, samePath } from './plugin.ts'

/** Numbers that a name may carry because another plugin had it first. */
const NUMBERED = 3

/** The names under which a plugin of ours may stand. */
export function namesOf(name: string): string[] {
  return Array.from({ length: NUMBERED }, (_, index) => numberedName(name, index + 1))
}

/**
 * A plugin with our address that nobody recorded (a lost store, a restored copy). The list does not tell addresses, so only
 * those of our names are looked at.
 */
export async function findForeign(
  url: string,
  candidates: readonly LibraryItem[],
  details: (item: LibraryItem) => Promise<PluginInfo | null>,
): Promise<ForeignObject | null> {
  for (const item of candidates) {
    const info = await details(item)
    if (info === null || !samePath(info.meta_info.url, url)) continue
    const message = `The plugin ${describePlugin(item.res_id, info)} in this space calls the same MCP server already, and Toolferry has no record of having made it. Delete it in COZE, or adopt it, then sync again.`
    return { remoteId: item.res_id, name: item.name, because: 'url', message }
  }
  return null
}
