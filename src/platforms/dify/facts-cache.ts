import { ToolferryError } from '../../domain/errors.ts'
import type { DatabaseFacts } from './database.ts'

/** A Dify that is upgraded meanwhile is noticed at the latest after this time, or at the first statement that fails by it. */
const FACTS_MAX_AGE_MS = 30_000

/** Errors that say that the tables or the grants are others by now. */
const OUTDATING: readonly string[] = ['UnsupportedVersion', 'Forbidden', 'InvalidDesiredState']

export type FactsCache = {
  get(read: () => Promise<DatabaseFacts>, options?: { fresh: boolean }): Promise<DatabaseFacts>
  forgetAfter(error: unknown): void
}

/** The facts of one database, shared by its connections: asked once, not once a space. */
export function factsCache(): FactsCache {
  let known: { facts: DatabaseFacts; at: number } | null = null
  return {
    async get(read, options) {
      if (known !== null && options?.fresh !== true && performance.now() - known.at < FACTS_MAX_AGE_MS) {
        return known.facts
      }
      const facts = await read()
      known = { facts, at: performance.now() }
      return facts
    },
    forgetAfter(error) {
      if (error instanceof ToolferryError && OUTDATING.includes(error.type)) known = null
    },
  }
}
