import { sealOldQueries } from '../src/store/instance-url.ts'
import { applyRetention } from '../src/store/retention.ts'
import { tellOfExpiringTokens } from '../src/store/token-notices.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'

/** Puts a notice into the outbox when gateway tokens end soon. Answers how many do since the last time. */
export async function watchTokens(deps: ActivityDeps): Promise<{ expiring: number }> {
  return await inActivity(deps.logger, {}, async () => ({ expiring: await tellOfExpiringTokens(deps.store) }))
}

/** Deletes what has been kept long enough, and seals what an earlier version left in the clear. Answers how many rows went. */
export async function purgeOld(deps: ActivityDeps): Promise<{ purged: number }> {
  return await inActivity(deps.logger, {}, async (signal) => {
    const rows = await applyRetention(deps.store, deps.limits.retention, signal)
    const purged = Object.values(rows).reduce((sum, count) => sum + count, 0)
    if (purged > 0) deps.logger.info(rows, 'what had been kept long enough was deleted')
    const sealed = await sealOldQueries(deps.store)
    if (sealed > 0) deps.logger.info({ sealed }, 'queries of MCP servers’ URLs that stood in the clear were sealed')
    return { purged }
  })
}
