import type { Browser, BrowserContext } from 'playwright-core'
import { countProcessorTime, processorMsOf } from './processor-time.ts'

export type FirstLoad = {
  /** Body bytes as they crossed the wire, by the browser's count. */
  htmlBytes: number
  scriptBytes: number
  styleBytes: number
  otherBytes: number
  requests: number
  /** From the start of the navigation, ms. */
  interactiveMs: number
  /** Processor time of the page's main thread until then, ms. */
  processorMs: number
  /** Of the main thread's tasks until then; 0 when none took 50 ms or more. */
  longestTaskMs: number
}

/** What `interactiveMs` waits for: the overview's figures are drawn, and a task that was queued after them has had its turn. */
const MEASURE = `
  window.longTasks = []
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: 'longtask', buffered: true })
  const observer = new MutationObserver(() => {
    if (document.querySelector('#content .counts .count-number') === null) return
    observer.disconnect()
    requestAnimationFrame(() => {
      const channel = new MessageChannel()
      channel.port1.onmessage = () => tellInteractive(performance.now(), window.longTasks)
      channel.port2.postMessage(null)
    })
  })
  observer.observe(document, { childList: true, subtree: true })
`

/** One load of the overview by an admin's browser that has nothing in its cache. `encoding`: what the browser says it takes. */
export async function measureFirstLoad(
  browser: Browser,
  origin: string,
  apiKey: string,
  encoding: 'gzip' | 'br',
): Promise<FirstLoad> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-US' })
  try {
    await openSession(context, origin, apiKey)
    const page = await context.newPage()
    const devtools = await context.newCDPSession(page)
    await countProcessorTime(devtools)
    await devtools.send('Network.enable')
    await devtools.send('Network.setExtraHTTPHeaders', { headers: { 'accept-encoding': encoding } })
    const bytes = { Document: 0, Script: 0, Stylesheet: 0, other: 0 }
    const responses = new Map<string, { type: string; headerBytes: number }>()
    const wrong: string[] = []
    let requests = 0
    devtools.on('Network.responseReceived', ({ requestId, type, response }) => {
      responses.set(requestId, { type, headerBytes: response.encodedDataLength })
      const name = Object.keys(response.headers).find((each) => each.toLowerCase() === 'content-encoding')
      if (type === 'Script' && (name === undefined || response.headers[name] !== encoding)) wrong.push(response.url)
    })
    devtools.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      const { type = 'other', headerBytes = 0 } = responses.get(requestId) ?? {}
      const kind = type === 'Document' || type === 'Script' || type === 'Stylesheet' ? type : 'other'
      bytes[kind] += encodedDataLength - headerBytes
      requests += 1
    })
    const told = Promise.withResolvers<[number, number[]]>()
    await page.exposeFunction('tellInteractive', (ms: number, tasks: number[]) => told.resolve([ms, tasks]))
    await page.addInitScript(MEASURE)
    await page.goto(origin)
    const [interactiveMs, tasks] = await told.promise
    const processorMs = await processorMsOf(devtools)
    if (wrong.length > 0) throw new Error(`not sent as ${encoding}: ${wrong.join(', ')}`)
    return {
      htmlBytes: bytes.Document,
      scriptBytes: bytes.Script,
      styleBytes: bytes.Stylesheet,
      otherBytes: bytes.other,
      requests,
      interactiveMs,
      processorMs,
      longestTaskMs: Math.max(0, ...tasks),
    }
  } finally {
    await context.close()
  }
}

/** Signs the context in without opening a page, so that nothing is in its cache. Throws when the key is refused. */
export async function openSession(context: BrowserContext, origin: string, apiKey: string): Promise<void> {
  const response = await context.request.post(`${origin}/api/v1/session`, { data: { apiKey }, headers: { origin } })
  if (!response.ok()) throw new Error(`signing in: ${response.status()} ${await response.text()}`)
}
