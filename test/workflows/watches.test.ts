import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TOKEN_WATCH_WORKFLOW, TOOL_WATCH_WORKFLOW } from '../../workflows/messages.ts'
import { startTemporalWorld, type TemporalWorld } from './temporal-world.ts'

/** The watches that schedules start: what they ask for, and in which order. */

let world: TemporalWorld
beforeAll(async () => {
  world = await startTemporalWorld()
})
afterAll(async () => {
  await world?.close()
})

it('the watch on tokens ends the quiet ones, speaks of expiry, starts rotations; counts are all that it hands over', async () => {
  const run = await world.startOther(TOKEN_WATCH_WORKFLOW, 'tokens', [])
  expect(await run.result()).toEqual({ ended: 2, stillUsed: 1, warned: 1, rotations: 1 })
  expect(run.script.calls.map(({ name }) => name)).toEqual(['retireTokens', 'watchExpiry', 'startDueRotations'])
})

describe('the watch on tools', () => {
  const look = { asked: 3, unreachable: 0, changed: 2, started: 0, unsettledInstanceIds: ['a', 'b'], settleMs: 5 }

  it('looks once when nothing is in motion', async () => {
    const run = await world.startOther(TOOL_WATCH_WORKFLOW, 'quiet', [])
    expect(await run.result()).toMatchObject({ asked: 2, started: 0 })
    expect(run.script.inputs('watchTools')).toEqual([{ instanceIds: null }])
  })

  it('looks again at those whose list has not settled, and sums up what it started', async () => {
    const replies = [look, { ...look, started: 1, unsettledInstanceIds: ['b'] }, { ...look, unsettledInstanceIds: [] }]
    const run = await world.startOther(TOOL_WATCH_WORKFLOW, 'settling', [], {
      watchTools: (_, nth) => replies[nth - 1],
    })
    expect(await run.result()).toMatchObject({ asked: 3, changed: 2, started: 1, unsettledInstanceIds: [] })
    expect(run.script.inputs('watchTools')).toEqual([
      { instanceIds: null },
      { instanceIds: ['a', 'b'] },
      { instanceIds: ['b'] },
    ])
  })

  it('looks only at the server that said that its tools have changed', async () => {
    const run = await world.startOther(TOOL_WATCH_WORKFLOW, 'hinted', [{ instanceIds: ['a'] }])
    await run.result()
    expect(run.script.inputs('watchTools')).toEqual([{ instanceIds: ['a'] }])
  })

  it('leaves a server that never settles to the next run of the schedule', async () => {
    const run = await world.startOther(TOOL_WATCH_WORKFLOW, 'flapping', [], { watchTools: () => look })
    expect(await run.result()).toMatchObject({ started: 0, unsettledInstanceIds: ['a', 'b'] })
    expect(run.script.inputs('watchTools')).toHaveLength(3)
  })
})
