import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { countStatements, type Statements, statements } from '../sync/counters.ts'
import { type Profiling, startProfile } from '../sync/cpu-profile.ts'
import { countStoreStatements, storeStatements } from '../sync/store-counters.ts'

/**
 * Loaded before the product in its own process (`node --import`): counts what it sends to the databases, and answers the benchmark
 * over the channel to its parent. The product itself is as it is.
 */

export type Question =
  | { id: number; ask: 'counts' }
  /** Collects garbage first. */
  | { id: number; ask: 'memory' }
  | { id: number; ask: 'profile' }
  | { id: number; ask: 'save'; folder: string; name: string }

export type Counts = { dify: Statements; store: Statements; cpuMs: number }
/** Bytes after a collection, and what the process holds in all. */
export type Memory = { used: number; resident: number; collectingMs: number }
export type Answer = { id: number; counts?: Counts; memory?: Memory }

countStatements()
countStoreStatements()
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
let profiling: Profiling | null = null

process.on('message', (question: Question) => {
  void answer(question).then((answered) => process.send?.({ id: question.id, ...answered }))
})
// The product ends when it is told to, not when its parent does.
process.channel?.unref()

async function answer(question: Question): Promise<Omit<Answer, 'id'>> {
  switch (question.ask) {
    case 'counts': {
      const { user, system } = process.cpuUsage()
      return { counts: { dify: statements(), store: storeStatements(), cpuMs: (user + system) / 1000 } }
    }
    case 'memory': {
      const before = process.cpuUsage()
      collect()
      collect()
      const { user, system } = process.cpuUsage(before)
      const { heapUsed, external, rss } = process.memoryUsage()
      return { memory: { used: heapUsed + external, resident: rss, collectingMs: (user + system) / 1000 } }
    }
    case 'profile':
      profiling = await startProfile()
      return {}
    case 'save':
      await profiling?.save(question.folder, question.name)
      profiling = null
      return {}
  }
}
