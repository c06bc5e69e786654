import { Registry } from 'prom-client'
import { type Config, ConfigError, type Secrets } from '../config.ts'
import { isGatewayTarget } from '../gateway/route.ts'
import { freeAllSlots } from '../store/call-budget.ts'
import { createConsoleCode } from '../store/console-code.ts'
import { endAllLeases } from '../store/leases.ts'
import { waitUntilSeen } from '../store/replicas.ts'
import type { Logger } from '../telemetry/logger.ts'
import { createApiHandler } from './api-part.ts'
import { isLoopback, localOrigin, openFoundation } from './foundation.ts'
import { drained, startGatewayPart } from './gateway-part.ts'
import { type Handler, listen } from './http-server.ts'
import { readinessOf, storeProblem } from './readiness.ts'
import { createClosers, type Running } from './running.ts'
import { startTemporalPart } from './temporal-part.ts'
import { startWorkerPart } from './worker-part.ts'

const CLOSE_GRACE_MS = 10_000

/** Every role in one process on one port, with an embedded Temporal server unless TEMPORAL_ADDRESS names another. */
export async function runAll(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  options: { signal: AbortSignal; onProgress: (line: string) => void },
): Promise<Running> {
  if (config.gatewayWorkers > 1) {
    throw new ConfigError(
      'TOOLFERRY_GATEWAY_WORKERS is for role gateway: role all is one process. Start the roles api, worker and gateway by themselves (DATABASE_URL=mysql://…), or take the setting away.',
    )
  }
  const closers = createClosers((error) => logger.error({ err: error }, 'a part did not close cleanly'))
  try {
    const foundation = await openFoundation(config, secrets, logger, options.signal)
    closers.add(() => foundation.store.close())
    if (foundation.store.engine === 'sqlite') {
      await endAllLeases(foundation.store)
      await freeAllSlots(foundation.store)
    }

    let origin = ''
    let gatewayOrigin = ''
    const publicUrl = () => config.publicUrl ?? gatewayOrigin
    const gatewayUrl = () => config.gatewayUrl ?? gatewayOrigin
    const ownOrigins = () => [...new Set([origin, gatewayOrigin, publicUrl()].map((url) => new URL(url).origin))]

    const metrics = new Registry()
    const gateway = await startGatewayPart(foundation, { ownOrigins, metrics })
    closers.add(gateway.close)
    const temporal = startTemporalPart(foundation, {
      embedded: config.temporal.address === null,
      onProgress: options.onProgress,
    })
    closers.add(temporal.close)
    const worker = startWorkerPart(foundation, temporal, { gatewayUrl, publicUrl })
    closers.add(worker.close)

    const askStore = storeProblem(foundation.store)
    const handleApi = createApiHandler(foundation, {
      temporal,
      publicUrl,
      gatewayUrl,
      gatewaySeen: async (revision, timeoutMs) =>
        (await gateway.gateway.waitFor(revision, timeoutMs)) &&
        (await waitUntilSeen(foundation.store, revision, timeoutMs)),
      readiness: () =>
        readinessOf(
          {
            store: askStore,
            gateway: gateway.gateway.problem,
            temporal: temporal.problem,
            worker: () => (worker.ready() ? null : 'the worker has not started yet'),
          },
          // Without Temporal it goes on: serves calls, switches off at once, and queues what is to run.
          { temporal: temporal.away },
        ),
      metrics,
    })
    const handle: Handler = (request, response) => {
      if (config.gatewayPort === null && isGatewayTarget(request.url ?? '')) gateway.gateway.handle(request, response)
      else handleApi(request, response)
    }
    const direct = { takes: isGatewayTarget, handle: gateway.gateway.handle }
    const server = await listen(
      handle,
      config.host,
      config.port,
      'TOOLFERRY_PORT',
      config.gatewayPort === null ? { direct } : {},
    )
    closers.add(() => drained(gateway.gateway, server, CLOSE_GRACE_MS))
    foundation.ownPorts.add(server.port)
    origin = localOrigin(config.host, server.port)
    gatewayOrigin = origin
    if (config.gatewayPort !== null) {
      const own = await listen(gateway.gateway.handle, config.host, config.gatewayPort, 'TOOLFERRY_GATEWAY_PORT', {
        direct,
      })
      closers.add(() => drained(gateway.gateway, own, CLOSE_GRACE_MS))
      foundation.ownPorts.add(own.port)
      gatewayOrigin = localOrigin(config.host, own.port)
    }

    const ready = temporal.connected.then(async () => {
      await worker.started
      // Whoever reads this machine's terminal owns the installation; elsewhere the link could be read by others.
      const code =
        foundation.store.engine === 'sqlite' && isLoopback(config.host)
          ? await createConsoleCode(foundation.store)
          : null
      return [
        `Console  ${origin}/${code === null ? '' : `#code=${code}   (signs you in once, for ten minutes)`}`,
        `API      ${origin}/api/v1   (reference: ${origin}/docs)`,
        `Gateway  ${publicUrl()}/mcp-gateway/…`,
        ...(temporal.uiUrl() === null ? [] : [`Temporal ${temporal.uiUrl()}`]),
      ]
    })
    return { ready, close: closers.closeAll }
  } catch (error) {
    await closers.closeAll()
    throw error
  }
}
