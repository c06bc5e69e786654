import { afterEach, beforeEach, expect, it } from 'vitest'
import { CellRecord, syncCells } from './cell.ts'
import { type CozeWorld, desiredObject, openCozeWorld } from './world.ts'

let world: CozeWorld
beforeEach(async () => {
  world = await openCozeWorld()
})
afterEach(async () => {
  await world.close()
})

it('makes, reads back, leaves alone', async () => {
  const platform = world.open()
  const space = { spaceId: 's', remoteId: world.account.personalSpaceId }
  const cells = [{ record: new CellRecord('a'), desired: desiredObject() }]
  const [first] = await syncCells(platform, space, cells)
  expect(first).toMatchObject({ action: 'create', drift: [] })
  expect(world.simulator.counts()).toEqual({
    library_resource_list: 2,
    register_plugin_meta: 1,
    refresh_mcp_plugin_apis: 1,
    get_plugin_next_version: 1,
    publish_plugin: 1,
    get_playground_plugin_list: 1,
  })
  world.clock.advance(120_000)
  world.simulator.resetCalls()
  const [second] = await syncCells(world.open(), space, cells)
  expect(second).toMatchObject({ action: 'unchanged' })
  expect(world.simulator.calls({ writes: true })).toEqual([])
})
