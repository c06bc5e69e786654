import { z } from '@hono/zod-openapi'
import { NOTICE_TYPES, TEST_NOTICE } from '../domain/notices.ts'
import { WEBHOOK_TEMPLATES } from '../notify/templates.ts'
import { DELIVERY_STATES, type DeliveryRecord } from '../store/deliveries.ts'
import type { WebhookRecord } from '../store/webhooks.ts'
import { idSchema, iso, isoOrNull, nameSchema, timestamp } from './schemas.ts'

/** What webhooks look like on the way in and out. */

const DELIVERED = [...NOTICE_TYPES, TEST_NOTICE] as const

const eventsSchema = z
  .union([z.literal('all'), z.array(z.enum(NOTICE_TYPES)).min(1).max(NOTICE_TYPES.length)])
  .openapi({ description: '"all" also means those that a later version adds.' })

const urlInput = z.string().min(1).max(2048).openapi({ description: 'Write-only: it often is a secret itself.' })

const botSecretInput = z
  .string()
  .min(1)
  .max(256)
  .nullable()
  .openapi({ description: 'Write-only. Of a Feishu or DingTalk bot that checks signatures; null: it does not.' })

export const webhookInput = z.strictObject({
  name: nameSchema,
  url: urlInput,
  events: eventsSchema.default('all'),
  template: z.enum(WEBHOOK_TEMPLATES).default('generic'),
  language: z.enum(['en', 'zh']).default('en'),
  botSecret: botSecretInput.optional(),
  enabled: z.boolean().default(true),
})

export const webhookPatch = z.strictObject({
  name: nameSchema.optional(),
  url: urlInput.optional(),
  events: eventsSchema.optional(),
  template: z.enum(WEBHOOK_TEMPLATES).optional(),
  language: z.enum(['en', 'zh']).optional(),
  botSecret: botSecretInput.optional(),
  enabled: z.boolean().optional(),
})

export const rotateInput = z.strictObject({
  endFormer: z
    .boolean()
    .default(false)
    .openapi({ description: 'False: the former secret signs beside the new one, until the next change.' }),
})

export const webhookSchema = z
  .object({
    id: idSchema,
    name: z.string(),
    origin: z.string().openapi({ description: 'Scheme and host of the URL; the rest is never shown.' }),
    events: eventsSchema,
    template: z.enum(WEBHOOK_TEMPLATES),
    language: z.enum(['en', 'zh']),
    enabled: z.boolean(),
    hasBotSecret: z.boolean(),
    secretsMadeAt: z
      .array(timestamp)
      .openapi({ description: 'When each active signing secret was made, the newest first; two at most.' }),
    rowVersion: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('Webhook')

export const newSecret = webhookSchema
  .extend({ secret: z.string().openapi({ description: 'whsec_…, shown this once.' }) })
  .openapi('WebhookWithSecret')

export const deliverySchema = z
  .object({
    id: idSchema.openapi({ description: 'Also the message’s webhook-id.' }),
    event: z.enum(DELIVERED),
    state: z.enum(DELIVERY_STATES),
    attempts: z.int(),
    lastStatus: z.int().nullable().openapi({ description: 'The HTTP status of the last answer.' }),
    lastError: z.string().nullable(),
    createdAt: timestamp,
    updatedAt: timestamp,
    finishedAt: timestamp.nullable(),
  })
  .openapi('WebhookDelivery')

export function showWebhook(webhook: WebhookRecord): z.infer<typeof webhookSchema> {
  return {
    id: webhook.id,
    name: webhook.name,
    origin: webhook.origin,
    events: webhook.events === 'all' ? 'all' : [...webhook.events],
    template: WEBHOOK_TEMPLATES.find((known) => known === webhook.template) ?? 'generic',
    language: webhook.language === 'zh' ? 'zh' : 'en',
    enabled: webhook.enabled,
    hasBotSecret: webhook.hasBotSecret,
    secretsMadeAt: webhook.secretsMadeAt.map(iso),
    rowVersion: webhook.rowVersion,
    createdAt: iso(webhook.createdAt),
    updatedAt: iso(webhook.updatedAt),
  }
}

export function showDelivery(delivery: DeliveryRecord): z.infer<typeof deliverySchema> {
  return {
    id: delivery.id,
    event: DELIVERED.find((known) => known === delivery.event) ?? TEST_NOTICE,
    state: delivery.state,
    attempts: delivery.attempts,
    lastStatus: delivery.lastStatus,
    lastError: delivery.lastError,
    createdAt: iso(delivery.createdAt),
    updatedAt: iso(delivery.updatedAt),
    finishedAt: isoOrNull(delivery.finishedAt),
  }
}
