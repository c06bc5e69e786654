import { setFlagsFromString } from 'node:v8'
import type { Registry } from 'prom-client'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import { createJournalWriter } from '../gateway/journal-writer.ts'
import type { Throttle } from '../gateway/throttle.ts'
import { createToolHints } from '../gateway/tool-hints.ts'
import { createGatewayView } from '../store/gateway-view.ts'
import { createJournalSink } from '../store/journal-sink.ts'
import {
  REPLICA_BEAT_MS,
  REPLICA_LIFE_MS,
  recordReplica,
  removeAllReplicas,
  removeReplica,
  reportDate,
} from '../store/replicas.ts'
import { hintTools } from '../store/tool-hints.ts'
import type { Foundation } from './foundation.ts'
import type { Listening } from './http-server.ts'

export type GatewayPart = { gateway: Gateway; close: () => Promise<void> }

/** The gateway with its journal, following the store and telling it what it has seen. */
export async function startGatewayPart(
  foundation: Foundation,
  options: { ownOrigins: () => string[]; metrics: Registry; throttle?: Throttle },
): Promise<GatewayPart> {
  const { config, store, egress, logger, processId } = foundation
  // Each read from a socket is a buffer of its own. A thread beside that lets go of them stands in the way of whoever takes the next
  // ones, and costs a third of what a small call does.
  setFlagsFromString('--no-concurrent-array-buffer-sweeping')
  const sink = createJournalSink(store, config.databaseUrl)
  const journal = createJournalWriter({ write: sink.write, logger, batchSize: 250 })
  const toolHints = createToolHints({ write: (instanceId) => hintTools(store, instanceId), logger })
  const gateway = createGateway({
    view: createGatewayView(store),
    journal,
    toolHints,
    egress,
    logger,
    // The same for every replica of this installation, and nowhere else.
    sealingKey: Buffer.from(store.digest('gateway-session-seal'), 'hex'),
    ...options,
    belowPath: config.publicUrl !== null && new URL(config.publicUrl).pathname !== '/',
    limits: { maxStaleMs: config.gatewayStaleMs, rereadAfterMs: REPLICA_LIFE_MS },
  })
  let reporting: Promise<void> | null = null
  let again = false
  const reportAll = async () => {
    while (again) {
      again = false
      const at = reportDate(config.gatewayStaleMs)
      await recordReplica(store, processId, gateway.seenRevision(), at).catch((error: unknown) => {
        logger.warn({ err: error }, 'the gateway could not report what it has seen')
      })
    }
  }
  /** One report at a time, always ending with the newest: many changes in a row are few writes. */
  const report = () => {
    again = true
    reporting ??= reportAll().finally(() => {
      reporting = null
    })
  }
  const stopReporting = gateway.onSeen(report)
  const beat = setInterval(report, REPLICA_BEAT_MS)
  if (store.engine === 'sqlite') await removeAllReplicas(store)
  await gateway.start()
  report()
  return {
    gateway,
    close: async () => {
      clearInterval(beat)
      stopReporting()
      await gateway.close()
      await journal.close()
      await toolHints.close()
      await sink.close()
      // A report that is under way would bring the row back.
      await reporting
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
