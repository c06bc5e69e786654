import type { OpenedWebhook } from '../store/webhooks.ts'
import type { WebhookAddress } from './send.ts'
import { WEBHOOK_TEMPLATES } from './templates.ts'

/** A stored webhook as it is sent to. */
export function addressOf(webhook: OpenedWebhook): WebhookAddress {
  return {
    url: webhook.url,
    template: WEBHOOK_TEMPLATES.find((known) => known === webhook.template) ?? 'generic',
    language: webhook.language === 'zh' ? 'zh' : 'en',
    signingSecrets: webhook.signingSecrets,
    botSecret: webhook.botSecret,
  }
}
