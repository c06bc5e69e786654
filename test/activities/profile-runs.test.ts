import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { holdBackRules } from '../../activities/hold-back-rules.ts'
import { prepareSync } from '../../activities/prepare-sync.ts'
import { noteNewDrift, recordCheck } from '../../activities/record-check.ts'
import { recordOutcome } from '../../activities/run-records.ts'
import { headerSets, loadSpaceWork, type SpaceCell } from '../../activities/space-work.ts'
import { endAsFailed } from '../../activities/walk-targets.ts'
import { ToolferryError } from '../../src/domain/errors.ts'
import type { FieldChange, PlannedTarget } from '../../src/domain/plan.ts'
import { headerSetDigest } from '../../src/domain/upstream-headers.ts'
import type { HeldPlatform } from '../../src/platforms/registry.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { type DeploymentRecord, getDeployment, recordApplied, recordVerified } from '../../src/store/deployments.ts'
import { saveToolSnapshot, updateInstance } from '../../src/store/instances.ts'
import { createProfile, type NewProfile, type ProfileRecord } from '../../src/store/profiles.ts'
import { allSpaces } from '../../src/store/spaces.ts'
import { listSyncEvents } from '../../src/store/sync-events.ts'
import { createTargets, finishTarget, listTargets } from '../../src/store/sync-targets.ts'
import { createSync, getSync, getSyncByWorkflowId, type SyncRecord } from '../../src/store/syncs.ts'
import type { PreparedSync } from '../../workflows/messages.ts'
import { at, makeInstance, remoteSpace, seenOf, unique } from '../store/fixtures.ts'
import { type ActivityWorld, mockActivity, openActivityWorld } from './activity-world.ts'

/** What is special in runs of a profile: their Sync, what they hold back, what a check notes, and what is not kept. */

let world: ActivityWorld

beforeAll(async () => {
  world = await openActivityWorld({ spaces: 2, instances: 2 })
})
afterAll(() => world.close())

async function newProfile(over: Partial<NewProfile> = {}): Promise<ProfileRecord> {
  return await createProfile(world.deps.store, {
    platformId: world.platform.id,
    name: unique('profile'),
    selection: { instanceIds: 'all', spaceIds: 'all' },
    ...over,
  })
}

async function newRun(over: Partial<Parameters<typeof createSync>[1]> = {}): Promise<SyncRecord> {
  const { sync } = await createSync(world.deps.store, {
    platformId: world.platform.id,
    name: 'run',
    selection: { instanceIds: world.instances.map(({ id }) => id), spaceIds: 'all' },
    requestedBy: 'schedule',
    ...over,
  })
  await createTargets(
    world.deps.store,
    sync.id,
    world.bindings.map(({ id, instanceId, spaceId }) => ({ instanceId, spaceId, bindingId: id })),
  )
  return sync
}

const scheduled = (over: Partial<Parameters<typeof createSync>[1]> = {}) =>
  newRun({ workflowId: unique('profile-x-2026'), ...over })

async function workOf(sync: SyncRecord) {
  return await loadSpaceWork(world.deps, { syncId: sync.id, spaceId: at(world.spaces, 0).id })
}

async function firstCell(sync: SyncRecord): Promise<SpaceCell> {
  return at((await workOf(sync)).cells, 0)
}

