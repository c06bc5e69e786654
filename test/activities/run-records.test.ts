import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { recordOutcome, recordState, setSpaceAuthorization } from '../../activities/run-records.ts'
import { newId } from '../../src/domain/ids.ts'
import { listAudit } from '../../src/store/audit.ts'
import { ensureBindings, getBindings, setBindingsEnabled } from '../../src/store/bindings.ts'
import { beginDeletion } from '../../src/store/deletions.ts'
import { recordIntent } from '../../src/store/deployments.ts'
import { getInstance } from '../../src/store/instances.ts'
import { createManualToken } from '../../src/store/manual-tokens.ts'
import { getPlatform } from '../../src/store/platforms.ts'
import { recordReplica, removeAllReplicas } from '../../src/store/replicas.ts'
import { currentRevision } from '../../src/store/revision.ts'
import { getSpace } from '../../src/store/spaces.ts'
import type { Store } from '../../src/store/store.ts'
import { listSyncEvents } from '../../src/store/sync-events.ts'
import { listTargetsForSpace } from '../../src/store/sync-targets.ts'
import { createSync, finishSync, getSync, requestCancel, requestPause, updateSync } from '../../src/store/syncs.ts'
import { mintTokenFor } from '../../src/store/tokens.ts'
import { at, makeInstance, makeWorld, markGone } from '../store/fixtures.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** What the workflow has recorded, on a real store. */

let world: ActivityWorld

beforeAll(async () => {
  world = await openActivityWorld({ spaces: 2, instances: 2 })
})
afterAll(async () => {
  await world?.close()
})

type Shown = 'running' | 'paused' | 'waiting_for_credential'

describe('recordState', () => {
  async function recorded(before: Shown, wished: boolean, state: Shown) {
    const { store } = world.deps
    const sync = await world.newSync()
    await updateSync(store, sync.id, { state: before })
    await requestPause(store, sync.id, wished)
    await world.run(() => recordState(world.deps, { syncId: sync.id, state }))
    const changed = await getSync(store, sync.id)
    const audited = (await listAudit(store, { resource: 'sync', resourceId: sync.id })).items
    return [changed?.state, changed?.pauseRequested, audited.map(({ actor, action }) => `${actor} ${action}`)]
  }

  it('a pause or resume that came by Temporal’s own console is the admin’s wish from now on, and audited', async () => {
    expect(await recorded('running', false, 'paused')).toEqual(['paused', true, ['temporal pause']])
    expect(await recorded('paused', true, 'running')).toEqual(['running', false, ['temporal resume']])
    expect(await recorded('paused', true, 'waiting_for_credential')).toEqual([
      'waiting_for_credential',
      false,
      ['temporal resume'],
    ])
  })

  it('a pause or resume that the API had written is not audited a second time', async () => {
    expect(await recorded('running', true, 'paused')).toEqual(['paused', true, []])
    expect(await recorded('paused', false, 'running')).toEqual(['running', false, []])
  })

  it('any other change leaves a pause alone whose signal may still be on its way', async () => {
    expect(await recorded('running', true, 'waiting_for_credential')).toEqual(['waiting_for_credential', true, []])
    expect(await recorded('waiting_for_credential', true, 'running')).toEqual(['running', true, []])
  })

  it('changes and tells nothing once the run is closed', async () => {
    const { store } = world.deps
    const sync = await world.newSync()
    await finishSync(store, sync.id, { state: 'succeeded' })
    await world.run(() => recordState(world.deps, { syncId: sync.id, state: 'paused' }))
    expect(await getSync(store, sync.id)).toMatchObject({ state: 'succeeded', pauseRequested: false })
    expect(await listSyncEvents(store, sync.id, 0)).toEqual([])
    expect((await listAudit(store, { resource: 'sync', resourceId: sync.id })).items).toEqual([])
  })
})

