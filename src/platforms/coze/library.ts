import { ToolferryError } from '../../domain/errors.ts'
import type { LibraryItem } from './answers.ts'
import { type Calls, libraryPage, MCP_PLUGIN_TYPE } from './calls.ts'
import { isFault } from './errors.ts'

/** More pages than any space has; a server that goes on for ever is not followed for ever. */
const MAX_PAGES = 200

/** Which filter of the library is right is found out once (coze.md §2.3, §9.1). */
export type LibraryHabits = { mcpFilter: 'unknown' | 'works' | 'fails' }

/** Every MCP plugin of a space that the index knows, newest first, each once. Deleted ones are left out. */
export async function listMcpPlugins(calls: Calls, spaceId: string, habits: LibraryHabits): Promise<LibraryItem[]> {
  if (habits.mcpFilter !== 'fails') {
    try {
      const items = await allPages(calls, { spaceId, mcpOnly: true })
      if (items.length > 0) habits.mcpFilter = 'works'
      if (habits.mcpFilter === 'works') return mcpOnly(items)
    } catch (error) {
      if (!isFault(error, 'input', 'refused')) throw error
      habits.mcpFilter = 'fails'
    }
  }
  const items = mcpOnly(await allPages(calls, { spaceId, mcpOnly: false }))
  if (items.length > 0) habits.mcpFilter = 'fails'
  return items
}

/** The MCP plugins of exactly that name. Asked in the form that surely works, since it decides about a second plugin. */
export async function findByName(calls: Calls, spaceId: string, name: string): Promise<LibraryItem[]> {
  const items = await allPages(calls, { spaceId, mcpOnly: false, name, whole: true })
  return mcpOnly(items).filter((item) => item.name === name)
}

function mcpOnly(items: LibraryItem[]): LibraryItem[] {
  return items.filter((item) => !item.del_flag && (item.res_sub_type == null || item.res_sub_type === MCP_PLUGIN_TYPE))
}

/**
 * Items that change while they are read come twice, and a cursor can stand still (coze.md §2.3): then what was seen has to do,
 * unless it must be the `whole` list. Our own plugins are looked up by their ids, whether listed or not.
 */
async function allPages(
  calls: Calls,
  query: { spaceId: string; mcpOnly: boolean; name?: string; whole?: boolean },
): Promise<LibraryItem[]> {
  const items = new Map<string, LibraryItem>()
  const cursors = new Set<string>()
  let cursor: string | null = null
  for (let page = 1; page <= MAX_PAGES; page++) {
    const answer = await libraryPage(calls, { ...query, cursor })
    for (const item of answer.resource_list) if (!items.has(item.res_id)) items.set(item.res_id, item)
    const next: string = answer.cursor ?? ''
    if (!answer.has_more || next === '' || answer.resource_list.length === 0) return [...items.values()]
    if (cursors.has(next)) {
      if (query.whole !== true) break
      throw new ToolferryError('Unavailable', 'COZE’s list of plugins goes in circles; it is read again later.')
    }
    cursors.add(next)
    cursor = next
  }
  return [...items.values()]
}
