import { afterEach, beforeEach, expect, it } from 'vitest'
import { discoverTools } from '../../activities/discover-tools.ts'
import { failSpace } from '../../activities/run-records.ts'
import { getDeployment, recordFailure } from '../../src/store/deployments.ts'
import { mirroredAway } from '../../src/store/mirror.ts'
import { type CozeCell, openCozeCell } from './coze-cell.ts'

/** COZE registers a plugin, and its answer is lost: the run fails without having heard of it. */

let world: CozeCell
beforeEach(async () => {
  world = await openCozeCell()
})
afterEach(() => world?.close())

const plugins = () => world.coze.simulator.plugins(world.remoteId)
const deployment = () => getDeployment(world.deps.store, world.cell.bindingId)
const discover = (syncId: string) =>
  world.run(() => discoverTools(world.deps, { syncId, instanceId: world.cell.instanceId }))

/** Fails for good, with the plugin registered: COZE lists it a moment after it was looked for, and takes no second one. */
async function failAfterRegistering(): Promise<void> {
  const { faults, switches } = world.coze.simulator
  const { spaceId, bindingId } = world.cell
  switches.duplicateNames = 'refused'
  faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'lost-response' } })
  faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'index-lag', ms: 65_000 } })
  const syncId = await world.newRun()
  await discover(syncId)
  await world.plan(syncId)
  await expect(world.write(syncId)).rejects.toThrow()
  const failure = { type: 'UpstreamUnreachable', message: 'It is away.' }
  await world.run(() => failSpace(world.deps, { syncId, spaceId, ...failure }))
  // As the plan of a later run does, that could not ask the MCP server.
  await recordFailure(world.deps.store, bindingId, { ...failure, syncId })
  expect(plugins()).toHaveLength(1)
  expect(await deployment()).toMatchObject({ state: 'failed', identity: null, ownership: null })
}

it.each([
  ['is listed by now', 60_000],
  ['is not listed yet', 0],
])('a removal takes away what a failed run had registered, and what %s', async (_, laterMs) => {
  const { deps, cell, platformId } = world
  await failAfterRegistering()
  world.coze.clock.advance(laterMs)
  const selection = { instanceIds: [], spaceIds: [] }
  const away = await mirroredAway(deps.store, { platformId, profileId: null, selection })
  expect(away.map(({ bindingId }) => bindingId)).toEqual([cell.bindingId])

  const syncId = await world.newRun('remove')
  expect(await world.plan(syncId)).toMatchObject({ toWrite: 1 })
  expect(await world.write(syncId)).toMatchObject({ counts: { succeeded: 1 } })
  expect(plugins()).toEqual([])
  expect(await deployment()).toMatchObject({ state: 'removed', checkpoint: null })
})

it('what COZE does not show any more is neither written, nor taken for gone when it is to be removed', async () => {
  const { coze, deps } = world
  const first = await world.newRun()
  await discover(first)
  await world.plan(first)
  await world.write(first)
  coze.simulator.faults.add({
    endpoint: 'get_plugin_info',
    times: Number.POSITIVE_INFINITY,
    fault: { kind: 'business-error', code: 109000001, msg: '没有权限执行该操作' },
  })
  // As in a later process, which has nothing in mind of the plugin.
  deps.holdPlatform = async () => ({ platform: coze.open(), [Symbol.asyncDispose]: async () => undefined })
  for (const action of ['sync', 'remove'] as const) {
    const syncId = await world.newRun(action)
    expect(await world.plan(syncId), action).toMatchObject({ toWrite: 0, counts: { failed: 1 } })
  }
  expect(await deployment()).not.toMatchObject({ state: 'removed' })
  expect(plugins()).toHaveLength(1)
})
