import cluster from 'node:cluster'
import { Registry } from 'prom-client'
import { clientAddressOf } from '../audit/client-address.ts'
import { createKeyCheck } from '../audit/key-check.ts'
import { type Config, ConfigError, type Secrets } from '../config.ts'
import { isGatewayTarget } from '../gateway/route.ts'
import type { Logger } from '../telemetry/logger.ts'
import { localOrigin, openFoundation } from './foundation.ts'
import { runGatewayCluster } from './gateway-cluster.ts'
import { type GatewayMember, joinGatewayCluster } from './gateway-member.ts'
import { drained, startGatewayPart } from './gateway-part.ts'
import { createHealthHandler } from './health-handler.ts'
import { type Handler, listen } from './http-server.ts'
import { readinessOf } from './readiness.ts'
import { createClosers, type Running } from './running.ts'

const CLOSE_GRACE_MS = 10_000

/**
 * The gateway alone: no API, no Temporal. Serves /healthz, /readyz and (to API keys) /metrics beside the data path. With
 * TOOLFERRY_GATEWAY_WORKERS above 1 this process starts as many that serve, on one port.
 */
export async function runGateway(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  options: { signal: AbortSignal },
): Promise<Running> {
  if (config.gatewayWorkers === 1) return await runOneGateway(config, secrets, logger, options, null)
  if (config.databaseUrl.startsWith('file:')) {
    throw new ConfigError(
      `TOOLFERRY_GATEWAY_WORKERS=${config.gatewayWorkers} needs MySQL or MariaDB (DATABASE_URL=mysql://…): a file: store belongs to one process.`,
    )
  }
  if (cluster.isPrimary) return runGatewayCluster(config, logger)
  return await runOneGateway(config, secrets, logger, options, await joinGatewayCluster())
}

async function runOneGateway(
  config: Config,
  secrets: Secrets,
  logger: Logger,
  options: { signal: AbortSignal },
  member: GatewayMember | null,
): Promise<Running> {
  const closers = createClosers((error) => logger.error({ err: error }, 'a part did not close cleanly'))
  if (member !== null) closers.add(member.leave)
  try {
    const foundation = await openFoundation(config, secrets, logger, options.signal, member?.replicaId)
    closers.add(() => foundation.store.close())
    let origin = ''
    const metrics = new Registry()
    const part = await startGatewayPart(foundation, {
      ownOrigins: () =>
        [config.publicUrl ?? [], origin].flat().flatMap((url) => (url === '' ? [] : [new URL(url).origin])),
      metrics,
      ...(member === null ? {} : { throttle: member.throttle }),
    })
    closers.add(part.close)
    const keys = createKeyCheck(foundation.store)
    const addressOf = clientAddressOf(config.trustedProxies)
    const health = createHealthHandler(member?.readiness ?? (() => readinessOf({ gateway: part.gateway.problem })), {
      text: member?.metrics ?? (() => metrics.metrics()),
      contentType: metrics.contentType,
      judge: (secret, { socket, headers }) => {
        const forwardedFor = [headers['x-forwarded-for'] ?? []].flat().join()
        const address = addressOf({ remoteAddress: socket.remoteAddress, forwardedFor })
        return keys.apiKey(secret, { address, requestId: null })
      },
    })
    const handle: Handler = (request, response) => {
      if (isGatewayTarget(request.url ?? '')) part.gateway.handle(request, response)
      else health(request, response)
    }
    const [port, setting] =
      config.gatewayPort === null ? [config.port, 'TOOLFERRY_PORT'] : [config.gatewayPort, 'TOOLFERRY_GATEWAY_PORT']
    const server = await listen(handle, config.host, port, setting, {
      direct: { takes: isGatewayTarget, handle: part.gateway.handle },
    })
    closers.add(() => drained(part.gateway, server, CLOSE_GRACE_MS))
    foundation.ownPorts.add(server.port)
    origin = localOrigin(config.host, server.port)
    member?.serves(server.port, { registry: metrics, problem: part.gateway.problem })
    // The first process says it for all.
    if (member !== null) return { ready: Promise.resolve([]), close: closers.closeAll }
    return { ready: Promise.resolve([`Gateway  ${config.publicUrl ?? origin}/mcp-gateway/…`]), close: closers.closeAll }
  } catch (error) {
    await closers.closeAll()
    throw error
  }
}
