import { z } from '@hono/zod-openapi'
import type { Idempotency } from '../store/idempotency.ts'
import type { InstanceRecord } from '../store/instances.ts'
import {
  createManualToken,
  deleteManualToken,
  findMadeBefore,
  getManualToken,
  listManualTokens,
  type ManualToken,
  type OpenedManualToken,
  updateManualToken,
} from '../store/manual-tokens.ts'
import { clientConfigOf, clientConfigSchema } from './client-config.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { idempotencyHeader, idempotencyOf } from './idempotency-key.ts'
import { etag, ifMatchHeader, requiredIfMatch } from './if-match.ts'
import { checkHeaders, EXPIRY_PRESETS, expiryOf } from './input-rules.ts'
import { findInstance } from './instances.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { beingDeleted, notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import {
  headersInput,
  idParam,
  idSchema,
  iso,
  isoOrNull,
  maskedHeaders,
  maskHeaders,
  nameSchema,
  timestamp,
  unmaskHeaders,
} from './schemas.ts'
import { EFFECTIVE_TIMEOUT_MS } from './spaces.ts'

/** Tokens of an instance that an admin makes by hand: for an MCP client of one's own, outside every platform. */

const tags = ['instances']
const tokenParam = idParam.extend({ tokenId: idSchema })

const tokenSchema = z
  .object({
    id: idSchema,
    name: z.string(),
    start: z.string().openapi({ description: 'The visible first characters.' }),
    passThroughHeaders: maskedHeaders,
    expiresAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable(),
    createdAt: timestamp,
    rowVersion: z.int(),
  })
  .openapi('ManualToken')

const fields = {
  expiresAt: timestamp.nullable().optional().openapi({ description: 'Null: never.' }),
  expiresIn: z.enum(EXPIRY_PRESETS).optional().openapi({ description: 'Instead of expiresAt, from now on.' }),
  passThroughHeaders: headersInput.optional().openapi({
    description: 'Its own, sent upstream with every call; the instance’s defaults are not. Replaces all of them.',
  }),
}
const tokenInput = z.strictObject({ name: nameSchema, ...fields }).openapi('ManualTokenInput')
const tokenPatch = z.strictObject({ name: nameSchema.optional(), ...fields }).openapi('ManualTokenPatch')

const changedToken = tokenSchema
  .extend({ effective: z.boolean().openapi({ description: 'Every live gateway has seen the change.' }) })
  .openapi('ChangedManualToken')

const newToken = tokenSchema
  .extend({
    token: z.string(),
    clientConfig: clientConfigSchema.openapi({ description: 'An mcpServers JSON with the token in it.' }),
  })
  .openapi('NewManualToken')

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances/{id}/tokens',
  operationId: 'listManualTokens',
  tags,
  summary: 'Tokens made by hand for clients of one’s own, the newest first; never a value',
  request: { params: idParam, query: pageQuery },
  responses: { 200: json(pageOf(tokenSchema), 'Tokens') },
})

const createRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/instances/{id}/tokens',
    operationId: 'createManualToken',
    tags,
    summary: 'Make a token for a client of one’s own; it is shown this once',
    request: {
      params: idParam,
      headers: idempotencyHeader({
        description: 'The same key with the same body makes nothing again and gets the same token.',
      }),
      body: body(tokenInput),
    },
    responses: { 201: json(newToken, 'The token and its secret') },
  },
  { resource: 'token', action: 'create' },
)

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances/{id}/tokens/{tokenId}',
  operationId: 'getManualToken',
  tags,
  summary: 'A token made by hand; never its value',
  request: { params: tokenParam },
  responses: { 200: json(tokenSchema, 'The token') },
})

const patchRoute = defineRoute(
  'operator',
  {
    method: 'patch',
    path: '/api/v1/instances/{id}/tokens/{tokenId}',
    operationId: 'updateManualToken',
    tags,
    summary:
      'Change the name, the end or the pass-through headers of a token made by hand; waits up to 2 s until every gateway has seen it',
    request: { params: tokenParam, headers: ifMatchHeader, body: body(tokenPatch) },
    responses: { 200: json(changedToken, 'The token') },
  },
  { resource: 'token', action: 'update' },
)