describe('a run that a schedule started', () => {
  const prepare = (profileId: string, workflowId: string, deps = world.deps): Promise<PreparedSync> =>
    mockActivity({ workflowExecution: { workflowId, runId: 'run-1' } }).run(() => prepareSync(deps, { profileId }))

  it('gets one Sync, keyed by its workflow, of what the profile says', async () => {
    const profile = await newProfile({ writePolicy: 'create-only' })
    const workflowId = `profile-${profile.id}-2026-01-01T00:00:00Z`
    const prepared = await prepare(profile.id, workflowId)
    expect((await prepare(profile.id, workflowId)).syncId).toBe(prepared.syncId)
    expect([prepared.instanceIds.length, prepared.spaceIds.length, prepared.dryRun]).toEqual([2, 2, false])
    expect(await getSyncByWorkflowId(world.deps.store, workflowId)).toMatchObject({
      id: prepared.syncId,
      runId: 'run-1',
      profileId: profile.id,
      writePolicy: 'create-only',
      scheduled: true,
      requestedBy: 'schedule',
    })
  })

  it('takes in the spaces that the platform lists by now, and instances that are new', async () => {
    const platform = { listSpaces: async () => [...listed, remoteSpace('brand new')] }
    const listed = world.spaces.map((space) => remoteSpace(space.name, { remoteId: space.remoteId }))
    const held = { platform, [Symbol.asyncDispose]: async () => undefined } as unknown as HeldPlatform
    const profile = await newProfile()
    const instance = await makeInstance(world.deps.store)
    const prepared = await prepare(profile.id, unique('profile-new'), {
      ...world.deps,
      holdPlatform: async () => held,
    })
    expect([prepared.spaceIds.length, prepared.instanceIds.length]).toEqual([3, 3])
    expect((await allSpaces(world.deps.store, world.platform.id)).map((space) => space.name)).toContain('brand new')
    await updateInstance(world.deps.store, instance.id, null, { status: 'inactive' })
    expect((await prepare(profile.id, unique('profile-newer'))).instanceIds).not.toContain(instance.id)
  })

  it('that checks and reports is a dry run', async () => {
    const schedule = { action: 'check' as const, intervalMs: 60_000, jitterMs: 0 }
    const reports = await newProfile({ schedule })
    const heals = await newProfile({ schedule, driftPolicy: 'heal' })
    expect((await prepare(reports.id, unique('profile-check'))).dryRun).toBe(true)
    expect((await prepare(heals.id, unique('profile-heal'))).dryRun).toBe(false)
  })

  it('fails for good when its profile is gone', async () => {
    await expect(prepare('nobody', unique('profile-gone'))).rejects.toMatchObject({
      type: 'TargetGone',
      nonRetryable: true,
    })
  })

  it('counts its unchanged targets and keeps no row of them; one by hand keeps them', async () => {
    for (const [sync, kept] of [
      [await scheduled(), 1],
      [await newRun(), 4],
    ] as const) {
      const targets = (await listTargets(world.deps.store, sync.id)).items
      for (const [index, target] of targets.entries()) {
        await finishTarget(world.deps.store, target.id, index === 0 ? 'succeeded' : 'unchanged')
      }
      const ending = () => world.run(() => recordOutcome(world.deps, { syncId: sync.id, outcome: 'finished' }))
      const outcome = await ending()
      expect(outcome.counts).toMatchObject({ total: 4, unchanged: 3, succeeded: 1 })
      expect(await ending()).toEqual(outcome)
      expect((await listTargets(world.deps.store, sync.id)).items).toHaveLength(kept)
      expect((await getSync(world.deps.store, sync.id))?.counts).toEqual(outcome.counts)
    }
  })
})

describe('what was given up', () => {
  const giveUp = async (type: 'InvalidDesiredState' | 'Timeout') => {
    const cell = await firstCell(await scheduled())
    await endAsFailed(world.deps, cell, new ToolferryError(type, 'no'))
    return cell
  }
  const isHeld = async (sync: SyncRecord) => {
    const work = await workOf(sync)
    return (await holdBackRules(world.deps.store, work))(at(work.cells, 0)).givenUp
  }

  it('is not tried again by a schedule, but by hand; and by a schedule once something changed', async () => {
    const cell = await giveUp('InvalidDesiredState')
    expect(await isHeld(await scheduled())).toBe(true)
    expect(await isHeld(await newRun())).toBe(false)
    await updateBinding(world.deps.store, cell.key, null, { tags: ['again'] })
    expect(await isHeld(await scheduled())).toBe(false)
    await giveUp('InvalidDesiredState')
    expect(await isHeld(await scheduled())).toBe(true)
    await saveToolSnapshot(world.deps.store, {
      instanceId: cell.instance.id,
      headerDigest: await headerDigestOf(cell),
      tools: [{ name: 'new', inputSchema: { type: 'object' } }],
    })
    expect(await isHeld(await scheduled())).toBe(false)
  })

  it('is only what another attempt cannot help', async () => {
    await updateBinding(world.deps.store, (await firstCell(await scheduled())).key, null, { tags: ['once more'] })
    await giveUp('Timeout')
    expect(await isHeld(await scheduled())).toBe(false)
  })

  it('is forgotten by a write that succeeded', async () => {
    const cell = await giveUp('InvalidDesiredState')
    const identity = { id: 'remote', key: null }
    await recordApplied(world.deps.store, cell.key, {
      syncId: cell.target.syncId,
      identity,
      digests: { desired: {}, written: {} },
      applied: {},
    })
    expect(await isHeld(await scheduled())).toBe(false)
  })
})

