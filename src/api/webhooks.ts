import { z } from '@hono/zod-openapi'
import { TEST_NOTICE } from '../domain/notices.ts'
import { sendWebhook } from '../notify/send.ts'
import { newSigningSecret } from '../notify/signature.ts'
import { addressOf } from '../notify/webhook-address.ts'
import {
  beginAttempt,
  createDelivery,
  DELIVERY_STATES,
  getDelivery,
  listDeliveries,
  recordAttempt,
} from '../store/deliveries.ts'
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listWebhooks,
  openWebhook,
  rotateSigningSecret,
  updateWebhook,
  type WebhookRecord,
} from '../store/webhooks.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { etag, ifMatchHeader, optionalIfMatch } from './if-match.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam } from './schemas.ts'
import {
  deliverySchema,
  newSecret,
  rotateInput,
  showDelivery,
  showWebhook,
  webhookInput,
  webhookPatch,
  webhookSchema,
} from './webhook-schemas.ts'

/** Where notices go. Only admins decide it: what is told leaves the house. */

const tags = ['webhooks']
const one = { 200: json(webhookSchema, 'The webhook') }

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/webhooks',
  operationId: 'listWebhooks',
  tags,
  summary: 'Webhooks',
  request: { query: pageQuery },
  responses: { 200: json(pageOf(webhookSchema), 'Webhooks') },
})

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/webhooks/{id}',
  operationId: 'getWebhook',
  tags,
  summary: 'A webhook; its URL and secrets are never shown',
  request: { params: idParam },
  responses: one,
})

const createRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/webhooks',
    operationId: 'createWebhook',
    tags,
    summary: 'Tell a webhook what happens; its signing secret is shown this once',
    request: { body: body(webhookInput) },
    responses: { 201: json(newSecret, 'The webhook and its signing secret') },
  },
  { resource: 'webhook', action: 'create' },
)

const patchRoute = defineRoute(
  'admin',
  {
    method: 'patch',
    path: '/api/v1/webhooks/{id}',
    operationId: 'updateWebhook',
    tags,
    summary: 'Change a webhook; attempts that follow go by the change',
    request: { params: idParam, headers: ifMatchHeader, body: body(webhookPatch) },
    responses: one,
  },
  { resource: 'webhook', action: 'update' },
)

const deleteRoute = defineRoute(
  'admin',
  {
    method: 'delete',
    path: '/api/v1/webhooks/{id}',
    operationId: 'deleteWebhook',
    tags,
    summary: 'Delete a webhook and what was not delivered to it',
    request: { params: idParam },
    responses: { 204: { description: 'Gone' } },
  },
  { resource: 'webhook', action: 'delete' },
)

const rotateRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/webhooks/{id}/rotate',
    operationId: 'rotateWebhookSecret',
    tags,
    summary: 'Make a new signing secret; it is shown this once',
    request: { params: idParam, body: { content: { 'application/json': { schema: rotateInput } }, required: false } },
    responses: { 200: json(newSecret, 'The webhook and its new signing secret') },
  },
  { resource: 'webhook', action: 'rotate' },
)

const testRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/webhooks/{id}/test',
    operationId: 'testWebhook',
    tags,
    summary: 'Send a test message now, once, whether the webhook is enabled or not',
    request: { params: idParam },
    responses: { 200: json(deliverySchema, 'How it went') },
  },
  { resource: 'webhook', action: 'check' },
)

const deliveriesRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/webhooks/{id}/deliveries',
  operationId: 'listWebhookDeliveries',
  tags,
  summary: 'What was, is and will be delivered to a webhook; the newest first',
  request: { params: idParam, query: pageQuery.extend({ state: z.enum(DELIVERY_STATES).optional() }) },
  responses: { 200: json(pageOf(deliverySchema), 'Deliveries') },
})

export function registerWebhooks(app: Api, deps: ApiDeps): void {
  const { store, egress } = deps

  const find = async (id: string): Promise<WebhookRecord> => {
    const webhook = await getWebhook(store, id)
    if (webhook === null) throw notFound('webhook', id)
    return webhook
  }

  app.openapi(listRoute, async (c) => {
    const page = await listWebhooks(store, c.req.valid('query'))
    return c.json({ items: page.items.map(showWebhook), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => {
    const webhook = await find(c.req.valid('param').id)
    c.header('etag', etag(webhook.rowVersion))
    return c.json(showWebhook(webhook), 200)
  })

  app.openapi(createRoute, async (c) => {
    const { url, botSecret, ...input } = c.req.valid('json')
    const { href } = await egress.checkUrlAddresses(url, 'url')
    const secret = newSigningSecret()
    const webhook = await createWebhook(store, {
      ...input,
      url: href,
      botSecret: botSecret ?? null,
      signingSecret: secret,
    })
    c.set('auditId', webhook.id)
    c.header('etag', etag(webhook.rowVersion))
    return c.json({ ...showWebhook(webhook), secret }, 201)
  })

  app.openapi(patchRoute, async (c) => {
    const { id } = c.req.valid('param')
    await find(id)
    const { url, ...patch } = c.req.valid('json')
    const moved = url === undefined ? {} : { url: (await egress.checkUrlAddresses(url, 'url')).href }
    const version = optionalIfMatch(c.req.valid('header')['if-match'])
    const webhook = await updateWebhook(store, id, version, { ...patch, ...moved })
    c.header('etag', etag(webhook.rowVersion))
    return c.json(showWebhook(webhook), 200)
  })

  app.openapi(deleteRoute, async (c) => {
    await deleteWebhook(store, c.req.valid('param').id)
    return c.body(null, 204)
  })

  app.openapi(rotateRoute, async (c) => {
    const { id } = c.req.valid('param')
    await find(id)
    const { endFormer } = rotateInput.parse(c.req.valid('json') ?? {})
    const secret = newSigningSecret()
    const webhook = await rotateSigningSecret(store, id, secret, endFormer)
    return c.json({ ...showWebhook(webhook), secret }, 200)
  })

  app.openapi(testRoute, async (c) => {
    const { id } = c.req.valid('param')
    const webhook = await openWebhook(store, id)
    if (webhook === null) throw notFound('webhook', id)
    const made = await createDelivery(store, id, { type: TEST_NOTICE, data: { webhookId: id, name: webhook.name } })
    const delivery = (await beginAttempt(store, made.id)) ?? made
    const { signal } = c.req.raw
    const sent = await sendWebhook(addressOf(webhook), { id: delivery.id, notice: delivery.notice }, { egress, signal })
    await recordAttempt(store, delivery.id, {
      state: sent.ok ? 'delivered' : 'failed',
      status: sent.status,
      error: sent.ok ? null : sent.error,
    })
    return c.json(showDelivery((await getDelivery(store, delivery.id)) ?? delivery), 200)
  })

  app.openapi(deliveriesRoute, async (c) => {
    const { id } = c.req.valid('param')
    await find(id)
    const page = await listDeliveries(store, id, c.req.valid('query'))
    return c.json({ items: page.items.map(showDelivery), nextCursor: page.nextCursor }, 200)
  })
}
