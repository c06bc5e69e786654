import { Registry } from 'prom-client'
import type { Config, Secrets } from '../config.ts'
import { waitUntilSeen } from '../store/replicas.ts'
import type { Logger } from '../telemetry/logger.ts'
import { createApiHandler } from './api-part.ts'
import { localOrigin, openFoundation } from './foundation.ts'
import { listen } from './http-server.ts'
import { readinessOf, storeProblem } from './readiness.ts'
import { createClosers, type Running } from './running.ts'
import { startTemporalPart } from './temporal-part.ts'

/** The HTTP API alone. Runs are taken on even while Temporal is away; the reconciler of a worker starts them later. */
export async function runApi(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  options: { signal: AbortSignal; onProgress: (line: string) => void },
): Promise<Running> {
  const closers = createClosers((error) => logger.error({ err: error }, 'a part did not close cleanly'))
  try {
    const foundation = await openFoundation(config, secrets, logger, options.signal)
    closers.add(() => foundation.store.close())
    const temporal = startTemporalPart(foundation, { embedded: false, onProgress: options.onProgress })
    closers.add(temporal.close)
    let origin = ''
    const publicUrl = () => config.publicUrl ?? origin
    const askStore = storeProblem(foundation.store)
    const handle = createApiHandler(foundation, {
      temporal,
      publicUrl,
      gatewayUrl: () => config.gatewayUrl ?? publicUrl(),
      gatewaySeen: (revision, timeoutMs) => waitUntilSeen(foundation.store, revision, timeoutMs),
      readiness: () =>
        // Without Temporal it goes on: switches off at once, and queues what is to run.
        readinessOf({ store: askStore, temporal: temporal.problem }, { temporal: temporal.away }),
      metrics: new Registry(),
    })
    const server = await listen(handle, config.host, config.port, 'TOOLFERRY_PORT')
    closers.add(() => server.close(10_000))
    foundation.ownPorts.add(server.port)
    origin = localOrigin(config.host, server.port)
    const lines = [`Console  ${origin}/`, `API      ${origin}/api/v1   (reference: ${origin}/docs)`]
    return { ready: temporal.connected.then(() => lines), close: closers.closeAll }
  } catch (error) {
    await closers.closeAll()
    throw error
  }
}
