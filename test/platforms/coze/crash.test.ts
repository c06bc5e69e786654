import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CellRecord, type RunCell, syncCells } from './cell.ts'
import { settle, standing } from './settle.ts'
import { type CozeWorld, desiredObject, instanceId, openCozeWorld } from './world.ts'

/**
 * The process dies between any two moments of a target: at every call, before it was sent, after it was processed, and after it
 * was answered. What the store holds is all that the next process knows.
 */

let world: CozeWorld
let space: { spaceId: string; remoteId: string }
beforeEach(async () => {
  world = await openCozeWorld()
  space = { spaceId: 'space', remoteId: world.simulator.addSpace({ ownerId: world.account.userId, name: '研发' }) }
})
afterEach(async () => {
  await world.close()
})

const FIRST = desiredObject().authorization
const SECOND = 'Bearer tfg_second0000000000000000000000000000000000'
const WHOLE = { published: true, changedSince: false, tools: 2 }

/** Runs in a process of its own that dies at the nth call, in that stage. False when it was through before. */
async function dieAt(
  cells: readonly RunCell[],
  n: number,
  stage: 'received' | 'applied' | 'answered',
): Promise<boolean> {
  const process = new AbortController()
  const dead = new Error('killed')
  let seen = 0
  const frozen = cells.map(({ record, desired }) => ({ record: alive(record, process.signal), desired }))
  const stop = world.simulator.onCall((_call, at) => {
    if (at === 'received') seen += 1
    if (seen === n && at === stage) process.abort(dead)
  })
  const platform = world.open()
  try {
    await syncCells(platform, space, frozen, { signal: process.signal })
    return false
  } catch (error) {
    if (!process.signal.aborted) throw error
    return true
  } finally {
    stop()
    await platform.close()
  }
}

/** A dead process writes nothing into the store any more. */
function alive(record: CellRecord, signal: AbortSignal): CellRecord {
  return new Proxy(record, {
    set(target, key, value) {
      return signal.aborted ? true : Reflect.set(target, key, value)
    },
  })
}

describe.each(['received', 'applied', 'answered'] as const)('killed when a call is %s', (stage) => {
  it('while a plugin is made: no second one, none lost, none left unpublished', { timeout: 60_000 }, async () => {
    let n = 1
    for (let died = true; died; n++) {
      const record = new CellRecord('a')
      const cells = [{ record, desired: desiredObject({ instanceId: instanceId(n), name: `Tool_${n}` }) }]
      died = await dieAt(cells, n, stage)
      expect(await settle(world, space, cells, world.open()), `call ${n}`).toEqual({ met: [], ended: 'right' })
      const mine = world.simulator.plugins(space.remoteId)
      expect(mine, `call ${n}`).toHaveLength(1)
      expect(mine[0]?.pluginId).toBe(record.identity?.id)
      expect(standing(world, space)).toMatchObject([{ ...WHOLE, authorization: FIRST }])
      for (const plugin of mine) world.simulator.deletePlugin(plugin.pluginId)
      world.clock.advance(60_000)
    }
    // List, register, refresh, version, publish, read back: it died at each of them.
    expect(n - 2).toBeGreaterThanOrEqual(6)
  })

  it('while a plugin is changed: it ends as desired, in the same place', { timeout: 60_000 }, async () => {
    let n = 1
    for (let died = true; died; n++) {
      const record = new CellRecord('a')
      const cell = (authorization: string) => [
        { record, desired: desiredObject({ instanceId: instanceId(n), name: `Tool_${n}`, authorization }) },
      ]
      await settle(world, space, cell(FIRST), world.open())
      const pluginId = record.identity?.id
      world.clock.advance(120_000)
      died = await dieAt(cell(SECOND), n, stage)
      expect(await settle(world, space, cell(SECOND), world.open()), `call ${n}`).toEqual({ met: [], ended: 'right' })
      expect(world.simulator.plugins(space.remoteId).map((plugin) => plugin.pluginId)).toEqual([pluginId])
      expect(standing(world, space), `call ${n}`).toMatchObject([{ ...WHOLE, authorization: SECOND }])
      for (const plugin of world.simulator.plugins(space.remoteId)) world.simulator.deletePlugin(plugin.pluginId)
      world.clock.advance(60_000)
    }
    expect(n - 2).toBeGreaterThanOrEqual(9)
  })
})

it('killed again and again, at every call in turn, one target still ends as one plugin', {
  timeout: 60_000,
}, async () => {
  const record = new CellRecord('a')
  const cells = [{ record, desired: desiredObject() }]
  for (let n = 1; n <= 8; n++) await dieAt(cells, n, 'applied')
  expect(await settle(world, space, cells, world.open())).toMatchObject({ ended: 'right' })
  expect(standing(world, space)).toMatchObject([{ ...WHOLE, authorization: FIRST }])
})

it('a registration that nobody finished is found by the next plan, which the removal needs, too', async () => {
  const record = new CellRecord('a')
  const cells = [{ record, desired: desiredObject() }]
  let died = false
  for (let n = 1; !died || record.checkpoint?.step !== 'registering'; n++) died = await dieAt(cells, n, 'applied')
  expect(record.identity).toBeNull()
  world.clock.advance(5_000)
  const wanted = [{ bindingId: 'a', identity: null, checkpoint: record.checkpoint, desired: null }]
  const reading = await world.open().read(space, wanted, { signal: new AbortController().signal })
  expect(reading.objects.get('a')?.identity.id).toBe(world.simulator.plugins(space.remoteId)[0]?.pluginId)
})
