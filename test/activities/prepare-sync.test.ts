import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { prepareSync } from '../../activities/prepare-sync.ts'
import { newId } from '../../src/domain/ids.ts'
import { recordIntent } from '../../src/store/deployments.ts'
import { deleteInstance } from '../../src/store/instances.ts'
import { createProfile } from '../../src/store/profiles.ts'
import { createTargets, finishOpenTargets, listTargets } from '../../src/store/sync-targets.ts'
import { createSync, getSync, type NewSync, type SyncRecord } from '../../src/store/syncs.ts'
import { at, makeWorld, unique, type World } from '../store/fixtures.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** Which cells a run is about. */

let base: ActivityWorld
let world: World

beforeAll(async () => {
  base = await openActivityWorld({ spaces: 0, instances: 0 })
})
afterAll(() => base?.close())

describe('a repeated mirror', () => {
  let mirror: SyncRecord

  /** Of two instances in one space, both deployed, a mirror selected the first; taking the second away failed, and so did the first. */
  beforeEach(async () => {
    const { store } = base.deps
    world = await makeWorld(store, { spaces: 1, instances: 2 })
    for (const { id } of world.bindings) {
      await recordIntent(store, id, { syncId: newId(), identity: { id: newId(), key: 'k' } })
    }
    mirror = await newRun(
      { instanceIds: [instance(0)], spaceIds: 'all' },
      { writePolicy: 'mirror', confirmPrune: true },
    )
    expect(await cellsOf(mirror)).toEqual([
      [0, false],
      [1, true],
    ])
    await finishOpenTargets(store, mirror.id, {}, 'failed', { type: 'Unavailable', message: 'It is away.' })
  })

  const instance = (index: number) => at(world.instances, index).id

  async function newRun(selection: NewSync['selection'], over: Partial<NewSync> = {}): Promise<SyncRecord> {
    const platformId = world.platform.id
    const run = { platformId, name: 'run', selection, requestedBy: 'ann', ...over }
    return (await createSync(base.deps.store, run)).sync
  }

  /** What the run is about: the instances by their place, and whether they are to be removed. */
  async function cellsOf(run: SyncRecord): Promise<[number, boolean][]> {
    await base.run(() => prepareSync(base.deps, { syncId: run.id }))
    const { items } = await listTargets(base.deps.store, run.id)
    const places = items.map(({ instanceId, removes }): [number, boolean] => [
      world.instances.findIndex(({ id }) => id === instanceId),
      removes,
    ])
    return places.toSorted(([one], [other]) => one - other)
  }

  const repeated = () => newRun(mirror.selection, { writePolicy: 'mirror', retryOf: mirror.id, confirmPrune: true })

  it('takes away what is still not selected', async () => {
    expect(await cellsOf(await repeated())).toEqual([
      [0, false],
      [1, true],
    ])
  })

  it('leaves what a profile holds by now', async () => {
    await createProfile(base.deps.store, {
      platformId: world.platform.id,
      name: unique('holds'),
      selection: { instanceIds: [instance(1)], spaceIds: 'all' },
    })
    expect(await cellsOf(await repeated())).toEqual([[0, false]])
  })

  it('leaves what a run by hand has selected since; a plan alone selects nothing', async () => {
    const cell = { instanceId: instance(1), spaceId: at(world.spaces, 0).id, bindingId: at(world.bindings, 1).id }
    const selection = { instanceIds: [instance(1)], spaceIds: [cell.spaceId] }
    const plan = await newRun(selection, { dryRun: true })
    await createTargets(base.deps.store, plan.id, [cell])
    expect((await cellsOf(await repeated())).length).toBe(2)
    await cellsOf(await newRun(selection))
    expect(await cellsOf(await repeated())).toEqual([[0, false]])
  })
})

describe('a run about an MCP server that was deleted since', () => {
  it.each([
    ['repeats', 'retryOf'],
    ['applies the plan of', 'planOf'],
  ] as const)('%s an earlier one: the others have their turn, and the run says what was left out', async (_, of) => {
    const { store } = base.deps
    const own = await makeWorld(store, { spaces: 1, instances: 2 })
    const selection = { instanceIds: own.instances.map(({ id }) => id), spaceIds: own.spaces.map(({ id }) => id) }
    const run = { platformId: own.platform.id, name: 'run', selection, requestedBy: 'ann' }
    const { sync: earlier } = await createSync(store, { ...run, dryRun: of === 'planOf' })
    await base.run(() => prepareSync(base.deps, { syncId: earlier.id }))
    await finishOpenTargets(store, earlier.id, {}, 'failed', { type: 'Unavailable', message: 'It is away.' })
    await deleteInstance(store, at(own.instances, 0).id)

    const { sync } = await createSync(store, { ...run, [of]: earlier.id })
    const prepared = await base.run(() => prepareSync(base.deps, { syncId: sync.id }))
    expect(prepared.instanceIds).toEqual([at(own.instances, 1).id])
    expect((await listTargets(store, sync.id)).items.map(({ instanceId }) => instanceId)).toEqual(prepared.instanceIds)
    expect((await getSync(store, sync.id))?.warnings).toEqual(['1 MCP server left out: deleted since.'])
  })
})
