import type { Registry } from 'prom-client'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import { createJournalWriter } from '../gateway/journal-writer.ts'
import { createGatewayView } from '../store/gateway-view.ts'
import { purgeJournal } from '../store/journal.ts'
import { createJournalSink } from '../store/journal-sink.ts'
import { recordReplica, removeReplica } from '../store/replicas.ts'
import type { Store } from '../store/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Foundation } from './foundation.ts'
import type { Listening } from './http-server.ts'

export type GatewayPart = { gateway: Gateway; close: () => Promise<void> }

/** Well under REPLICA_LIFE_MS (src/store/replicas.ts). */
const REPLICA_BEAT_MS = 10_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** The gateway with its journal, following the store and telling it what it has seen. */
export async function startGatewayPart(
  foundation: Foundation,
  options: { ownOrigins: () => string[]; metrics: Registry },
): Promise<GatewayPart> {
  const { config, store, egress, logger, processId } = foundation
  const sink = createJournalSink(store, config.databaseUrl)
  const journal = createJournalWriter({ write: sink.write, logger, batchSize: 250 })
  const gateway = createGateway({
    view: createGatewayView(store),
    journal,
    egress,
    logger,
    // The same for every replica of this installation, and nowhere else.
    sealingKey: Buffer.from(store.digest('gateway-session-seal'), 'hex'),
    ...options,
    limits: { maxStaleMs: config.gatewayStaleMs },
  })
  let reporting = false
  let again = false
  /** One report at a time, always ending with the newest: many changes in a row are few writes. */
  const report = async () => {
    again = true
    if (reporting) return
    reporting = true
    while (again) {
      again = false
      await recordReplica(store, processId, gateway.seenRevision()).catch((error: unknown) => {
        logger.warn({ err: error }, 'the gateway could not report what it has seen')
      })
    }
    reporting = false
  }
  const stopReporting = gateway.onSeen(report)
  const beat = setInterval(report, REPLICA_BEAT_MS)
  await gateway.start()
  report()
  const stopPurging = purgeHourly(store, config.journalDays, logger)
  return {
    gateway,
    close: async () => {
      clearInterval(beat)
      stopPurging()
      stopReporting()
      await gateway.close()
      await journal.close()
      await sink.close()
      await removeReplica(store, processId)
    },
  }
}

/** Stops a listener of the gateway: no new connections, what is in flight finishes, connections close behind their answers. */
export async function drained(gateway: Gateway, server: Listening, graceMs: number): Promise<void> {
  const closed = server.close(graceMs)
  await gateway.drain()
  await closed
}

/** The journal keeps `days`; what is older goes once an hour. Returns how to stop. */
function purgeHourly(store: Store, days: number, logger: Logger): () => void {
  const purge = () => {
    purgeJournal(store, new Date(Date.now() - days * DAY_MS)).then(
      (purged) => purged > 0 && logger.info({ purged, days }, 'old journal entries were deleted'),
      (error: unknown) => logger.warn({ err: error }, 'old journal entries could not be deleted'),
    )
  }
  const timer = setInterval(purge, HOUR_MS)
  timer.unref()
  purge()
  return () => clearInterval(timer)
}
