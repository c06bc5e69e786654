import { mkdir, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type SystemEnvironment, systemEnvironment } from '../config.ts'
import { ToolferryError } from '../domain/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import { findTemporalBinary } from './binary.ts'
import { findSurvivor, removePidFile, writePidFile } from './pid-file.ts'
import { freePorts, isPortFree } from './ports.ts'
import { processStart } from './process-facts.ts'
import { adoptServer, type Exit, endServer, launchServer, type ServerProcess, serverLogPath } from './server-process.ts'
import { waitUntilReady } from './server-ready.ts'

export type EmbeddedServerOptions = {
  dataDir: string
  /** An IP address to listen on; the Web UI has no sign-in, so a loopback one. */
  host: string
  /** gRPC port; 0 = a free one. */
  port: number
  /** Web UI port; 0 = a free one. */
  uiPort: number
  namespace: string
  logger: Logger
  /** Told in plain lines what takes time (download, build). */
  onProgress: (line: string) => void
  environment?: SystemEnvironment
  /** Replaced by tests: the path of the binary to run. */
  findBinary?: () => Promise<string>
}

export type ServerExit = Exit & { restartInMs: number }

export type EmbeddedServer = {
  /** `host:port` for clients and workers; the same through every restart. */
  address: string
  uiUrl: string
  /** True when the server of a crashed product was taken over. */
  adopted: boolean
  pid(): number
  /** False from the server's death until its successor serves. */
  ready(): boolean
  /** Told each time the server has died by itself. Returns the way to unsubscribe. */
  onExit(listener: (exit: ServerExit) => void): () => void
  /** Ends the server and waits until it is gone. Safe to call twice. */
  stop(): Promise<void>
}

const READY_TIMEOUT_MS = 60_000
const ADOPT_TIMEOUT_MS = 5_000
const STOP_GRACE_MS = 10_000
const START_ATTEMPTS = 3
const FIRST_BACKOFF_MS = 250
const LONGEST_BACKOFF_MS = 30_000
/** A server that lived this long starts the back-off anew. */
const STABLE_MS = 60_000

/**
 * Runs the Temporal development server as a supervised child, with its database, log and pid file in `dataDir`. A server
 * that a crashed product left there is adopted if it serves on the ports asked for, else ended. Throws `Conflict` when
 * another live product uses `dataDir` or somebody else a port, `Unavailable` when no server can be had or it does not start.
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const dataDir = resolve(options.dataDir)
  const environment = options.environment ?? systemEnvironment()
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const run: Run = {
    options,
    dataDir,
    dbPath: resolve(dataDir, 'temporal.db'),
    environment,
    supervisorStart: await processStart(process.pid),
    findBinary: options.findBinary ?? (async () => (await findTemporalBinary({ ...options, environment })).path),
  }
  const adopted = await adoptSurvivor(run)
  return supervise(run, adopted ?? (await startFirst(run)), adopted !== null)
}

type Run = {
  options: EmbeddedServerOptions
  dataDir: string
  dbPath: string
  environment: SystemEnvironment
  supervisorStart: string | null
  findBinary: () => Promise<string>
}

type Running = { server: ServerProcess; binary: string | null; port: number; uiPort: number }

async function adoptSurvivor(run: Run): Promise<Running | null> {
  const { options, dataDir } = run
  const survivor = await findSurvivor(dataDir, run.dbPath)
  if (survivor.found === 'supervised') {
    throw new ToolferryError(
      'Conflict',
      `Process ${survivor.supervisorPid} already runs the Temporal server of ${dataDir}. Stop it, or set TOOLFERRY_DATA_DIR to another directory.`,
    )
  }
  if (survivor.found === 'nothing') {
    removePidFile(dataDir)
    return null
  }
  const { pid, start, port, uiPort } = survivor.record
  if (start === null) return null
  const server = adoptServer(pid, start)
  const samePlace =
    survivor.host === options.host &&
    (options.port === 0 || options.port === port) &&
    (options.uiPort === 0 || options.uiPort === uiPort)
  if (samePlace && (await becomesReady(run, { server, binary: null, port, uiPort }, ADOPT_TIMEOUT_MS))) {
    record(run, { server, binary: null, port, uiPort }, start)
    options.logger.info({ pid, port, uiPort }, 'adopted the Temporal server that an earlier run left behind')
    return { server, binary: null, port, uiPort }
  }
  options.logger.warn({ pid }, 'ending the Temporal server that an earlier run left behind')
  await endServer(server, STOP_GRACE_MS)
  removePidFile(dataDir)
  return null
}

/** Ports that were chosen, and those the server chooses itself, may be taken in between: a few attempts. */
async function startFirst(run: Run): Promise<Running> {
  const { options, dataDir } = run
  const binary = await run.findBinary()
  for (let attempt = 1; ; attempt++) {
    const [freePort = 0, freeUiPort = 0] = await freePorts(options.host, 2)
    await requireFree(options.host, options.port, 'TOOLFERRY_TEMPORAL_PORT')
    await requireFree(options.host, options.uiPort, 'TOOLFERRY_TEMPORAL_UI_PORT')
    const running = launch(run, binary, options.port || freePort, options.uiPort || freeUiPort)
    if (await becomesReady(run, running, READY_TIMEOUT_MS)) return running
    await endServer(running.server, STOP_GRACE_MS)
    removePidFile(dataDir)
    if (attempt === START_ATTEMPTS) {
      const logPath = serverLogPath(dataDir)
      throw new ToolferryError(
        'Unavailable',
        `The Temporal server did not start (${await lastLine(logPath)}). Its log is ${logPath}.`,
      )
    }
    options.logger.warn({ attempt }, 'the Temporal server did not start; trying again')
  }
}

