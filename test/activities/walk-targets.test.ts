import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadSpaceWork, plannedCells, type SpaceCell } from '../../activities/space-work.ts'
import { type Walk, walkTargets } from '../../activities/walk-targets.ts'
import { type ErrorType, ToolferryError } from '../../src/domain/errors.ts'
import { getDeployment } from '../../src/store/deployments.ts'
import { listSyncEvents } from '../../src/store/sync-events.ts'
import { finishOpenTargets, finishTarget, listTargetsForSpace, startTarget } from '../../src/store/sync-targets.ts'
import { requestPause } from '../../src/store/syncs.ts'
import { at } from '../store/fixtures.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** The activity is the unit of retry, the target the unit of truth; on a real store. */

const INSTANCES = 4
const ATTEMPTS = 3

let world: ActivityWorld

beforeAll(async () => {
  world = await openActivityWorld({ spaces: 1, instances: INSTANCES })
})
afterAll(async () => {
  await world?.close()
})

afterEach(() => {
  vi.restoreAllMocks()
})

/** One run's walk over the open targets of its space; call it again for another attempt of the activity. */
async function newWalk(attempts: Walk['attempts'] = 'starts', signal = new AbortController().signal) {
  const sync = await world.newSync()
  const { deps } = world
  const spaceId = at(world.spaces, 0).id
  const walked: number[] = []
  const targets = async () => {
    const rows = await listTargetsForSpace(deps.store, sync.id, spaceId)
    return world.instances.map(({ id }) => {
      const row = rows.find((target) => target.instanceId === id)
      if (row === undefined) throw new Error('a target is missing')
      return row
    })
  }
  return {
    sync,
    walked,
    targets,
    states: async () => (await targets()).map((target) => target.state),
    async attempt(step: (index: number, cell: SpaceCell) => Promise<void> | void) {
      const work = await loadSpaceWork(deps, { syncId: sync.id, spaceId })
      const indexOf = (cell: SpaceCell) => world.instances.findIndex(({ id }) => id === cell.instance.id)
      const cells = plannedCells(work).sort((a, b) => indexOf(a) - indexOf(b))
      return await walkTargets(deps, { work, cells, signal, attempts }, async (cell) => {
        walked.push(indexOf(cell))
        if (attempts === 'starts') await startTarget(deps.store, cell.target.id)
        await step(indexOf(cell), cell)
        if (attempts === 'starts') await finishTarget(deps.store, cell.target.id, 'succeeded')
      })
    },
  }
}

const fail = (type: ErrorType): never => {
  throw new ToolferryError(type, `failed: ${type}`)
}

