import { z } from '@hono/zod-openapi'
import { type ApiKeyRecord, createApiKey, listApiKeys, revokeApiKey } from '../store/api-keys.ts'
import type { Api } from './context.ts'
import { ROLES } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { expiryOf } from './input-rules.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, idSchema, iso, isoOrNull, nameSchema, timestamp } from './schemas.ts'

const apiKeySchema = z
  .object({
    id: idSchema,
    name: z.string(),
    start: z.string().openapi({ description: 'The visible first characters.' }),
    role: z.enum(ROLES),
    expiresAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable(),
    revokedAt: timestamp.nullable(),
    createdAt: timestamp,
  })
  .openapi('ApiKey')

const input = z.strictObject({ name: nameSchema, role: z.enum(ROLES), expiresAt: timestamp.nullable().optional() })

const listRoute = defineRoute('admin', {
  method: 'get',
  path: '/api/v1/api-keys',
  operationId: 'listApiKeys',
  tags: ['api-keys'],
  summary: 'API keys, the newest first, revoked ones included',
  request: { query: pageQuery },
  responses: { 200: json(pageOf(apiKeySchema), 'API keys') },
})

const createRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/api-keys',
    operationId: 'createApiKey',
    tags: ['api-keys'],
    summary: 'Make an API key; it is shown this once',
    request: { body: body(input) },
    responses: { 201: json(apiKeySchema.extend({ key: z.string() }).openapi('NewApiKey'), 'The key and its secret') },
  },
  { resource: 'api-key', action: 'create' },
)

const deleteRoute = defineRoute(
  'admin',
  {
    method: 'delete',
    path: '/api/v1/api-keys/{id}',
    operationId: 'deleteApiKey',
    tags: ['api-keys'],
    summary: 'Revoke an API key and end its sessions',
    request: { params: idParam },
    responses: { 204: { description: 'Revoked' } },
  },
  { resource: 'api-key', action: 'revoke' },
)

export function registerApiKeys(app: Api, deps: ApiDeps): void {
  const { store } = deps

  app.openapi(listRoute, async (c) => {
    const page = await listApiKeys(store, c.req.valid('query'))
    return c.json({ items: page.items.map(show), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(createRoute, async (c) => {
    const { name, role, expiresAt } = c.req.valid('json')
    const { key, secret } = await createApiKey(store, {
      name,
      role,
      expiresAt: expiryOf({ expiresAt }, '', Date.now()) ?? null,
    })
    c.set('auditId', key.id)
    return c.json({ ...show(key), key: secret }, 201)
  })

  app.openapi(deleteRoute, async (c) => {
    await revokeApiKey(store, c.req.valid('param').id)
    return c.body(null, 204)
  })
}

function show(key: ApiKeyRecord) {
  return {
    id: key.id,
    name: key.name,
    start: key.start,
    role: key.role,
    expiresAt: isoOrNull(key.expiresAt),
    lastUsedAt: isoOrNull(key.lastUsedAt),
    revokedAt: isoOrNull(key.revokedAt),
    createdAt: iso(key.createdAt),
  }
}
