import type { Browser } from 'playwright-core'
import { openSession } from './first-load.ts'
import { countProcessorTime, processorMsOf } from './processor-time.ts'

export type MatrixScroll = {
  /** From opening the run's page until the matrix is drawn, ms. */
  drawnMs: number
  /** Different cells that were in sight on the way. */
  cellsSeen: number
  /** The most cells that were in the document at once. */
  cellsAtOnce: number
  frames: number
  medianFrameMs: number
  p99FrameMs: number
  /** Processor time of the page's main thread while scrolling, ms. */
  processorMs: number
  /** Of the main thread, from the page's first script to the end of the scrolling, ms; 50 and more. */
  longTasks: number[]
}

const OBSERVE = `
  window.longTasks = []
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: 'longtask', buffered: true })
`

/** Every part of the matrix comes by: down and up in turn, one screen further to the right each time, one step a frame. */
const SCROLL = `(async () => {
  const grid = document.querySelector('[role=grid]')
  const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve))
  const seen = new Set()
  const frames = []
  let atOnce = 0
  let last = performance.now()
  const step = async () => {
    const now = await nextFrame()
    frames.push(now - last)
    last = now
    const cells = grid.querySelectorAll('[data-cell]')
    atOnce = Math.max(atOnce, cells.length)
    for (const cell of cells) seen.add(cell.dataset.cell)
  }
  for (let down = true; ; down = !down) {
    const bottom = grid.scrollHeight - grid.clientHeight
    while (down ? grid.scrollTop < bottom - 1 : grid.scrollTop > 0) {
      grid.scrollTop += down ? 120 : -120
      await step()
    }
    if (grid.scrollLeft >= grid.scrollWidth - grid.clientWidth - 1) break
    grid.scrollLeft += grid.clientWidth - 360
    await step()
  }
  return { cellsSeen: seen.size, cellsAtOnce: atOnce, frames, longTasks: window.longTasks }
})()`

/** Opens the run's page and scrolls through its whole matrix. `slowdown`: the processor is made that many times slower. */
export async function measureMatrix(
  browser: Browser,
  options: { origin: string; apiKey: string; syncId: string; slowdown: number },
): Promise<MatrixScroll> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-US' })
  try {
    await openSession(context, options.origin, options.apiKey)
    const page = await context.newPage()
    const devtools = await context.newCDPSession(page)
    await countProcessorTime(devtools)
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: options.slowdown })
    await page.addInitScript(OBSERVE)
    const startedMs = performance.now()
    await page.goto(`${options.origin}/syncs/${options.syncId}`)
    await page.locator('[role=grid] [data-cell]').first().waitFor({ timeout: 120_000 })
    const drawnMs = performance.now() - startedMs
    type Result = { cellsSeen: number; cellsAtOnce: number; frames: number[]; longTasks: number[] }
    const beforeMs = await processorMsOf(devtools)
    const { frames, ...result } = await page.evaluate<Result>(SCROLL)
    const processorMs = (await processorMsOf(devtools)) - beforeMs
    const sorted = frames.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0
    return { drawnMs, frames: frames.length, medianFrameMs: at(0.5), p99FrameMs: at(0.99), processorMs, ...result }
  } finally {
    await context.close()
  }
}
