import { firstIdAt, newId } from '../domain/ids.ts'
import type { GatewayJournalEntry } from '../gateway/journal.ts'
import type { Engine } from './client.ts'
import {
  beforeId,
  chunksOf,
  clip,
  clipOrNull,
  type Page,
  type PageRequest,
  pageSize,
  timeText,
  toPage,
} from './columns.ts'
import type { GatewayLogEntry } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import { TOUCH, type TokenUse, touchTokens, usesText } from './token-uses.ts'

export type JournalRecord = GatewayJournalEntry & { id: string }

const PURGE_CHUNK = 5_000

/** In the order of `toRow`. */
const COLUMNS = [
  'id',
  'at',
  'instanceId',
  'bindingId',
  'tokenId',
  'method',
  'toolName',
  'status',
  'errorCode',
  'requestBytes',
  'responseBytes',
  'durationMs',
  'traceId',
] as const satisfies readonly (keyof GatewayLogEntry)[]

/**
 * One statement with all rows in one parameter: a `createMany` of 500 rows holds up the process, and with it every call
 * through the gateway, for a tenth of a second and more.
 */
const INSERT: Record<Engine, string> = {
  sqlite: `INSERT INTO "GatewayLogEntry" (${COLUMNS.map((name) => `"${name}"`).join(', ')})
    SELECT ${COLUMNS.map((_, index) => `value ->> ${index}`).join(', ')} FROM json_each(?)`,
  mysql: `INSERT INTO \`GatewayLogEntry\` (${COLUMNS.map((name) => `\`${name}\``).join(', ')})
    SELECT ${COLUMNS.map((name) => `\`${name}\``).join(', ')} FROM JSON_TABLE(?, '$[*]' COLUMNS (
      ${COLUMNS.map((name, index) => `\`${name}\` ${mysqlType(name)} PATH '$[${index}]'`).join(', ')}
    )) AS entries`,
}
const INSERT_CHUNK = 250

/** What a thread that writes into SQLite by itself needs: two statements, and their parameters. */
export const SQLITE_JOURNAL = {
  /** `VALUES` for one or more rows are to follow, each of so many `columns`. */
  insert: `INSERT INTO "GatewayLogEntry" (${COLUMNS.map((name) => `"${name}"`).join(', ')})`,
  columns: COLUMNS.length,
  touch: TOUCH.sqlite,
  /** Of all rows, one after the other. */
  valuesOf(entries: readonly GatewayJournalEntry[]): (string | number | null)[] {
    const values: (string | number | null)[] = []
    for (const entry of entries) for (const value of toRow('sqlite', entry)) values.push(value)
    return values
  },
  /** The parameter of `touch`; null = nothing to do. */
  usesOf(entries: readonly GatewayJournalEntry[]): string | null {
    const uses = lastUses(entries)
    return uses.length === 0 ? null : usesText('sqlite', uses)
  },
}

const PACKED = 12

/** Entries as text, for another thread: made in far less time than its rows. */
export function packEntries(entries: readonly GatewayJournalEntry[]): string {
  const values: (string | number | null)[] = []
  for (const entry of entries) {
    const { at, instanceId, bindingId, tokenId, method, toolName, status, errorCode, traceId } = entry
    values.push(at.getTime(), instanceId, bindingId, tokenId, method, toolName, status, errorCode, traceId)
    values.push(entry.requestBytes, entry.responseBytes, entry.durationMs)
  }
  return JSON.stringify(values)
}

/** What packEntries has packed. */
export function unpackEntries(text: string): GatewayJournalEntry[] {
  const values = JSON.parse(text)
  const entries: GatewayJournalEntry[] = []
  for (let i = 0; i < values.length; i += PACKED) {
    entries.push({
      at: new Date(values[i]),
      instanceId: values[i + 1],
      bindingId: values[i + 2],
      tokenId: values[i + 3],
      method: values[i + 4],
      toolName: values[i + 5],
      status: values[i + 6],
      errorCode: values[i + 7],
      traceId: values[i + 8],
      requestBytes: values[i + 9],
      responseBytes: values[i + 10],
      durationMs: values[i + 11],
    })
  }
  return entries
}

/** Inserts entries, all or none, and notes when their tokens were used last. */
export async function appendJournalEntries(store: Store, entries: readonly GatewayJournalEntry[]): Promise<void> {
  const chunks = rowChunks(store.engine, entries)
  await store.write(async (tx) => {
    for (const chunk of chunks) await tx.$executeRawUnsafe(INSERT[store.engine], chunk)
  })
  await touchTokens(store, lastUses(entries))
}

function rowChunks(engine: Engine, entries: readonly GatewayJournalEntry[]): string[] {
  const chunks: string[] = []
  for (let from = 0; from < entries.length; from += INSERT_CHUNK) {
    chunks.push(JSON.stringify(entries.slice(from, from + INSERT_CHUNK).map((entry) => toRow(engine, entry))))
  }
  return chunks
}

function lastUses(entries: readonly GatewayJournalEntry[]): TokenUse[] {
  const uses = new Map<string, TokenUse>()
  for (const { tokenId, at } of entries) {
    if (tokenId === null) continue
    const last = uses.get(tokenId)
    if (last === undefined) uses.set(tokenId, { tokenId, at })
    else if (at.getTime() > last.at.getTime()) last.at = at
  }
  return [...uses.values()]
}

export type JournalFilter = {
  instanceId?: string | undefined
  bindingId?: string | undefined
  tokenId?: string | undefined
  toolName?: string | undefined
  /** The HTTP status itself, or `4xx` for a class of them. */
  status?: number | `${1 | 2 | 3 | 4 | 5}xx` | undefined
  /** From this moment on. */
  since?: Date | undefined
  /** Before this moment. */
  until?: Date | undefined
}

/** The newest first. */
export async function listJournalEntries(
  store: Store,
  request: PageRequest & JournalFilter = {},
): Promise<Page<JournalRecord>> {
  const size = pageSize(request)
  const { instanceId, bindingId, tokenId, toolName, status, since, until } = request
  const rows = await store.db.gatewayLogEntry.findMany({
    where: {
      ...beforeId(request.cursor),
      ...(instanceId === undefined ? {} : { instanceId }),
      ...(bindingId === undefined ? {} : { bindingId }),
      ...(tokenId === undefined ? {} : { tokenId }),
      ...(toolName === undefined ? {} : { toolName }),
      ...(status === undefined ? {} : { status: statusRange(status) }),
      AND: [
        since === undefined ? {} : { id: { gte: firstIdAt(since.getTime()) } },
        until === undefined ? {} : { id: { lt: firstIdAt(until.getTime()) } },
      ],
    },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(
    rows,
    size,
    (row) => [row.id],
    (row): JournalRecord => row,
  )
}

function statusRange(status: NonNullable<JournalFilter['status']>): number | { gte: number; lt: number } {
  if (typeof status === 'number') return status
  const first = Number(status[0]) * 100
  return { gte: first, lt: first + 100 }
}

/** Deletes what is older, in short transactions, so that nobody waits long for the store. Answers how many rows went. */
export async function purgeJournal(store: Store, before: Date): Promise<number> {
  let purged = 0
  for (;;) {
    const old = await store.db.gatewayLogEntry.findMany({
      where: { id: { lt: firstIdAt(before.getTime()) } },
      select: { id: true },
      take: PURGE_CHUNK,
    })
    for (const chunk of chunksOf(old)) {
      const ids = chunk.map(({ id }) => id)
      purged += (await store.write((tx) => tx.gatewayLogEntry.deleteMany({ where: { id: { in: ids } } }))).count
    }
    if (old.length < PURGE_CHUNK) return purged
  }
}

/** The values of COLUMNS, in their order, as the engine's client writes them itself. */
function toRow(engine: Engine, entry: GatewayJournalEntry): (string | number | null)[] {
  return [
    newId(entry.at.getTime()),
    timeText(engine, entry.at),
    entry.instanceId,
    entry.bindingId,
    entry.tokenId,
    clip(entry.method, 128),
    // A caller may name anything a tool. Half a surrogate pair is text to JavaScript alone: MySQL refuses the whole batch for
    // it, and SQLite keeps what ends the process of whoever reads it.
    clipOrNull(entry.toolName?.toWellFormed() ?? null, 191),
    entry.status,
    clipOrNull(entry.errorCode, 64),
    entry.requestBytes,
    entry.responseBytes,
    entry.durationMs,
    clip(entry.traceId, 64),
  ]
}

function mysqlType(name: (typeof COLUMNS)[number]): string {
  if (name === 'at') return 'DATETIME(3)'
  return ['status', 'requestBytes', 'responseBytes', 'durationMs'].includes(name) ? 'INT' : 'VARCHAR(191)'
}
