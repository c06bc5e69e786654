import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/domain/clock.ts'
import { createCallBudget, freeAllSlots } from '../../src/store/call-budget.ts'
import type { Store } from '../../src/store/store.ts'
import { ENGINES, openTestStore } from './test-store.ts'

/** Two adapters of the budget on one store are two processes: they share nothing but its rows. */

const NEVER = new AbortController().signal

/** Time moves when everybody who works on it sleeps: to the first who wakes. */
function sharedClock(workers: number): Clock & { done(): void } {
  let nowMs = Date.UTC(2026, 0, 5)
  let awake = workers
  let sleepers: { untilMs: number; wake: () => void }[] = []
  const moveOn = () => {
    const [first] = sleepers.toSorted((a, b) => a.untilMs - b.untilMs)
    if (awake > 0 || first === undefined) return
    nowMs = Math.max(nowMs, first.untilMs)
    const due = sleepers.filter(({ untilMs }) => untilMs <= nowMs)
    sleepers = sleepers.filter(({ untilMs }) => untilMs > nowMs)
    awake += due.length
    for (const { wake } of due) wake()
  }
  return {
    now: () => nowMs,
    sleep: (durationMs) =>
      new Promise((resolve) => {
        sleepers.push({ untilMs: nowMs + durationMs, wake: resolve })
        awake -= 1
        moveOn()
      }),
    done: () => {
      awake -= 1
      moveOn()
    },
  }
}

describe.each(ENGINES)('the call budget on %s', (engine) => {
  let store: Store
  let close: () => Promise<void>
  beforeAll(async () => {
    ;({ store, close } = await openTestStore(engine))
  })
  afterAll(async () => {
    await close()
  })

  it('paces the whole installation: two starts a second, two at a time, whichever process calls', async () => {
    const processes = 2
    const clock = sharedClock(processes)
    const starts: number[] = []
    let running = 0
    let most = 0
    await Promise.all(
      Array.from({ length: processes }, async () => {
        const budget = createCallBudget(store, { clock })
        for (let call = 0; call < 6; call++) {
          const release = await budget.take('www.coze.cn|user:1', NEVER)
          starts.push(clock.now())
          running += 1
          most = Math.max(most, running)
          await clock.sleep(900)
          running -= 1
          await release()
        }
        clock.done()
      }),
    )
    const gaps = starts
      .toSorted((a, b) => a - b)
      .flatMap((at, index, all) => (index === 0 ? [] : [at - (all[index - 1] ?? 0)]))
    expect(starts).toHaveLength(12)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(500)
    expect(most).toBe(2)
  })

  it('inside one process too, in the order of asking', async () => {
    const clock = sharedClock(1)
    const budget = createCallBudget(store, { clock, slots: 1, intervalMs: 0 })
    const order: number[] = []
    const first = await budget.take('www.coze.cn|user:2', NEVER)
    const waiting = [1, 2, 3].map(async (number) => {
      const release = await budget.take('www.coze.cn|user:2', NEVER)
      order.push(number)
      await release()
    })
    expect(order).toEqual([])
    await first()
    await Promise.all(waiting)
    expect(order).toEqual([1, 2, 3])
  })

  it('nobody starts before Retry-After is over, whichever process heard it', async () => {
    const clock = sharedClock(1)
    const [one, other] = [createCallBudget(store, { clock }), createCallBudget(store, { clock })]
    const key = 'www.coze.cn|user:3'
    await (await one.take(key, NEVER))()
    await one.holdUntil(key, clock.now() + 7_000)
    const from = clock.now()
    await (await other.take(key, NEVER))()
    expect(clock.now() - from).toBeGreaterThanOrEqual(7_000)
  })

  it('users and hosts have budgets of their own', async () => {
    const clock = sharedClock(1)
    const budget = createCallBudget(store, { clock })
    const from = clock.now()
    for (const key of ['www.coze.cn|user:4', 'www.coze.cn|user:5', 'www.coze.com|user:4'])
      await (await budget.take(key, NEVER))()
    expect(clock.now()).toBe(from)
  })

  it('a slot whose holder died is free again in the end, and its late return frees nobody else’s', async () => {
    const clock = sharedClock(1)
    const options = { clock, slots: 1, intervalMs: 0, slotMs: 10_000 }
    const key = 'www.coze.cn|user:6'
    const died = await createCallBudget(store, options).take(key, NEVER)
    const from = clock.now()
    const mine = await createCallBudget(store, options).take(key, NEVER)
    expect(clock.now() - from).toBeGreaterThanOrEqual(10_000)
    await died()
    const rows = await store.db.callBudget.findMany({ where: { id: `${key}#1` } })
    expect(rows[0]?.nextAt.getTime()).toBeGreaterThan(clock.now())
    await mine()
  })

  it('a process that has the store for itself frees them all at its start; Retry-After still stands', async () => {
    const clock = sharedClock(1)
    const key = 'www.coze.cn|user:8'
    const died = createCallBudget(store, { clock, intervalMs: 0 })
    await died.take(key, NEVER)
    await died.take(key, NEVER)
    await died.holdUntil(key, clock.now() + 3_000)
    const from = clock.now()
    await freeAllSlots(store)
    const next = createCallBudget(store, { clock, intervalMs: 0 })
    const releases = [await next.take(key, NEVER), await next.take(key, NEVER)]
    expect(clock.now() - from).toBe(3_000)
    for (const release of releases) await release()
  })

  it('who gives up while waiting takes no slot with it', async () => {
    const clock = sharedClock(1)
    const budget = createCallBudget(store, { clock, slots: 1, intervalMs: 0 })
    const key = 'www.coze.cn|user:7'
    const first = await budget.take(key, NEVER)
    const controller = new AbortController()
    const second = budget.take(key, controller.signal)
    controller.abort(new Error('given up'))
    await expect(second).rejects.toThrow('given up')
    await first()
    await (await budget.take(key, NEVER))()
  })
})
