import { Registry } from 'prom-client'
import type { Config, Secrets } from '../config.ts'
import { isGatewayTarget } from '../gateway/route.ts'
import { findApiKey } from '../store/api-keys.ts'
import type { Logger } from '../telemetry/logger.ts'
import { localOrigin, openFoundation } from './foundation.ts'
import { drained, startGatewayPart } from './gateway-part.ts'
import { createHealthHandler } from './health-handler.ts'
import { type Handler, listen } from './http-server.ts'
import { readinessOf } from './readiness.ts'
import { createClosers, type Running } from './running.ts'

/** The gateway alone: no API, no Temporal. Serves /healthz, /readyz and (to API keys) /metrics beside the data path. */
export async function runGateway(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  options: { signal: AbortSignal },
): Promise<Running> {
  const closers = createClosers((error) => logger.error({ err: error }, 'a part did not close cleanly'))
  try {
    const foundation = await openFoundation(config, secrets, logger, options.signal)
    closers.add(() => foundation.store.close())
    let origin = ''
    const metrics = new Registry()
    const part = await startGatewayPart(foundation, { ownOrigins: () => [origin, config.publicUrl ?? origin], metrics })
    closers.add(part.close)
    const health = createHealthHandler(() => readinessOf({ gateway: part.gateway.problem }), {
      registry: metrics,
      isKey: async (secret) => (await findApiKey(foundation.store, secret)) !== null,
    })
    const handle: Handler = (request, response) => {
      if (isGatewayTarget(request.url ?? '')) part.gateway.handle(request, response)
      else health(request, response)
    }
    const server = await listen(handle, config.host, config.gatewayPort ?? config.port, 'TOOLFERRY_PORT')
    closers.add(() => drained(part.gateway, server, 10_000))
    foundation.ownPorts.add(server.port)
    origin = localOrigin(config.host, server.port)
    return { ready: Promise.resolve([`Gateway  ${config.publicUrl ?? origin}/mcp-gateway/…`]), close: closers.closeAll }
  } catch (error) {
    await closers.closeAll()
    throw error
  }
}
