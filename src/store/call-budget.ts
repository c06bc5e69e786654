import { type Clock, type Repeat, systemClock, systemRepeat } from '../domain/clock.ts'
import type { Store } from './store.ts'

/**
 * The pace of calls to somebody else's system, for the whole installation: each start is reserved by an atomic update, slots
 * bound how many calls run at once. A row for the starts, one for each slot; a slot's `nextAt` is until when it is taken. That
 * is a short lease, renewed while the call runs: the slot of a process that died is taken over when it has lapsed.
 */
export type CallBudget = {
  /** Waits for a slot, then for a start. Answers how to give the slot back. Rejects when the signal is aborted. */
  take(key: string, signal: AbortSignal): Promise<() => Promise<void>>
  /** No call starts before that time, Unix ms. */
  holdUntil(key: string, atMs: number): Promise<void>
}

export type CallBudgetOptions = {
  clock?: Clock
  /** What renews the leases. */
  repeat?: Repeat
  /** Between two starts. */
  intervalMs?: number
  /** Calls at the same time. */
  slots?: number
  /** A slot whose holder died is free again after that. */
  leaseMs?: number
}

/** coze.md §3.5: about two starts a second, two at a time. */
const DEFAULTS = { intervalMs: 500, slots: 2, leaseMs: 30_000 }
const POLL_MS = 200
const RENEWALS_A_LEASE = 3

/** Which slot, and until when: the proof that it is still ours. */
type Slot = { id: string; until: Date }

export function createCallBudget(store: Store, options: CallBudgetOptions = {}): CallBudget {
  const clock = options.clock ?? systemClock
  const repeat = options.repeat ?? systemRepeat
  const { intervalMs, slots, leaseMs } = { ...DEFAULTS, ...options }
  const gates = new Map<string, Gate>()

  async function takeSlot(key: string, signal: AbortSignal): Promise<Slot> {
    for (;;) {
      const taken = await store.write(
        async (tx) => {
          const now = new Date(clock.now())
          const ids = Array.from({ length: slots }, (_, index) => `${key}#${index + 1}`)
          const rows = new Map(
            (await tx.callBudget.findMany({ where: { id: { in: ids } } })).map((row) => [row.id, row]),
          )
          for (const id of ids) {
            const until = new Date(now.getTime() + leaseMs)
            const row = rows.get(id)
            if (row === undefined) {
              await tx.callBudget.create({ data: { id, nextAt: until, updatedAt: now } })
              return { id, until }
            }
            if (row.nextAt > now) continue
            const won = await tx.callBudget.updateMany({
              where: { id, nextAt: row.nextAt },
              data: { nextAt: until, updatedAt: now },
            })
            if (won.count === 1) return { id, until }
          }
          return null
        },
        { retryUnique: true },
      )
      if (taken !== null) return taken
      await clock.sleep(POLL_MS, signal)
    }
  }

  /** Keeps the slot until it is given back. A lease that was lost (this process stood still) is somebody else's and stays so. */
  function holdSlot(slot: Slot): () => Promise<void> {
    let held: Slot | null = slot
    const moveEnd = async (until: Date) => {
      if (held === null) return
      const { id, until: before } = held
      const moved = await store.write((tx) =>
        tx.callBudget.updateMany({ where: { id, nextAt: before }, data: { nextAt: until } }),
      )
      held = moved.count === 1 ? { id, until } : null
    }
    const stop = repeat(leaseMs / RENEWALS_A_LEASE, () => moveEnd(new Date(clock.now() + leaseMs)))
    return async () => {
      await stop()
      await moveEnd(new Date(0))
      held = null
    }
  }

  /** The reserved start, Unix ms. */
  async function reserveStart(key: string): Promise<number> {
    return await store
      .write(
        async (tx) => {
          const nowMs = clock.now()
          const row = await tx.callBudget.findUnique({ where: { id: key } })
          const startMs = Math.max(nowMs, row?.nextAt.getTime() ?? 0)
          const next = { nextAt: new Date(startMs + intervalMs), updatedAt: new Date(nowMs) }
          if (row === null) {
            await tx.callBudget.create({ data: { id: key, ...next } })
            return startMs
          }
          const won = await tx.callBudget.updateMany({ where: { id: key, nextAt: row.nextAt }, data: next })
          return won.count === 1 ? startMs : null
        },
        { retryUnique: true },
      )
      .then((startMs) => startMs ?? reserveStart(key))
  }

  return {
    async take(key, signal) {
      const gate = gates.get(key) ?? createGate(slots)
      gates.set(key, gate)
      const leave = await gate.enter(signal)
      let giveBack: (() => Promise<void>) | null = null
      const release = async () => {
        const back = giveBack
        giveBack = null
        try {
          await back?.()
        } finally {
          leave()
        }
      }
      try {
        giveBack = holdSlot(await takeSlot(key, signal))
        // Asked for a longer wait meanwhile: the reservation is made again, behind it.
        for (let startMs = await reserveStart(key); startMs > clock.now(); ) {
          await clock.sleep(startMs - clock.now(), signal)
          const heldUntilMs = await heldUntil(store, key)
          if (heldUntilMs > clock.now()) startMs = await reserveStart(key)
        }
        return release
      } catch (error) {
        await release()
        throw error
      }
    },
    async holdUntil(key, atMs) {
      const id = holdKey(key)
      await store.write(
        async (tx) => {
          const row = await tx.callBudget.findUnique({ where: { id } })
          const nextAt = new Date(Math.max(atMs, row?.nextAt.getTime() ?? 0))
          const values = { nextAt, updatedAt: new Date(clock.now()) }
          await tx.callBudget.upsert({ where: { id }, create: { id, ...values }, update: values })
          const starts = await tx.callBudget.findUnique({ where: { id: key } })
          if (starts === null) await tx.callBudget.create({ data: { id: key, ...values } })
          else if (starts.nextAt < nextAt) await tx.callBudget.updateMany({ where: { id: key }, data: values })
        },
        { retryUnique: true },
      )
    },
  }
}

