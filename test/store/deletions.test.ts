import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { ensureBindings } from '../../src/store/bindings.ts'
import { beginDeletion, finishRemoval, revokeBeforeRemoval } from '../../src/store/deletions.ts'
import { recordAdopted, recordFailure, recordIntent, saveCheckpoint } from '../../src/store/deployments.ts'
import { createGatewayView } from '../../src/store/gateway-view.ts'
import { deleteInstance, getInstance, listInstances, updateInstance } from '../../src/store/instances.ts'
import { createManualToken } from '../../src/store/manual-tokens.ts'
import { judgeMirror, mirroredAway } from '../../src/store/mirror.ts'
import { getPlatform } from '../../src/store/platforms.ts'
import { createProfile } from '../../src/store/profiles.ts'
import type { Store } from '../../src/store/store.ts'
import { createTargets, listTargetsForSpace } from '../../src/store/sync-targets.ts'
import { createSync, getSync } from '../../src/store/syncs.ts'
import { mintTokenFor } from '../../src/store/tokens.ts'
import { at, makeWorld, markGone, type World } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

const BY = { requestedBy: 'ann', acceptWarnings: false }

describe.each(ENGINES)('on %s', (engine) => {
  let opened: TestStore
  let store: Store
  beforeAll(async () => {
    opened = await openTestStore(engine)
    store = opened.store
  })
  afterAll(() => opened.close())

  /** Everything of the world stands on its platform. */
  async function deployedWorld(size: { spaces: number; instances: number }): Promise<World> {
    const world = await makeWorld(store, size)
    for (const { id } of world.bindings) {
      await recordIntent(store, id, { syncId: newId(), identity: { id: newId(), key: 'k' } })
    }
    return world
  }
  const removeAll = async (world: World, instanceId?: string) => {
    for (const binding of world.bindings) {
      if (instanceId === undefined || binding.instanceId === instanceId) await markGone(store, binding.id)
    }
  }

  describe('deleting an instance', () => {
    it('marks it, lets go what was about to be written, and makes one removal run a platform, once', async () => {
      const world = await deployedWorld({ spaces: 2, instances: 2 })
      const other = await makeWorld(store, { spaces: 1, instances: 0 })
      const { id } = at(world.instances, 0)
      const [far] = await ensureBindings(store, [{ instanceId: id, spaceId: at(other.spaces, 0).id }])
      await recordIntent(store, far?.id ?? '', { syncId: newId(), identity: null, ownership: 'created' })
      const { sync: writing } = await createSync(store, {
        platformId: world.platform.id,
        name: 'writing',
        selection: { instanceIds: world.instances.map((one) => one.id), spaceIds: 'all' },
        requestedBy: 'bob',
      })
      const cells = world.bindings.map(({ instanceId, spaceId }) => ({ instanceId, spaceId, bindingId: null }))
      await createTargets(store, writing.id, cells)

      const runs = await beginDeletion(store, { instanceId: id }, BY)
      expect(runs.map(({ platformId, action, selection }) => [platformId, action, selection.instanceIds])).toEqual(
        expect.arrayContaining([
          [world.platform.id, 'remove', [id]],
          [other.platform.id, 'remove', [id]],
        ]),
      )
      const here = runs.find((run) => run.platformId === world.platform.id)
      expect(here?.selection.spaceIds).toHaveLength(2)
      const targets = await listTargetsForSpace(store, writing.id, at(world.spaces, 0).id)
      expect(targets.map(({ instanceId, state }) => [instanceId === id, state])).toEqual([
        [true, 'skipped'],
        [false, 'pending'],
      ])
      const again = await beginDeletion(store, { instanceId: id }, BY)
      expect(again.map((run) => run.id).sort()).toEqual(runs.map((run) => run.id).sort())
    })

    it('it is served as before until it is gone; a status brings it back', async () => {
      const world = await deployedWorld({ spaces: 1, instances: 1 })
      const { id } = at(world.instances, 0)
      await mintTokenFor(store, at(world.bindings, 0).id)
      await beginDeletion(store, { instanceId: id }, BY)
      expect((await getInstance(store, id))?.status).toBe('removing')
      const ids = async (status: 'active' | 'removing') =>
        (await listInstances(store, { status, limit: 500 })).items.map((instance) => instance.id)
      expect([(await ids('removing')).includes(id), (await ids('active')).includes(id)]).toEqual([true, false])
      const seen = (await createGatewayView(store).loadAll()).instances.find((instance) => instance.id === id)
      expect(seen?.status).toBe('active')
      expect((await updateInstance(store, id, null, { status: 'active' })).status).toBe('active')
    })

    it('goes with its last object, whichever run took it, and not before', async () => {
      const world = await deployedWorld({ spaces: 2, instances: 2 })
      const { id } = at(world.instances, 0)
      const [run] = await beginDeletion(store, { instanceId: id }, BY)
      if (run === undefined) throw new Error('no run')
      await markGone(store, at(world.bindings, 0).id, run.id)
      await finishRemoval(store, run, { state: 'succeeded' })
      expect((await getInstance(store, id))?.status).toBe('removing')
      await removeAll(world, id)
      await finishRemoval(store, run, { state: 'succeeded' })
      expect(await getInstance(store, id)).toBeNull()
      await finishRemoval(store, run, { state: 'succeeded' })
      expect((await getInstance(store, at(world.instances, 1).id))?.status).toBe('active')
    })

    it.each(['instance', 'platform'])(
      'its tokens can end before the %s, with its last object and not before',
      async (what) => {
        const world = await makeWorld(store, { spaces: 2, instances: 2 })
        const [deployed, bare] = [at(world.bindings, 0), at(world.bindings, 1)]
        await recordIntent(store, deployed.id, { syncId: newId(), identity: { id: newId(), key: 'k' } })
        const { instanceId } = deployed
        const manual = await createManualToken(store, { instanceId, name: 'Cursor' })
        const tokens = [manual, await mintTokenFor(store, bare.id), await mintTokenFor(store, at(world.bindings, 2).id)]
        const good = async () => {
          const known = new Set((await createGatewayView(store).loadAll()).credentials.map(({ tokenId }) => tokenId))
          return tokens.map(({ id }) => known.has(id))
        }
        const doomed = what === 'instance' ? { instanceId } : { platformId: world.platform.id }
        const [run] = await beginDeletion(store, doomed, BY)
        if (run === undefined) throw new Error('no run')
        await revokeBeforeRemoval(store, run)
        expect(await good()).toEqual([true, true, true])
        await markGone(store, deployed.id, run.id)
        await revokeBeforeRemoval(store, run)
        const left = what === 'instance' ? [false, false, true] : [true, false, false]
        expect(await good()).toEqual(left)
        await finishRemoval(store, run, { state: 'succeeded' })
        expect(await good()).toEqual(left)
      },
    )

    it('with nothing there needs no run', async () => {
      const world = await makeWorld(store, { spaces: 1, instances: 1 })
      expect(await beginDeletion(store, { instanceId: at(world.instances, 0).id }, BY)).toEqual([])
      await expect(beginDeletion(store, { instanceId: newId() }, BY)).rejects.toMatchObject({ code: 'not_found' })
      await expect(beginDeletion(store, { platformId: newId() }, BY)).rejects.toMatchObject({ code: 'not_found' })
    })
  })

  describe('deleting a platform', () => {
    it('ends the runs that write there, and goes with its last object', async () => {
      const world = await deployedWorld({ spaces: 2, instances: 2 })
      const { id } = world.platform
      const { sync: writing } = await createSync(store, {
        platformId: id,
        name: 'writing',
        selection: { instanceIds: [at(world.instances, 0).id], spaceIds: 'all' },
        requestedBy: 'bob',
      })
      const [run, ...more] = await beginDeletion(store, { platformId: id }, BY)
      expect([run?.selection.instanceIds.length, more]).toEqual([2, []])
      expect((await getPlatform(store, id))?.status).toBe('removing')
      expect([await getSync(store, writing.id), await getSync(store, run?.id ?? '')]).toMatchObject([
        { cancelRequested: true },
        { cancelRequested: false },
      ])
      if (run === undefined) throw new Error('no run')
      await finishRemoval(store, run, { state: 'succeeded' })
      expect(await getPlatform(store, id)).not.toBeNull()
      await removeAll(world)
      await finishRemoval(store, run, { state: 'succeeded' })
      expect(await getPlatform(store, id)).toBeNull()
      expect((await getInstance(store, at(world.instances, 0).id))?.status).toBe('active')
    })
  })

  describe('a mirror', () => {
    it('takes away what neither its selection nor another profile holds', async () => {
      const world = await deployedWorld({ spaces: 2, instances: 3 })
      const [one, two, three] = world.instances.map((instance) => instance.id)
      const [a] = world.spaces.map((space) => space.id)
      const platformId = world.platform.id
      const away = async (instanceIds: string[], spaceIds: string[] | 'all', profileId: string | null = null) =>
        (await mirroredAway(store, { platformId, profileId, selection: { instanceIds, spaceIds } })).map(
          (cell) => `${[one, two, three].indexOf(cell.instanceId)}${cell.spaceId === a ? 'a' : 'b'}`,
        )
      expect((await away([one ?? '', two ?? ''], 'all')).sort()).toEqual(['2a', '2b'])
      expect((await away([one ?? ''], [a ?? ''])).sort()).toEqual(['0b', '1a', '1b', '2a', '2b'])
      await markGone(store, at(world.bindings, 0).id)
      expect(await away([two ?? '', three ?? ''], 'all')).toEqual(['0b'])
      await createProfile(store, {
        platformId,
        name: `holds ${platformId}`,
        selection: { instanceIds: 'all', spaceIds: [a ?? ''] },
      })
      expect((await away([one ?? ''], 'all')).sort()).toEqual(['1b', '2b'])
      expect(await judgeMirror(store, platformId, [{ spaceId: a ?? '' }])).toEqual({
        removed: 1,
        total: 5,
        spaces: 0,
        needsConfirmation: false,
      })
    })
  })

  it('what a failed write of several steps may have made counts as standing there', async () => {
    const world = await makeWorld(store, { spaces: 1, instances: 1 })
    const { id: bindingId, instanceId, spaceId } = at(world.bindings, 0)
    const platformId = world.platform.id
    await recordIntent(store, bindingId, { syncId: newId(), identity: null })
    await saveCheckpoint(store, bindingId, { step: 'registering', data: {} })
    await recordFailure(store, bindingId, { type: 'Unavailable', message: 'It is away.', syncId: null })
    const run = { platformId, profileId: null, selection: { instanceIds: [], spaceIds: 'all' as const } }
    expect(await mirroredAway(store, run)).toEqual([{ bindingId, instanceId, spaceId }])
    await expect(deleteInstance(store, instanceId)).rejects.toMatchObject({ code: 'has_deployments' })
    await saveCheckpoint(store, bindingId, null)
    expect(await mirroredAway(store, run)).toEqual([])
    await deleteInstance(store, instanceId)
  })

  describe('adopting', () => {
    it('makes an object ours, once: what belongs to another binding stays there', async () => {
      const world = await makeWorld(store, { spaces: 1, instances: 2 })
      const [first, second] = world.bindings.map((binding) => binding.id)
      const identity = { id: newId(), key: 'by-hand' }
      await recordAdopted(store, first ?? '', identity, ['url'])
      await recordAdopted(store, first ?? '', identity, ['url'])
      await expect(recordAdopted(store, second ?? '', identity, [])).rejects.toMatchObject({ code: 'owned_by_another' })
      const deployment = await store.db.deployment.findUnique({ where: { bindingId: first ?? '' } })
      expect(deployment).toMatchObject({ ownership: 'adopted', remoteId: identity.id, state: 'drifted' })
    })
  })
})
