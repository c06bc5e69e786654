import { expect, it } from 'vitest'
import { randomPart } from '../../src/domain/random.ts'

it('gives fresh bytes every time, also when it has to fetch new ones', () => {
  const seen = new Set<string>()
  for (let i = 0; i < 2_000; i++) {
    const part = randomPart(16)
    expect(part).toHaveLength(16)
    seen.add(part.toString('hex'))
    // What is done to a part is seen by nobody else.
    part.fill(0)
  }
  expect(seen.size).toBe(2_000)
  expect(randomPart(4096)).toHaveLength(4096)
})
