import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** One process of the product, started as a user does: `node src/main.ts <role>`. */

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const READY_TIMEOUT_MS = 240_000

export type RoleName = 'all' | 'api' | 'worker' | 'gateway'

export type RoleProcess = {
  role: RoleName
  origin: string
  /** Everything it printed so far, over every start: what must hold no secret. */
  output: () => string
  /** Starts it (again) on the same port and data; resolves when /readyz is 200, or as soon as it runs with `ready: false`. */
  start: (options?: { ready?: boolean }) => Promise<void>
  untilReady: () => Promise<void>
  /** Until it answers at all, whatever it waits for itself. */
  untilUp: () => Promise<void>
  /** SIGKILL, as a crash would. */
  kill: () => Promise<void>
  /** SIGSTOP: it stands still with its connections open, as on a machine that swaps or was suspended. */
  freeze: () => void
  thaw: () => void
  /** SIGTERM, and its exit code once it has ended; null when something else ended it. */
  stop: () => Promise<number | null>
  /** Of the process as it runs now. */
  pid: () => number
}

/** A role on a port of its own, run from `main`; not started yet. */
export function roleProcess(role: RoleName, port: number, env: Record<string, string>, main = MAIN): RoleProcess {
  const origin = `http://127.0.0.1:${port}`
  const output: string[] = []
  let child: ChildProcess | null = null

  const untilOk = async (path: string) => {
    const deadline = Date.now() + READY_TIMEOUT_MS
    let last = 'no answer'
    for (;;) {
      if (child === null || child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${role} ended with ${child?.exitCode}\n${output.join('')}`)
      const ready = await fetch(`${origin}${path}`).then(
        async (response) => {
          last = `${response.status} ${await response.text()}`
          return response.ok
        },
        (error: Error) => {
          last = `${error.message}: ${error.cause}`
          return false
        },
      )
      if (ready) return
      if (Date.now() > deadline) throw new Error(`${role} is not there (${path}: ${last})\n${output.join('')}`)
      await sleep(100)
    }
  }

  const untilReady = () => untilOk('/readyz')

  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const ending = child
    child = null
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? null
    const exited = once(ending, 'exit')
    ending.kill('SIGCONT')
    ending.kill(signal)
    await exited
    return ending.exitCode
  }

  return {
    role,
    origin,
    output: () => output.join(''),
    start: async ({ ready = true } = {}) => {
      const started = spawn(process.execPath, [main, role], {
        env: {
          PATH: process.env.PATH ?? '',
          HOME: process.env.HOME ?? '',
          ...(process.env.XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME: process.env.XDG_CACHE_HOME }),
          TOOLFERRY_PORT: String(port),
          ...env,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      started.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text))
      started.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text))
      if (ready) await untilReady()
    },
    untilReady,
    untilUp: () => untilOk('/healthz'),
    kill: async () => void (await end('SIGKILL')),
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    stop: () => end('SIGTERM'),
    pid: () => child?.pid ?? 0,
  }
}
