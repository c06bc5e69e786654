import { setTimeout as sleep } from 'node:timers/promises'
import type { Readiness } from '../api/deps.ts'
import type { Store } from '../store/store.ts'

/** What a part waits for; null while it can serve. */
type Problem = () => string | null | Promise<string | null>

/**
 * What /readyz says: every part of the process, and what it waits for. `told`: of a part without which the process goes on serving;
 * it is said, and does not make the process one that a balancer should leave out.
 */
export async function readinessOf(
  parts: Record<string, Problem>,
  told: Record<string, Problem> = {},
): Promise<Readiness> {
  const list = await Promise.all(
    Object.entries(parts).map(async ([name, problem]) => {
      const stops = await problem()
      const detail = stops ?? (await told[name]?.()) ?? null
      return { stops, part: { name, ready: detail === null, detail } }
    }),
  )
  return { ready: list.every(({ stops }) => stops === null), parts: list.map(({ part }) => part) }
}

const STORE_ANSWER_MS = 2_000
const STORE_ASKED_EVERY_MS = 1_000

/** Anybody may ask for it, so all who do within `everyMs` get one answer. */
export function askedOnceIn(everyMs: number, ask: () => Promise<string | null>): () => Promise<string | null> {
  let asked = { atMs: Number.NEGATIVE_INFINITY, answer: Promise.resolve<string | null>(null) }
  return () => {
    const nowMs = performance.now()
    if (nowMs - asked.atMs >= everyMs) asked = { atMs: nowMs, answer: ask() }
    return asked.answer
  }
}

/** Whether the store answers, and soon. */
export function storeProblem(store: Store): () => Promise<string | null> {
  return askedOnceIn(STORE_ASKED_EVERY_MS, () => askStore(store))
}

async function askStore(store: Store): Promise<string | null> {
  const away = 'the store does not answer'
  const answered = store.db.$queryRawUnsafe('SELECT 1').then(
    () => null,
    () => away,
  )
  return await Promise.race([answered, sleep(STORE_ANSWER_MS, away, { ref: false })])
}
