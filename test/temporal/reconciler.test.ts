import { randomUUID } from 'node:crypto'
import type { Client } from '@temporalio/client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { listAudit } from '../../src/store/audit.ts'
import { recordIntent } from '../../src/store/deployments.ts'
import { setCredentialState } from '../../src/store/platforms.ts'
import type { Store } from '../../src/store/store.ts'
import { listSyncEvents } from '../../src/store/sync-events.ts'
import { createTargets, getTarget, listTargets, startTarget } from '../../src/store/sync-targets.ts'
import {
  createSync,
  finishSync,
  getSync,
  requestCancel,
  requestPause,
  type SyncRecord,
  updateSync,
} from '../../src/store/syncs.ts'
import { reconcileOnce, runReconciler } from '../../src/temporal/reconciler.ts'
import { createSyncRuns, type TemporalLink } from '../../src/temporal/sync-runs.ts'
import { SYNC_WORKFLOW, syncWorkflowId } from '../../workflows/messages.ts'
import { openTestApi, type TestApi } from '../api/harness.ts'
import { at, makeWorld, type World } from '../store/fixtures.ts'
import { openTestStore, type TestStore } from '../store/test-store.ts'
import { recordingLogger, silentLogger } from '../support/logger.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'

/** Store and Temporal are kept in step, on a real server and a real store. No worker: what is asked for stays to be seen. */

/** Nobody polls it. */
const TASK_QUEUE = 'nobody'

let temporal: TestTemporal
let database: TestStore
let store: Store
let world: World
let link: TemporalLink | null

beforeAll(async () => {
  ;[temporal, database] = await Promise.all([startTestTemporal(), openTestStore()])
  store = database.store
  world = await makeWorld(store, { spaces: 2, instances: 2 })
})
afterAll(async () => {
  await temporal?.stop()
  await database?.close()
})
beforeEach(() => {
  link = { client: temporal.client, searchAttributes: true }
})

function runsOf(current: () => TemporalLink | null) {
  return createSyncRuns({
    link: current,
    namespace: temporal.namespace,
    taskQueue: TASK_QUEUE,
    uiUrl: () => null,
    logger: silentLogger,
  })
}

async function pass(
  suspects: ReadonlySet<string> = new Set(),
  through: TemporalLink | null = link,
): Promise<Set<string>> {
  if (through === null) throw new Error('no link')
  return await reconcileOnce(
    { store, runs: runsOf(() => link), link: () => link, logger: silentLogger },
    through,
    suspects,
  )
}

/** A run as the API writes it, closed again when the test has ended, so that the next pass does not meet it. */
async function newSync(progress: Parameters<typeof updateSync>[2] = {}): Promise<SyncRecord> {
  const { sync } = await createSync(store, {
    platformId: world.platform.id,
    name: 'run',
    selection: { instanceIds: world.instances.map(({ id }) => id), spaceIds: 'all' },
    requestedBy: 'ann',
  })
  await createTargets(
    store,
    sync.id,
    world.bindings.map(({ id, instanceId, spaceId }) => ({ instanceId, spaceId, bindingId: id })),
  )
  await updateSync(store, sync.id, progress)
  return sync
}

async function startWorkflow(sync: SyncRecord): Promise<void> {
  await temporal.client.workflow.start(SYNC_WORKFLOW, { workflowId: sync.workflowId, taskQueue: TASK_QUEUE, args: [] })
}

async function terminate(sync: SyncRecord): Promise<void> {
  await temporal.client.workflow.getHandle(sync.workflowId).terminate('by hand')
}

async function history(sync: SyncRecord) {
  return (await temporal.client.workflow.getHandle(sync.workflowId).fetchHistory()).events ?? []
}

async function signals(sync: SyncRecord): Promise<string[]> {
  return (await history(sync)).flatMap((event) => event.workflowExecutionSignaledEventAttributes?.signalName ?? [])
}

