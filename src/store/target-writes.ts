import { setImmediate as immediate } from 'node:timers/promises'
import { ToolferryError } from '../domain/errors.ts'
import type { RemoteIdentity } from '../domain/object.ts'
import type { Tx } from './client.ts'
import { type AppliedRecord, recordAppliedIn, recordIntentsIn } from './deployments.ts'
import { lostLeases } from './leases.ts'
import type { Store } from './store.ts'
import { appendSyncEventsIn } from './sync-events.ts'
import { finishTargetsIn, startTargetsIn, type TargetRecord } from './sync-targets.ts'
import { places } from './update-each.ts'

/**
 * The two records around a write to a platform: what stood on a promise before it, and what has landed after it. Both are
 * group commits: what the spaces of this process want recorded at one time is one transaction, and each caller goes on once it
 * is committed, as if it were alone. Both hold only under the space's lease: `epoch` is that of the caller, and a caller that woke
 * after its lease had passed to another records nothing over what that one has recorded. They throw SpaceBusy then.
 */

type Target = Pick<TargetRecord, 'id' | 'syncId' | 'spaceId' | 'instanceId'>
/** `tokenId`: what will be written. `mayUse`: of what the binding says at that moment. */
type Intent = {
  bindingId: string
  tokenId: string
  identity: RemoteIdentity | null
  mayUse: (right: { enabled: boolean; expiresAt: Date | null }) => boolean
}
type Begin = Intent & { target: Target; epoch: number }
type Land = {
  target: Target
  epoch: number
  applied: AppliedRecord
  state: 'succeeded' | 'unchanged'
  note: string | null
}

/**
 * Before: one more attempt of the target, and that what we are about to make is ours. Nothing is recorded, and the answer says
 * so, when the target has `ended` already (skipped by a signal, for example), its binding may not be used any more (`refused`), or
 * the token is not the binding's active one any more (`replaced`): it may be a dead one by the time it is written.
 */
export async function beginTargetWrite(store: Store, target: Target, epoch: number, intent: Intent): Promise<Begun> {
  try {
    return await inGroup(store, { begin: { target, epoch, ...intent }, land: null })
  } catch (error) {
    if (error instanceof TokenReplaced) return 'replaced'
    throw error
  }
}

/** Of one of a group: it fails the transaction, so that the others are committed without it. */
class TokenReplaced extends Error {}

/** After: what was written, how the target ended, and the event that tells of it. */
export async function landTargetWrite(
  store: Store,
  target: Target,
  epoch: number,
  applied: AppliedRecord,
  end: { state: 'succeeded' | 'unchanged'; note: string | null },
): Promise<void> {
  await inGroup(store, { begin: null, land: { target, epoch, applied, ...end } })
}

type Job = { begin: Begin; land: null } | { begin: null; land: Land }
type Outcome = 'begun' | 'ended' | 'refused'
type Begun = Outcome | 'replaced'
type Waiting = { job: Job; done: (outcome: Outcome) => void; failed: (error: unknown) => void }
type Group = {
  waiting: Waiting[]
  busy: boolean
  /** When each space had something to record last: those that will soon have more. */
  spaces: Map<string, number>
  /** Told of every job that comes. */
  came: () => void
}

const LARGEST_GROUP = 50
/** What landed, and what is begun next: a space at work comes with both, and where calls are fast it has several targets begun. */
const JOBS_A_SPACE = 4
/** How long a job may wait for company, and how long ago a space that is still at work was heard of. */
const GATHER_MS = 25
const STILL_AT_WORK_MS = 500

const groups = new WeakMap<Store, Group>()

function inGroup(store: Store, job: Job): Promise<Outcome> {
  const group: Group = groups.get(store) ?? { waiting: [], busy: false, spaces: new Map(), came: () => undefined }
  groups.set(store, group)
  group.spaces.set((job.begin ?? job.land).target.spaceId, performance.now())
  return new Promise((done, failed) => {
    group.waiting.push({ job, done, failed })
    if (group.busy) return group.came()
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
      const outcomeOf = await commit(store, jobs)
      for (const { job, done } of some) done(outcomeOf(job))
    } catch (error) {
      if (some.length === 1) some[0]?.failed(error)
      else await oneByOne(store, some)
    }
  }
  group.busy = false
}

