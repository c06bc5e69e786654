import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { getDeployment } from '../../src/store/deployments.ts'
import { acquireLease } from '../../src/store/leases.ts'
import { listSyncEvents } from '../../src/store/sync-events.ts'
import {
  createTargets,
  finishTarget,
  getTarget,
  listTargetsForSpace,
  type TargetRecord,
} from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import { beginTargetWrite, landTargetWrite } from '../../src/store/target-writes.ts'
import { mintTokenFor, mintTokensFor, revokeTokens } from '../../src/store/tokens.ts'
import { at, makeWorld, one } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

/** The records around a write to a platform, committed in groups. */
describe.each(ENGINES)('target writes on %s', (engine) => {
  let opened: TestStore
  beforeAll(async () => {
    opened = await openTestStore(engine)
  })
  afterAll(() => opened.close())

  /** A run over `spaces` spaces of one instance: its targets, each under a lease of its own. */
  async function makeRun(spaces: number): Promise<{ syncId: string; targets: TargetRecord[]; epochs: number[] }> {
    const { store } = opened
    const world = await makeWorld(store, { spaces, instances: 1 })
    const instanceId = one(world.instances).id
    const selection = { instanceIds: [instanceId], spaceIds: 'all' as const }
    const { sync } = await createSync(store, {
      platformId: world.platform.id,
      name: 'run',
      selection,
      requestedBy: 'test',
    })
    const cells = world.bindings.map(({ id, spaceId }) => ({ bindingId: id, instanceId, spaceId }))
    await createTargets(store, sync.id, cells)
    const tokens = await mintTokensFor(
      store,
      world.bindings.map(({ id }) => id),
    )
    for (const [bindingId, { id }] of tokens) tokenOf.set(bindingId, id)
    const targets: TargetRecord[] = []
    const epochs: number[] = []
    for (const { id } of world.spaces) {
      targets.push(one(await listTargetsForSpace(store, sync.id, id)))
      epochs.push((await acquireLease(store, id, 'us', 60_000)) ?? 0)
    }
    return { syncId: sync.id, targets, epochs }
  }

  /** The token of each binding, as the run that writes has read it. */
  const tokenOf = new Map<string | null, string>()
  const identity = { id: newId(), key: 'k' }
  const begin = (target: TargetRecord, epoch: number) =>
    beginTargetWrite(opened.store, target, epoch, {
      bindingId: target.bindingId ?? '',
      tokenId: tokenOf.get(target.bindingId) ?? '',
      identity,
      mayUse: ({ enabled, expiresAt }) => enabled && (expiresAt === null || expiresAt.getTime() > Date.now()),
    })
  const land = (target: TargetRecord, epoch: number) =>
    landTargetWrite(
      opened.store,
      target,
      epoch,
      {
        bindingId: target.bindingId ?? '',
        syncId: target.syncId,
        identity,
        digests: { desired: { url: 'd' }, written: { url: 'w' } },
        applied: { name: 'x' },
      },
      { state: 'succeeded', note: null },
    )

  it('of many spaces at once are all recorded, each with its event', async () => {
    const { store } = opened
    const { syncId, targets, epochs } = await makeRun(20)
    const begun = await Promise.all(targets.map((target, index) => begin(target, at(epochs, index))))
    expect(new Set(begun)).toEqual(new Set(['begun']))
    expect(await getDeployment(store, at(targets, 7).bindingId ?? '')).toMatchObject({
      state: 'pending',
      identity,
      ownership: 'created',
    })
    await Promise.all(targets.map((target, index) => land(target, at(epochs, index))))
    for (const { id } of targets) {
      expect(await getTarget(store, id)).toMatchObject({ state: 'succeeded', attempts: 1, startedAt: expect.any(Date) })
    }
    const events = await listSyncEvents(store, syncId, 0)
    expect(events.map(({ seq }) => seq)).toEqual(targets.map((_, index) => index + 1))
    expect(new Set(events.map(({ data }) => data.targetId))).toEqual(new Set(targets.map(({ id }) => id)))
  })

  it('of one that has ended are not begun, and the others are', async () => {
    const { store } = opened
    const { targets, epochs } = await makeRun(3)
    await finishTarget(store, at(targets, 1).id, 'skipped')
    const begun = await Promise.all(targets.map((target, index) => begin(target, at(epochs, index))))
    expect(begun).toEqual(['begun', 'ended', 'begun'])
    expect(await getTarget(store, at(targets, 1).id)).toMatchObject({ state: 'skipped', attempts: 0 })
    expect(await getDeployment(store, at(targets, 1).bindingId ?? '')).toMatchObject({
      state: 'absent',
      identity: null,
    })
  })

  it('of one whose binding was cut off or ran out a moment ago are not begun, and the others are', async () => {
    const { store } = opened
    const { targets, epochs } = await makeRun(4)
    const set = (index: number, change: Parameters<typeof updateBinding>[3]) =>
      updateBinding(store, at(targets, index).bindingId ?? '', null, change)
    await set(1, { enabled: false })
    await set(2, { expiresAt: new Date(Date.now() - 60_000) })
    await set(3, { expiresAt: new Date(Date.now() + 3_600_000) })
    const begun = await Promise.all(targets.map((target, index) => begin(target, at(epochs, index))))
    expect(begun).toEqual(['begun', 'refused', 'refused', 'begun'])
    expect(await getTarget(store, at(targets, 1).id)).toMatchObject({ state: 'pending', attempts: 0 })
    expect(await getDeployment(store, at(targets, 1).bindingId ?? '')).toMatchObject({
      state: 'absent',
      identity: null,
    })
  })

  it('of one whose token was replaced or ended a moment ago are not begun, and the others are', async () => {
    const { store } = opened
    const { targets, epochs } = await makeRun(4)
    await mintTokenFor(store, at(targets, 1).bindingId ?? '')
    await revokeTokens(store, [tokenOf.get(at(targets, 2).bindingId) ?? ''])
    const begun = await Promise.all(targets.map((target, index) => begin(target, at(epochs, index))))
    expect(begun).toEqual(['begun', 'replaced', 'replaced', 'begun'])
    for (const index of [1, 2]) {
      expect(await getTarget(store, at(targets, index).id)).toMatchObject({ state: 'pending', attempts: 0 })
      const deployment = await getDeployment(store, at(targets, index).bindingId ?? '')
      expect(deployment).toMatchObject({ state: 'absent', identity: null })
    }
  })

  it('of many at once keep what is each target’s own', async () => {
    const { store } = opened
    const { syncId, targets, epochs } = await makeRun(60)
    const identityOf = (index: number) => ({ id: `remote ${index}`, key: index % 2 === 0 ? `key ${index}` : null })
    await Promise.all(
      targets.map((target, index) =>
        beginTargetWrite(store, target, at(epochs, index), {
          bindingId: target.bindingId ?? '',
          tokenId: tokenOf.get(target.bindingId) ?? '',
          identity: identityOf(index),
          mayUse: () => true,
        }),
      ),
    )
    for (const [index, { bindingId }] of targets.entries()) {
      expect(await getDeployment(store, bindingId ?? '')).toMatchObject({
        identity: identityOf(index),
        ownership: 'created',
        lastSyncId: syncId,
      })
    }
    const before = Date.now() - 1000
    await Promise.all(
      targets.map((target, index) =>
        landTargetWrite(
          store,
          target,
          at(epochs, index),
          {
            bindingId: target.bindingId ?? '',
            syncId,
            identity: identityOf(index),
            digests: { desired: { url: `d${index}` }, written: {} },
            applied: { name: `«é» ${index}` },
          },
          { state: index % 3 === 0 ? 'unchanged' : 'succeeded', note: index === 5 ? 'a note' : null },
        ),
      ),
    )
    for (const [index, { id, bindingId }] of targets.entries()) {
      const deployment = await getDeployment(store, bindingId ?? '')
      expect(deployment).toMatchObject({
        identity: identityOf(index),
        digests: { desired: { url: `d${index}` } },
        applied: { name: `«é» ${index}` },
      })
      expect(deployment?.appliedAt?.getTime()).toBeGreaterThan(before)
      expect(await getTarget(store, id)).toMatchObject({
        state: index % 3 === 0 ? 'unchanged' : 'succeeded',
        note: index === 5 ? 'a note' : null,
      })
    }
  })

  it('of a holder whose lease has passed to another record nothing, and the others are recorded', async () => {
    const { store } = opened
    const { targets, epochs } = await makeRun(3)
    await Promise.all(targets.map((target, index) => begin(target, at(epochs, index))))
    const overtaken = at(targets, 1)
    const later = new Date(Date.now() + 120_000)
    expect(await acquireLease(store, overtaken.spaceId, 'another', 60_000, later)).toBe(2)
    const results = await Promise.allSettled(targets.map((target, index) => land(target, at(epochs, index))))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { type: 'SpaceBusy' } })
    expect(await getTarget(store, overtaken.id)).toMatchObject({ state: 'running' })
    expect(await getDeployment(store, overtaken.bindingId ?? '')).toMatchObject({ digests: null })
    await expect(begin(overtaken, at(epochs, 1))).rejects.toMatchObject({ type: 'SpaceBusy' })
    expect(await begin(overtaken, 2)).toBe('begun')
  })
})
