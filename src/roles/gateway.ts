import type { Config, Secrets } from '../config.ts'
import type { Logger } from '../telemetry/logger.ts'
import { localOrigin, openFoundation } from './foundation.ts'
import { startGatewayPart } from './gateway-part.ts'
import { createHealthHandler } from './health-handler.ts'
import { type Handler, isGatewayPath, listen } from './http-server.ts'
import { createClosers, type Running } from './running.ts'

/** The gateway alone: no API, no Temporal. Serves /healthz and /readyz beside the data path. */
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
    const part = await startGatewayPart(foundation, () => [origin, config.publicUrl ?? origin])
    closers.add(part.close)
    const health = createHealthHandler(() => {
      const ready = part.gateway.ready()
      const detail = ready ? null : 'the gateway has not read the store yet'
      return { ready, parts: [{ name: 'gateway', ready, detail }] }
    })
    const handle: Handler = (request, response) => {
      if (isGatewayPath(request.url)) part.gateway.handle(request, response)
      else health(request, response)
    }
    const server = await listen(handle, config.host, config.gatewayPort ?? config.port, 'TOOLFERRY_PORT')
    closers.add(() => server.close(10_000))
    foundation.ownPorts.add(server.port)
    origin = localOrigin(config.host, server.port)
    return { ready: Promise.resolve([`Gateway  ${config.publicUrl ?? origin}/mcp-gateway/…`]), close: closers.closeAll }
  } catch (error) {
    await closers.closeAll()
    throw error
  }
}
