import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FAULT_KINDS, planFaults } from './plan.ts'
import { runChaos } from './run.ts'

/** A small one on every run of the tests, always of the same faults; `npm run chaos` is the large one, with a seed of its own each time. */

it('the faults follow from the seed, as many of each kind as of any other', () => {
  const size = { instances: 3, workspaces: 4, cozeSpaces: 3 }
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const faults = planFaults(seed, 200, size)
      expect(faults).toEqual(planFaults(seed, 200, size))
      for (const kind of FAULT_KINDS) expect(faults.filter((fault) => fault.kind === kind)).toHaveLength(25)
    }),
    { numRuns: 20 },
  )
})

it('after two dozen faults nothing is lost, doubled, open or stuck', { timeout: 400_000 }, async () => {
  const seed = 210_613
  const lines: string[] = []
  const size = { instances: 2, workspaces: 2, cozeSpaces: 2 }
  const result = await runChaos({ seed, faults: 24, size, print: (line) => lines.push(line) })
  expect(result.violations, lines.join('\n')).toEqual([])
  expect(new Set(Object.values(result.struck))).toEqual(new Set([3]))
})
