import { sleep } from '@temporalio/workflow'
import { watching } from './activity-options.ts'
import type { ToolWatchInput, ToolWatchResult } from './messages.ts'

/** A server whose tools change from look to look is left to the next run of the schedule. */
const LOOKS = 3

/**
 * Started by a schedule of its own, and for a server that said that its tools have changed: asks the deployed MCP servers for them. Where they changed a moment ago it waits until
 * the list has settled and asks those once more, so that one change gives one run, whatever the schedule's interval is.
 */
export async function ToolWatchWorkflow(input?: ToolWatchInput): Promise<ToolWatchResult> {
  let found = await watching.watchTools({ instanceIds: input?.instanceIds ?? null })
  const sum = { ...found }
  for (let look = 2; look <= LOOKS && found.unsettledInstanceIds.length > 0; look++) {
    await sleep(found.settleMs)
    found = await watching.watchTools({ instanceIds: found.unsettledInstanceIds })
    sum.started += found.started
  }
  return { ...sum, unsettledInstanceIds: found.unsettledInstanceIds }
}
