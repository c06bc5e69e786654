import { fileURLToPath } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import type { Registry } from 'prom-client'
import packageJson from '../../package.json' with { type: 'json' }
import { createApi } from '../api/app.ts'
import type { Readiness } from '../api/deps.ts'
import { registerPlatformMetrics } from '../api/platform-metrics.ts'
import { callTool } from '../mcp/call.ts'
import { discoverTools } from '../mcp/discover.ts'
import { createPlatform } from '../platforms/registry.ts'
import { createScheduler, installationOf } from '../temporal/schedules.ts'
import { createSyncRuns } from '../temporal/sync-runs.ts'
import type { Foundation } from './foundation.ts'
import type { Handler } from './http-server.ts'
import type { TemporalPart } from './temporal-part.ts'

/** Where scripts/console-build.ts puts it. */
const CONSOLE_DIRECTORY = fileURLToPath(new URL('../../dist/console', import.meta.url))

export type ApiOptions = {
  temporal: TemporalPart
  publicUrl: () => string
  gatewayUrl: () => string
  gatewaySeen: (revision: number, timeoutMs: number) => Promise<boolean>
  readiness: () => Promise<Readiness>
  metrics: Registry
}

/** The API as a handler for node:http. */
export function createApiHandler(foundation: Foundation, options: ApiOptions): Handler {
  const { config, store, egress, cozeBudget, logger } = foundation
  const { temporal } = options
  registerPlatformMetrics(options.metrics, store)
  const app = createApi({
    store,
    egress,
    logger,
    syncRuns: createSyncRuns({
      link: temporal.link,
      namespace: config.temporal.namespace,
      taskQueue: config.temporal.taskQueue,
      uiUrl: temporal.uiUrl,
      logger,
    }),
    scheduler: createScheduler({
      link: temporal.link,
      taskQueue: config.temporal.taskQueue,
      installation: installationOf(store),
      logger,
    }),
    openPlatform: (target) => createPlatform(target, { egress, cozeBudget }),
    mcp: { discoverTools, callTool },
    facts: {
      version: packageJson.version,
      get publicUrl() {
        return options.publicUrl()
      },
      get gatewayUrl() {
        return options.gatewayUrl()
      },
      get temporal() {
        return {
          address: temporal.address() ?? '',
          namespace: config.temporal.namespace,
          uiUrl: temporal.uiUrl(),
          embedded: config.temporal.address === null,
        }
      },
      storeEngine: store.engine,
      retention: config.retention,
      tokenGraceSeconds: config.upkeep.tokenGraceSeconds,
    },
    gatewaySeen: options.gatewaySeen,
    readiness: options.readiness,
    metrics: options.metrics,
    trustedProxies: config.trustedProxies,
    consoleDirectory: CONSOLE_DIRECTORY,
  })
  const listener = getRequestListener(app.fetch)
  return (request, response) => void listener(request, response)
}
