import type { ApiClient } from './api-client.ts'
import { CLOSED, type Sync, type Target } from './api-types.ts'
import type { Terminal } from './terminal.ts'

export type FollowedSync = { sync: Sync; targets: Target[]; liveEvents: number }

/** How long the demo waits for a run of nine targets. */
const RUN_TIMEOUT_MS = 5 * 60_000

/**
 * Follows a run to its end by its live events (SSE): each says that something changed, and the sync and its targets are
 * read again. `nameOf` gives a target's words for people.
 */
export async function followSync(
  api: ApiClient,
  syncId: string,
  terminal: Terminal,
  nameOf: (target: Target) => string,
): Promise<FollowedSync> {
  const stop = new AbortController()
  const bell = createBell()
  let liveEvents = 0
  const listening = (async () => {
    for await (const _ of api.events(`/syncs/${syncId}/events`, stop.signal)) {
      liveEvents++
      bell.ring()
    }
  })().catch(() => undefined)

  const settled = new Set<string>()
  const deadline = Date.now() + RUN_TIMEOUT_MS
  try {
    for (;;) {
      const sync = await api.get<Sync>(`/syncs/${syncId}`)
      const targets = await api.list<Target>(`/syncs/${syncId}/targets`)
      for (const target of targets) {
        if (target.state === 'pending' || target.state === 'running' || settled.has(target.id)) continue
        settled.add(target.id)
        const words = `${nameOf(target)}: ${target.state}${target.action === null ? '' : ` (${target.action})`}`
        if (target.error === null) terminal.ok(words)
        else terminal.bad(`${words}. ${target.error.type}: ${target.error.message}`)
      }
      if (CLOSED.includes(sync.state)) return { sync, targets, liveEvents }
      terminal.progress(`${sync.state} · ${sync.phase}`, bar(settled.size, targets.length))
      if (Date.now() > deadline)
        throw new Error(`The run is still ${sync.state} (${sync.phase}) after ${RUN_TIMEOUT_MS / 1000} s.`)
      // The bell is the quick way; the timer covers a stream that was cut.
      await bell.wait(1_000)
    }
  } finally {
    terminal.progress(null)
    stop.abort()
    await listening
  }
}

function bar(done: number, total: number): string {
  if (total === 0) return ''
  const filled = Math.round((done / total) * 18)
  return `${'━'.repeat(filled)}${'╌'.repeat(18 - filled)} ${done}/${total}`
}

/** Remembers a ring that nobody waited for. */
function createBell() {
  let rung = false
  let wake: (() => void) | null = null
  return {
    ring: () => {
      rung = true
      wake?.()
    },
    wait: async (atMostMs: number) => {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, atMostMs)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      rung = false
      wake = null
    },
  }
}
