import type { CDPSession } from 'playwright-core'

/** Lets `processorMsOf` count; before the page's first navigation. */
export async function countProcessorTime(devtools: CDPSession): Promise<void> {
  // Processor time, not time gone by: what else the machine does is not in it.
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' })
}

/** Processor time that the page's main thread has used so far, ms. */
export async function processorMsOf(devtools: CDPSession): Promise<number> {
  const { metrics } = await devtools.send('Performance.getMetrics')
  const task = metrics.find(({ name }) => name === 'TaskDuration')
  if (task === undefined) throw new Error('the browser counts no TaskDuration')
  return task.value * 1_000
}
