import { parentPort, workerData } from 'node:worker_threads'
import { createClient } from '@libsql/client'

/**
 * Writes the gateway's journal into SQLite from a thread of its own: libSQL is synchronous inside, and would hold up every
 * call through the gateway while it inserts. A batch begins and ends within one turn, so the write lock is held for
 * milliseconds and never while this thread waits for another.
 */
export type JournalThreadData = { url: string; insert: string; touch: string }
/** `rows` and `uses`: JSON for the two statements; null = nothing to do. */
export type JournalThreadRequest = { id: number; rows: string[]; uses: string | null }
export type JournalThreadAnswer = { id: number; error: string | null }

const { url, insert, touch } = workerData as JournalThreadData
const client = createClient({ url })
await client.execute('PRAGMA busy_timeout = 5000')
// What a power cut takes from the journal nobody has relied on.
await client.execute('PRAGMA synchronous = NORMAL')

async function write({ rows, uses }: JournalThreadRequest): Promise<void> {
  await client.execute('BEGIN IMMEDIATE')
  try {
    for (const chunk of rows) await client.execute({ sql: insert, args: [chunk] })
    if (uses !== null) await client.execute({ sql: touch, args: [uses] })
    await client.execute('COMMIT')
  } catch (error) {
    await client.execute('ROLLBACK')
    throw error
  }
}

parentPort?.on('message', (request: JournalThreadRequest | null) => {
  if (request === null) {
    client.close()
    parentPort?.close()
    return
  }
  write(request).then(
    () => parentPort?.postMessage({ id: request.id, error: null } satisfies JournalThreadAnswer),
    (error: unknown) =>
      parentPort?.postMessage({
        id: request.id,
        error: error instanceof Error ? error.message : String(error),
      } satisfies JournalThreadAnswer),
  )
})
