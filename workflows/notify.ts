import { CancellationScope, isCancellation } from '@temporalio/workflow'
import { delivering, record } from './activity-options.ts'
import type { NotifyInput, NotifyResult } from './messages.ts'

/**
 * Delivers one notice to one webhook: tried for about a day, further and further apart. What it is and where it goes stand in
 * the store; only the delivery's id travels. Cancelled by hand, it ends as given up, too.
 */
export async function NotifyWorkflow({ deliveryId }: NotifyInput): Promise<NotifyResult> {
  try {
    return await delivering.deliverNotice({ deliveryId })
  } catch (failure) {
    // Also a cancellation is the end of it: nobody shall start it again.
    const result = await CancellationScope.nonCancellable(() => record.giveUpNotice({ deliveryId }))
    if (isCancellation(failure)) throw failure
    return result
  }
}
