import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { takeSpaceLease } from '../../activities/space-lease.ts'
import { acquireLease, releaseLease } from '../../src/store/leases.ts'
import type { Store } from '../../src/store/store.ts'
import { at } from '../store/fixtures.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** One writer a space, on a real store. */

let world: ActivityWorld
let store: Store
let nextSpace = 0

beforeAll(async () => {
  world = await openActivityWorld({ spaces: 8, instances: 1 })
  store = world.deps.store
})
afterAll(async () => {
  await world?.close()
})

const newSpace = () => at(world.spaces, nextSpace++).id
const patient = { leaseMs: 60_000, waitMs: 60_000, signal: new AbortController().signal }
const impatient = { ...patient, waitMs: 0 }
const busy = expect.objectContaining({ type: 'SpaceBusy' })

describe('takeSpaceLease', () => {
  it('lets the holder write, and nobody else in', async () => {
    const space = newSpace()
    await using lease = await takeSpaceLease(store, space, 'one', patient)
    await lease.fence()
    await expect(takeSpaceLease(store, space, 'two', impatient)).rejects.toEqual(busy)
    await lease.fence()
  })

  it('spaces do not wait for each other', async () => {
    await using one = await takeSpaceLease(store, newSpace(), 'one', impatient)
    await using two = await takeSpaceLease(store, newSpace(), 'two', impatient)
    await Promise.all([one.fence(), two.fence()])
  })

  it('a second holder waits, and gets it when the first has ended', async () => {
    const space = newSpace()
    const first = await takeSpaceLease(store, space, 'one', patient)
    let entered = false
    const second = takeSpaceLease(store, space, 'two', patient).then((lease) => {
      entered = true
      return lease
    })
    await expect(takeSpaceLease(store, space, 'three', impatient)).rejects.toEqual(busy)
    expect(entered).toBe(false)
    await first[Symbol.asyncDispose]()
    await using lease = await second
    expect(lease.epoch).toBeGreaterThan(first.epoch)
    await lease.fence()
    await expect(first.fence()).rejects.toEqual(busy)
  })

  it('a holder that died is followed after its time', async () => {
    const space = newSpace()
    const epoch = await acquireLease(store, space, 'died', 300)
    await using lease = await takeSpaceLease(store, space, 'next', patient)
    expect(lease.epoch).toBeGreaterThan(epoch ?? 0)
    await lease.fence()
  })

  it('is kept alive for longer than its time', async () => {
    const space = newSpace()
    const leaseMs = 300
    await using lease = await takeSpaceLease(store, space, 'one', { ...patient, leaseMs })
    const until = async () => {
      const row = await store.db.spaceLease.findUnique({ where: { spaceId: space } })
      return row?.until.getTime() ?? 0
    }
    const first = await until()
    await expect.poll(until, { timeout: 60_000 }).toBeGreaterThan(first + leaseMs)
    await lease.fence()
  })

  it('after a steal every fence throws SpaceBusy, and the end of the late one does not end the new one', async () => {
    const space = newSpace()
    const late = await takeSpaceLease(store, space, 'late', patient)
    // As if its process had slept past its time.
    await releaseLease(store, space, 'late', late.epoch)
    await using thief = await takeSpaceLease(store, space, 'thief', impatient)
    await expect(late.fence()).rejects.toEqual(busy)
    await late[Symbol.asyncDispose]()
    await thief.fence()
    await expect(takeSpaceLease(store, space, 'third', impatient)).rejects.toEqual(busy)
  })

  it('waiting ends with the activity', async () => {
    const space = newSpace()
    await using _held = await takeSpaceLease(store, space, 'one', patient)
    const stop = new AbortController()
    const waiting = takeSpaceLease(store, space, 'two', { ...patient, signal: stop.signal })
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
  })
})