describe('a check', () => {
  const tools: FieldChange = { field: 'tools', before: null, after: null, secret: false }
  const plan = (over: Partial<PlannedTarget>): PlannedTarget => ({
    action: 'update',
    failure: null,
    note: null,
    changes: [],
    drift: [],
    kept: [],
    ...over,
  })

  it('notes what drifted and since when, upstream tools too, and that it is over', async () => {
    const sync = await scheduled({ dryRun: true })
    const { key } = await firstCell(sync)
    const digests = { desired: { tools: 'x' }, written: { tools: 'x' } }
    await recordApplied(world.deps.store, key, {
      syncId: sync.id,
      identity: { id: 'r', key: null },
      digests,
      applied: {},
    })
    await recordVerified(world.deps.store, [await seenOf(world.deps.store, key)], sync.id)
    const check = async (over: Partial<PlannedTarget>) => {
      await recordCheck(world.deps.store, sync.id, [{ cell: await firstCell(sync), plan: plan(over) }])
      const deployment = await getDeployment(world.deps.store, key)
      return [deployment?.state, deployment?.driftFields, deployment?.driftSince !== null]
    }
    expect(await check({ drift: ['url'] })).toEqual(['drifted', ['url'], true])
    const since = (await getDeployment(world.deps.store, key))?.driftSince
    expect(await check({ changes: [tools] })).toEqual(['drifted', ['upstream-tools'], true])
    expect((await getDeployment(world.deps.store, key))?.driftSince).toEqual(since)
    expect(await check({ drift: ['tools'], changes: [tools] })).toEqual(['drifted', ['tools'], true])
    // Mended on the platform by hand, while something else is still to be written.
    expect(await check({})).toEqual(['in_sync', [], false])
    expect(await check({ action: 'create', drift: ['deleted'], changes: [tools] })).toEqual([
      'drifted',
      ['deleted'],
      true,
    ])
    expect(await check({ action: null, failure: { type: 'Timeout', message: 'no' } })).toEqual([
      'drifted',
      ['deleted'],
      true,
    ])
    expect(await check({ action: 'unchanged' })).toEqual(['in_sync', [], false])
  })

  it('and any run notes for its end what is newly drifted, and nothing twice', async () => {
    const sync = await newRun()
    const cell = await firstCell(sync)
    const noted = async (deployment: Partial<DeploymentRecord>, over: Partial<PlannedTarget>, isCheck: boolean) => {
      const before = (await listSyncEvents(world.deps.store, sync.id, 0)).length
      const known = { ...cell.deployment, digests: { desired: {}, written: {} }, driftSince: null, ...deployment }
      const plans = [{ cell: { ...cell, deployment: known as DeploymentRecord }, plan: plan(over) }]
      await noteNewDrift(world.deps.store, { syncId: sync.id, spaceId: 'space' }, plans, isCheck)
      return (await listSyncEvents(world.deps.store, sync.id, 0)).slice(before).map(({ type, data }) => [type, data])
    }
    const told = (fields: string[]) => [['drift', { spaceId: 'space', objects: 1, fields }]]
    expect(await noted({}, { drift: ['url'] }, false)).toEqual(told(['url']))
    expect(await noted({}, { drift: ['url'] }, true)).toEqual(told(['url']))
    // New tools are what a sync brings; a check of them says so.
    expect(await noted({}, { changes: [tools] }, false)).toEqual([])
    expect(await noted({}, { changes: [tools] }, true)).toEqual(told(['upstream-tools']))
    expect(await noted({ driftSince: new Date() }, { drift: ['url'] }, true)).toEqual([])
    expect(await noted({ digests: null }, { drift: ['url'] }, true)).toEqual([])
    expect(await noted({}, { action: 'conflict', drift: ['deleted'] }, true)).toEqual([])
    expect(await noted({}, { action: 'unchanged' }, true)).toEqual([])
  })
})

describe('applying a plan', () => {
  it('is about the targets of the plan, whatever came since', async () => {
    const dry = await newRun({ dryRun: true })
    const { sync } = await createSync(world.deps.store, {
      platformId: world.platform.id,
      name: 'apply',
      selection: { instanceIds: [], spaceIds: 'all' },
      planOf: dry.id,
      requestedBy: 'ann',
    })
    await makeInstance(world.deps.store)
    const prepared = await world.run(() => prepareSync(world.deps, { syncId: sync.id }))
    expect([prepared.instanceIds.length, prepared.spaceIds.length]).toEqual([2, 2])
  })
})

async function headerDigestOf(cell: SpaceCell): Promise<string> {
  const headersOf = await headerSets(world.deps.store, [cell.target], [])
  return headerSetDigest(world.deps.store.digest, headersOf(cell.target))
}
