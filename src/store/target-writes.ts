import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RemoteIdentity } from '../domain/object.ts'
import type { Tx } from './client.ts'
import { type AppliedRecord, recordAppliedIn, recordIntentIn } from './deployments.ts'
import type { Store } from './store.ts'
import { appendSyncEventsIn, type NewSyncEvent } from './sync-events.ts'
import { finishTargetIn, startTargetIn, type TargetRecord } from './sync-targets.ts'

/** The two records around a write to a platform: what stood on a promise before it, and what has landed after it. */

type Target = Pick<TargetRecord, 'id' | 'syncId' | 'spaceId' | 'instanceId' | 'startedAt'>

/**
 * Before: one more attempt of the target, and that what we are about to make is ours. False, and nothing recorded, when the
 * target has ended already (skipped by a signal, for example).
 */
export async function beginTargetWrite(
  store: Store,
  target: Target,
  intent: { bindingId: string; identity: RemoteIdentity | null },
): Promise<boolean> {
  let begun = false
  await inGroup(store, {
    syncId: target.syncId,
    work: async (tx) => {
      begun = await startTargetIn(tx, target)
      if (begun) await recordIntentIn(tx, intent.bindingId, { syncId: target.syncId, identity: intent.identity })
      return null
    },
  })
  return begun
}

/** After: what was written, how the target ended, and the event that tells of it. */
export async function landTargetWrite(
  store: Store,
  target: Target,
  applied: AppliedRecord & { bindingId: string },
  end: { state: 'succeeded' | 'unchanged'; note: string | null },
): Promise<void> {
  const { id: targetId, syncId, spaceId, instanceId } = target
  await inGroup(store, {
    syncId,
    work: async (tx) => {
      await recordAppliedIn(tx, applied.bindingId, applied)
      await finishTargetIn(tx, targetId, end.state, null, end.note)
      return { type: 'target', data: { targetId, spaceId, instanceId, state: end.state } }
    },
  })
}

/** A record that is committed together with others. Its work may run twice; only the last time counts. */
type Job = { syncId: string; work: (tx: Tx) => Promise<NewSyncEvent | null> }
type Waiting = Job & { done: () => void; failed: (error: unknown) => void }

const LARGEST_GROUP = 50
const groups = new WeakMap<Store, { waiting: Waiting[]; busy: boolean }>()

/**
 * Group commit: what the spaces of this process want recorded while a commit is going on goes into the next one together.
 * Settles once the job is committed, as if it were alone; what makes a group fail is run by itself and fails its own caller.
 */
function inGroup(store: Store, job: Job): Promise<void> {
  const group = groups.get(store) ?? { waiting: [], busy: false }
  groups.set(store, group)
  return new Promise((done, failed) => {
    group.waiting.push({ ...job, done, failed })
    if (group.busy) return
    group.busy = true
    void drain(store, group)
  })
}

async function drain(store: Store, group: { waiting: Waiting[]; busy: boolean }): Promise<void> {
  while (group.waiting.length > 0) {
    // A turn of the event loop: what other spaces just heard from their platforms comes along.
    await nextTurn()
    const jobs = group.waiting.splice(0, LARGEST_GROUP)
    try {
      await commit(store, jobs)
      for (const job of jobs) job.done()
    } catch (error) {
      if (jobs.length === 1) jobs[0]?.failed(error)
      else for (const job of jobs) await commit(store, [job]).then(job.done, job.failed)
    }
  }
  group.busy = false
}

async function commit(store: Store, jobs: readonly Job[]): Promise<void> {
  await store.write(async (tx) => {
    const events = new Map<string, NewSyncEvent[]>()
    for (const { syncId, work } of jobs) {
      const event = await work(tx)
      if (event === null) continue
      const list = events.get(syncId) ?? []
      events.set(syncId, list)
      list.push(event)
    }
    // Last: the run's row is the one that all its spaces meet at.
    for (const [syncId, list] of events) await appendSyncEventsIn(store, tx, syncId, list)
  })
}