async function cancelAsked(sync: SyncRecord): Promise<boolean> {
  return (await history(sync)).some((event) => event.workflowExecutionCancelRequestedEventAttributes != null)
}

/** The real client, with something happening before an answer to describe. */
function intercepted(before: (workflowId: string) => Promise<void>): TemporalLink {
  const client = new Proxy(temporal.client, {
    get(target, key) {
      if (key !== 'workflow') return Reflect.get(target, key).bind?.(target) ?? Reflect.get(target, key)
      return {
        getHandle: (workflowId: string) => ({
          describe: async () => {
            await before(workflowId)
            return await target.workflow.getHandle(workflowId).describe()
          },
        }),
      }
    },
  })
  return { client: client as Client, searchAttributes: true }
}

describe('a run that was accepted while Temporal was away', () => {
  let api: TestApi

  beforeAll(async () => {
    api = await openTestApi({ syncRuns: runsOf(() => link) })
  })
  afterAll(async () => {
    await api?.close()
  })

  it('is queued, and started once Temporal answers', async () => {
    const cells = await makeWorld(api.store, { spaces: 1, instances: 1 })
    link = null
    const answer = await api.call('POST', '/api/v1/syncs', {
      body: { platformId: cells.platform.id, instanceIds: [at(cells.instances, 0).id], spaceIds: 'all' },
    })
    expect([answer.status, answer.json.state]).toEqual([202, 'queued'])

    const stop = new AbortController()
    const options = { store: api.store, runs: runsOf(() => link), link: () => link, logger: silentLogger }
    const reconciling = runReconciler({ ...options, signal: stop.signal, intervalMs: 20 })
    const handle = temporal.client.workflow.getHandle(syncWorkflowId(answer.json.id))
    await expect(handle.describe()).rejects.toThrow()
    link = { client: temporal.client, searchAttributes: true }
    await expect
      .poll(() =>
        handle.describe().then(
          ({ status }) => status.name,
          () => 'none',
        ),
      )
      .toBe('RUNNING')
    expect((await handle.describe()).searchAttributes).toMatchObject({
      Platform: [cells.platform.id],
      RunKind: ['sync'],
    })
    stop.abort()
    await reconciling
  })

  it('is started once, however often it is looked at', async () => {
    const sync = await newSync()
    await pass()
    const first = await temporal.client.workflow.getHandle(sync.workflowId).describe()
    await pass()
    expect((await temporal.client.workflow.getHandle(sync.workflowId).describe()).runId).toBe(first.runId)
    expect(await runsOf(() => link).start(sync, summary(sync))).toBe('started')
    await finishSync(store, sync.id, { state: 'cancelled' })
  })

  it('and cancelled meanwhile is cancelled before it begins', async () => {
    const sync = await newSync()
    await requestCancel(store, sync.id)
    await pass()
    expect(await cancelAsked(sync)).toBe(true)
    await finishSync(store, sync.id, { state: 'cancelled' })
  })
})

