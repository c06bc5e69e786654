import { type Config, ConfigError, type Secrets } from '../config.ts'
import type { Logger } from '../telemetry/logger.ts'
import { openFoundation } from './foundation.ts'
import { createHealthHandler } from './health-handler.ts'
import { listen } from './http-server.ts'
import { readinessOf, storeProblem } from './readiness.ts'
import { createClosers, type Running } from './running.ts'
import { startTemporalPart } from './temporal-part.ts'
import { startWorkerPart } from './worker-part.ts'

/** Workflows and activities alone, and the reconciler; serves /healthz and /readyz. */
export async function runWorker(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  options: { signal: AbortSignal; onProgress: (line: string) => void },
): Promise<Running> {
  const { gatewayUrl, publicUrl } = config
  const reachable = gatewayUrl ?? publicUrl
  if (reachable === null) {
    throw new ConfigError(
      'A worker by itself needs TOOLFERRY_GATEWAY_URL (where it reaches the gateway) or TOOLFERRY_PUBLIC_URL.',
    )
  }
  const closers = createClosers((error) => logger.error({ err: error }, 'a part did not close cleanly'))
  try {
    const foundation = await openFoundation(config, secrets, logger, options.signal)
    closers.add(() => foundation.store.close())
    const temporal = startTemporalPart(foundation, { embedded: false, onProgress: options.onProgress })
    closers.add(temporal.close)
    const worker = startWorkerPart(foundation, temporal, {
      gatewayUrl: () => reachable,
      publicUrl: () => publicUrl ?? reachable,
    })
    closers.add(worker.close)
    const askStore = storeProblem(foundation.store)
    const readiness = () =>
      readinessOf({
        store: askStore,
        temporal: async () => temporal.problem() ?? (await temporal.away()),
        worker: () => (worker.ready() ? null : 'the worker has not started yet'),
      })
    const server = await listen(createHealthHandler(readiness), config.host, config.port, 'TOOLFERRY_PORT')
    closers.add(() => server.close(10_000))
    foundation.ownPorts.add(server.port)
    return { ready: worker.started.then(() => ['The worker is polling.']), close: closers.closeAll }
  } catch (error) {
    await closers.closeAll()
    throw error
  }
}