/**
 * Frees every slot; the pace and what Retry-After asked for stand. For a store that belongs to one process, at its start:
 * whoever held one then is dead, and its successor need not wait for the slot to run out.
 */
export async function freeAllSlots(store: Store): Promise<void> {
  const ofSlots = Array.from({ length: DEFAULTS.slots }, (_, index) => ({ id: { endsWith: `#${index + 1}` } }))
  await store.write((tx) => tx.callBudget.updateMany({ where: { OR: ofSlots }, data: { nextAt: new Date(0) } }))
}

/** Retry-After has a row of its own: those who reserved a start before it was heard must see it, too. */
function holdKey(key: string): string {
  return `${key}#hold`
}

async function heldUntil(store: Store, key: string): Promise<number> {
  const row = await store.db.callBudget.findUnique({ where: { id: holdKey(key) } })
  return row?.nextAt.getTime() ?? 0
}

type Gate = { enter(signal: AbortSignal): Promise<() => void> }

/** Of this process only, in order: so that those who wait do not all ask the store. */
function createGate(width: number): Gate {
  let inside = 0
  const queue: (() => void)[] = []
  const letNextIn = () => {
    inside -= 1
    queue.shift()?.()
  }
  return {
    async enter(signal) {
      signal.throwIfAborted()
      if (inside >= width) {
        await new Promise<void>((resolve, reject) => {
          const enter = () => {
            signal.removeEventListener('abort', abort)
            resolve()
          }
          const abort = () => {
            queue.splice(queue.indexOf(enter), 1)
            reject(signal.reason)
          }
          signal.addEventListener('abort', abort, { once: true })
          queue.push(enter)
        })
      }
      inside += 1
      return letNextIn
    },
  }
}