describe('a walk', () => {
  it('does every target in order', async () => {
    const walk = await newWalk()
    expect(await walk.attempt(() => undefined)).toBeNull()
    expect(walk.walked).toEqual([0, 1, 2, 3])
    expect(await walk.states()).toEqual(Array(INSTANCES).fill('succeeded'))
  })

  it('ends a target that nothing can help at once, says why, and goes on', async () => {
    const walk = await newWalk()
    const answer = await walk.attempt((index) => {
      if (index === 1) fail('InvalidDesiredState')
      if (index === 2) fail('Conflict')
    })
    expect(answer).toBeNull()
    expect(await walk.states()).toEqual(['succeeded', 'failed', 'conflict', 'succeeded'])
    const failed = at(await walk.targets(), 1)
    expect(failed).toMatchObject({
      errorType: 'InvalidDesiredState',
      errorMessage: 'failed: InvalidDesiredState',
      attempts: 1,
    })
    const deployment = await getDeployment(world.deps.store, failed.bindingId ?? '')
    expect(deployment).toMatchObject({
      state: 'failed',
      lastErrorType: 'InvalidDesiredState',
      lastSyncId: walk.sync.id,
    })
    // Whoever watches the run sees it, too.
    const events = await listSyncEvents(world.deps.store, walk.sync.id, 0)
    expect(events.map(({ type, data }) => [type, data.state, data.instanceId])).toEqual([
      ['target', 'failed', at(world.instances, 1).id],
      ['target', 'conflict', at(world.instances, 2).id],
    ])
  })

  it('throws at its end what may succeed later; the next attempt does just what is left', async () => {
    const walk = await newWalk()
    const first = walk.attempt((index) => {
      if (index === 0) fail('Timeout')
    })
    await expect(first).rejects.toMatchObject({ type: 'Timeout' })
    expect(await walk.states()).toEqual(['pending', 'succeeded', 'succeeded', 'succeeded'])
    expect(at(await walk.targets(), 0)).toMatchObject({ attempts: 1, errorType: 'Timeout' })
    walk.walked.length = 0
    expect(await walk.attempt(() => undefined)).toBeNull()
    expect(walk.walked).toEqual([0])
    expect(at(await walk.targets(), 0)).toMatchObject({ state: 'succeeded', attempts: 2, errorType: null })
  })

  it.each(['starts', 'failures'] as const)('gives a target up after its attempts (counted by %s)', async (attempts) => {
    const walk = await newWalk(attempts)
    const step = (index: number) => {
      if (index === 0) fail('UpstreamUnreachable')
    }
    for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
      await expect(walk.attempt(step)).rejects.toMatchObject({ type: 'UpstreamUnreachable' })
      expect(at(await walk.targets(), 0)).toMatchObject({ state: 'pending', attempts: attempt })
    }
    expect(await walk.attempt(step)).toBeNull()
    expect(at(await walk.targets(), 0)).toMatchObject({
      state: 'failed',
      attempts: ATTEMPTS,
      errorType: 'UpstreamUnreachable',
    })
  })

  it('an unexpected error is tried again under its own name, its text only logged', async () => {
    const walk = await newWalk()
    const canary = 'canary-in-an-unexpected-error'
    const step = (index: number) => {
      if (index === 2) throw new TypeError(canary)
    }
    for (let attempt = 1; attempt < ATTEMPTS; attempt++)
      await expect(walk.attempt(step)).rejects.toMatchObject({ type: 'Bug' })
    expect(await walk.attempt(step)).toBeNull()
    const target = at(await walk.targets(), 2)
    expect(target).toMatchObject({ state: 'failed', errorType: 'Bug' })
    expect(JSON.stringify(await walk.targets())).not.toContain(canary)
    expect(world.lines.filter((line) => line.level === 'error' && 'targetId' in line.fields)).toHaveLength(ATTEMPTS)
  })

  it.each([
    'CredentialExpired',
    'CredentialRefused',
    'HumanVerificationNeeded',
    'SpaceBusy',
    'Unavailable',
    'RateLimited',
    'GatewayUnreachable',
  ] as const)('%s concerns all of them: it stops there, and no target pays for it', async (type) => {
    const walk = await newWalk()
    const stopped = walk.attempt((index) => {
      if (index === 1) fail(type)
    })
    await expect(stopped).rejects.toMatchObject({ type })
    expect(walk.walked).toEqual([0, 1])
    // Shown as waiting, with the reason, not as being written.
    expect(await walk.states()).toEqual(['succeeded', 'pending', 'pending', 'pending'])
    expect(at(await walk.targets(), 1).errorType).toBe(type)
  })

  it('answers "paused" before the next target, when the admin wants that', async () => {
    // The walk may remember for a moment what it saw; here every look at the clock finds that moment over.
    let nowMs = 0
    vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 60_000))
    const walk = await newWalk()
    const answer = await walk.attempt(async (index) => {
      if (index === 1) await requestPause(world.deps.store, walk.sync.id, true)
    })
    expect(answer).toBe('paused')
    expect(await walk.states()).toEqual(['succeeded', 'succeeded', 'pending', 'pending'])
    await requestPause(world.deps.store, walk.sync.id, false)
    expect(await walk.attempt(() => undefined)).toBeNull()
    expect(walk.walked).toEqual([0, 1, 2, 3])
  })

  it('ends with a cancellation: nothing more is begun, and the call that was cut off is no failure', async () => {
    const stop = new AbortController()
    const reason = new Error('cancelled')
    const walk = await newWalk('starts', stop.signal)
    const ended = walk.attempt((index) => {
      if (index !== 1) return
      stop.abort(reason)
      throw new Error('socket hang up')
    })
    await expect(ended).rejects.toBe(reason)
    expect(walk.walked).toEqual([0, 1])
    expect(at(await walk.targets(), 1)).toMatchObject({ state: 'running', errorType: null })
  })

  it.each(['starts', 'failures'] as const)(
    'leaves alone what a signal has skipped meanwhile (%s)',
    async (attempts) => {
      const walk = await newWalk(attempts)
      const answer = await walk.attempt(async (index, cell) => {
        if (index !== 1) return
        await finishOpenTargets(
          world.deps.store,
          walk.sync.id,
          { bindingIds: [cell.key] },
          'skipped',
          null,
          'Disabled.',
        )
        fail('InvalidDesiredState')
      })
      expect(answer).toBeNull()
      expect(at(await walk.targets(), 1)).toMatchObject({ state: 'skipped', errorType: null, note: 'Disabled.' })
    },
  )

  it('goes on while what a step leaves to be done is under way, and ends after all of it', async () => {
    const { walked, walk } = await restedWalk()
    const held = Promise.withResolvers<void>()
    const ended: number[] = []
    const answer = walk(async (index) => {
      if (index === 1) await held.promise
      ended.push(index)
    })
    await vi.waitFor(() => expect(ended).toEqual([0, 2, 3]), 60_000)
    expect(walked).toEqual([0, 1, 2, 3])
    held.resolve()
    expect(await answer).toBeNull()
    expect(ended).toEqual([0, 2, 3, 1])
  })

  it('a failure of what a step left counts like one of the step: it stops the walk, after all that was begun', async () => {
    const { walked, walk, errors } = await restedWalk()
    const held = Promise.withResolvers<void>()
    const ended: number[] = []
    const answer = walk(
      async (index) => {
        if (index === 1) fail('SpaceBusy')
        await held.promise
        ended.push(index)
      },
      async (index) => {
        // By then the failure is known.
        if (index === 2) await vi.waitFor(async () => expect(await errors()).toContain('SpaceBusy'), 60_000)
      },
    )
    await vi.waitFor(async () => expect(await errors()).toContain('SpaceBusy'), 60_000)
    held.resolve()
    await expect(answer).rejects.toMatchObject({ type: 'SpaceBusy' })
    expect(walked).toEqual([0, 1, 2])
    expect(ended).toEqual([0, 2])
  })
})

/** A walk whose steps leave something to be done: `rest`. */
async function restedWalk() {
  const sync = await world.newSync()
  const spaceId = at(world.spaces, 0).id
  const errors = async () =>
    (await listTargetsForSpace(world.deps.store, sync.id, spaceId)).map(({ errorType }) => errorType)
  const work = await loadSpaceWork(world.deps, { syncId: sync.id, spaceId })
  const cells = plannedCells(work)
  const walked: number[] = []
  const walk = (rest: (index: number) => Promise<void>, step: (index: number) => Promise<void> = async () => {}) =>
    walkTargets(world.deps, { work, cells, signal: new AbortController().signal, attempts: 'starts' }, async (cell) => {
      const index = cells.indexOf(cell)
      walked.push(index)
      await startTarget(world.deps.store, cell.target.id)
      await step(index)
      return () => rest(index)
    })
  return { walked, walk, errors }
}
