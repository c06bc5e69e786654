import cluster from 'node:cluster'
import { once } from 'node:events'
import type { Registry } from 'prom-client'
import type { Readiness } from '../api/deps.ts'
import type { Throttle } from '../gateway/throttle.ts'
import type { PrimaryAnswers } from './gateway-cluster.ts'
import { createLink } from './process-link.ts'
import { createAskingThrottle } from './shared-throttle.ts'

/** One of several gateway processes on a port, and what it has from the process that started them (gateway-cluster.ts). */
export type GatewayMember = {
  /** Names it among gateway replicas; its successor, should it crash, goes on under the same name. */
  replicaId: string
  /** Limits count over all processes. */
  throttle: Throttle
  /** Of all processes. */
  readiness(): Promise<Readiness>
  /** Of all processes, for Prometheus. */
  metrics(): Promise<string>
  /** Tells that it takes connections, on this port, and how the first process can look into it. */
  serves(port: number, own: MemberSources): void
  /** Nothing keeps this process alive any longer. */
  leave(): Promise<void>
}

export type MemberSources = { registry: Registry; problem: () => string | null }

/** What a member answers to the process that started it. */
export type MemberAnswers = {
  problem(body: null): string | null
  metrics(body: null): ReturnType<Registry['getMetricsAsJSON']>
}

const HELLO_TIMEOUT_MS = 30_000
/** Longer than the first process gives to each member, so that its answer is about them. */
const WHOLE_TIMEOUT_MS = 4_000
/** Longer than anybody waits for it: an answer that comes late has counted, and is given back (shared-throttle.ts). */
const TAKE_TIMEOUT_MS = 60_000

/** Joins the process that forked this one. */
export async function joinGatewayCluster(): Promise<GatewayMember> {
  let own: MemberSources | null = null
  const answers: MemberAnswers = {
    problem: () => (own === null ? 'the gateway is starting' : own.problem()),
    metrics: async () => (own === null ? [] : await own.registry.getMetricsAsJSON()),
  }
  const link = createLink<PrimaryAnswers>(
    {
      send: (message, done) => void process.send?.(message, undefined, undefined, done),
      onMessage: (listener) => void process.on('message', listener),
    },
    answers,
  )
  const leave = async () => {
    link.close()
    const { worker } = cluster
    if (worker === undefined || !worker.isConnected()) return
    const disconnected = once(worker, 'disconnect')
    worker.disconnect()
    await disconnected
  }
  try {
    const { replicaId } = await link.ask('hello', null, HELLO_TIMEOUT_MS)
    return {
      replicaId,
      throttle: createAskingThrottle(
        {
          take: (key, limits) => link.ask('take', { key, limits }, TAKE_TIMEOUT_MS),
          giveBack: (key) => link.tell('giveBack', { key }),
        },
        () => performance.now(),
      ),
      readiness: () => link.ask('readiness', null, WHOLE_TIMEOUT_MS),
      metrics: () => link.ask('metrics', null, WHOLE_TIMEOUT_MS),
      serves: (port, sources) => {
        own = sources
        link.tell('serves', { port })
      },
      leave,
    }
  } catch (error) {
    await leave()
    throw error
  }
}
