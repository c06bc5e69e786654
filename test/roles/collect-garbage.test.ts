import { setImmediate as immediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { collectGarbage } from '../../src/roles/collect-garbage.ts'

test('what nobody holds any more is gone at once', async () => {
  const left = new WeakRef({ large: new Array(1_000) })
  // Whoever has just made or asked for it holds it until its turn ends.
  await immediate()
  expect(left.deref()).toBeDefined()
  await immediate()
  collectGarbage()
  expect(left.deref()).toBeUndefined()
})