describe('setSpaceAuthorization', () => {
  it('switches the bindings, skips what is open in that space, and is audited for whoever signed', async () => {
    const { store } = world.deps
    const sync = await world.newSync()
    const [here, there] = [at(world.spaces, 0).id, at(world.spaces, 1).id]
    const turn = (enabled: boolean) => {
      const input = { syncId: sync.id, spaceId: here, enabled, actor: 'temporal' }
      return world.run(() => setSpaceAuthorization(world.deps, input))
    }
    const enabled = async (spaceId: string) => {
      const ids = world.bindings.filter((binding) => binding.spaceId === spaceId).map(({ id }) => id)
      return (await getBindings(store, ids)).map((binding) => binding.enabled)
    }
    expect(await turn(false)).toEqual({ changed: 2 })
    expect([await enabled(here), await enabled(there)]).toEqual([
      [false, false],
      [true, true],
    ])
    const states = async (spaceId: string) =>
      (await listTargetsForSpace(store, sync.id, spaceId)).map(({ state }) => state)
    expect([await states(here), await states(there)]).toEqual([
      ['skipped', 'skipped'],
      ['pending', 'pending'],
    ])
    expect(await turn(false)).toEqual({ changed: 0 })
    expect(await turn(true)).toEqual({ changed: 2 })
    const audited = (await listAudit(store, { resource: 'space', resourceId: here })).items
    expect(audited.map(({ actor, action, fields }) => [actor, action, fields])).toEqual([
      ['temporal', 'enable', ['enabled']],
      ['temporal', 'disable', ['enabled']],
      ['temporal', 'disable', ['enabled']],
    ])
  })

  it('of the API that comes late, after a worker was away, changes nothing that was decided since', async () => {
    const { store } = world.deps
    const sync = await world.newSync()
    const spaceId = at(world.spaces, 0).id
    const late = (enabled: boolean, revision: number) => {
      const input = { syncId: sync.id, spaceId, enabled, actor: 'ann', revision }
      return world.run(() => setSpaceAuthorization(world.deps, input))
    }
    const disabled = await setBindingsEnabled(store, { spaceId }, false)
    const [one, other] = disabled.bindingIds
    await setBindingsEnabled(store, { spaceId }, true)
    await setBindingsEnabled(store, { bindingIds: [other ?? ''] }, false)
    expect(await late(false, disabled.revision)).toEqual({ changed: 0 })
    const enabled = async () =>
      (await getBindings(store, [one ?? '', other ?? ''])).map((binding) => [binding.id === one, binding.enabled])
    expect((await enabled()).sort()).toEqual([
      [false, false],
      [true, true],
    ])
    expect((await getSpace(store, spaceId))?.disabledAt).toBeNull()
    // Only what is disabled now is skipped.
    const targets = await listTargetsForSpace(store, sync.id, spaceId)
    expect(targets.map(({ bindingId, state }) => [bindingId === one, state]).sort()).toEqual([
      [false, 'skipped'],
      [true, 'pending'],
    ])
    const again = await setBindingsEnabled(store, { spaceId }, false)
    expect(await late(true, disabled.revision)).toEqual({ changed: 0 })
    expect(again.bindingIds).toHaveLength(1)
    expect((await enabled()).map(([, is]) => is)).toEqual([false, false])
    await setBindingsEnabled(store, { spaceId }, true)
  })

  it('holds for what is bound in the space later, unless it was meant for some instances only', async () => {
    const { store } = world.deps
    const sync = await world.newSync()
    const spaceId = at(world.spaces, 0).id
    const turn = (enabled: boolean, some: { instanceIds?: string[] } = {}) =>
      world.run(() => setSpaceAuthorization(world.deps, { syncId: sync.id, spaceId, enabled, actor: 'ann', ...some }))
    const bindLater = async () => {
      const { id: instanceId } = await makeInstance(store)
      return (await ensureBindings(store, [{ instanceId, spaceId }])).map((binding) => binding.enabled)
    }
    await turn(false, { instanceIds: sync.selection.instanceIds })
    expect([await bindLater(), (await getSpace(store, spaceId))?.disabledAt]).toEqual([[true], null])
    await turn(false)
    const since = (await getSpace(store, spaceId))?.disabledAt
    expect(since).toBeInstanceOf(Date)
    await turn(false)
    expect([await bindLater(), (await getSpace(store, spaceId))?.disabledAt]).toEqual([[false], since])
    await turn(true)
    expect([await bindLater(), (await getSpace(store, spaceId))?.disabledAt]).toEqual([[true], null])
  })
})