async function requireFree(host: string, port: number, variable: string): Promise<void> {
  if (port === 0 || (await isPortFree(host, port))) return
  throw new ToolferryError(
    'Conflict',
    `Port ${port} on ${host} is in use. Stop what listens there, or set ${variable} to another port (0 = a free one). A Temporal server of your own is used with TEMPORAL_ADDRESS.`,
  )
}

function launch(run: Run, binary: string, port: number, uiPort: number): Running {
  const { options, dataDir, dbPath, environment } = run
  const { host, namespace } = options
  const logPath = serverLogPath(dataDir)
  const server = launchServer({ binary, host, port, uiPort, dbPath, namespace, logPath, environment })
  const running = { server, binary, port, uiPort }
  record(run, running, null)
  return running
}

function record(run: Run, { server, port, uiPort }: Running, start: string | null): void {
  const supervisor = { supervisorPid: process.pid, supervisorStart: run.supervisorStart }
  writePidFile(run.dataDir, { pid: server.pid, start, port, uiPort, ...supervisor })
}

/** False when the server dies or does not serve in time. */
async function becomesReady(run: Run, running: Running, timeoutMs: number, stop?: AbortSignal): Promise<boolean> {
  const { host, namespace } = run.options
  const died = new AbortController()
  running.server.exited.then(() => died.abort())
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = AbortSignal.any(stop === undefined ? [died.signal, timeout] : [died.signal, timeout, stop])
  try {
    await waitUntilReady({ host, port: running.port, uiPort: running.uiPort, namespace, signal })
    signal.throwIfAborted()
  } catch {
    return false
  }
  const start = await processStart(running.server.pid)
  if (start !== null) record(run, running, start)
  return true
}

/** Keeps the server alive on its ports until stop(). */
function supervise(run: Run, first: Running, adopted: boolean): EmbeddedServer {
  const { options, dataDir } = run
  const { port, uiPort } = first
  const listeners = new Set<(exit: ServerExit) => void>()
  const stopping = new AbortController()
  let current = first
  let ready = true

  // The last resort, when the product ends without stop(); a SIGKILLed product leaves a survivor for the next one.
  const endWithProcess = () => {
    try {
      process.kill(current.server.pid, 'SIGTERM')
    } catch {
      // It is gone already.
    }
  }
  process.once('exit', endWithProcess)

  const keepAlive = async () => {
    let backoffMs = FIRST_BACKOFF_MS
    let binary = first.binary
    while (!stopping.signal.aborted) {
      const servedSinceMs = Date.now()
      const exit = await current.server.exited
      if (stopping.signal.aborted) return
      ready = false
      if (Date.now() - servedSinceMs > STABLE_MS) backoffMs = FIRST_BACKOFF_MS
      while (!ready && !stopping.signal.aborted) {
        options.logger.warn({ ...exit, restartInMs: backoffMs }, 'the Temporal server ended by itself; restarting it')
        for (const listener of listeners) listener({ ...exit, restartInMs: backoffMs })
        await delay(backoffMs, undefined, { signal: stopping.signal }).catch(() => undefined)
        if (stopping.signal.aborted) return
        backoffMs = Math.min(backoffMs * 2, LONGEST_BACKOFF_MS)
        try {
          binary ??= await run.findBinary()
        } catch (error) {
          options.logger.error({ err: error }, 'no Temporal server can be had for the restart')
          continue
        }
        if (stopping.signal.aborted) return
        current = launch(run, binary, port, uiPort)
        ready = await becomesReady(run, current, READY_TIMEOUT_MS, stopping.signal)
        if (!ready) await endServer(current.server, STOP_GRACE_MS)
      }
      options.logger.info({ pid: current.server.pid, port }, 'the Temporal server serves again')
    }
  }
  const kept = keepAlive()

  const stop = async () => {
    stopping.abort()
    ready = false
    await endServer(current.server, STOP_GRACE_MS)
    await kept
    process.off('exit', endWithProcess)
    removePidFile(dataDir)
  }
  let stopped: Promise<void> | null = null

  return {
    address: `${options.host}:${port}`,
    uiUrl: `http://${options.host}:${uiPort}`,
    adopted,
    pid: () => current.server.pid,
    ready: () => ready,
    onExit(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stop() {
      stopped ??= stop()
      return stopped
    },
  }
}

async function lastLine(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').at(-1)?.slice(0, 300) || 'it wrote nothing'
}
