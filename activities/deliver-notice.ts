import { ToolferryError } from '../src/domain/errors.ts'
import { sendWebhook } from '../src/notify/send.ts'
import { addressOf } from '../src/notify/webhook-address.ts'
import { beginAttempt, getDelivery, giveUpDelivery, recordAttempt } from '../src/store/deliveries.ts'
import { openWebhook } from '../src/store/webhooks.ts'
import type { NotifyResult } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'

/**
 * One attempt at a delivery. It is counted before it is made: a process that dies in mid-attempt leaves an attempt without a
 * result, and the receiver may get the message twice, with the same id. Throws what another attempt may mend; the history learns
 * no more than the HTTP status.
 */
export async function deliverNotice(deps: ActivityDeps, { deliveryId }: { deliveryId: string }): Promise<NotifyResult> {
  return await inActivity(deps.logger, { deliveryId }, async (signal) => {
    const { store, egress } = deps
    const delivery = await beginAttempt(store, deliveryId)
    if (delivery === null) return await howItEnded(deps, deliveryId)
    const webhook = await openWebhook(store, delivery.webhookId)
    if (webhook === null || !webhook.enabled) {
      const error = 'The webhook was disabled or deleted before this could be delivered.'
      await recordAttempt(store, deliveryId, { state: 'cancelled', status: null, error })
      return { state: 'cancelled' }
    }
    const sent = await sendWebhook(addressOf(webhook), { id: deliveryId, notice: delivery.notice }, { egress, signal })
    if (sent.ok) {
      await recordAttempt(store, deliveryId, { state: 'delivered', status: sent.status, error: null })
      return { state: 'delivered' }
    }
    const state = sent.retry ? 'pending' : 'failed'
    await recordAttempt(store, deliveryId, { state, status: sent.status, error: sent.error })
    if (!sent.retry) return { state: 'failed' }
    throw new ToolferryError(
      'Unavailable',
      sent.status === null ? 'The webhook did not answer.' : `The webhook answered ${sent.status}.`,
      sent.retryAfterMs === undefined ? {} : { retryAfterMs: sent.retryAfterMs },
    )
  })
}

/** No attempt is left. */
export async function giveUpNotice(deps: ActivityDeps, { deliveryId }: { deliveryId: string }): Promise<NotifyResult> {
  return await inActivity(deps.logger, { deliveryId }, async () => {
    await giveUpDelivery(deps.store, deliveryId)
    return await howItEnded(deps, deliveryId)
  })
}

async function howItEnded(deps: ActivityDeps, deliveryId: string): Promise<NotifyResult> {
  const delivery = await getDelivery(deps.store, deliveryId)
  if (delivery === null) return { state: 'gone' }
  if (delivery.state === 'pending') throw new ToolferryError('Bug', 'A delivery is neither open nor closed.')
  return { state: delivery.state }
}