describe('recordOutcome', () => {
  afterEach(() => removeAllReplicas(world.deps.store))

  /** A store whose gateways are watched while they are waited for: `onLook` is told of each look at them. */
  function lookedAt(onLook: () => Promise<void>): Store {
    const { store } = world.deps
    const findMany = async (query: object) => {
      await onLook()
      return await store.db.gatewayReplica.findMany(query)
    }
    const db = new Proxy(store.db, {
      get: (target, name) => (name === 'gatewayReplica' ? { findMany } : Reflect.get(target, name)),
    })
    return { ...store, db }
  }

  it('closes once: a second call answers what stands and is not audited again', async () => {
    const { store } = world.deps
    const sync = await world.newSync()
    const record = (outcome: 'finished' | 'cancelled') =>
      world.run(() => recordOutcome(world.deps, { syncId: sync.id, outcome }))
    const cancelled = await record('cancelled')
    expect(cancelled).toMatchObject({ state: 'cancelled', counts: { total: 4, cancelled: 4 } })
    expect(await record('finished')).toEqual(cancelled)
    const audited = (await listAudit(store, { resource: 'sync', resourceId: sync.id })).items
    expect(audited.filter(({ action }) => action === 'finish').map(({ actor }) => actor)).toEqual(['ann'])
  })

  it.each<['by hand in Temporal' | 'through the API', string[]]>([
    ['by hand in Temporal', ['temporal cancel']],
    ['through the API', []],
  ])('of a run that was cancelled %s is audited for whoever did it', async (where, expected) => {
    const { store } = world.deps
    const sync = await world.newSync()
    if (where === 'through the API') await requestCancel(store, sync.id)
    await world.run(() => recordOutcome(world.deps, { syncId: sync.id, outcome: 'cancelled' }))
    const audited = (await listAudit(store, { resource: 'sync', resourceId: sync.id })).items
    const others = audited.filter(({ action }) => action !== 'finish')
    expect(others.map(({ actor, action }) => `${actor} ${action}`)).toEqual(expected)
  })

  it('of a failed run ends its open targets with the reason', async () => {
    const { store } = world.deps
    const sync = await world.newSync()
    const ending = {
      syncId: sync.id,
      outcome: 'failed',
      type: 'TargetGone',
      message: 'The platform was deleted.',
    } as const
    expect((await world.run(() => recordOutcome(world.deps, ending))).state).toBe('failed')
    expect(await getSync(store, sync.id)).toMatchObject({
      errorType: 'TargetGone',
      errorMessage: 'The platform was deleted.',
    })
    const targets = await listTargetsForSpace(store, sync.id, at(world.spaces, 0).id)
    expect(targets.map(({ errorType }) => errorType)).toEqual(['TargetGone', 'TargetGone'])
  })

  it.each(['instance', 'platform'])('of a removal: who sees its end sees that the %s is gone', async (what) => {
    const { store } = world.deps
    const { platform, instances, bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
    const instanceId = at(instances, 0).id
    await recordIntent(store, at(bindings, 0).id, { syncId: newId(), identity: { id: newId(), key: 'k' } })
    const doomed = what === 'instance' ? { instanceId } : { platformId: platform.id }
    const [removal] = await beginDeletion(store, doomed, { requestedBy: 'ann', acceptWarnings: false })
    const syncId = removal?.id ?? ''
    await markGone(store, at(bindings, 0).id, syncId)
    const seen: [boolean, boolean][] = []
    // What others see after each of its transactions.
    const write: Store['write'] = async (work, options) => {
      const result = await store.write(work, options)
      const gone =
        (await (what === 'instance' ? getInstance(store, instanceId) : getPlatform(store, platform.id))) === null
      seen.push([(await getSync(store, syncId))?.finishedAt !== null, gone])
      return result
    }
    const deps = { ...world.deps, store: { ...store, write } }
    await world.run(() => recordOutcome(deps, { syncId, outcome: 'finished' }))
    expect(seen.at(-1)).toEqual([true, true])
    expect(seen.filter(([closed, gone]) => closed !== gone)).toEqual([])
  })

  it('of a removal: every live gateway has seen that its tokens are over before it says so', async () => {
    const { store } = world.deps
    const { platform, instances } = await makeWorld(store, { spaces: 1, instances: 1 })
    const { sync } = await createSync(store, {
      platformId: platform.id,
      action: 'remove',
      name: 'away with it',
      selection: { instanceIds: instances.map(({ id }) => id), spaceIds: 'all' },
      requestedBy: 'ann',
    })
    const revision = await currentRevision(store.db)
    await recordReplica(store, 'quick', revision)
    await recordReplica(store, 'late', revision - 1)
    const happened: string[] = []
    // The late one comes on while it is looked at.
    const watched = lookedAt(async () => {
      if (happened.push('looked') === 3) await recordReplica(store, 'late', revision)
    })
    const write: Store['write'] = async (work, options) => {
      const result = await store.write(work, options)
      if ((await getSync(store, sync.id))?.finishedAt !== null) happened.push('closed')
      return result
    }
    const deps = { ...world.deps, store: { ...watched, write } }
    await world.run(() => recordOutcome(deps, { syncId: sync.id, outcome: 'finished' }))
    expect(happened.slice(0, 4)).toEqual(['looked', 'looked', 'looked', 'closed'])
  })

  it.each(['instance', 'platform'])(
    'of a deletion: so it is with the tokens that go with the %s itself',
    async (what) => {
      const { store } = world.deps
      const { platform, instances, bindings } = await makeWorld(store, { spaces: 2, instances: 1 })
      const [deployed, bare] = [at(bindings, 0).id, at(bindings, 1).id]
      const instanceId = at(instances, 0).id
      await recordIntent(store, deployed, { syncId: newId(), identity: { id: newId(), key: 'k' } })
      const manual = await createManualToken(store, { instanceId, name: 'Cursor' })
      const unwritten = await mintTokenFor(store, bare)
      const doomed = what === 'instance' ? { instanceId } : { platformId: platform.id }
      const [removal] = await beginDeletion(store, doomed, { requestedBy: 'ann', acceptWarnings: false })
      const syncId = removal?.id ?? ''
      await recordReplica(store, 'late', await currentRevision(store.db))
      const stateOf = async (id: string) => (await store.db.gatewayToken.findUnique({ where: { id } }))?.state
      const seen: object[] = []
      const watched = lookedAt(async () => {
        const closed = (await getSync(store, syncId))?.finishedAt !== null
        seen.push({ closed, manual: await stateOf(manual.id), unwritten: await stateOf(unwritten.id) })
        if (seen.length === 3) await recordReplica(store, 'late', await currentRevision(store.db))
      })
      const end = () =>
        world.run(() => recordOutcome({ ...world.deps, store: watched }, { syncId, outcome: 'finished' }))
      await markGone(store, deployed, syncId)
      await end()
      const revoked = {
        closed: false,
        manual: what === 'instance' ? 'revoked' : 'active',
        unwritten: 'revoked',
      }
      expect(seen).toEqual([revoked, revoked, revoked])
      expect((await getSync(store, syncId))?.finishedAt).not.toBeNull()
    },
  )

  it('of a deletion that leaves an object somewhere: its tokens stay good', async () => {
    const { store } = world.deps
    const { instances, bindings } = await makeWorld(store, { spaces: 2, instances: 1 })
    const instanceId = at(instances, 0).id
    await recordIntent(store, at(bindings, 0).id, { syncId: newId(), identity: { id: newId(), key: 'k' } })
    const tokens = [
      await createManualToken(store, { instanceId, name: 'CI' }),
      await mintTokenFor(store, at(bindings, 1).id),
    ]
    const [removal] = await beginDeletion(store, { instanceId }, { requestedBy: 'ann', acceptWarnings: false })
    await world.run(() => recordOutcome(world.deps, { syncId: removal?.id ?? '', outcome: 'cancelled' }))
    const rows = await store.db.gatewayToken.findMany({ where: { id: { in: tokens.map(({ id }) => id) } } })
    expect(rows.map(({ state }) => state)).toEqual(['active', 'active'])
  })

  it('of a mirror that was only planned: no gateway is waited for', async () => {
    const { store } = world.deps
    const { sync } = await createSync(store, {
      platformId: world.platform.id,
      name: 'only planned',
      selection: { instanceIds: world.instances.map(({ id }) => id), spaceIds: 'all' },
      writePolicy: 'mirror',
      dryRun: true,
      requestedBy: 'ann',
    })
    await recordReplica(store, 'late', 0)
    let looks = 0
    const watched = lookedAt(async () => {
      looks += 1
      await recordReplica(store, 'late', await currentRevision(store.db))
    })
    const ended = await world.run(() =>
      recordOutcome({ ...world.deps, store: watched }, { syncId: sync.id, outcome: 'finished' }),
    )
    expect([ended.state, looks]).toEqual(['planned', 0])
  })
})
