import fc from 'fast-check'
import { AggregatorRegistry, Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { LatencyHistogram } from '../../src/gateway/latency-histogram.ts'

const name = 'x_seconds'
const help = 'Of "x"'
const bounds = [0.001, 0.1, 1]

test('says what prom-client’s own says of the same observations', async () => {
  const observations = fc.array(
    fc.record({
      instance: fc.constantFrom('a', 'b"\\\n'),
      status: fc.constantFrom(200, 401),
      // Halves of powers of two: their sums are the same in any order.
      seconds: fc.constantFrom(0, 0.0005, 0.001, 0.125, 1, 1.5, 64),
    }),
    { maxLength: 30 },
  )
  await fc.assert(
    fc.asyncProperty(observations, async (list) => {
      const own = new Registry()
      const theirs = new Registry()
      const counting = new LatencyHistogram({ name, help, bounds, registers: [own] })
      const labelNames = ['instance', 'status'] as const
      const observing = new Histogram({ name, help, labelNames, buckets: bounds, registers: [theirs] })
      for (const { instance, status, seconds } of list) {
        counting.count(instance, status, seconds)
        observing.observe({ instance, status: String(status) }, seconds)
      }
      const page = async (registry: Registry) => (await registry.metrics()).split('\n').sort()
      expect(await page(own)).toEqual(await page(theirs))
      const gathered = async (registry: Registry) => {
        const written = await registry.getMetricsAsJSON()
        return await page(AggregatorRegistry.aggregate([written, structuredClone(written)]))
      }
      expect(await gathered(own)).toEqual(await gathered(theirs))
    }),
  )
})
