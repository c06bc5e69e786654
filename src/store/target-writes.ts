import { setTimeout as sleep } from 'node:timers/promises'
import { ToolferryError } from '../domain/errors.ts'
import type { RemoteIdentity } from '../domain/object.ts'
import type { Tx } from './client.ts'
import { type AppliedRecord, recordAppliedIn, recordIntentIn } from './deployments.ts'
import { lostLeases } from './leases.ts'
import type { Store } from './store.ts'
import { appendSyncEventsIn } from './sync-events.ts'
import { finishTargetsIn, startTargetsIn, type TargetRecord } from './sync-targets.ts'

/**
 * The two records around a write to a platform: what stood on a promise before it, and what has landed after it. Both are
 * group commits: what the spaces of this process want recorded at one time is one transaction, and each caller goes on once it
 * is committed, as if it were alone. Both hold only under the space's lease: `epoch` is that of the caller, and a caller that woke
 * after its lease had passed to another records nothing over what that one has recorded. They throw SpaceBusy then.
 */

type Target = Pick<TargetRecord, 'id' | 'syncId' | 'spaceId' | 'instanceId' | 'startedAt'>
type Begin = { target: Target; epoch: number; bindingId: string; identity: RemoteIdentity | null }
type Land = {
  target: Target
  epoch: number
  applied: AppliedRecord & { bindingId: string }
  state: 'succeeded' | 'unchanged'
  note: string | null
}

/**
 * Before: one more attempt of the target, and that what we are about to make is ours. False, and nothing recorded, when the
 * target has ended already (skipped by a signal, for example).
 */
export async function beginTargetWrite(
  store: Store,
  target: Target,
  epoch: number,
  intent: { bindingId: string; identity: RemoteIdentity | null },
): Promise<boolean> {
  return await inGroup(store, { begin: { target, epoch, ...intent }, land: null })
}

/** After: what was written, how the target ended, and the event that tells of it. */
export async function landTargetWrite(
  store: Store,
  target: Target,
  epoch: number,
  applied: AppliedRecord & { bindingId: string },
  end: { state: 'succeeded' | 'unchanged'; note: string | null },
): Promise<void> {
  await inGroup(store, { begin: null, land: { target, epoch, applied, ...end } })
}

type Job = { begin: Begin; land: null } | { begin: null; land: Land }
type Waiting = { job: Job; done: (begun: boolean) => void; failed: (error: unknown) => void }
type Group = {
  waiting: Waiting[]
  busy: boolean
  /** When each space had something to record last: those that will soon have more. */
  spaces: Map<string, number>
}

const LARGEST_GROUP = 50
/** How long a job may wait for company, and how long ago a space that is still at work was heard of. */
const GATHER_MS = 4
const STILL_AT_WORK_MS = 500

const groups = new WeakMap<Store, Group>()

function inGroup(store: Store, job: Job): Promise<boolean> {
  const group = groups.get(store) ?? { waiting: [], busy: false, spaces: new Map<string, number>() }
  groups.set(store, group)
  group.spaces.set((job.begin ?? job.land).target.spaceId, performance.now())
  return new Promise((done, failed) => {
    group.waiting.push({ job, done, failed })
    if (group.busy) return
    group.busy = true
    void drain(store, group)
  })
}

async function drain(store: Store, group: Group): Promise<void> {
  while (group.waiting.length > 0) {
    await gather(group)
    const some = group.waiting.splice(0, LARGEST_GROUP)
    const jobs = some.map(({ job }) => job)
    try {
      const begun = await commit(store, jobs)
      for (const { job, done } of some) done(job.begin === null || begun.has(job.begin.target.id))
    } catch (error) {
      if (some.length === 1) some[0]?.failed(error)
      else await oneByOne(store, some)
    }
  }
  group.busy = false
}

/** A lone space never waits; of several, half of them make a group. */
async function gather(group: Group): Promise<void> {
  const since = performance.now()
  for (const [spaceId, at] of group.spaces) if (since - at > STILL_AT_WORK_MS) group.spaces.delete(spaceId)
  const enough = Math.min(Math.ceil(group.spaces.size / 2), LARGEST_GROUP)
  while (group.waiting.length < enough && performance.now() - since < GATHER_MS) await sleep(1)
}

/** What makes a group fail fails its own caller only. */
async function oneByOne(store: Store, some: readonly Waiting[]): Promise<void> {
  for (const { job, done, failed } of some) {
    await commit(store, [job]).then((begun) => done(job.begin === null || begun.has(job.begin.target.id)), failed)
  }
}

/** Answers the ids of the targets that were begun. */
async function commit(store: Store, jobs: readonly Job[]): Promise<Set<string>> {
  const begins = jobs.flatMap(({ begin }) => (begin === null ? [] : [begin]))
  const lands = jobs.flatMap(({ land }) => (land === null ? [] : [land]))
  const held = jobs
    .map(({ begin, land }) => begin ?? land)
    .map(({ target, epoch }) => ({ spaceId: target.spaceId, epoch }))
  return await store.write(async (tx) => {
    if ((await lostLeases(tx, held)).size > 0) {
      throw new ToolferryError('SpaceBusy', 'Another run is writing to this space.')
    }
    const begun = await startTargetsIn(
      tx,
      begins.map(({ target }) => target),
    )
    for (const { target, bindingId, identity } of begins) {
      if (begun.has(target.id)) await recordIntentIn(tx, bindingId, { syncId: target.syncId, identity })
    }
    await landIn(store, tx, lands)
    return begun
  })
}

async function landIn(store: Store, tx: Tx, lands: readonly Land[]): Promise<void> {
  for (const { applied } of lands) await recordAppliedIn(tx, applied.bindingId, applied)
  const alike = Map.groupBy(lands, ({ state, note }) => `${state} ${note}`)
  for (const group of alike.values()) {
    const [{ state, note } = { state: 'succeeded' as const, note: null }] = group
    await finishTargetsIn(
      tx,
      group.map(({ target }) => target.id),
      state,
      note,
    )
  }
  // Last: the run's row is the one that all its spaces meet at.
  for (const [syncId, ended] of Map.groupBy(lands, ({ target }) => target.syncId)) {
    const events = ended.map(({ target: { id, spaceId, instanceId }, state }) => ({
      type: 'target',
      data: { targetId: id, spaceId, instanceId, state },
    }))
    await appendSyncEventsIn(store, tx, syncId, events)
  }
}
