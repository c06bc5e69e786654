import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { mintToken } from '../../src/domain/token.ts'
import { effectivePassThrough, getBinding } from '../../src/store/bindings.ts'
import { IdempotencyKeyReusedError, TokenInUseError } from '../../src/store/errors.ts'
import { acquireLease, checkLease, releaseLease, renewLease } from '../../src/store/leases.ts'
import type { Store } from '../../src/store/store.ts'
import { appendSyncEvent, appendSyncEvents, listSyncEvents } from '../../src/store/sync-events.ts'
import { purgeSyncs } from '../../src/store/sync-retention.ts'
import {
  countTargets,
  createTargets,
  finishOpenTargets,
  finishTarget,
  getTarget,
  listTargetCells,
  listTargets,
  listTargetsForSpace,
  postponeTarget,
  recordPlan,
  startTarget,
} from '../../src/store/sync-targets.ts'
import {
  addSyncWarnings,
  countSyncs,
  createSync,
  finishSync,
  getSync,
  listOpenSyncs,
  listSyncs,
  type NewSync,
  openAuthorizations,
  requestCancel,
  requestPause,
  updateSync,
} from '../../src/store/syncs.ts'
import { activeToken } from '../../src/store/tokens.ts'
import { at, makeWorld, one, unique } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

