import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { insertAudit } from '../../src/store/audit.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { recordVerified } from '../../src/store/deployments.ts'
import { deleteInstance } from '../../src/store/instances.ts'
import { createManualToken, deleteManualToken, manualTokenNames } from '../../src/store/manual-tokens.ts'
import { purgeRevoked, recordReplica, removeReplica } from '../../src/store/replicas.ts'
import { applyRetention, type Retention } from '../../src/store/retention.ts'
import { currentRevision } from '../../src/store/revision.ts'
import { appendSyncEvents, listSyncEvents } from '../../src/store/sync-events.ts'
import { createTargets } from '../../src/store/sync-targets.ts'
import { createSync, finishSync, getSync, type NewSync, type SyncRecord } from '../../src/store/syncs.ts'
import { tellOfExpiringTokens } from '../../src/store/token-notices.ts'
import { listTokensOfBinding, mintTokenFor, revokeTokens, setCustomToken } from '../../src/store/tokens.ts'
import { createWebhook } from '../../src/store/webhooks.ts'
import { at, makeInstance, makeWorld, one, seenOf, type World } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

const DAY_MS = 24 * 3_600_000
const KEEP: Retention = { syncDays: 90, journalDays: 30, auditDays: 365 }

describe.each(ENGINES)('retention on %s', (engine) => {
  let test: TestStore
  let world: World
  beforeAll(async () => {
    test = await openTestStore(engine)
    world = await makeWorld(test.store, { spaces: 2, instances: 2 })
  })
  afterAll(() => test.close())

  const inDays = (days: number) => new Date(Date.now() + days * DAY_MS)
  const purge = (days: number, keep: Partial<Retention> = {}) =>
    applyRetention(test.store, { ...KEEP, ...keep }, new AbortController().signal, inDays(days))
  const newRun = async (over: Partial<NewSync> = {}): Promise<SyncRecord> =>
    (
      await createSync(test.store, {
        platformId: world.platform.id,
        name: 'run',
        selection: { instanceIds: [], spaceIds: 'all' },
        requestedBy: 'ann',
        ...over,
      })
    ).sync
  const closedRun = async (over: Partial<NewSync> = {}): Promise<SyncRecord> => {
    const sync = await newRun(over)
    await finishSync(test.store, sync.id, { state: over.dryRun === true ? 'planned' : 'succeeded' })
    return sync
  }
  const isThere = async ({ id }: SyncRecord) => (await getSync(test.store, id)) !== null

  it('takes a run of thousands of rows with all it had, once its time is over', async () => {
    const run = await newRun()
    const cells = Array.from({ length: 1_100 }, () => ({ spaceId: newId(), instanceId: newId(), bindingId: null }))
    await createTargets(test.store, run.id, cells)
    for (let part = 0; part < 3; part++) {
      await appendSyncEvents(
        test.store,
        run.id,
        Array.from({ length: 400 }, () => ({ type: 'x', data: {} })),
      )
    }
    await finishSync(test.store, run.id, { state: 'succeeded' })
    expect((await purge(89)).syncs).toBe(0)
    expect(await isThere(run)).toBe(true)
    expect((await purge(91)).syncs).toBe(1)
    expect(await isThere(run)).toBe(false)
    expect(await test.store.db.syncTarget.count({ where: { syncId: run.id } })).toBe(0)
    expect(await listSyncEvents(test.store, run.id, 0)).toEqual([])
  })

  it('leaves runs that are open, the last one of a deployment, and what an open one goes by', async () => {
    const [plan, failed, ofDeployment, old] = [
      await closedRun({ dryRun: true }),
      await closedRun(),
      await closedRun(),
      await closedRun(),
    ]
    const binding = at(world.bindings, 0)
    await recordVerified(test.store, [await seenOf(test.store, binding.id)], ofDeployment.id)
    const [applying, retrying] = [await newRun({ planOf: plan.id }), await newRun({ retryOf: failed.id })]
    await purge(91)
    const left = await Promise.all([plan, failed, ofDeployment, applying, retrying, old].map(isThere))
    expect(left).toEqual([true, true, true, true, true, false])
    for (const { id } of [applying, retrying]) await finishSync(test.store, id, { state: 'succeeded' })
    await recordVerified(test.store, [await seenOf(test.store, binding.id)], newId())
    expect((await purge(91)).syncs).toBe(5)
  })

  it('looks past what it has to keep, however much of it there is', async () => {
    const kept = await Promise.all(Array.from({ length: 105 }, () => closedRun({ dryRun: true })))
    const applying = await Promise.all(kept.map(({ id }) => newRun({ planOf: id })))
    const last = await closedRun()
    expect((await purge(91)).syncs).toBe(1)
    expect(await isThere(last)).toBe(false)
    for (const { id } of applying) await finishSync(test.store, id, { state: 'cancelled' })
    expect((await purge(91)).syncs).toBe(210)
  })

  it('keeps the audit for its own time, and deletes more than one statement takes', async () => {
    const audit = () => test.store.db.auditEvent.count({ where: { actor: 'retention' } })
    for (let index = 0; index < 250; index++) {
      await insertAudit(test.store, {
        id: newId(),
        at: new Date(Date.now() - (index < 249 ? 300 : 10) * DAY_MS),
        actor: 'retention',
        actorId: null,
        action: 'update',
        resource: 'binding',
        resourceId: null,
        fields: [],
        outcome: 'allowed',
        requestId: null,
      })
    }
    await purge(0)
    expect(await audit()).toBe(250)
    expect((await purge(66)).auditEvents).toBe(249)
    expect(await audit()).toBe(1)
  })

  it('ends with its worker, and goes on the next time', async () => {
    const runs = [await closedRun(), await closedRun()]
    const stopped = AbortSignal.abort(new Error('the worker stops'))
    await expect(applyRetention(test.store, KEEP, stopped, inDays(91))).rejects.toThrow('the worker stops')
    expect(await Promise.all(runs.map(isThere))).toEqual([true, true])
    expect((await purge(91)).syncs).toBe(2)
  })

  describe('revoked tokens', () => {
    it('of a living binding: minted ones go with the journal that names them, custom ones stay', async () => {
      const binding = at(world.bindings, 1)
      const minted = await mintTokenFor(test.store, binding.id)
      const custom = await setCustomToken(test.store, binding.id, 'My-own-Token-0123456789-abcdefghij')
      const active = await mintTokenFor(test.store, binding.id)
      await revokeTokens(test.store, [minted.id, custom.id])
      const left = async () => (await listTokensOfBinding(test.store, binding.id)).map(({ id }) => id)
      await purge(29)
      expect(await left()).toEqual([active.id, custom.id, minted.id])
      await purge(31)
      expect(await left()).toEqual([active.id, custom.id])
      // It may come back.
      await setCustomToken(test.store, binding.id, 'My-own-Token-0123456789-abcdefghij')
      await purge(31)
      expect(await left()).toEqual([active.id, custom.id])
    })

    it('that were made by hand go with the journal that names them, or with their instance', async () => {
      const instance = await makeInstance(test.store)
      const input = { instanceId: instance.id, name: 'CI job' }
      const minted = await createManualToken(test.store, input)
      const custom = await createManualToken(test.store, { ...input, token: 'By-hand-Token-0123456789-abcdefghij' })
      const last = await createManualToken(test.store, input)
      for (const { id } of [minted, custom]) await deleteManualToken(test.store, instance.id, id)
      const named = async () => [...(await manualTokenNames(test.store, [minted.id, custom.id, last.id])).keys()].sort()
      await purge(29)
      expect(await named()).toEqual([minted.id, custom.id, last.id].sort())
      await purge(31)
      expect(await named()).toEqual([last.id])
      await deleteInstance(test.store, instance.id)
      await purge(1)
      expect(await named()).toEqual([])
    })

    it('not passed by every live gateway stay, however old', async () => {
      const binding = at(world.bindings, 2)
      const token = await mintTokenFor(test.store, binding.id)
      await mintTokenFor(test.store, binding.id)
      await revokeTokens(test.store, [token.id])
      const later = inDays(31)
      const revision = await currentRevision(test.store.db)
      const isLeft = async () => (await test.store.db.gatewayToken.count({ where: { id: token.id } })) === 1
      await recordReplica(test.store, 'slow', revision - 1, later)
      expect((await purgeRevoked(test.store, later, later)).tokens).toBe(0)
      expect(await isLeft()).toBe(true)
      await recordReplica(test.store, 'slow', revision, later)
      expect((await purgeRevoked(test.store, later, later)).tokens).toBe(1)
      expect(await isLeft()).toBe(false)
      await removeReplica(test.store, 'slow')
    })

    it('are found behind a thousand that stay', async () => {
      const binding = at(world.bindings, 3)
      const first = await mintTokenFor(test.store, binding.id)
      const row = await test.store.db.gatewayToken.findUnique({ where: { id: first.id } })
      if (row === null) throw new Error('the token is not there')
      const long = new Date(Date.now() - 10 * DAY_MS)
      const copies = Array.from({ length: 1_050 }, () => ({
        ...row,
        id: newId(),
        lookupHash: newId().replaceAll('-', '').padEnd(64, '0'),
        origin: 'custom',
        state: 'revoked',
        revokedAt: long,
      }))
      for (let from = 0; from < copies.length; from += 200) {
        await test.store.write((tx) => tx.gatewayToken.createMany({ data: copies.slice(from, from + 200) }))
      }
      const manual = await createManualToken(test.store, { instanceId: at(world.instances, 0).id, name: 'm' })
      await revokeTokens(test.store, [manual.id])
      expect((await purgeRevoked(test.store, inDays(1), inDays(1))).tokens).toBe(1)
    })
  })

  describe('tokens that end soon', () => {
    const notices = async () =>
      (
        await test.store.db.webhookDelivery.findMany({ where: { event: 'token.expiring' }, orderBy: { id: 'asc' } })
      ).map((row) => JSON.parse(row.payload).data)
    let now: Date
    beforeAll(async () => {
      now = inDays(1_000)
      await createWebhook(test.store, {
        name: 'ops',
        url: 'https://hooks.test/',
        events: ['token.expiring'],
        template: null,
        language: null,
        botSecret: null,
        enabled: true,
        signingSecret: 'whsec_Zmlyc3Q=',
      })
      await tellOfExpiringTokens(test.store, now)
    })
    beforeEach(() => test.store.write((tx) => tx.webhookDelivery.deleteMany({})))
    const laterBy = (days: number) => new Date(now.getTime() + days * DAY_MS)

    it('are told of a week before and a day before, once each, with their names', async () => {
      const { bindings, instances, spaces } = world
      const ends = laterBy(9.5)
      await updateBinding(test.store, at(bindings, 0).id, null, { expiresAt: ends })
      const manual = await createManualToken(test.store, {
        instanceId: at(instances, 1).id,
        name: 'm',
        expiresAt: laterBy(9.6),
      })
      expect(await tellOfExpiringTokens(test.store, laterBy(2))).toBe(0)
      expect(await tellOfExpiringTokens(test.store, laterBy(3))).toBe(2)
      expect(await tellOfExpiringTokens(test.store, laterBy(3))).toBe(0)
      expect(await tellOfExpiringTokens(test.store, laterBy(4))).toBe(0)
      expect(await tellOfExpiringTokens(test.store, laterBy(9))).toBe(2)
      expect(await tellOfExpiringTokens(test.store, laterBy(11))).toBe(0)
      const told = await notices()
      expect(told.map(({ withinDays, count }) => [withinDays, count])).toEqual([
        [7, 2],
        [1, 2],
      ])
      expect(told[0].tokens).toEqual([
        {
          bindingId: at(bindings, 0).id,
          instanceName: at(instances, 0).name,
          spaceName: at(spaces, 0).name,
          expiresAt: ends.toISOString(),
        },
        {
          bindingId: null,
          instanceName: at(instances, 1).name,
          spaceName: null,
          expiresAt: manual.expiresAt?.toISOString(),
        },
      ])
    })

    it('are counted once, left out when disabled, and not named without end', async () => {
      const many = await makeWorld(test.store, { spaces: 25, instances: 1 })
      const ends = laterBy(26.5)
      for (const { id } of many.bindings) await updateBinding(test.store, id, null, { expiresAt: ends })
      // Its token ends, too: one matter.
      await setCustomToken(test.store, at(many.bindings, 0).id, 'Another-Token-0123456789-abcdefghij', {
        expiresAt: ends,
      })
      await updateBinding(test.store, at(many.bindings, 1).id, null, { enabled: false })
      expect(await tellOfExpiringTokens(test.store, laterBy(20))).toBe(24)
      const told = one(await notices())
      expect([told.withinDays, told.count, told.tokens.length]).toEqual([7, 24, 20])
    })

    it('that came and went while nobody looked are told of by what is left of their time', async () => {
      const { bindings } = await makeWorld(test.store, { spaces: 1, instances: 1 })
      await updateBinding(test.store, one(bindings).id, null, { expiresAt: laterBy(60.5) })
      expect(await tellOfExpiringTokens(test.store, laterBy(60))).toBe(1)
      expect(one(await notices()).withinDays).toBe(1)
    })
  })
})
