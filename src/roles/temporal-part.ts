import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError } from '../config.ts'
import type { TemporalClient } from '../temporal/connection.ts'
import { connectClient, proveConnection } from '../temporal/connection.ts'
import { registerSearchAttributes } from '../temporal/search-attributes.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../temporal/server.ts'
import type { TemporalLink } from '../temporal/sync-runs.ts'
import type { Foundation } from './foundation.ts'
import { askedOnceIn } from './readiness.ts'

export type TemporalPart = {
  link: () => TemporalLink | null
  /** host:port once it is known. */
  address: () => string | null
  uiUrl: () => string | null
  /** For /readyz: why there is no link to it yet; null once there is. */
  problem: () => string | null
  /** Why it cannot be used now though there is a link; null when it answers, or did a moment ago. */
  away: () => Promise<string | null>
  /** Settled once there is a link. Rejects when the embedded server cannot be had at all, or with the signal. */
  connected: Promise<TemporalLink>
  close: () => Promise<void>
}

const MAX_RETRY_MS = 10_000
const ANSWER_MS = 2_000
const ASKED_EVERY_MS = 3_000

/**
 * Reaches Temporal: the cluster of TEMPORAL_ADDRESS, or an embedded server of this process. Keeps trying until it answers.
 * Throws ConfigError when neither is to be had.
 */
export function startTemporalPart(
  foundation: Foundation,
  options: { embedded: boolean; onProgress: (line: string) => void },
): TemporalPart {
  const { config, secrets, logger, signal } = foundation
  let server: EmbeddedServer | null = null
  let client: TemporalClient | null = null
  let link: TemporalLink | null = null
  let detail: string | null = 'connecting to Temporal'
  let address = config.temporal.address
  if (address === null && !options.embedded)
    throw new ConfigError(
      `Role ${config.role} needs TEMPORAL_ADDRESS: only role all brings a Temporal server of its own.`,
    )

  const start = async (): Promise<TemporalLink> => {
    if (options.embedded) {
      detail = 'starting the embedded Temporal server'
      server = await startEmbeddedServer({
        dataDir: config.dataDir,
        host: '127.0.0.1',
        port: config.temporal.port,
        uiPort: config.temporal.uiPort,
        namespace: config.temporal.namespace,
        logger,
        onProgress: options.onProgress,
      })
      address = server.address
      const ports = [server.address, server.uiUrl].map((text) => Number(/:(\d+)/.exec(text.replace('://', ''))?.[1]))
      for (const port of ports) foundation.ownPorts.add(port)
    }
    for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, MAX_RETRY_MS)) {
      signal.throwIfAborted()
      try {
        client = await connectClient({
          address: address ?? '',
          namespace: config.temporal.namespace,
          tls: config.temporal.tls,
          apiKey: secrets.temporalApiKey,
        })
        break
      } catch (error) {
        detail = error instanceof Error ? error.message : 'Temporal does not answer'
        logger.warn({ reason: detail }, 'Temporal is not reachable yet; trying again')
        await sleep(waitMs, undefined, { signal })
      }
    }
    const { connection } = client
    const register = () => registerSearchAttributes(connection, config.temporal.namespace, logger)
    const made: TemporalLink = {
      client: client.client,
      searchAttributes: await register(),
      renew: async () => {
        made.searchAttributes = await register()
      },
    }
    link = made
    detail = null
    return link
  }

  const connected = start().catch((error: unknown) => {
    detail = error instanceof Error ? error.message : 'Temporal cannot be started'
    throw error
  })
  // Whoever needs it awaits it; without anybody (the process ends early) it must not be an unhandled rejection.
  connected.catch(() => undefined)

  const askedOften = askedOnceIn(ASKED_EVERY_MS, async () => {
    if (client === null) return null
    try {
      await proveConnection(client.connection, {
        address: address ?? '',
        namespace: config.temporal.namespace,
        timeoutMs: ANSWER_MS,
      })
      return null
    } catch (error) {
      return error instanceof Error ? error.message : 'Temporal does not answer'
    }
  })

  return {
    link: () => (server !== null && !server.ready() ? null : link),
    address: () => address,
    uiUrl: () => server?.uiUrl ?? config.temporal.uiUrl,
    problem: () => {
      if (server !== null && !server.ready()) return 'the embedded Temporal server is restarting'
      return link === null ? (detail ?? 'connecting') : null
    },
    away: askedOften,
    connected,
    close: async () => {
      await connected.catch(() => undefined)
      await client?.connection.close()
      await server?.stop()
    },
  }
}
