import type { EgressPolicy } from '../src/egress/policy.ts'
import type { HeldPlatform } from '../src/platforms/registry.ts'
import type { PlatformRecord } from '../src/store/platforms.ts'
import type { Retention } from '../src/store/retention.ts'
import type { Store } from '../src/store/store.ts'
import type { Logger } from '../src/telemetry/logger.ts'

/** What the activities need from outside. Built once by a role. */
export type ActivityDeps = {
  store: Store
  egress: EgressPolicy
  logger: Logger
  /**
   * An adapter for a registered platform, with its present credential; `seen`: with that of a moment ago, for who has just read it. Throws
   * CredentialRefused when there is none.
   */
  holdPlatform: (
    platformId: string,
    seen?: Pick<PlatformRecord, 'rowVersion' | 'credentialVersion'>,
  ) => Promise<HeldPlatform>
  /** Origin where this worker reaches the gateway, e.g. http://127.0.0.1:8080. */
  gatewayUrl: () => string
  /** Origin that platforms call, unless the platform has one of its own. */
  publicUrl: () => string
  /** Names this process in leases. */
  workerId: string
  limits: ActivityLimits
}

export type ActivityLimits = {
  /** Spaces worked on at the same time in one run. */
  spaceConcurrency: number
  /** How often a target is tried before it counts as failed. */
  targetAttempts: number
  /** How long an activity may be silent before Temporal gives it to another worker. */
  heartbeatTimeoutMs: number
  /** A space's lease; longer than the longest single call to a platform, and than the heartbeat timeout. */
  leaseMs: number
  /** How long to wait for another run to leave a space. */
  leaseWaitMs: number
  /** How long a run waits for a new credential. */
  credentialWaitMs: number
  /** One MCP handshake or one page of tools. */
  mcpTimeoutMs: number
  /** How long what is over is kept. */
  retention: Retention
  /** How long a replaced token must have gone unused before it ends. */
  tokenGraceSeconds: number
  /** Minted tokens that are older are replaced; null: none are, unless a profile says so. */
  rotateAfterDays: number | null
  /** How long a changed tool list must have stood before a run brings it to the platforms. */
  toolsSettleSeconds: number
  /** What happens then where no profile says it. */
  onToolsChanged: 'sync' | 'report'
}

const DEFAULT_WORKER_TIMEOUT_MS = 30_000
const DEFAULT_RETENTION: Retention = { syncDays: 90, journalDays: 30, auditDays: 365 }

/** The limits of a worker that is given up after being silent for `workerTimeoutMs`. */
export function limitsFor(workerTimeoutMs: number, retention: Retention = DEFAULT_RETENTION): ActivityLimits {
  return {
    spaceConcurrency: 8,
    targetAttempts: 5,
    heartbeatTimeoutMs: workerTimeoutMs,
    leaseMs: 3 * workerTimeoutMs,
    leaseWaitMs: 10 * 60_000,
    credentialWaitMs: 24 * 3_600_000,
    mcpTimeoutMs: 30_000,
    retention,
    tokenGraceSeconds: 24 * 3600,
    rotateAfterDays: null,
    toolsSettleSeconds: 120,
    onToolsChanged: 'report',
  }
}

export const DEFAULT_LIMITS: ActivityLimits = limitsFor(DEFAULT_WORKER_TIMEOUT_MS)