const deleteRoute = defineRoute(
  'operator',
  {
    method: 'delete',
    path: '/api/v1/instances/{id}/tokens/{tokenId}',
    operationId: 'deleteManualToken',
    tags,
    summary: 'End a token made by hand, and its open streams; waits up to 2 s until every gateway has seen it',
    request: { params: tokenParam },
    responses: {
      200: json(
        z.object({ effective: z.boolean().openapi({ description: 'Every live gateway has seen it.' }) }),
        'Ended',
      ),
    },
  },
  { resource: 'token', action: 'revoke' },
)

export function registerManualTokens(app: Api, deps: ApiDeps): void {
  const { store, facts } = deps

  const find = async ({ id, tokenId }: { id: string; tokenId: string }): Promise<ManualToken> => {
    await findInstance(deps, id)
    const token = await getManualToken(store, id, tokenId)
    if (token === null) throw notFound('token', tokenId)
    return token
  }

  const create = async (
    instance: InstanceRecord,
    input: z.infer<typeof tokenInput>,
    idempotency: Idempotency | null,
  ): Promise<OpenedManualToken> => {
    if (instance.status === 'removing') throw beingDeleted(`The instance "${instance.name}"`)
    const headers = unmaskHeaders(input.passThroughHeaders ?? {}, null, 'passThroughHeaders')
    checkHeaders(headers, 'passThroughHeaders')
    const expiresAt = expiryOf(input, '', Date.now()) ?? null
    return createManualToken(store, { instanceId: instance.id, name: input.name, headers, expiresAt }, idempotency)
  }

  app.openapi(listRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    const page = await listManualTokens(store, instance.id, c.req.valid('query'))
    return c.json({ items: page.items.map(show), nextCursor: page.nextCursor }, 200)
  })

  app.openapi(createRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    const input = c.req.valid('json')
    const asked = { make: 'manual-token', instanceId: instance.id, ...input }
    const idempotency = idempotencyOf(c, store, c.req.valid('header')['idempotency-key'], asked)
    // Before the checks: a repeated call gets its token even when the world has changed since.
    const earlier = idempotency === null ? null : await findMadeBefore(store, instance.id, idempotency)
    const made = earlier ?? (await create(instance, input, idempotency))
    c.set('auditId', made.id)
    c.header('location', `/api/v1/instances/${instance.id}/tokens/${made.id}`)
    c.header('etag', etag(made.revision))
    const clientConfig = clientConfigOf(instance, facts.publicUrl, made.secret)
    return c.json({ ...show(made), token: made.secret, clientConfig }, 201)
  })

  app.openapi(getRoute, async (c) => {
    const token = await find(c.req.valid('param'))
    c.header('etag', etag(token.revision))
    return c.json(show(token), 200)
  })

  app.openapi(patchRoute, async (c) => {
    const before = await find(c.req.valid('param'))
    const revision = requiredIfMatch(c.req.valid('header')['if-match'])
    const { name, passThroughHeaders, ...ends } = c.req.valid('json')
    const expiresAt = expiryOf(ends, '', Date.now())
    const headers =
      passThroughHeaders === undefined
        ? undefined
        : unmaskHeaders(passThroughHeaders, before.headers, 'passThroughHeaders')
    if (headers !== undefined) checkHeaders(headers, 'passThroughHeaders')
    const which = { instanceId: before.instanceId, tokenId: before.id, revision }
    const token = await updateManualToken(store, which, {
      ...(name === undefined ? {} : { name }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(headers === undefined ? {} : { headers }),
    })
    const effective = await deps.gatewaySeen(token.revision, EFFECTIVE_TIMEOUT_MS)
    c.header('etag', etag(token.revision))
    return c.json({ ...show(token), effective }, 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const token = await find(c.req.valid('param'))
    const revision = await deleteManualToken(store, token.instanceId, token.id)
    return c.json({ effective: await deps.gatewaySeen(revision, EFFECTIVE_TIMEOUT_MS) }, 200)
  })
}

function show(token: ManualToken): z.infer<typeof tokenSchema> {
  return {
    id: token.id,
    name: token.name ?? '',
    start: token.start,
    passThroughHeaders: maskHeaders(Object.keys(token.headers)),
    expiresAt: isoOrNull(token.expiresAt),
    lastUsedAt: isoOrNull(token.lastUsedAt),
    createdAt: iso(token.createdAt),
    rowVersion: token.revision,
  }
}
