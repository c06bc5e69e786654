import { newId } from '../domain/ids.ts'
import type { GatewayJournalEntry } from '../gateway/journal.ts'
import { beforeId, chunksOf, clip, clipOrNull, type Page, type PageRequest, pageSize, toPage } from './columns.ts'
import type { GatewayLogEntry } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import { touchTokens } from './tokens.ts'

export type JournalRecord = GatewayJournalEntry & { id: string }

const PURGE_CHUNK = 5_000

/** Inserts entries in chunks, and notes when their tokens were used last. */
export async function appendJournalEntries(store: Store, entries: readonly GatewayJournalEntry[]): Promise<void> {
  const lastUse = new Map<string, Date>()
  for (const chunk of chunksOf(entries)) {
    await store.write((tx) => tx.gatewayLogEntry.createMany({ data: chunk.map(toRow) }))
    for (const { tokenId, at } of chunk) {
      if (tokenId !== null && at > (lastUse.get(tokenId) ?? new Date(0))) lastUse.set(tokenId, at)
    }
  }
  await touchTokens(
    store,
    [...lastUse].map(([tokenId, at]) => ({ tokenId, at })),
  )
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
      ...(since === undefined && until === undefined
        ? {}
        : { at: { ...(since === undefined ? {} : { gte: since }), ...(until === undefined ? {} : { lt: until }) } }),
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
      where: { at: { lt: before } },
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

function toRow(entry: GatewayJournalEntry): GatewayLogEntry {
  return {
    id: newId(entry.at.getTime()),
    ...entry,
    method: clip(entry.method, 128),
    toolName: clipOrNull(entry.toolName, 191),
    errorCode: clipOrNull(entry.errorCode, 64),
    traceId: clip(entry.traceId, 64),
  }
}
