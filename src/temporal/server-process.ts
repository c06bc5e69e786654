import { spawn } from 'node:child_process'
import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SystemEnvironment } from '../config.ts'
import { processStart } from './process-facts.ts'

export type Exit = { code: number | null; signal: string | null }

/** A running Temporal server, our child or adopted. */
export type ServerProcess = {
  pid: number
  /** Resolves when it is gone; never rejects. */
  exited: Promise<Exit>
}

export type LaunchOptions = {
  binary: string
  host: string
  port: number
  uiPort: number
  dbPath: string
  namespace: string
  logPath: string
  environment: SystemEnvironment
}

const LOG_LIMIT_BYTES = 10 * 1024 * 1024
const ADOPTED_WATCH_MS = 250

export function serverLogPath(dataDir: string): string {
  return join(dataDir, 'temporal.log')
}

/**
 * Starts the development server. It gets a process group of its own, so that Ctrl-C in the terminal reaches the product
 * only, which then ends its worker before its server. WAL: 3-4 times the throughput of the default (engineering.md §B.2).
 */
export function launchServer(options: LaunchOptions): ServerProcess {
  rotateLog(options.logPath)
  const log = openSync(options.logPath, 'a', 0o600)
  try {
    const child = spawn(
      options.binary,
      [
        ...['server', 'start-dev'],
        ...['--db-filename', options.dbPath],
        ...['--ip', options.host, '--port', String(options.port), '--ui-port', String(options.uiPort)],
        ...['--namespace', options.namespace],
        ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
        ...['--log-level', 'warn', '--color', 'never'],
      ],
      { env: serverEnvironment(options.environment), stdio: ['ignore', log, log], detached: true },
    )
    const exited = new Promise<Exit>((resolve) => {
      child.once('error', () => resolve({ code: null, signal: null }))
      child.once('exit', (code, signal) => resolve({ code, signal }))
    })
    // 0 when it could not be started at all: `exited` says so.
    return { pid: child.pid ?? 0, exited }
  } finally {
    closeSync(log)
  }
}

/** Watches a server that an earlier product started: not our child, so its end is found by looking. */
export function adoptServer(pid: number, start: string): ServerProcess {
  const watch = async (): Promise<Exit> => {
    while ((await processStart(pid)) === start) await delay(ADOPTED_WATCH_MS, undefined, { ref: false })
    return { code: null, signal: null }
  }
  return { pid, exited: watch() }
}

/** SIGTERM, and SIGKILL after `graceMs`; returns when the process is gone. */
export async function endServer(server: ServerProcess, graceMs: number): Promise<void> {
  if (server.pid < 1) return
  const gone = server.exited.then(() => true)
  signal(server.pid, 'SIGTERM')
  const deadline = new AbortController()
  const late = delay(graceMs, false, { signal: deadline.signal }).catch(() => false)
  if (!(await Promise.race([gone, late]))) signal(server.pid, 'SIGKILL')
  deadline.abort()
  await gone
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The server calls nobody: it needs no proxy, whose address may hold a password. */
function serverEnvironment(environment: SystemEnvironment): SystemEnvironment {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/_proxy$/i.test(name)))
}

function rotateLog(path: string): void {
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (sizeBytes > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`)
}
