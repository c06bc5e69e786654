import { watching } from './activity-options.ts'
import type { TokenWatchResult } from './messages.ts'

/**
 * Started by a schedule of its own: ends former tokens that have gone unused, speaks of those that expire, and has old ones
 * replaced. What fails for good is asked again by the schedule.
 */
export async function TokenWatchWorkflow(): Promise<TokenWatchResult> {
  const { ended, stillUsed } = await watching.retireTokens()
  const { warned } = await watching.watchExpiry()
  const { rotations } = await watching.startDueRotations()
  return { ended, stillUsed, warned, rotations }
}
