import { parseArgs } from 'node:util'
import { createApiClient } from './api-client.ts'
import { createExpectations } from './expectations.ts'
import { guidedRun } from './guided-run.ts'
import { createTerminal } from './terminal.ts'
import { startWorld, type Teardown, type World } from './world.ts'

/** `npm run demo`: a world to try Toolferry in, and a walk through its main job. */

const USAGE = `usage: npm run demo -- [--exit] [--dify postgres://user:password@host:port/database] [--keep-data]

  --exit       end after the guided run; exit code 0 only if everything it claims held
  --dify URL   use the PostgreSQL database of a real Dify (its first three workspaces) instead of the demo's own
  --keep-data  leave Toolferry's data directory behind`

const terminal = createTerminal(process.stdout)
const options = readOptions()
if (options !== null) process.exitCode = await run(options)

type Options = { exit: boolean; difyUrl: string | null; keepData: boolean }

function readOptions(): Options | null {
  try {
    const { values } = parseArgs({
      options: {
        exit: { type: 'boolean', default: false },
        dify: { type: 'string' },
        'keep-data': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) {
      terminal.line(USAGE)
      return null
    }
    return { exit: values.exit, difyUrl: values.dify ?? null, keepData: values['keep-data'] }
  } catch (error) {
    terminal.bad(error instanceof Error ? error.message : String(error))
    terminal.line(USAGE)
    process.exitCode = 2
    return null
  }
}

/** Answers the exit code. */
async function run(options: Options): Promise<number> {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal(stop))
  const stopped = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve(), { once: true }))
  const teardowns: Teardown[] = []
  let failed = false
  try {
    const walking = walk(options, stop.signal, (teardown) => teardowns.push(teardown))
    // A signal ends the walk at once, wherever it is: what it waits for is stopped under it.
    const walked = await Promise.race([walking, stopped.then(() => null)])
    walking.catch(() => undefined)
    failed = walked !== null && walked.failures.length > 0
    if (walked !== null && !options.exit && !failed) {
      terminal.line()
      terminal.line('     It stays up for looking around. Ctrl-C stops everything.')
      const ended = await Promise.race([stopped.then(() => null), walked.world.product.child.ended])
      if (ended !== null && !stop.signal.aborted) {
        terminal.bad(`Toolferry ended by itself: ${ended}`)
        failed = true
      }
    }
    if (stop.signal.aborted && walked === null) failed = true
  } catch (error) {
    failed = true
    terminal.line()
    terminal.bad(error instanceof Error ? error.message : String(error))
  }
  terminal.progress('stopping')
  for (const teardown of teardowns) {
    const left = await teardown({ keepFiles: failed || options.keepData })
    terminal.progress(null)
    if (left !== null) terminal.note(`Its data and log stay in ${left}`)
  }
  terminal.progress(null)
  return failed ? 1 : 0
}

/**
 * The first signal stops everything in order. One more is somebody who will not wait: the demo ends, and its children see
 * that and end themselves. (npm hands on a Ctrl-C that the terminal has already delivered, so a quick second one is the first.)
 */
function onSignal(stop: AbortController): () => void {
  let firstAt: number | null = null
  return () => {
    firstAt ??= Date.now()
    if (Date.now() - firstAt > 1_000) process.kill(process.pid, 'SIGKILL')
    stop.abort()
  }
}

async function walk(
  options: Options,
  signal: AbortSignal,
  onTeardown: (teardown: Teardown) => void,
): Promise<{ world: World; failures: string[] }> {
  terminal.title('Toolferry demo')
  const startedAt = Date.now()
  const world = await startWorld({ difyUrl: options.difyUrl }, terminal, onTeardown)
  const { origin, adminKey, adminKeyPath, logPath } = world.product
  const { adminOrigin } = world.coze.simulator
  const expectations = createExpectations(terminal)
  const { temporalUrl } = await guidedRun({
    world,
    api: createApiClient(origin, adminKey, signal),
    terminal,
    expectations,
  })

  terminal.step('Look around')
  terminal.facts([
    ['console', world.product.consoleUrl() ?? origin],
    ['API, try it out', `${origin}/docs`],
    ['this run in Temporal', temporalUrl ?? 'no Web UI'],
    ...(adminOrigin === null ? [] : [['what COZE saw', adminOrigin] satisfies [string, string]]),
    ['admin API key', `in the file ${adminKeyPath}`],
    ['log', logPath],
  ])
  const pages = [
    `${origin}/`,
    `${origin}/docs`,
    `${origin}/openapi.json`,
    ...[temporalUrl, adminOrigin].filter((page) => page !== null),
  ]
  const answers = await Promise.all(pages.map((page) => fetch(page, { signal, headers: { accept: 'text/html,*/*' } })))
  expectations.expect(
    answers.every((answer) => answer.status === 200),
    'these pages answer',
    answers.map((answer) => `${answer.url}: ${answer.status}`).join(', '),
  )
  const failures = expectations.failed()
  terminal.line()
  if (failures.length === 0) terminal.ok(`Everything held, in ${Math.round((Date.now() - startedAt) / 1000)} s.`)
  else {
    terminal.bad(`${failures.length} did not hold:`)
    for (const failure of failures) terminal.note(failure)
  }
  return { world, failures }
}