describe.each(ENGINES)('runs on %s', (engine) => {
  let test: TestStore
  let store: Store
  beforeAll(async () => {
    test = await openTestStore(engine)
    store = test.store
  })
  afterAll(() => test.close())

  const newSync = (over: Partial<NewSync> = {}): NewSync => ({
    platformId: newId(),
    name: 'a run',
    selection: { instanceIds: [], spaceIds: 'all' },
    requestedBy: 'tests',
    ...over,
  })
  const idempotency = (key: string, requestHash = 'a'.repeat(64)) => ({ apiKeyId: 'key-1', key, requestHash })

  describe('syncs', () => {
    it('begin queued, with a workflow id that tells their own', async () => {
      const { sync, created } = await createSync(store, newSync())
      expect(created).toBe(true)
      expect(sync).toMatchObject({
        state: 'queued',
        phase: 'prepare',
        action: 'sync',
        writePolicy: 'upsert-only',
        dryRun: false,
        workflowId: `sync-${sync.id}`,
      })
      expect(await getSync(store, sync.id)).toEqual(sync)
    })

    it('the same idempotency key makes one, however often and at once it is sent', async () => {
      const key = unique('key')
      const all = await Promise.all(Array.from({ length: 8 }, () => createSync(store, newSync(), idempotency(key))))
      expect(new Set(all.map(({ sync }) => sync.id)).size).toBe(1)
      expect(all.filter(({ created }) => created)).toHaveLength(1)
      await expect(createSync(store, newSync(), idempotency(key, 'b'.repeat(64)))).rejects.toBeInstanceOf(
        IdempotencyKeyReusedError,
      )
      const other = await createSync(store, newSync(), { ...idempotency(key), apiKeyId: 'key-2' })
      expect(other.created).toBe(true)
    })

    it('the same workflow makes one', async () => {
      const workflowId = unique('scheduled')
      const all = await Promise.all(Array.from({ length: 5 }, () => createSync(store, newSync({ workflowId }))))
      expect(new Set(all.map(({ sync }) => sync.id)).size).toBe(1)
    })

    it('apply their authorizations to the bindings, all or none', async () => {
      const { platform, spaces, instances, bindings } = await makeWorld(store, { spaces: 2, instances: 1 })
      const instanceId = one(instances).id
      const token = mintToken('tfg')
      const expiresAt = new Date('2033-03-03T03:03:03.333Z')
      const cell = (index: number) => ({ instanceId, spaceId: at(spaces, index).id })
      const authorizations = [
        { ...cell(0), token: `Bearer ${token}`, expiresAt, passThroughHeaders: { 'X-Space': 'one' } },
        { ...cell(1), enabled: false },
      ]
      const { sync } = await createSync(store, newSync({ platformId: platform.id, authorizations }))
      expect(sync.hasAuthorizations).toBe(false)
      const idOf = (index: number) => bindings.find((binding) => binding.spaceId === at(spaces, index).id)?.id ?? ''
      expect(await getBinding(store, idOf(0))).toMatchObject({ expiresAt, hasOwnPassThrough: true, enabled: true })
      expect((await effectivePassThrough(store, [idOf(0)])).get(idOf(0))).toEqual({ 'X-Space': 'one' })
      expect(await activeToken(store, idOf(0))).toMatchObject({ origin: 'custom', start: token.slice(0, 8) })
      expect(await getBinding(store, idOf(1))).toMatchObject({ enabled: false })

      const clash = [
        { ...cell(0), enabled: false },
        { ...cell(1), token },
      ]
      const count = (await listSyncs(store, { platformId: platform.id })).items.length
      await expect(
        createSync(store, newSync({ platformId: platform.id, authorizations: clash }), idempotency(unique('k'))),
      ).rejects.toBeInstanceOf(TokenInUseError)
      expect(await getBinding(store, idOf(0))).toMatchObject({ enabled: true })
      expect((await listSyncs(store, { platformId: platform.id })).items).toHaveLength(count)
    })

    it('of a dry run keep them sealed and apply nothing', async () => {
      const { spaces, instances } = await makeWorld(store, { spaces: 1, instances: 1 })
      const authorizations = [
        {
          instanceId: one(instances).id,
          spaceId: one(spaces).id,
          token: mintToken('tfg'),
          expiresAt: new Date('2034-01-01'),
          enabled: false,
        },
      ]
      const { sync } = await createSync(store, newSync({ dryRun: true, authorizations }))
      expect(sync.hasAuthorizations).toBe(true)
      expect(JSON.stringify(await store.db.sync.findUnique({ where: { id: sync.id } }))).not.toContain(
        at(authorizations, 0).token,
      )
      expect(await openAuthorizations(store, sync.id)).toEqual(authorizations)
    })

    it('once closed never change again', async () => {
      const { sync } = await createSync(store, newSync())
      expect(await updateSync(store, sync.id, { state: 'running', phase: 'write', runId: 'r1' })).toBe(true)
      const running = await getSync(store, sync.id)
      expect(running).toMatchObject({ state: 'running', phase: 'write', runId: 'r1', startedAt: expect.any(Date) })
      await updateSync(store, sync.id, { state: 'waiting_for_credential' })
      await updateSync(store, sync.id, { state: 'running' })
      expect((await getSync(store, sync.id))?.startedAt).toEqual(running?.startedAt)
      expect(await requestPause(store, sync.id, true)).toBe(true)
      expect(await finishSync(store, sync.id, { state: 'partial', errorType: 'Timeout', errorMessage: 'x' })).toBe(true)
      const closed = await getSync(store, sync.id)
      expect(closed).toMatchObject({
        state: 'partial',
        phase: 'done',
        errorType: 'Timeout',
        finishedAt: expect.any(Date),
        pauseRequested: true,
      })
      expect(await updateSync(store, sync.id, { state: 'running' })).toBe(false)
      expect(await finishSync(store, sync.id, { state: 'succeeded' })).toBe(false)
      expect(await requestPause(store, sync.id, false)).toBe(false)
      expect(await requestCancel(store, sync.id)).toBe(false)
      expect(await getSync(store, sync.id)).toEqual(closed)
    })

    it('are listed the newest first, and the open ones apart', async () => {
      const platformId = newId()
      const made: string[] = []
      for (let index = 0; index < 3; index++) {
        made.push((await createSync(store, newSync({ platformId }))).sync.id)
      }
      await finishSync(store, at(made, 1), { state: 'cancelled' })
      expect((await listSyncs(store, { platformId })).items.map((sync) => sync.id)).toEqual([...made].reverse())
      expect((await listSyncs(store, { platformId, state: 'cancelled' })).items.map((sync) => sync.id)).toEqual([
        at(made, 1),
      ])
      expect((await listOpenSyncs(store, { platformId })).map((sync) => sync.id)).toEqual([at(made, 0), at(made, 2)])
      expect((await countSyncs(store)).cancelled).toBeGreaterThan(0)
    })

    it('collect warnings once each', async () => {
      const { sync } = await createSync(store, newSync())
      await addSyncWarnings(store, sync.id, ['a', 'b'])
      await addSyncWarnings(store, sync.id, ['b', 'c'])
      expect((await getSync(store, sync.id))?.warnings).toEqual(['a', 'b', 'c'])
    })

    it('go with all they had when they are old', async () => {
      const { sync } = await createSync(store, newSync(), idempotency(unique('k')))
      await createTargets(store, sync.id, [{ spaceId: newId(), instanceId: newId(), bindingId: null }])
      await appendSyncEvent(store, sync.id, 'x')
      const { sync: open } = await createSync(store, newSync())
      await finishSync(store, sync.id, { state: 'succeeded' })
      expect(await purgeSyncs(store, new Date(Date.now() + 1000))).toBeGreaterThan(0)
      expect(await getSync(store, sync.id)).toBeNull()
      expect(await listSyncEvents(store, sync.id, 0)).toEqual([])
      expect((await countTargets(store, sync.id)).total).toBe(0)
      expect(await getSync(store, open.id)).not.toBeNull()
    })
  })

  describe('targets', () => {
    it('are made once, many of them, in order', async () => {
      const { sync } = await createSync(store, newSync())
      const spaceIds = Array.from({ length: 150 }, () => newId())
      const instanceIds = Array.from({ length: 4 }, () => newId())
      const cells = spaceIds.flatMap((spaceId) =>
        instanceIds.map((instanceId) => ({ spaceId, instanceId, bindingId: null })),
      )
      await Promise.all([createTargets(store, sync.id, cells), createTargets(store, sync.id, cells)])
      await createTargets(store, sync.id, [...cells, at(cells, 0)])
      expect(await countTargets(store, sync.id)).toMatchObject({ total: 600, pending: 600 })
      expect(
        (await listTargetsForSpace(store, sync.id, at(spaceIds, 7))).map((target) => target.instanceId).sort(),
      ).toEqual([...instanceIds].sort())
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await listTargets(store, sync.id, { limit: 250, cursor })
        seen.push(...page.items.map((target) => `${target.spaceId} ${target.instanceId}`))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(new Set(seen).size).toBe(600)
      expect(seen).toHaveLength(600)
    })

    it('walk through their states, and the plan does not overrule an end', async () => {
      const { platform, spaces, instances, bindings } = await makeWorld(store, { spaces: 1, instances: 3 })
      const { sync } = await createSync(store, newSync({ platformId: platform.id }))
      const spaceId = one(spaces).id
      await createTargets(
        store,
        sync.id,
        bindings.map((binding) => ({ spaceId, instanceId: binding.instanceId, bindingId: binding.id })),
      )
      const targets = await listTargetsForSpace(store, sync.id, spaceId)
      const [a, b, c] = [at(targets, 0), at(targets, 1), at(targets, 2)]
      await finishTarget(store, c.id, 'cancelled', { type: 'RunLost', message: 'ended by hand' })
      await recordPlan(store, [
        { id: a.id, action: 'create', changes: [{ field: 'url' }], state: 'pending' },
        { id: b.id, action: 'unchanged', changes: [], state: 'unchanged' },
        { id: c.id, action: 'create', changes: [], state: 'pending' },
      ])
      expect(await getTarget(store, b.id)).toMatchObject({
        state: 'unchanged',
        action: 'unchanged',
        finishedAt: expect.any(Date),
      })
      expect(await getTarget(store, c.id)).toMatchObject({
        state: 'cancelled',
        action: null,
        errorMessage: 'ended by hand',
      })
      expect(await startTarget(store, c.id)).toBe(false)
      expect(await startTarget(store, a.id)).toBe(true)
      await postponeTarget(store, a.id, { type: 'Timeout', message: 'once more' })
      expect(await startTarget(store, a.id)).toBe(true)
      expect(await getTarget(store, a.id)).toMatchObject({
        state: 'running',
        attempts: 2,
        errorType: 'Timeout',
        changes: [{ field: 'url' }],
      })
      await finishTarget(store, a.id, 'succeeded')
      expect(await getTarget(store, a.id)).toMatchObject({
        state: 'succeeded',
        errorType: null,
        finishedAt: expect.any(Date),
      })
      expect(await countTargets(store, sync.id, { spaceId })).toMatchObject({
        total: 3,
        succeeded: 1,
        unchanged: 1,
        cancelled: 1,
        pending: 0,
      })
      const shown = one((await listTargets(store, sync.id, { state: 'succeeded' })).items)
      expect(shown).toMatchObject({
        spaceName: one(spaces).name,
        instanceName: instances.find((each) => each.id === a.instanceId)?.name,
      })
    })

    it('that have not ended are ended together', async () => {
      const { spaces, bindings } = await makeWorld(store, { spaces: 2, instances: 2 })
      const { sync } = await createSync(store, newSync())
      await createTargets(
        store,
        sync.id,
        bindings.map((binding) => ({
          spaceId: binding.spaceId,
          instanceId: binding.instanceId,
          bindingId: binding.id,
        })),
      )
      const spaceId = at(spaces, 0).id
      const first = at(await listTargetsForSpace(store, sync.id, spaceId), 0)
      await finishTarget(store, first.id, 'succeeded')
      expect(await finishOpenTargets(store, sync.id, { spaceId }, 'skipped')).toBe(1)
      const other = bindings.filter((binding) => binding.spaceId !== spaceId).map((binding) => binding.id)
      expect(
        await finishOpenTargets(store, sync.id, { bindingIds: other.slice(0, 1) }, 'failed', {
          type: 'RunLost',
          message: 'lost',
        }),
      ).toBe(1)
      expect(await finishOpenTargets(store, sync.id, {}, 'cancelled')).toBe(1)
      expect(await countTargets(store, sync.id)).toMatchObject({
        succeeded: 1,
        skipped: 1,
        failed: 1,
        cancelled: 1,
        total: 4,
      })
      expect(await listTargetCells(store, sync.id, ['failed', 'cancelled'])).toHaveLength(2)
    })
  })

  describe('events', () => {
    it('are numbered without gaps, whoever appends, and told at once', async () => {
      const { sync } = await createSync(store, newSync())
      const told: number[] = []
      const stop = store.onSyncEvent(sync.id, (seq) => told.push(seq))
      await Promise.all(Array.from({ length: 20 }, (_, index) => appendSyncEvent(store, sync.id, 'target', { index })))
      expect(
        await appendSyncEvents(store, sync.id, [
          { type: 'a', data: {} },
          { type: 'b', data: {} },
        ]),
      ).toBe(22)
      stop()
      await appendSyncEvent(store, sync.id, 'after')
      const events = await listSyncEvents(store, sync.id, 0)
      expect(events.map((event) => event.seq)).toEqual(Array.from({ length: 23 }, (_, index) => index + 1))
      expect(events.slice(20).map((event) => event.type)).toEqual(['a', 'b', 'after'])
      expect([...told].sort((x, y) => x - y)).toEqual([...Array.from({ length: 20 }, (_, index) => index + 1), 22])
      expect((await listSyncEvents(store, sync.id, 21, 1)).map((event) => event.seq)).toEqual([22])
      await expect(appendSyncEvent(store, newId(), 'x')).rejects.toThrow(/does not exist/)
    })
  })

  describe('leases', () => {
    it('have one holder, and an epoch that only grows', async () => {
      const spaceId = newId()
      const t0 = new Date('2026-01-01T00:00:00Z')
      const later = (seconds: number) => new Date(t0.getTime() + seconds * 1000)
      expect(await acquireLease(store, spaceId, 'a', 10_000, t0)).toBe(1)
      expect(await acquireLease(store, spaceId, 'b', 10_000, later(9))).toBeNull()
      expect(await renewLease(store, spaceId, 'a', 1, 10_000, later(9))).toBe(true)
      expect(await acquireLease(store, spaceId, 'b', 10_000, later(18))).toBeNull()
      expect(await checkLease(store, spaceId, 1, later(18))).toBe(true)
      expect(await checkLease(store, spaceId, 1, later(19))).toBe(false)
      expect(await acquireLease(store, spaceId, 'b', 10_000, later(20))).toBe(2)
      // The former holder wakes up: it can neither renew nor release what is not its own any more.
      expect(await checkLease(store, spaceId, 1, later(20))).toBe(false)
      expect(await renewLease(store, spaceId, 'a', 1, 10_000, later(20))).toBe(false)
      await releaseLease(store, spaceId, 'a', 1)
      expect(await checkLease(store, spaceId, 2, later(20))).toBe(true)
      await releaseLease(store, spaceId, 'b', 2)
      expect(await checkLease(store, spaceId, 2, later(20))).toBe(false)
      expect(await acquireLease(store, spaceId, 'c', 10_000, later(20))).toBe(3)
    })

    it('of many that want it at once one gets it', async () => {
      const spaceId = newId()
      const epochs = await Promise.all(
        Array.from({ length: 10 }, (_, index) => acquireLease(store, spaceId, `h${index}`, 60_000)),
      )
      expect(epochs.filter((epoch) => epoch !== null)).toEqual([1])
    })

    it('a lease that ran out is stolen by one', async () => {
      const spaceId = newId()
      await acquireLease(store, spaceId, 'dead', 1, new Date(0))
      const epochs = await Promise.all(
        Array.from({ length: 10 }, (_, index) => acquireLease(store, spaceId, `h${index}`, 60_000)),
      )
      expect(epochs.filter((epoch) => epoch !== null)).toEqual([2])
    })
  })
})
