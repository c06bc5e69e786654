import type { Readiness } from '../api/deps.ts'

/** What /readyz says: every part of the process, and what it waits for. */
export function readinessOf(parts: Record<string, () => string | null>): Readiness {
  const list = Object.entries(parts).map(([name, problem]) => {
    const detail = problem()
    return { name, ready: detail === null, detail }
  })
  return { ready: list.every((part) => part.ready), parts: list }
}
