import { createGateway, type Gateway } from '../gateway/gateway.ts'
import { createJournalWriter } from '../gateway/journal-writer.ts'
import { createGatewayView } from '../store/gateway-view.ts'
import { appendJournalEntries } from '../store/journal.ts'
import { recordReplica, removeReplica } from '../store/replicas.ts'
import type { Foundation } from './foundation.ts'

export type GatewayPart = { gateway: Gateway; close: () => Promise<void> }

/** Well under REPLICA_LIFE_MS (src/store/replicas.ts). */
const REPLICA_BEAT_MS = 10_000

/** The gateway with its journal, following the store and telling it what it has seen. */
export async function startGatewayPart(foundation: Foundation, ownOrigins: () => string[]): Promise<GatewayPart> {
  const { store, egress, logger, processId } = foundation
  const journal = createJournalWriter({ write: (entries) => appendJournalEntries(store, entries), logger })
  const gateway = createGateway({
    view: createGatewayView(store),
    journal,
    egress,
    logger,
    // The same for every replica of this installation, and nowhere else.
    sealingKey: Buffer.from(store.digest('gateway-session-seal'), 'hex'),
    ownOrigins,
  })
  const report = () => {
    recordReplica(store, processId, gateway.seenRevision()).catch((error: unknown) => {
      logger.warn({ err: error }, 'the gateway could not report what it has seen')
    })
  }
  const stopReporting = gateway.onSeen(report)
  const beat = setInterval(report, REPLICA_BEAT_MS)
  await gateway.start()
  report()
  return {
    gateway,
    close: async () => {
      clearInterval(beat)
      stopReporting()
      await gateway.close()
      await journal.close()
      await removeReplica(store, processId)
    },
  }
}
