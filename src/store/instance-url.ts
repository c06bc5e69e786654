import type { McpInstance } from './generated/sqlite/client.ts'
import { getSetting, setSettingIn } from './settings.ts'
import type { Store } from './store.ts'

/** The URL of an MCP server, whose query often holds its key: the query is sealed, the rest stands as it is. */

type UrlColumns = Pick<McpInstance, 'url' | 'sealedQuery'>

const ROWS_CHUNK = 200
const SETTING = 'queries-in-clear'
const DAY_MS = 24 * 3_600_000
const IN_CLEAR = { url: { contains: '?' } }

/** The columns of a URL. */
export function urlColumns(store: Pick<Store, 'sealer'>, id: string, url: string): UrlColumns {
  const from = url.indexOf('?')
  if (from === -1) return { url, sealedQuery: null }
  return { url: url.slice(0, from), sealedQuery: store.sealer.seal(placeOf(id), url.slice(from)) }
}

/** The whole URL. Throws SealError. */
export function openUrl(store: Pick<Store, 'sealer'>, row: UrlColumns & { id: string }): string {
  return row.sealedQuery === null ? row.url : row.url + store.sealer.open(placeOf(row.id), row.sealedQuery)
}

/**
 * Seals the queries that an earlier version, or a backup of its time, has left in the clear, once a day has gone by since they were
 * first found: processes of that version, which read no sealed query, may go on beside this one for a while. Answers how many were
 * sealed.
 */
export async function sealOldQueries(store: Store, now: Date = new Date()): Promise<number> {
  const foundAt = await getSetting(store.db, SETTING)
  if (foundAt !== null) return now.getTime() - Date.parse(foundAt) < DAY_MS ? 0 : await sealQueries(store)
  if ((await store.db.mcpInstance.findFirst({ where: IN_CLEAR, select: { id: true } })) === null) return 0
  await store.write((tx) => setSettingIn(tx, SETTING, now.toISOString()))
  return 0
}

/** What somebody changes meanwhile is left to them. Nobody has to see it: the whole URL stays the same. */
async function sealQueries(store: Pick<Store, 'db' | 'write' | 'sealer'>): Promise<number> {
  let sealed = 0
  for (let after = ''; ; ) {
    const rows = await store.db.mcpInstance.findMany({
      where: { id: { gt: after }, ...IN_CLEAR },
      select: { id: true, url: true },
      orderBy: { id: 'asc' },
      take: ROWS_CHUNK,
    })
    if (rows.length > 0) {
      sealed += await store.write(async (tx) => {
        let changed = 0
        for (const { id, url } of rows) {
          const { count } = await tx.mcpInstance.updateMany({ where: { id, url }, data: urlColumns(store, id, url) })
          changed += count
        }
        return changed
      })
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < ROWS_CHUNK) return sealed
    after = last.id
  }
}

function placeOf(id: string) {
  return { table: 'McpInstance', column: 'sealedQuery', rowId: id }
}
