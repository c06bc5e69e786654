import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A child process of the demo. It ends with `stop()`, and by itself when the demo is gone (preload.ts). */
export type Child = {
  name: string
  /** The last lines it wrote, for the message when it fails. */
  lastLines(): string[]
  /** Resolves when it has ended, with how. */
  ended: Promise<string>
  /** Lets it see what it sees when the demo vanishes. */
  disconnect(): void
  /** SIGTERM, then SIGKILL after `graceMs`. Fine to call twice, and after it has ended. */
  stop(graceMs?: number): Promise<void>
}

export type ChildOptions = {
  name: string
  /** The script, then its arguments. */
  args: string[]
  /** The whole environment beside PATH: nothing else of ours is passed on. */
  env?: Record<string, string>
  onLine?: (line: string) => void
}

const PRELOAD = fileURLToPath(new URL('./preload.ts', import.meta.url))
const LINES_KEPT = 40

/** Starts a script with the Node.js that runs the demo. */
export function startChild(options: ChildOptions): Child {
  // A group of its own: Ctrl-C in the terminal reaches the demo only, which then stops its children in order.
  const child = spawn(process.execPath, ['--import', PRELOAD, ...options.args], {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > LINES_KEPT) lines.shift()
      options.onLine?.(line)
    })
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
  })
  return {
    name: options.name,
    lastLines: () => [...lines],
    ended,
    disconnect: () => child.disconnect(),
    stop: (graceMs = 10_000) => stopChild(child, ended, graceMs),
  }
}

async function stopChild(child: ChildProcess, ended: Promise<string>, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await ended
  clearTimeout(late)
}

/** Runs `attempt` until it succeeds. Throws, with the child's last lines, when the child ends or the time is over. */
export async function waitUntilReady(child: Child, attempt: () => Promise<void>, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  let gone: string | null = null
  child.ended.then((how) => {
    gone = how
  })
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      const reason =
        gone !== null ? `it ended with ${gone}` : Date.now() > deadline ? `no answer in ${timeoutMs / 1000} s` : null
      if (reason !== null) {
        const last = child.lastLines().slice(-12)
        throw new Error(`${child.name} did not start: ${reason}.${last.length > 0 ? `\n  ${last.join('\n  ')}` : ''}`, {
          cause: error,
        })
      }
      await new Promise((resolve) => setTimeout(resolve, 150))
    }
  }
}

/** A port that is free now: the preferred one if it is, else one that the system picks. */
export async function freePort(preferred = 0): Promise<number> {
  const server = createServer()
  try {
    server.listen(preferred, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('No free port was found.')
    return address.port
  } catch (error) {
    if (preferred === 0) throw error
    return freePort()
  } finally {
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
}
