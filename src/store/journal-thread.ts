import { parentPort, workerData } from 'node:worker_threads'
import Database from 'libsql'
import { SQLITE_JOURNAL, unpackEntries } from './journal.ts'

/**
 * Writes the gateway's journal into SQLite from a thread of its own: libSQL is synchronous inside, and would hold up every
 * call through the gateway while it inserts. A batch begins and ends within one turn, so the write lock is held for
 * milliseconds and never while this thread waits for another.
 */
export type JournalThreadData = { path: string }
/** `entries`: as packEntries has packed them. */
export type JournalThreadRequest = { id: number; entries: string }
export type JournalThreadAnswer = { id: number; error: string | null }

/** How many rows go in by one statement; the most that fit are taken first. Each costs less than the same row by itself, or out of JSON. */
const LOTS = [64, 8, 1]

const { insert, columns, touch, valuesOf, usesOf } = SQLITE_JOURNAL
const { path } = workerData as JournalThreadData
const database = new Database(path)
database.exec('PRAGMA busy_timeout = 5000')
// What a power cut takes from the journal nobody has relied on.
database.exec('PRAGMA synchronous = NORMAL')
const row = `(${Array(columns).fill('?').join(', ')})`
const inserts = LOTS.map((rows) => ({
  size: rows * columns,
  statement: database.prepare(`${insert} VALUES ${Array(rows).fill(row).join(', ')}`),
}))
const touched = database.prepare(touch)

function write(request: JournalThreadRequest): void {
  const entries = unpackEntries(request.entries)
  const values = valuesOf(entries)
  const uses = usesOf(entries)
  database.exec('BEGIN IMMEDIATE')
  try {
    let at = 0
    for (const { size, statement } of inserts) {
      for (; values.length - at >= size; at += size) statement.run(values.slice(at, at + size))
    }
    if (uses !== null) touched.run([uses])
    database.exec('COMMIT')
  } catch (error) {
    database.exec('ROLLBACK')
    throw error
  }
}

parentPort?.on('message', (request: JournalThreadRequest | null) => {
  if (request === null) {
    database.close()
    parentPort?.close()
    return
  }
  let error: string | null = null
  try {
    write(request)
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown)
  }
  parentPort?.postMessage({ id: request.id, error } satisfies JournalThreadAnswer)
})
