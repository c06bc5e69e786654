import { newId } from '../domain/ids.ts'
import type { GatewayJournal, GatewayJournalEntry } from '../gateway/journal.ts'
import { beforeId, chunksOf, clip, clipOrNull, type Page, type PageRequest, pageSize, toPage } from './columns.ts'
import type { GatewayLogEntry } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import { touchTokens } from './tokens.ts'

export type JournalRecord = GatewayJournalEntry & { id: string }

/** More than this waiting (the store is slow or away) and new entries are dropped, counted in the log. */
const MAX_WAITING = 20_000

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

/** The newest first. */
export async function listJournalEntries(
  store: Store,
  request: PageRequest & {
    instanceId?: string | undefined
    bindingId?: string | undefined
    tokenId?: string | undefined
  } = {},
): Promise<Page<JournalRecord>> {
  const size = pageSize(request)
  const { instanceId, bindingId, tokenId } = request
  const rows = await store.db.gatewayLogEntry.findMany({
    where: {
      ...beforeId(request.cursor),
      ...(instanceId === undefined ? {} : { instanceId }),
      ...(bindingId === undefined ? {} : { bindingId }),
      ...(tokenId === undefined ? {} : { tokenId }),
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

export async function purgeJournal(store: Store, before: Date): Promise<number> {
  return (await store.write((tx) => tx.gatewayLogEntry.deleteMany({ where: { at: { lt: before } } }))).count
}

/**
 * The gateway's journal: entries wait in memory and are written together. `close` writes what still waits. A batch that
 * fails is logged and lost: the journal must never slow a request down.
 */
export function createGatewayJournal(
  store: Store,
  options: { flushMs?: number } = {},
): GatewayJournal & { flush(): Promise<void>; close(): Promise<void> } {
  let waiting: GatewayJournalEntry[] = []
  let dropped = 0
  let writing: Promise<void> = Promise.resolve()
  const flush = () => {
    const batch = waiting
    waiting = []
    if (batch.length === 0) return writing
    writing = writing.then(async () => {
      try {
        if (dropped > 0) store.logger.warn({ dropped }, 'the gateway journal could not keep up; entries were dropped')
        dropped = 0
        await appendJournalEntries(store, batch)
      } catch (error) {
        store.logger.error({ err: error, entries: batch.length }, 'gateway journal entries could not be written')
      }
    })
    return writing
  }
  const timer = setInterval(flush, options.flushMs ?? 1000)
  timer.unref()
  return {
    append(entry) {
      if (waiting.length < MAX_WAITING) waiting.push(entry)
      else dropped++
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
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
