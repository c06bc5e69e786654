import { z } from '@hono/zod-openapi'
import { DEPLOYMENT_STATES } from '../domain/states.ts'
import { type BindingView, getBindingView, getBindingViews, listBindings } from '../store/binding-views.ts'
import { type BindingPatch, getBinding, getBindings, updateBinding, updateBindings } from '../store/bindings.ts'
import type { Headers } from '../store/instances.ts'
import type { Store } from '../store/store.ts'
import { bindingsNeedingAttention, TOKEN_ATTENTION_KINDS } from '../store/token-attention.ts'
import { openToken } from '../store/tokens.ts'
import {
  type BindingPatchInput,
  bindingBatch,
  bindingPatch,
  bindingSchema,
  changedBinding,
  showBinding,
} from './binding-schemas.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { etag, ifMatchHeader, requiredIfMatch } from './if-match.ts'
import { checkHeaders, expiryOf, throwFieldErrors } from './input-rules.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { cellOf, sealedPassThrough } from './pass-through.ts'
import { ApiProblem, type FieldError, notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, idSchema, unmaskHeaders } from './schemas.ts'
import { createRateLimit } from './security.ts'
import { EFFECTIVE_TIMEOUT_MS } from './spaces.ts'

const tags = ['bindings']

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/bindings',
  operationId: 'listBindings',
  tags,
  summary: 'Bindings with their deployment’s state',
  request: {
    query: pageQuery.extend({
      state: z.enum(DEPLOYMENT_STATES).optional(),
      drift: z
        .enum(['true', 'false'])
        .transform((text) => text === 'true')
        .optional(),
      platformId: idSchema.optional(),
      instanceId: idSchema.optional(),
      spaceId: idSchema.optional(),
      attention: z.enum(TOKEN_ATTENTION_KINDS).optional().openapi({
        description:
          'What the overview speaks of under this kind. A replaced token is still used, or still what its platform holds; or the binding or its token ends soon.',
      }),
    }),
  },
  responses: { 200: json(pageOf(bindingSchema), 'Bindings') },
})

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/bindings/{id}',
  operationId: 'getBinding',
  tags,
  summary: 'A binding',
  request: { params: idParam },
  responses: { 200: json(bindingSchema, 'The binding') },
})

const patchRoute = defineRoute(
  'operator',
  {
    method: 'patch',
    path: '/api/v1/bindings/{id}',
    operationId: 'updateBinding',
    tags,
    summary: 'Change a binding; disabling waits up to 2 s until every gateway has seen it',
    request: { params: idParam, headers: ifMatchHeader, body: body(bindingPatch) },
    responses: { 200: json(changedBinding, 'The binding') },
  },
  { resource: 'binding', action: 'update' },
)

const batchRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/bindings/batch',
    operationId: 'updateBindings',
    tags,
    summary: 'Change several bindings, all or none',
    request: { body: body(bindingBatch) },
    responses: { 200: json(z.object({ items: z.array(bindingSchema), effective: z.boolean() }), 'The bindings') },
  },
  { resource: 'binding', action: 'update' },
)

const revealRoute = defineRoute(
  'admin',
  {
    method: 'post',
    path: '/api/v1/bindings/{id}/reveal',
    operationId: 'revealBinding',
    tags,
    summary: 'Show the binding’s gateway token in the clear; audited, at most 10 a minute',
    request: { params: idParam },
    responses: { 200: json(z.object({ token: z.string(), authorization: z.string() }), 'The token') },
  },
  { resource: 'binding', action: 'reveal', refusals: true },
)