describe('a wish that was lost on its way', () => {
  it.each([
    { wish: 'pause', state: 'running', pauseRequested: true, expected: ['pause'] },
    { wish: 'resume', state: 'paused', pauseRequested: false, expected: ['resume'] },
    { wish: 'nothing: it is paused as wished', state: 'paused', pauseRequested: true, expected: [] },
    { wish: 'nothing: it runs as wished', state: 'running', pauseRequested: false, expected: [] },
  ] as const)('$wish', async ({ state, pauseRequested, expected }) => {
    const sync = await newSync({ state })
    await startWorkflow(sync)
    await requestPause(store, sync.id, pauseRequested)
    expect(await pass()).toEqual(new Set())
    expect(await signals(sync)).toEqual(expected)
    expect(await cancelAsked(sync)).toBe(false)
    await finishSync(store, sync.id, { state: 'cancelled' })
  })

  it('a cancellation, and then no pause any more', async () => {
    const sync = await newSync({ state: 'running' })
    await startWorkflow(sync)
    await requestPause(store, sync.id, true)
    await requestCancel(store, sync.id)
    await pass()
    expect(await cancelAsked(sync)).toBe(true)
    expect(await signals(sync)).toEqual([])
    await finishSync(store, sync.id, { state: 'cancelled' })
  })

  it.each([
    ['valid', ['credentialReplaced']],
    ['unknown', ['credentialReplaced']],
    ['refused', []],
    ['expired', []],
  ] as const)('a new credential: with the platform’s %s', async (credentialState, expected) => {
    const sync = await newSync({ state: 'waiting_for_credential' })
    await startWorkflow(sync)
    await setCredentialState(store, world.platform.id, credentialState, world.platform.credentialVersion)
    await pass()
    expect(await signals(sync)).toEqual(expected)
    await finishSync(store, sync.id, { state: 'cancelled' })
  })

  it('is not repeated when a newer one has come since the list was read', async () => {
    const sync = await newSync({ state: 'running' })
    await startWorkflow(sync)
    await requestPause(store, sync.id, true)
    const resumedMeanwhile = intercepted(async () => {
      await requestPause(store, sync.id, false)
    })
    await pass(new Set(), resumedMeanwhile)
    expect(await signals(sync)).toEqual([])
    await finishSync(store, sync.id, { state: 'cancelled' })
  })
})

describe('a run that is lost', () => {
  it.each([
    ['terminated by hand', 'ended in Temporal'],
    ['unknown to Temporal', 'knows this run no more'],
  ])('%s is closed as failed: RunLost, at the second look', async (how, says) => {
    const sync = await newSync({ state: 'running' })
    const before = (await listTargets(store, sync.id)).items
    await startTarget(store, at(before, 0).id)
    if (how === 'terminated by hand') {
      await startWorkflow(sync)
      await terminate(sync)
    }
    const suspects = await pass()
    expect(suspects).toEqual(new Set([sync.id]))
    expect((await getSync(store, sync.id))?.state).toBe('running')

    expect(await pass(suspects)).toEqual(new Set())
    const closed = await getSync(store, sync.id)
    expect(closed).toMatchObject({
      state: 'failed',
      phase: 'done',
      errorType: 'RunLost',
      counts: { total: 4, failed: 4 },
    })
    expect(closed?.errorMessage).toContain(says)
    expect(closed?.finishedAt).toBeInstanceOf(Date)
    for (const target of (await listTargets(store, sync.id)).items) {
      expect(target).toMatchObject({ state: 'failed', errorType: 'RunLost' })
    }
    const audited = await listAudit(store, { resource: 'sync', resourceId: sync.id })
    expect(audited.items).toMatchObject([{ actor: 'system', action: 'finish' }])
    const events = await listSyncEvents(store, sync.id, 0)
    expect(events.at(-1)).toMatchObject({ type: 'sync', data: { state: 'failed' } })
    // And once only.
    await pass(new Set([sync.id]))
    expect((await listAudit(store, { resource: 'sync', resourceId: sync.id })).items).toHaveLength(1)
  })

  it('keeps what had landed and was read back', async () => {
    const sync = await newSync({ state: 'running' })
    const [first, second] = (await listTargets(store, sync.id)).items
    const ids = [first?.id ?? '', second?.id ?? '']
    await store.write((tx) => tx.syncTarget.updateMany({ where: { id: { in: ids } }, data: { state: 'succeeded' } }))
    await recordIntent(store, second?.bindingId ?? '', { syncId: sync.id, identity: null })
    await pass(await pass())
    expect((await getSync(store, sync.id))?.counts).toMatchObject({ total: 4, failed: 3, succeeded: 1 })
    expect(await getTarget(store, ids[1] ?? '')).toMatchObject({ errorType: 'RunLost', note: expect.any(String) })
  })

  it('and one that just closes by itself is not called lost', async () => {
    const sync = await newSync({ state: 'running' })
    await startWorkflow(sync)
    await terminate(sync)
    const suspects = await pass()
    expect(suspects).toEqual(new Set([sync.id]))
    await finishSync(store, sync.id, { state: 'succeeded' })
    expect(await pass(suspects)).toEqual(new Set())
    expect(await getSync(store, sync.id)).toMatchObject({ state: 'succeeded', errorType: null })
  })

  it('nor one that closes while it is being looked at for the second time', async () => {
    const sync = await newSync({ state: 'running' })
    const closing = intercepted(async () => {
      await finishSync(store, sync.id, { state: 'partial' })
    })
    await pass(new Set([sync.id]), closing)
    expect(await getSync(store, sync.id)).toMatchObject({ state: 'partial', errorType: null })
    expect((await listTargets(store, sync.id)).items.map((target) => target.errorType)).toEqual(Array(4).fill(null))
  })

  it('a scheduled one, whose workflow is not named after it, is found by its own name', async () => {
    const workflowId = `profile-${randomUUID()}-2026-01-01T00:00:00Z`
    const { sync } = await createSync(store, {
      platformId: world.platform.id,
      name: 'nightly',
      selection: { instanceIds: [], spaceIds: 'all' },
      requestedBy: 'schedule',
      workflowId,
    })
    await updateSync(store, sync.id, { state: 'running' })
    await startWorkflow(sync)
    expect(await pass(new Set([sync.id]))).toEqual(new Set())
    expect((await getSync(store, sync.id))?.state).toBe('running')
    await requestPause(store, sync.id, true)
    await pass()
    expect(await signals(sync)).toEqual(['pause'])
    await finishSync(store, sync.id, { state: 'succeeded' })
  })
})

