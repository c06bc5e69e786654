import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { GatewayJournalEntry } from '../gateway/journal.ts'
import { sqlitePath } from './client.ts'
import { appendJournalEntries, packEntries } from './journal.ts'
import type { JournalThreadAnswer, JournalThreadData, JournalThreadRequest } from './journal-thread.ts'
import type { Store } from './store.ts'

/** Where a gateway's journal writer puts its batches. */
export type JournalSink = {
  /** Stores the entries and when their tokens were used last; a rejection means that none was stored. */
  write(entries: readonly GatewayJournalEntry[]): Promise<void>
  close(): Promise<void>
}

/** MySQL: over the store's connections. SQLite: from a thread of its own (see journal-thread.ts). */
export function createJournalSink(store: Store, databaseUrl: string): JournalSink {
  if (store.engine === 'mysql') {
    return { write: (entries) => appendJournalEntries(store, entries), close: async () => undefined }
  }
  const workerData: JournalThreadData = { path: sqlitePath(databaseUrl) }
  const thread = new Worker(new URL('./journal-thread.ts', import.meta.url), { workerData })
  thread.unref()
  const waiting = new Map<number, PromiseWithResolvers<void>>()
  let nextId = 0
  let broken: Error | null = null
  const settle = ({ id, error }: JournalThreadAnswer) => {
    const promise = waiting.get(id)
    waiting.delete(id)
    if (error === null) promise?.resolve()
    else promise?.reject(new Error(`the journal could not be written: ${error}`))
  }
  const fail = (error: Error) => {
    broken = error
    for (const id of waiting.keys()) settle({ id, error: error.message })
  }
  thread.on('message', settle)
  thread.on('error', (error) => fail(error instanceof Error ? error : new Error(String(error))))
  thread.on('exit', () => fail(broken ?? new Error('its thread has ended')))
  return {
    write(entries) {
      if (broken !== null) return Promise.reject(broken)
      const promise = Promise.withResolvers<void>()
      nextId += 1
      waiting.set(nextId, promise)
      thread.postMessage({ id: nextId, entries: packEntries(entries) } satisfies JournalThreadRequest)
      return promise.promise
    },
    async close() {
      if (broken !== null) return
      const exited = once(thread, 'exit')
      thread.ref()
      thread.postMessage(null)
      await exited
    },
  }
}
