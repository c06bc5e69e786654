import type { Logger } from '../telemetry/logger.ts'
import type { GatewayJournal, GatewayJournalEntry } from './journal.ts'

export type JournalWriterOptions = {
  /** Stores a batch; a rejection means that none of it was stored. */
  write: (entries: GatewayJournalEntry[]) => Promise<void>
  logger: Logger
  flushIntervalMs?: number
  batchSize?: number
  /** Entries waiting at most; beyond that new ones are dropped and counted. */
  maxQueued?: number
  /** How often one batch is tried before it is dropped and counted. */
  maxAttempts?: number
}

export type JournalWriter = GatewayJournal & {
  /** Entries lost so far, to a full queue or to a store that kept refusing. */
  dropped(): number
  /** Writes what is queued now. Never rejects. */
  flush(): Promise<void>
  /** Flushes and stops. Entries appended later are dropped. */
  close(): Promise<void>
}

/** Collects journal entries and writes them in batches, one write at a time: every second, or as soon as a batch is full. */
export function createJournalWriter(options: JournalWriterOptions): JournalWriter {
  const { write, logger, flushIntervalMs = 1_000, batchSize = 500, maxQueued = 20_000, maxAttempts = 3 } = options
  let queue: GatewayJournalEntry[] = []
  let dropped = 0
  let attempts = 0
  let closed = false
  let writing: Promise<void> | null = null

  const writeBatch = async (): Promise<boolean> => {
    const batch = queue.slice(0, batchSize)
    try {
      await write(batch)
    } catch (error) {
      attempts += 1
      if (attempts < maxAttempts) {
        logger.warn({ err: error, entries: batch.length, attempts }, 'gateway journal: a batch could not be written')
        return false
      }
      dropped += batch.length
      logger.error({ err: error, entries: batch.length, dropped }, 'gateway journal: a batch was dropped')
    }
    attempts = 0
    // What was appended meanwhile stands behind the batch.
    queue = queue.slice(batch.length)
    return true
  }

  const drain = async (until: 'empty' | 'below-batch'): Promise<void> => {
    while (queue.length > 0 && (until === 'empty' || queue.length >= batchSize)) {
      if (!(await writeBatch())) return
    }
  }

  const run = (until: 'empty' | 'below-batch'): Promise<void> => {
    writing ??= drain(until).finally(() => {
      writing = null
    })
    return writing
  }

  const timer = setInterval(() => void run('empty'), flushIntervalMs)
  timer.unref()

  const flush = async (): Promise<void> => {
    await writing
    await run('empty')
  }

  return {
    append(entry) {
      if (closed || queue.length >= maxQueued) {
        dropped += 1
        return
      }
      queue.push(entry)
      if (queue.length >= batchSize && writing === null && attempts === 0) void run('below-batch')
    },
    dropped: () => dropped,
    flush,
    async close() {
      if (closed) return
      closed = true
      clearInterval(timer)
      while (queue.length > 0) await flush()
    },
  }
}
