import { isIP } from 'node:net'
import { type Config, ConfigError, type Secrets } from '../config.ts'
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
  processId: string = `${config.role}-${crypto.randomUUID()}`,
): Promise<Foundation> {
  const ownPorts = new Set<number>()
  // Before the store, which would stay open, and with it this process, when a rule cannot be read.
  const egress = egressOf(config, ownPorts)
  const store = await openStore({ config, secrets, logger })
  return {
    config,
    secrets,
    logger,
    store,
    egress,
    cozeBudget: createCallBudget(store, { leaseMs: config.workerTimeoutMs }),
    ownPorts,
    processId,
    signal,
  }
}

function egressOf(config: Config, ownPorts: ReadonlySet<number>): EgressPolicy {
  const { egressAllow: allow, egressDeny: deny } = config
  try {
    return createEgressPolicy({
      allow,
      deny,
      loopbackAllowed: isLoopback(config.host),
      ownPorts,
      ownEndpoints: ownEndpointsOf(config),
      ownGatewayUrls: [config.publicUrl, config.gatewayUrl].filter((url) => url !== null),
    })
  } catch (error) {
    // It names the variable and the entry.
    throw error instanceof TypeError ? new ConfigError(error.message) : error
  }
}

/** Where Temporal is, as the policy names it. The gateway is known by its URL: MCP servers may be served on its host and port, too. */
function ownEndpointsOf({ temporal: { address } }: Config): Set<string> {
  const text = `temporal://${address}`
  if (address === null || !URL.canParse(text)) return new Set()
  const { hostname, port } = new URL(text)
  return new Set([`${hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1')}:${port === '' ? '7233' : port}`])
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
