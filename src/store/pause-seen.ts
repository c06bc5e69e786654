import type { Store } from './store.ts'
import { isPauseRequested } from './syncs.ts'

type Look = { atMs: number; answer: Promise<boolean> }

const looks = new WeakMap<Store, Map<string, Look>>()

/**
 * Whether the admin wants the run to pause: what another space of it on this process has just been told counts, up to `maxAgeMs`.
 * Only a "no" is kept: after a "yes" the next one to ask may be there because it was taken back.
 */
export async function wasPauseRequested(store: Store, syncId: string, maxAgeMs: number): Promise<boolean> {
  const byRun = looks.get(store) ?? new Map<string, Look>()
  looks.set(store, byRun)
  const nowMs = performance.now()
  for (const [id, { atMs }] of byRun) if (nowMs - atMs >= maxAgeMs) byRun.delete(id)
  const known = byRun.get(syncId)
  if (known !== undefined) return await known.answer
  const look = { atMs: nowMs, answer: isPauseRequested(store, syncId) }
  byRun.set(syncId, look)
  const forget = () => {
    if (byRun.get(syncId) === look) byRun.delete(syncId)
  }
  try {
    const wanted = await look.answer
    if (wanted) forget()
    return wanted
  } catch (error) {
    forget()
    throw error
  }
}
