import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Clock, Repeat } from '../../src/domain/clock.ts'
import { createCallBudget, freeAllSlots } from '../../src/store/call-budget.ts'
import type { Store } from '../../src/store/store.ts'
import { ENGINES, openTestStore } from './test-store.ts'

/** Two adapters of the budget on one store are two processes: they share nothing but its rows. */

const NEVER = new AbortController().signal

type SharedClock = Clock & {
  done(): void
  /** What one process repeats, until it dies or stands still. */
  process(): { repeat: Repeat; die(): void }
}

/** Time moves when everybody who works on it sleeps: to the first who wakes. What is to be repeated on the way is. */
function sharedClock(workers: number): SharedClock {
  let nowMs = Date.UTC(2026, 0, 5)
  let awake = workers
  let moving = false
  let sleepers: { untilMs: number; wake: () => void }[] = []
  let repeats: { atMs: number; everyMs: number; work: () => Promise<void> }[] = []
  const moveOn = async () => {
    if (moving) return
    moving = true
    for (;;) {
      const [first] = sleepers.toSorted((a, b) => a.untilMs - b.untilMs)
      if (awake > 0 || first === undefined) break
      const [repeated] = repeats.toSorted((a, b) => a.atMs - b.atMs)
      if (repeated !== undefined && repeated.atMs <= first.untilMs) {
        nowMs = Math.max(nowMs, repeated.atMs)
        repeated.atMs += repeated.everyMs
        await repeated.work()
        continue
      }
      nowMs = Math.max(nowMs, first.untilMs)
      const due = sleepers.filter(({ untilMs }) => untilMs <= nowMs)
      sleepers = sleepers.filter(({ untilMs }) => untilMs > nowMs)
      awake += due.length
      for (const { wake } of due) wake()
    }
    moving = false
  }
  return {
    now: () => nowMs,
    sleep: (durationMs) =>
      new Promise((resolve) => {
        sleepers.push({ untilMs: nowMs + durationMs, wake: resolve })
        awake -= 1
        void moveOn()
      }),
    done: () => {
      awake -= 1
      void moveOn()
    },
    process: () => {
      const mine: (typeof repeats)[number][] = []
      return {
        repeat: (everyMs, work) => {
          const one = { atMs: nowMs + everyMs, everyMs, work }
          mine.push(one)
          repeats.push(one)
          return async () => {
            repeats = repeats.filter((other) => other !== one)
          }
        },
        die: () => {
          repeats = repeats.filter((one) => !mine.includes(one))
        },
      }
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

  it('a slot whose holder died is taken over once its lease has lapsed, and its late return frees nobody else’s', async () => {
    const clock = sharedClock(1)
    const options = { clock, slots: 1, intervalMs: 0 }
    const key = 'www.coze.cn|user:6'
    const holder = clock.process()
    const died = await createCallBudget(store, { ...options, repeat: holder.repeat }).take(key, NEVER)
    await clock.sleep(100_000)
    holder.die()
    const from = clock.now()
    const mine = await createCallBudget(store, { ...options, repeat: clock.process().repeat }).take(key, NEVER)
    const waitedMs = clock.now() - from
    expect(waitedMs).toBeGreaterThan(0)
    expect(waitedMs).toBeLessThanOrEqual(30_200)
    await died()
    const rows = await store.db.callBudget.findMany({ where: { id: `${key}#1` } })
    expect(rows[0]?.nextAt.getTime()).toBeGreaterThan(clock.now())
    await mine()
    expect((await store.db.callBudget.findUnique({ where: { id: `${key}#1` } }))?.nextAt.getTime()).toBe(0)
  })

  it('a call that lasts longer than a lease keeps its slot to its end', async () => {
    const clock = sharedClock(2)
    const options = { clock, slots: 1, intervalMs: 0, leaseMs: 30_000 }
    const key = 'www.coze.cn|user:9'
    const long = await createCallBudget(store, { ...options, repeat: clock.process().repeat }).take(key, NEVER)
    const from = clock.now()
    let endedMs = 0
    const ending = clock.sleep(90_000).then(async () => {
      endedMs = clock.now()
      await long()
      clock.done()
    })
    const next = await createCallBudget(store, { ...options, repeat: clock.process().repeat }).take(key, NEVER)
    await ending
    expect(endedMs - from).toBe(90_000)
    expect(clock.now()).toBeGreaterThanOrEqual(endedMs)
    await next()
  })

  it('a holder that stood still and wakes too late does not renew what is another’s by then', async () => {
    const clock = sharedClock(1)
    const options = { clock, slots: 1, intervalMs: 0 }
    const key = 'www.coze.cn|user:10'
    const renewals: (() => Promise<void>)[] = []
    const frozen: Repeat = (_everyMs, work) => {
      renewals.push(work)
      return async () => undefined
    }
    const late = await createCallBudget(store, { ...options, repeat: frozen }).take(key, NEVER)
    const mine = await createCallBudget(store, { ...options, repeat: clock.process().repeat }).take(key, NEVER)
    const endOf = async () =>
      (await store.db.callBudget.findUnique({ where: { id: `${key}#1` } }))?.nextAt.getTime() ?? 0
    const before = await endOf()
    for (const renew of renewals) await renew()
    await late()
    expect(renewals).toHaveLength(1)
    expect(await endOf()).toBe(before)
    await mine()
    expect(await endOf()).toBe(0)
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