describe('trouble', () => {
  it('with one run keeps no other from its turn', async () => {
    const [bad, good] = [await newSync({ state: 'running' }), await newSync()]
    const { logger, lines } = recordingLogger()
    const broken = intercepted(async (workflowId) => {
      if (workflowId === bad.workflowId) throw new Error('no answer')
    })
    const runs = runsOf(() => link)
    const suspects = await reconcileOnce({ store, runs, link: () => link, logger }, broken, new Set([bad.id]))
    expect((await temporal.client.workflow.getHandle(good.workflowId).describe()).status.name).toBe('RUNNING')
    // It was suspected, and still is; it was not looked at, so it is not called lost.
    expect(suspects).toEqual(new Set([bad.id]))
    expect((await getSync(store, bad.id))?.state).toBe('running')
    expect(lines).toMatchObject([{ level: 'warn', fields: { syncId: bad.id } }])
    for (const sync of [bad, good]) await finishSync(store, sync.id, { state: 'cancelled' })
  })

  it('with the whole server: nothing throws, what was asked for is answered as unavailable, and nothing is called lost', async () => {
    const other = await startTestTemporal('toolferry-gone')
    const sync = await newSync({ state: 'running' })
    const gone: TemporalLink = { client: other.client, searchAttributes: true }
    await other.server.stop()
    const runs = runsOf(() => gone)
    const answers = await Promise.all([
      runs.start(sync, summary(sync)),
      runs.signal(sync, { type: 'pause' }),
      runs.cancel(sync),
      runs.query(sync),
      pass(new Set([sync.id]), gone),
    ])
    expect(answers).toEqual(['unavailable', 'unavailable', 'unavailable', null, new Set([sync.id])])
    expect((await getSync(store, sync.id))?.state).toBe('running')
    await finishSync(store, sync.id, { state: 'cancelled' })
    await other.stop()
  })
})

function summary(sync: SyncRecord) {
  const { platformId, action, dryRun } = sync
  return { platformId, platformKind: 'dify', action, dryRun, instances: 2, spaces: 'all' } as const
}
