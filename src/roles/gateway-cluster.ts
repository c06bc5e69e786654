import cluster, { type Worker } from 'node:cluster'
import type { Readiness } from '../api/deps.ts'
import { type Config, ConfigError } from '../config.ts'
import type { Throttled } from '../gateway/throttle.ts'
import type { GatewayInstanceLimits } from '../gateway/view.ts'
import type { Logger } from '../telemetry/logger.ts'
import { localOrigin } from './foundation.ts'
import type { MemberAnswers } from './gateway-member.ts'
import { createGatheredMetrics } from './gathered-metrics.ts'
import { createLink, type Link } from './process-link.ts'
import type { Running } from './running.ts'
import { createThrottleLedger } from './shared-throttle.ts'

/** What the first process answers to its members. */
export type PrimaryAnswers = {
  hello(body: null): { replicaId: string }
  serves(body: { port: number }): void
  take(body: { key: string; limits: GatewayInstanceLimits }): Throttled | null
  giveBack(body: { key: string }): void
  readiness(body: null): Promise<Readiness>
  metrics(body: null): Promise<string>
}

/** Longer than a member takes to drain and close (drainMs and the listener's grace, src/roles/gateway.ts). */
const STOP_LIMIT_MS = 30_000
const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 30_000
/** Who has served this long has not failed at its start: the next pause is a short one again. */
const SOUND_AFTER_MS = 60_000
const MEMBER_TIMEOUT_MS = 2_000
const SWEEP_MS = 1_000

type Slot = {
  readonly number: number
  readonly replicaId: string
  worker: Worker | null
  link: Link<MemberAnswers> | null
  serving: boolean
  startedAtMs: number
  failures: number
  again: NodeJS.Timeout | null
  detail: string
}

/**
 * Several gateway processes on one port: this one takes the connections and hands them on in turn, replaces a process that
 * ends, counts the limits of subjects for all of them, and knows what all of them would say on /readyz and /metrics. It
 * loads no store; a connection that comes while a process is being replaced goes to another one.
 */
export function runGatewayCluster(config: Config, logger: Logger): Running {
  cluster.schedulingPolicy = cluster.SCHED_RR
  const installation = crypto.randomUUID()
  const slots = Array.from({ length: config.gatewayWorkers }, (_, index): Slot => {
    const number = index + 1
    const replicaId = `gateway-${installation}-${number}`
    return {
      number,
      replicaId,
      worker: null,
      link: null,
      serving: false,
      startedAtMs: 0,
      failures: 0,
      again: null,
      detail: 'the gateway is starting',
    }
  })
  const serving = () => slots.filter((slot) => slot.serving)
  const metrics = createGatheredMetrics(() => serving().length)
  const ledger = createThrottleLedger(() => performance.now())
  const sweeper = setInterval(() => ledger.sweep(), SWEEP_MS)
  const ready = Promise.withResolvers<string[]>()
  let begun = false
  let stopping = false
  let onEmpty: (() => void) | null = null

  /** What each process that serves answers in time. */
  const askAll = async <Kind extends keyof MemberAnswers>(kind: Kind) => {
    const answers = new Map<number, Awaited<ReturnType<MemberAnswers[Kind]>>>()
    const ask = async ({ number, link }: Slot) => {
      const answer = await link?.ask(kind, null, MEMBER_TIMEOUT_MS)
      if (answer !== undefined) answers.set(number, answer)
    }
    const silent = (slot: Slot) => (error: unknown) =>
      logger.warn({ err: error, worker: slot.number }, 'a gateway worker did not answer')
    await Promise.all(serving().map((slot) => ask(slot).catch(silent(slot))))
    return answers
  }

  /** Ready: somebody takes connections, and nobody takes them in vain. One that is being replaced takes none. */
  const readiness = async (): Promise<Readiness> => {
    const problems = await askAll('problem')
    const parts = slots.map(({ number, serving: takes, detail }) => {
      const answer = problems.get(number)
      const problem = takes ? (answer === undefined ? 'the process does not answer' : answer) : detail
      return { name: `gateway worker ${number}`, ready: problem === null, detail: problem }
    })
    const inVain = slots.some(({ serving: takes }, index) => takes && parts[index]?.ready !== true)
    return { ready: !stopping && !inVain && parts.some((part) => part.ready), parts }
  }

  const answersFor = (slot: Slot): PrimaryAnswers => ({
    hello: () => ({ replicaId: slot.replicaId }),
    serves: ({ port }) => {
      slot.serving = true
      if (begun || serving().length < slots.length) return
      begun = true
      const origin = config.publicUrl ?? localOrigin(config.host, port)
      ready.resolve([`Gateway  ${origin}/mcp-gateway/…   (${slots.length} processes)`])
    },
    take: ({ key, limits }) => ledger.take(slot.number, key, limits),
    giveBack: ({ key }) => ledger.giveBack(slot.number, key),
    readiness,
    metrics: async () => await metrics.page(await askAll('metrics')),
  })

  /** A machine without room for another process says so here, or a moment later by an error of the worker. */
  const fork = (slot: Slot): Worker | null => {
    try {
      return cluster.fork()
    } catch (error) {
      ended(slot, error instanceof Error ? error.message : String(error))
      return null
    }
  }

  const start = (slot: Slot) => {
    slot.startedAtMs = performance.now()
    const worker = fork(slot)
    if (worker === null) return
    slot.worker = worker
    slot.link = createLink<MemberAnswers>(
      {
        send: (message, done) => void worker.send(message, undefined, undefined, done),
        onMessage: (listener) => void worker.on('message', listener),
      },
      answersFor(slot),
    )
    worker.on('error', (error) => {
      // One that could not even be made never tells its end.
      if (worker.process.pid === undefined) ended(slot, error.message)
      // A signal or a message that could not be delivered: its end is told by itself.
      else logger.warn({ err: error, worker: slot.number }, 'a gateway worker was not reached')
    })
    worker.once('exit', (code, signal) => ended(slot, signal ?? `code ${code}`))
  }

  const ended = (slot: Slot, how: string) => {
    slot.link?.close()
    slot.link = null
    slot.worker = null
    slot.serving = false
    ledger.gone(slot.number)
    if (stopping) {
      if (slots.every(({ worker }) => worker === null)) onEmpty?.()
      return
    }
    if (!begun) {
      ready.reject(new ConfigError(`A gateway worker could not start (${how}). What it said above is the reason.`))
      return
    }
    metrics.ended(slot.number)
    slot.failures = performance.now() - slot.startedAtMs > SOUND_AFTER_MS ? 1 : slot.failures + 1
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (slot.failures - 1), MAX_PAUSE_MS)
    slot.detail = `it ended with ${how} and is being replaced`
    logger.error({ worker: slot.number, how, pauseMs }, 'a gateway worker ended; another one takes its place')
    slot.again = setTimeout(() => start(slot), pauseMs)
  }

  const close = async () => {
    stopping = true
    clearInterval(sweeper)
    for (const { again } of slots) if (again !== null) clearTimeout(again)
    const living = slots.flatMap(({ worker }) => worker ?? [])
    if (living.length === 0) return
    const empty = new Promise<void>((resolve) => {
      onEmpty = resolve
    })
    for (const { process } of living) process.kill('SIGTERM')
    const limit = setTimeout(() => {
      logger.error({}, 'gateway workers did not end in time and are killed')
      for (const { process } of living) process.kill('SIGKILL')
    }, STOP_LIMIT_MS)
    await empty
    clearTimeout(limit)
  }

  for (const slot of slots) start(slot)
  return { ready: ready.promise, close }
}
