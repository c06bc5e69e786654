import { z } from '@hono/zod-openapi'
import { retirementOf } from '../domain/retirement.ts'
import { getBinding } from '../store/bindings.ts'
import { listTokensOfBinding, revokeTokens } from '../store/tokens.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { ApiProblem, notFound } from './problem.ts'
import { defineRoute, json } from './route.ts'
import { flagQuery, idParam, idSchema, iso, isoOrNull, timestamp } from './schemas.ts'
import { EFFECTIVE_TIMEOUT_MS } from './spaces.ts'

/** The tokens that a binding has and had, and the end of one that was replaced. */

const tokenSchema = z
  .object({
    id: idSchema,
    start: z.string().openapi({ description: 'The visible first characters.' }),
    origin: z.enum(['minted', 'custom']),
    state: z.enum(['active', 'retiring', 'revoked']),
    stage: z
      .enum(['waiting', 'grace', 'still_used', 'over'])
      .nullable()
      .openapi({ description: 'Of a retiring one: as in formerTokens of the binding.' }),
    stillUsed: z.boolean(),
    endsAt: timestamp.nullable().openapi({ description: 'Of a retiring one, unless it is used again.' }),
    provenAt: timestamp.nullable(),
    expiresAt: timestamp.nullable(),
    lastUsedAt: timestamp.nullable(),
    createdAt: timestamp,
    retiringAt: timestamp.nullable(),
    revokedAt: timestamp.nullable(),
  })
  .openapi('BindingToken')

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/bindings/{id}/tokens',
  operationId: 'listBindingTokens',
  tags: ['bindings'],
  summary: 'Every token that the binding has and had, the newest first; never a value',
  request: { params: idParam },
  responses: { 200: json(z.object({ items: z.array(tokenSchema) }), 'Tokens') },
})

const endRoute = defineRoute(
  'operator',
  {
    method: 'delete',
    path: '/api/v1/bindings/{id}/tokens/{tokenId}',
    operationId: 'endBindingToken',
    tags: ['bindings'],
    summary: 'End a former token at once, used or not; waits up to 2 s until every gateway has seen it',
    request: {
      params: idParam.extend({ tokenId: idSchema }),
      query: z.object({
        force: flagQuery.openapi({ description: 'true: also while its platform may still hold it.' }),
      }),
    },
    responses: {
      200: json(
        z.object({ effective: z.boolean().openapi({ description: 'Every live gateway has seen it.' }) }),
        'Ended',
      ),
    },
  },
  { resource: 'token', action: 'revoke' },
)

export function registerBindingTokens(app: Api, deps: ApiDeps): void {
  const { store, facts } = deps

  app.openapi(listRoute, async (c) => {
    const { id } = c.req.valid('param')
    if ((await getBinding(store, id)) === null) throw notFound('binding', id)
    const now = new Date()
    const items = (await listTokensOfBinding(store, id)).map((token) => {
      const retirement = token.state === 'retiring' ? retirementOf(token, facts.tokenGraceSeconds, now) : null
      return {
        id: token.id,
        start: token.start,
        origin: token.origin,
        state: token.state,
        stage: retirement?.stage ?? null,
        stillUsed: retirement?.stage === 'still_used',
        endsAt: isoOrNull(retirement?.endsAt ?? null),
        provenAt: isoOrNull(token.provenAt),
        expiresAt: isoOrNull(token.expiresAt),
        lastUsedAt: isoOrNull(token.lastUsedAt),
        createdAt: iso(token.createdAt),
        retiringAt: isoOrNull(token.retiringAt),
        revokedAt: isoOrNull(token.revokedAt),
      }
    })
    return c.json({ items }, 200)
  })

  app.openapi(endRoute, async (c) => {
    const { id, tokenId } = c.req.valid('param')
    const token = (await listTokensOfBinding(store, id)).find((one) => one.id === tokenId)
    if (token === undefined || token.state === 'revoked') throw notFound('token', tokenId)
    if (token.state === 'active') {
      throw new ApiProblem(409, 'token_active', 'This is the token that the binding uses.', {
        hint: 'Rotate the binding, or disable it.',
      })
    }
    if (token.supersededAt === null && !c.req.valid('query').force) {
      throw new ApiProblem(
        409,
        'token_needed',
        'Its platform was not seen to hold the new token: it may still send this one.',
        {
          hint: 'Sync the binding first, or send force=true.',
        },
      )
    }
    c.set('auditId', tokenId)
    const revision = await revokeTokens(store, [tokenId])
    return c.json({ effective: revision === null || (await deps.gatewaySeen(revision, EFFECTIVE_TIMEOUT_MS)) }, 200)
  })
}
