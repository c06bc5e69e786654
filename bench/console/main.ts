import { execFile } from 'node:child_process'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { startBrowser } from '../../test/support/chromium.ts'
import { createInstallation } from '../gateway/product.ts'
import { type FirstLoad, measureFirstLoad } from './first-load.ts'
import { addLargeRun } from './large-run.ts'
import { measureMatrix } from './matrix-scroll.ts'

/**
 * `npm run bench:console -- [--loads 7] [--size 100x100]`: the console in a real browser against the product in one process
 * (SQLite, embedded Temporal). `--size`: instances × spaces of the run whose matrix is scrolled through.
 */
const { values } = parseArgs({
  options: { loads: { type: 'string', default: '7' }, size: { type: 'string', default: '100x100' } },
})
const loads = Number(values.loads)
const [instances = 100, spaces = 100] = values.size.split('x').map(Number)
const AIM_BYTES = 400 * 1024
const AIM_INTERACTIVE_MS = 1_000
const AIM_TASK_MS = 200

const print = (line = '') => process.stdout.write(`${line}\n`)
const BUILD = fileURLToPath(new URL('../../scripts/console-build.ts', import.meta.url))

function medianOf(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

await promisify(execFile)(process.execPath, [BUILD])
const [cpu] = cpus()
print(
  `Node ${process.version}, ${availableParallelism()} × ${cpu?.model ?? 'CPU'}, load ${loadavg()[0]?.toFixed(1)} before it began`,
)
let syncId = ''
const installation = await createInstallation(null, 'http://127.0.0.1:1/mcp', async (store) => {
  syncId = await addLargeRun(store, instances, spaces)
})
try {
  const product = await installation.run('all')
  const browser = await startBrowser()
  try {
    print(`Chromium ${browser.version()}, 1280 × 860`)
    await firstLoads(product.origin)
    await matrices(product.origin)
  } finally {
    await browser.close()
    await product.stop()
  }

  async function firstLoads(origin: string): Promise<void> {
    const measure = (encoding: 'gzip' | 'br') => measureFirstLoad(browser, origin, installation.adminKey, encoding)
    // The server and the browser's own code, read from the disk for the first time, are not the console.
    await measure('gzip')
    const rows: FirstLoad[] = []
    for (let round = 0; round < loads; round += 1) rows.push(await measure('gzip'))
    const smaller = await measure('br')
    const [first] = rows
    if (first === undefined) return
    const kb = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`
    const codeOf = (load: FirstLoad) => load.htmlBytes + load.scriptBytes
    const times = rows.map((row) => row.interactiveMs)
    print(`\n## First load of the overview, nothing cached, ${loads} loads\n`)
    print('| | measured | aim |')
    print('|---|---:|---:|')
    print(`| HTML and JavaScript, gzip | ${kb(codeOf(first))} | < ${AIM_BYTES / 1024} KB |`)
    print(`| the same, Brotli (what a browser takes over https and on this machine) | ${kb(codeOf(smaller))} | |`)
    print(`| styles / everything else (API, icon), gzip | ${kb(first.styleBytes)} / ${kb(first.otherBytes)} | |`)
    print(`| requests | ${first.requests} | |`)
    print(
      `| interactive, median (range) | ${medianOf(times).toFixed(0)} ms (${Math.min(...times).toFixed(0)}–${Math.max(...times).toFixed(0)}) | < ${AIM_INTERACTIVE_MS} ms |`,
    )
    print(
      `| of that, the main thread's processor time, median | ${medianOf(rows.map((row) => row.processorMs)).toFixed(0)} ms | |`,
    )
    print(`| longest task until then | ${Math.max(...rows.map((row) => row.longestTaskMs)).toFixed(0)} ms | |`)
  }

  async function matrices(origin: string): Promise<void> {
    print(`\n## The matrix of a run: ${instances} MCP servers × ${spaces} spaces, scrolled through\n`)
    print(
      '| processor | drawn after | cells seen | cells in the document, at most | frames | frame, median / 99 % | processor a frame | long tasks (50 ms) | over 200 ms | longest |',
    )
    print('|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|')
    for (const slowdown of [1, 4]) {
      const options = { origin, apiKey: installation.adminKey, syncId, slowdown }
      const { longTasks, ...result } = await measureMatrix(browser, options)
      const cells = [
        slowdown === 1 ? 'as it is' : `${slowdown} × slower`,
        `${(result.drawnMs / 1000).toFixed(1)} s`,
        String(result.cellsSeen),
        String(result.cellsAtOnce),
        String(result.frames),
        `${result.medianFrameMs.toFixed(0)} / ${result.p99FrameMs.toFixed(0)} ms`,
        `${(result.processorMs / result.frames).toFixed(1)} ms`,
        String(longTasks.length),
        String(longTasks.filter((ms) => ms > AIM_TASK_MS).length),
        `${Math.max(0, ...longTasks).toFixed(0)} ms`,
      ]
      print(`| ${cells.join(' | ')} |`)
    }
  }
} finally {
  await installation.remove()
}