/** A lone space waits for nobody; several make a group of all that they have to record: a commit costs more than what is in it. */
async function gather(group: Group): Promise<void> {
  const now = performance.now()
  for (const [spaceId, at] of group.spaces) if (now - at > STILL_AT_WORK_MS) group.spaces.delete(spaceId)
  // Who has just landed begins the next one in the same breath.
  await immediate()
  if (group.spaces.size < 2) return
  const enough = Math.min(group.spaces.size * JOBS_A_SPACE, LARGEST_GROUP)
  if (group.waiting.length >= enough) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS)
    group.came = () => {
      if (group.waiting.length < enough) return
      clearTimeout(timer)
      resolve()
    }
  })
  group.came = () => undefined
}

/** What makes a group fail fails its own caller only. */
async function oneByOne(store: Store, some: readonly Waiting[]): Promise<void> {
  for (const { job, done, failed } of some) {
    await commit(store, [job]).then((outcomeOf) => done(outcomeOf(job)), failed)
  }
}

/** Answers how each of the jobs went. */
async function commit(store: Store, jobs: readonly Job[]): Promise<(job: Job) => Outcome> {
  const begins = jobs.flatMap(({ begin }) => (begin === null ? [] : [begin]))
  const lands = jobs.flatMap(({ land }) => (land === null ? [] : [land]))
  const held = jobs
    .map(({ begin, land }) => begin ?? land)
    .map(({ target, epoch }) => ({ spaceId: target.spaceId, epoch }))
  return await store.write(
    async (tx) => {
      if ((await lostLeases(tx, held)).size > 0) {
        throw new ToolferryError('SpaceBusy', 'Another run is writing to this space.')
      }
      const { begun, refused } = await beginIn(tx, begins)
      await landIn(store, tx, lands)
      return ({ begin }) => {
        if (begin === null || begun.has(begin.target.id)) return 'begun'
        return refused.has(begin.target.id) ? 'refused' : 'ended'
      }
    },
    { shared: true },
  )
}

/** Enabled a moment ago is not enough: an admin may have cut a binding off while earlier targets were written. */
async function beginIn(tx: Tx, begins: readonly Begin[]): Promise<{ begun: Set<string>; refused: Set<string> }> {
  if (begins.length === 0) return { begun: new Set(), refused: new Set() }
  const ids = begins.map(({ bindingId }) => bindingId)
  const rights = await tx.$queryRawUnsafe<{ id: string; enabled: boolean | number; expiresAt: Date | null }[]>(
    `SELECT \`id\`, \`enabled\`, \`expiresAt\` FROM \`Binding\` WHERE \`id\` IN (${places(ids)})`,
    ...ids,
  )
  const rightOf = new Map(rights.map((row) => [row.id, row]))
  const usable = begins.filter(({ bindingId, mayUse }) => {
    const right = rightOf.get(bindingId)
    return right === undefined || mayUse({ enabled: Boolean(right.enabled), expiresAt: right.expiresAt })
  })
  const begun = await startTargetsIn(
    tx,
    usable.map(({ target }) => target.id),
  )
  const writes = usable.filter(({ target }) => begun.has(target.id))
  await recordIntentsIn(
    tx,
    writes.map(({ target: { syncId }, bindingId, identity }) => ({ bindingId, syncId, identity })),
  )
  // After the intents, which have locked the deployments: whoever ends these tokens later sees that they are being written (gone.ts).
  if (!(await areActive(tx, writes))) throw new TokenReplaced('A token was replaced or ended before it was written.')
  const kept = new Set(usable)
  return { begun, refused: new Set(begins.filter((begin) => !kept.has(begin)).map(({ target }) => target.id)) }
}

async function areActive(tx: Tx, writes: readonly Begin[]): Promise<boolean> {
  if (writes.length === 0) return true
  const ids = writes.map(({ tokenId }) => tokenId)
  const active = await tx.$queryRawUnsafe<{ id: string }[]>(
    `SELECT \`id\` FROM \`GatewayToken\` WHERE \`state\` = 'active' AND \`id\` IN (${places(ids)})`,
    ...ids,
  )
  return active.length === ids.length
}

async function landIn(store: Store, tx: Tx, lands: readonly Land[]): Promise<void> {
  await recordAppliedIn(
    tx,
    lands.map(({ applied }) => applied),
  )
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