export function registerBindings(app: Api, deps: ApiDeps): void {
  const { store } = deps
  const limitReveals = createRateLimit({ max: 10, windowMs: 60_000 })

  const find = async (id: string): Promise<BindingView> => {
    const view = await getBindingView(store, id)
    if (view === null) throw notFound('binding', id)
    return view
  }
  /** Only what cuts somebody off is worth waiting for. */
  const seen = (revision: number, patches: BindingPatch[]) =>
    deps.gatewaySeen(revision, patches.some((patch) => patch.enabled === false) ? EFFECTIVE_TIMEOUT_MS : 0)

  app.openapi(listRoute, async (c) => {
    const { attention, ...query } = c.req.valid('query')
    const bindingIds =
      attention === undefined
        ? undefined
        : await bindingsNeedingAttention(store, attention, { defaultGraceSeconds: deps.facts.tokenGraceSeconds })
    const page = await listBindings(store, { ...query, bindingIds })
    const items = await Promise.all(page.items.map((view) => showBinding(deps, view)))
    return c.json({ items, nextCursor: page.nextCursor }, 200)
  })

  app.openapi(getRoute, async (c) => {
    const view = await find(c.req.valid('param').id)
    c.header('etag', etag(view.rowVersion))
    return c.json(await showBinding(deps, view), 200)
  })

  app.openapi(patchRoute, async (c) => {
    const { id } = await find(c.req.valid('param').id)
    const version = requiredIfMatch(c.req.valid('header')['if-match'])
    const patch = await readPatch(store, id, c.req.valid('json'), '')
    const record = await updateBinding(store, id, version, patch)
    const effective = await seen(record.revision, [patch])
    const view = await find(id)
    c.header('etag', etag(view.rowVersion))
    return c.json({ ...(await showBinding(deps, view)), effective }, 200)
  })

  app.openapi(batchRoute, async (c) => {
    const { changes } = c.req.valid('json')
    await refuseBadBatch(store, changes)
    const read = await Promise.all(
      changes.map(async ({ id, rowVersion, ...patch }, index) => ({
        id,
        rowVersion,
        patch: await readPatch(store, id, patch, `changes[${index}].`),
      })),
    )
    const records = await updateBindings(store, read)
    const revision = Math.max(...records.map((record) => record.revision))
    const effective = await seen(
      revision,
      read.map((change) => change.patch),
    )
    const views = await getBindingViews(
      store,
      changes.map((change) => change.id),
    )
    return c.json({ items: await Promise.all(views.map((view) => showBinding(deps, view))), effective }, 200)
  })

  app.openapi(revealRoute, async (c) => {
    limitReveals(c.get('principal')?.apiKeyId ?? '')
    const view = await find(c.req.valid('param').id)
    if (view.token === null) {
      throw new ApiProblem(404, 'no_token', 'This binding has no token yet.', { hint: 'A sync makes one.' })
    }
    const token = await openToken(store, view.token.id)
    c.header('cache-control', 'no-store')
    return c.json({ token, authorization: `Bearer ${token}` }, 200)
  })
}

async function readPatch(store: Store, id: string, input: BindingPatchInput, path: string): Promise<BindingPatch> {
  const { enabled, toolAllowList, tags } = input
  const expiresAt = expiryOf(input, path, Date.now())
  const passThroughHeaders = await readPassThrough(store, id, input.passThroughHeaders, `${path}passThroughHeaders`)
  return {
    ...(enabled === undefined ? {} : { enabled }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(passThroughHeaders === undefined ? {} : { passThroughHeaders }),
    ...(toolAllowList === undefined ? {} : { toolAllowList }),
    ...(tags === undefined ? {} : { tags: [...new Set(tags)] }),
  }
}

async function readPassThrough(
  store: Store,
  id: string,
  given: Headers | null | undefined,
  field: string,
): Promise<Headers | null | undefined> {
  if (given === undefined || given === null) return given
  const binding = await getBinding(store, id)
  const cell = binding === null ? null : { ...binding, passThroughHeaders: given }
  const sealed = cell === null ? null : (await sealedPassThrough(store, [cell])).get(cellOf(cell))
  const headers = unmaskHeaders(given, sealed ?? null, field)
  checkHeaders(headers, field)
  return headers
}

/** Unknown, doubled and stale ones are named one by one; the transaction checks the versions once more. */
async function refuseBadBatch(store: Store, changes: { id: string; rowVersion: number }[]): Promise<void> {
  const records = new Map(
    (
      await getBindings(
        store,
        changes.map((change) => change.id),
      )
    ).map((record) => [record.id, record]),
  )
  const wrong: FieldError[] = []
  const stale: FieldError[] = []
  for (const [index, { id, rowVersion }] of changes.entries()) {
    const record = records.get(id)
    if (record === undefined) wrong.push({ field: `changes[${index}].id`, message: 'There is no such binding.' })
    else if (changes.findIndex((change) => change.id === id) !== index) {
      wrong.push({ field: `changes[${index}].id`, message: 'This binding is in the batch already.' })
    } else if (record.rowVersion !== rowVersion) {
      stale.push({ field: `changes[${index}].rowVersion`, message: `It is at version ${record.rowVersion} now.` })
    }
  }
  throwFieldErrors(wrong)
  if (stale.length > 0) {
    throw new ApiProblem(
      409,
      'stale_write',
      'Some bindings were changed by somebody else in the meantime; nothing was written.',
      {
        hint: 'Read them again and repeat the change.',
        errors: stale,
      },
    )
  }
}
