import { watching } from './activity-options.ts'
import type { HousekeepingResult } from './messages.ts'

/** Started by a schedule of its own, once an installation: tells of tokens that end soon, and deletes what is old enough. */
export async function HousekeepingWorkflow(): Promise<HousekeepingResult> {
  const { expiring } = await watching.watchTokens()
  const { purged } = await watching.purgeOld()
  return { expiring, purged }
}
