import type { Registry } from 'prom-client'
import type { EgressPolicy } from '../egress/policy.ts'
import type { CallTarget, ToolCallOutcome } from '../mcp/call.ts'
import type { DiscoveredTools, DiscoverTarget } from '../mcp/discover.ts'
import type { Platform } from '../platforms/platform.ts'
import type { Retention } from '../store/retention.ts'
import type { Store } from '../store/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { CozeSettings, DifySettings } from './platform-schemas.ts'
import type { Scheduler } from './scheduler.ts'
import type { SyncRuns } from './sync-runs.ts'

/** All that the API needs from the rest of the product; src/roles/api.ts composes it. */
export type ApiDeps = {
  store: Store
  syncRuns: SyncRuns
  scheduler: Scheduler
  openPlatform: OpenPlatform
  mcp: McpFunctions
  egress: EgressPolicy
  facts: ApiFacts
  /** True once every live gateway replica has seen the revision; false when `timeoutMs` has passed first. */
  gatewaySeen(revision: number, timeoutMs: number): Promise<boolean>
  readiness(): Promise<Readiness>
  metrics: Registry
  /** Addresses and CIDRs of the proxies whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[]
  /** The built console; null serves none. */
  consoleDirectory: string | null
  logger: Logger
}

/** A platform's adapter, opened for one use; the caller closes it. */
export type OpenPlatform = (target: PlatformTarget) => Platform

export type PlatformTarget =
  | { kind: 'dify'; settings: DifySettings; credential: string }
  | { kind: 'coze'; settings: CozeSettings; credential: string }

export type ApiFacts = {
  version: string
  /** The origin that platforms call. */
  publicUrl: string
  /** Where worker and API reach the gateway. */
  gatewayUrl: string
  temporal: { address: string; namespace: string; uiUrl: string | null; embedded: boolean }
  storeEngine: 'sqlite' | 'mysql'
  /** How long what is over is kept. */
  retention: Retention
  /** How long a replaced token must have gone unused before it ends. */
  tokenGraceSeconds: number
}

export type Readiness = { ready: boolean; parts: { name: string; ready: boolean; detail: string | null }[] }

/** The MCP client's functions (src/mcp/). */
export type McpFunctions = {
  discoverTools(target: DiscoverTarget): Promise<DiscoveredTools>
  callTool(target: CallTarget): Promise<ToolCallOutcome>
}
