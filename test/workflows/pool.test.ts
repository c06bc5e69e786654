import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drainPool } from '../../workflows/pool.ts'

/** A pool whose works end in the order that fast-check picks. */
type Turn = { item: number; end: () => void; fail: (error: Error) => void }

type Observed = {
  started: number[]
  ended: number[]
  most: number
  openAtReturn: number
  result: { notStarted: number[] } | { thrown: unknown }
}

/**
 * `picks`: which of the open works ends next. `failing`: items that fail. `intake`: how many items may start in all; after
 * that the pool is told no once, then yes again, as a fickle caller might.
 */
async function observe(
  size: number,
  width: number,
  picks: number[],
  failing: Set<number>,
  intake: number,
): Promise<Observed> {
  const open: Turn[] = []
  const started: number[] = []
  const ended: number[] = []
  let asked = 0
  let most = 0
  let pick = 0
  let settled = false
  const items = Array.from({ length: size }, (_, index) => index)
  const pool = drainPool(
    items,
    width,
    () => asked++ !== intake,
    (item) =>
      new Promise<void>((resolve, reject) => {
        started.push(item)
        open.push({ item, end: resolve, fail: reject })
        most = Math.max(most, open.length)
      }),
  ).then(
    (result) => result,
    (thrown: unknown) => ({ thrown }),
  )
  const outcome = pool.finally(() => {
    settled = true
  })
  let openAtReturn = -1
  outcome.then(() => {
    openAtReturn = open.length
  })
  for (;;) {
    // Lets the pool start whatever it wants to start now.
    await new Promise<void>((resolve) => setImmediate(resolve))
    if (settled) break
    const [turn] = open.splice((picks[pick++ % picks.length] ?? 0) % open.length, 1)
    if (turn === undefined) throw new Error('the pool neither works nor ends')
    ended.push(turn.item)
    if (failing.has(turn.item)) turn.fail(new Error(`item ${turn.item}`))
    else turn.end()
  }
  return { started, ended, most, openAtReturn, result: await outcome }
}

const shape = {
  size: fc.integer({ min: 0, max: 25 }),
  width: fc.integer({ min: 0, max: 8 }),
  picks: fc.array(fc.nat(), { minLength: 1, maxLength: 25 }),
}

describe('drainPool', () => {
  it('does every item once, begun in order, never more at a time than its width, and as many as it may', async () => {
    await fc.assert(
      fc.asyncProperty(shape.size, shape.width, shape.picks, async (size, width, picks) => {
        const seen = await observe(size, width, picks, new Set(), Number.POSITIVE_INFINITY)
        expect(seen.result).toEqual({ notStarted: [] })
        expect(seen.started).toEqual(Array.from({ length: size }, (_, index) => index))
        expect([...seen.ended].sort((a, b) => a - b)).toEqual(seen.started)
        expect(seen.most).toBe(Math.min(size, Math.max(1, width)))
      }),
    )
  })

  it('once it may not start another, starts none, ends those begun, and answers the rest', async () => {
    await fc.assert(
      fc.asyncProperty(
        shape.size,
        shape.width,
        shape.picks,
        fc.integer({ min: 0, max: 25 }),
        async (size, width, picks, intake) => {
          const seen = await observe(size, width, picks, new Set(), intake)
          const begun = Math.min(size, intake)
          expect(seen.started).toHaveLength(begun)
          expect(seen.ended).toHaveLength(begun)
          expect(seen.result).toEqual({ notStarted: Array.from({ length: size - begun }, (_, index) => begun + index) })
          expect(seen.openAtReturn).toBe(0)
        },
      ),
    )
  })

  it('after a failure begins nothing more, ends what is open, and throws the first failure', async () => {
    const failing = fc.uniqueArray(fc.integer({ min: 0, max: 24 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(shape.size, shape.width, shape.picks, failing, async (size, width, picks, items) => {
        const bad = new Set(items)
        const seen = await observe(size, width, picks, bad, Number.POSITIVE_INFINITY)
        const first = seen.ended.findIndex((item) => bad.has(item))
        expect(seen.openAtReturn).toBe(0)
        if (first === -1) {
          expect(seen.result).toEqual({ notStarted: [] })
          return
        }
        expect(seen.result).toEqual({ thrown: new Error(`item ${seen.ended[first]}`) })
        expect(seen.ended).toHaveLength(seen.started.length)
        expect(seen.started.length).toBeLessThanOrEqual(first + Math.max(1, width))
      }),
    )
  })
})
