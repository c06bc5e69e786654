import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { discoverTools } from '../../activities/discover-tools.ts'
import { prepareSync } from '../../activities/prepare-sync.ts'
import { failSpace, recordOutcome } from '../../activities/run-records.ts'
import { verifySpace } from '../../activities/verify-space.ts'
import { writeObjects } from '../../activities/write-objects.ts'
import { getDeployment } from '../../src/store/deployments.ts'
import { listTargetsForSpace } from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import { one } from '../store/fixtures.ts'
import { mockActivity } from './activity-world.ts'
import { type CozeCell, openCozeCell } from './coze-cell.ts'

/** A run that ends before it has read back what it wrote: nothing of it passes for done, and a repetition brings it to its end. */

let world: CozeCell
beforeEach(async () => {
  world = await openCozeCell()
})
afterEach(() => world?.close())

const target = async (syncId: string) => one(await listTargetsForSpace(world.deps.store, syncId, world.cell.spaceId))
const deployment = () => getDeployment(world.deps.store, world.cell.bindingId)
const record = (syncId: string, outcome: 'finished' | 'cancelled') =>
  world.run(() => recordOutcome(world.deps, { syncId, outcome }))
const verify = (syncId: string) => world.run(() => verifySpace(world.deps, { syncId, spaceId: world.cell.spaceId }))

async function planned(): Promise<string> {
  const syncId = await world.newRun()
  await world.run(() => discoverTools(world.deps, { syncId, instanceId: world.cell.instanceId }))
  await world.plan(syncId)
  return syncId
}

/** Answers how many cells it finds to do, and leaves the space in sync. */
async function repeat(retryOf: string): Promise<number> {
  const { deps, platformId, cell } = world
  const selection = { instanceIds: [cell.instanceId], spaceIds: [cell.spaceId] }
  const { sync } = await createSync(deps.store, { platformId, name: 'again', selection, retryOf, requestedBy: 'ann' })
  const { spaceIds } = await world.run(() => prepareSync(deps, { syncId: sync.id }))
  await world.plan(sync.id)
  await world.write(sync.id)
  await verify(sync.id)
  expect(await record(sync.id, 'finished')).toMatchObject({ state: 'succeeded' })
  expect(await deployment()).toMatchObject({ state: 'in_sync', checkpoint: null })
  expect(world.coze.simulator.plugins(world.remoteId)).toHaveLength(1)
  return spaceIds.length
}

describe('cancelled', () => {
  it.each(['register_plugin_meta', 'refresh_mcp_plugin_apis', 'publish_plugin'])(
    'while %s is answered',
    async (call) => {
      const syncId = await planned()
      const held = world.coze.simulator.faults.add({ endpoint: call, fault: { kind: 'hold', at: 'after' } })
      const writing = mockActivity()
      const written = writing.run(() => writeObjects(world.deps, { syncId, spaceId: world.cell.spaceId }))
      const failed = expect(written).rejects.toThrow('CANCELLED')
      await held.hit
      writing.cancel()
      held.release()
      await failed
      expect(await record(syncId, 'cancelled')).toMatchObject({ state: 'cancelled', counts: { cancelled: 1 } })
      expect(await repeat(syncId)).toBe(1)
    },
  )

  it('before what was written was read back', async () => {
    const syncId = await planned()
    await world.write(syncId)
    expect(await record(syncId, 'cancelled')).toMatchObject({ state: 'cancelled', counts: { cancelled: 1 } })
    expect(await target(syncId)).toMatchObject({ state: 'cancelled', note: expect.stringContaining('read back') })
    expect(await repeat(syncId)).toBe(1)
  })

  it('once it was read back: it is done', async () => {
    const syncId = await planned()
    await world.write(syncId)
    await verify(syncId)
    expect(await record(syncId, 'cancelled')).toMatchObject({ state: 'cancelled', counts: { succeeded: 1 } })
  })

  it('once another run has written it since: that is for the other to read back', async () => {
    const syncId = await planned()
    await world.write(syncId)
    const other = await world.newRun()
    await world.deps.store.write((tx) =>
      tx.deployment.updateMany({ where: { bindingId: world.cell.bindingId }, data: { lastSyncId: other } }),
    )
    expect(await record(syncId, 'cancelled')).toMatchObject({ counts: { succeeded: 1 } })
  })
})

describe('given up in a space', () => {
  const failure = { type: 'Unavailable', message: 'COZE cannot be reached.' }
  const fail = (syncId: string, more: object = {}) =>
    world.run(() => failSpace(world.deps, { syncId, spaceId: world.cell.spaceId, ...failure, ...more }))

  it('before what was written was read back', async () => {
    const syncId = await planned()
    await world.write(syncId)
    expect(await fail(syncId)).toMatchObject({ counts: { failed: 1 } })
    expect(await target(syncId)).toMatchObject({
      errorType: failure.type,
      errorMessage: failure.message,
      note: expect.stringContaining('read back'),
    })
    expect(await record(syncId, 'finished')).toMatchObject({ state: 'failed' })
    expect(await repeat(syncId)).toBe(1)
  })

  it('and then read back: what was written stands', async () => {
    const syncId = await planned()
    await world.write(syncId)
    expect(await fail(syncId, { verifies: true })).toMatchObject({ counts: { succeeded: 1 } })
    await verify(syncId)
    expect(await deployment()).toMatchObject({ state: 'in_sync' })
  })
})
