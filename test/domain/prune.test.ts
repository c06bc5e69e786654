import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describePrune, judgePrune } from '../../src/domain/prune.ts'

const cells = (counts: Record<string, number>) =>
  Object.entries(counts).flatMap(([spaceId, count]) => Array.from({ length: count }, () => ({ spaceId })))

describe('judgePrune, by transition', () => {
  it.each([
    ['nothing goes', { a: 4 }, {}, false],
    ['nothing is there', {}, {}, false],
    ['half of the platform, half of each space', { a: 4, b: 4 }, { a: 2, b: 2 }, false],
    ['more than half of the platform', { a: 4, b: 4 }, { a: 2, b: 3 }, true],
    ['all', { a: 1 }, { a: 1 }, true],
    ['little of the platform, all of a space', { a: 2, b: 20 }, { a: 2 }, true],
    ['little of the platform, more than half of a space', { a: 3, b: 20 }, { a: 2 }, true],
    ['little of the platform, half of a space', { a: 4, b: 20 }, { a: 2 }, false],
  ])('%s → confirmation: %#', (_what, deployed, removed, needsConfirmation) => {
    expect(judgePrune(cells(deployed), cells(removed)).needsConfirmation).toBe(needsConfirmation)
  })

  it('says how much goes, in numbers', () => {
    expect(describePrune(judgePrune(cells({ a: 2, b: 2 }), cells({ a: 2, b: 1 })))).toBe(
      'The selection does not hold 3 of the 4 deployments that stand on this platform (1 space loses more than half)',
    )
  })
})

describe('judgePrune as a whole', () => {
  it('never lets all of a platform or of a space go unasked', () => {
    const counts = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 9 }), { minKeys: 1 })
    fc.assert(
      fc.property(counts, fc.constantFrom('a', 'b', 'c'), (deployed, spaceId) => {
        const there = cells(deployed)
        expect(judgePrune(there, there).needsConfirmation).toBe(true)
        const own = there.filter((cell) => cell.spaceId === spaceId)
        expect(judgePrune(there, own).needsConfirmation).toBe(own.length > 0)
      }),
    )
  })
})
