import { isIP } from 'node:net'
import type { Config, Secrets } from '../config.ts'
import { createEgressPolicy, type EgressPolicy } from '../egress/policy.ts'
import { type CallBudget, createCallBudget } from '../store/call-budget.ts'
import { openStore, type Store } from '../store/store.ts'
import type { Logger } from '../telemetry/logger.ts'

/** What every role stands on: the store, the rules for going out, and who this process is. */
export type Foundation = {
  config: Config
  secrets: Secrets
  logger: Logger
  store: Store
  egress: EgressPolicy
  /** The pace of calls to COZE, one for the whole installation. */
  cozeBudget: CallBudget
  /** Ports of this process's own listeners; filled as they open. Nothing an admin registers may point at them. */
  ownPorts: Set<number>
  /** Names this process among others, in leases and among gateway replicas. */
  processId: string
  /** Aborted when the process is asked to end. */
  signal: AbortSignal
}

export async function openFoundation(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  signal: AbortSignal,
): Promise<Foundation> {
  const store = await openStore({ config, secrets, logger })
  const ownPorts = new Set<number>()
  const egress = createEgressPolicy({
    allow: config.egressAllow,
    deny: config.egressDeny,
    loopbackAllowed: isLoopback(config.host),
    ownPorts,
  })
  return {
    config,
    secrets,
    logger,
    store,
    egress,
    cozeBudget: createCallBudget(store),
    ownPorts,
    processId: `${config.role}-${crypto.randomUUID()}`,
    signal,
  }
}

export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true
  return isIP(host) === 4 ? host.startsWith('127.') : host === '::1'
}

/** The origin under which this process's own listener is reached from this machine. */
export function localOrigin(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '') return `http://127.0.0.1:${port}`
  if (host === '::') return `http://[::1]:${port}`
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}
