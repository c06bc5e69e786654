import { z } from '@hono/zod-openapi'
import { findBindings, getBindings } from '../store/bindings.ts'
import { getPlatforms } from '../store/platforms.ts'
import { listDeployedBindings, type RotationFilter } from '../store/rotations.ts'
import { getSpaces } from '../store/spaces.ts'
import type { Rotation, SyncRecord } from '../store/syncs.ts'
import { forceFormer } from '../store/token-rotation.ts'
import { activeToken } from '../store/tokens.ts'
import type { Api, ApiContext } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { checkedToken } from './input-rules.ts'
import { ApiProblem, invalidField, notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, idSchema } from './schemas.ts'
import { EFFECTIVE_TIMEOUT_MS } from './spaces.ts'
import { refuseTakenTokens, warningsOf } from './sync-input.ts'
import { startedSync } from './sync-schemas.ts'
import { createAndStart, showStarted } from './syncs.ts'

/**
 * Rotation without downtime: a run makes a second token, proves it through the gateway, writes it to the platform and reads that
 * back; the former one stays good until it has gone unused. What is asked for here is a sync with a rotation in its selection.
 */

const LONGEST_GRACE_SECONDS = 366 * 24 * 3600

const how = {
  force: z
    .boolean()
    .default(false)
    .openapi({ description: 'Former tokens end as soon as the platform holds the new one, used or not.' }),
  graceSeconds: z
    .int()
    .min(0)
    .max(LONGEST_GRACE_SECONDS)
    .optional()
    .openapi({ description: 'How long the former token must have gone unused. Default: as the installation says.' }),
}

const oneInput = z
  .strictObject({
    ...how,
    token: z
      .string()
      .min(1)
      .max(4000)
      .optional()
      .openapi({ description: 'Your own gateway token; write-only. Default: one is made.' }),
  })
  .openapi('RotateBinding')

const manyInput = z
  .strictObject({
    ...how,
    platformId: idSchema.optional(),
    instanceIds: z.array(idSchema).min(1).max(500).optional(),
    spaceIds: z.array(idSchema).min(1).max(5000).optional(),
    bindingIds: z.array(idSchema).min(1).max(5000).optional(),
    all: z.literal(true).optional().openapi({ description: 'Everything: needed when nothing else is named.' }),
  })
  .openapi('RotateBindings', { description: 'What is named must all hold: these instances in these spaces.' })

const rotated = z.object({
  ended: z.int().openapi({ description: 'Former tokens that were ended at once: with force.' }),
  effective: z.boolean().openapi({ description: 'Every live gateway has seen that.' }),
})

const oneRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/bindings/{id}/rotate',
    operationId: 'rotateBinding',
    tags: ['bindings'],
    summary: 'Replace a binding’s token without a moment in which none works',
    request: { params: idParam, body: { content: { 'application/json': { schema: oneInput } }, required: false } },
    responses: { 202: json(startedSync.extend(rotated.shape).openapi('RotatedBinding'), 'A run was accepted') },
  },
  { resource: 'binding', action: 'rotate' },
)

const manyRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/bindings/rotate',
    operationId: 'rotateBindings',
    tags: ['bindings'],
    summary: 'Replace the tokens of a selection: one run a platform',
    request: { body: body(manyInput) },
    responses: {
      202: json(
        rotated.extend({ syncs: z.array(startedSync), bindings: z.int() }).openapi('RotatedBindings'),
        'Runs were accepted',
      ),
    },
  },
  { resource: 'binding', action: 'rotate' },
)

export function registerRotation(app: Api, deps: ApiDeps): void {
  const { store } = deps

  app.openapi(oneRoute, async (c) => {
    const { id } = c.req.valid('param')
    const { token, ...rest } = c.req.valid('json')
    const [binding] = await getBindings(store, [id])
    if (binding === undefined) throw notFound('binding', id)
    const [deployed] = await listDeployedBindings(store, { bindingIds: [id] })
    if (deployed === undefined) throw notDeployed()
    if (!binding.enabled || (binding.expiresAt !== null && binding.expiresAt <= new Date())) {
      throw new ApiProblem(409, 'not_granted', 'This binding is disabled or has expired: nothing is written for it.', {
        hint: 'Enable it first, or give it a later end.',
      })
    }
    const cell = { instanceId: binding.instanceId, spaceId: binding.spaceId }
    const own = token === undefined ? null : { ...cell, token: checkedToken(token, 'token') }
    if (own !== null) await refuseUnfitToken(deps, id, own)
    const forced = await force(deps, [id], rest.force)
    const run = await start(c, deps, {
      platformId: deployed.platformId,
      instanceIds: [cell.instanceId],
      spaceIds: [cell.spaceId],
      rotate: { ...rotationOf(rest, own === null), bindingIds: [id] },
      authorizations: own === null ? [] : [own],
    })
    const shown = showStarted(c, run)
    c.set('auditId', id)
    return c.json({ ...shown, ...forced }, 202)
  })

  app.openapi(manyRoute, async (c) => {
    const { force: forces, graceSeconds, all, ...filter } = c.req.valid('json')
    if (Object.keys(filter).length === 0 && all !== true) {
      throw invalidField('all', 'Name a platform, instances, spaces or bindings; or send "all": true.')
    }
    const deployed = await usableOf(deps, filter)
    if (deployed.length === 0) throw notDeployed()
    const forced = await force(
      deps,
      deployed.map(({ bindingId }) => bindingId),
      forces,
    )
    const rotate = rotationOf({ force: forces, graceSeconds }, true)
    const runs: SyncRecord[] = []
    for (const [platformId, cells] of Map.groupBy(deployed, (one) => one.platformId)) {
      const run = await start(c, deps, {
        platformId,
        instanceIds: [...new Set(cells.map(({ instanceId }) => instanceId))],
        spaceIds: [...new Set(cells.map(({ spaceId }) => spaceId))],
        rotate:
          filter.bindingIds === undefined ? rotate : { ...rotate, bindingIds: cells.map(({ bindingId }) => bindingId) },
        authorizations: [],
      })
      runs.push(run)
    }
    const syncs = runs.map((run) => showStarted(c, run))
    c.set('auditId', null)
    return c.json({ syncs, bindings: deployed.length, ...forced }, 202)
  })
}

type Wanted = {
  platformId: string
  instanceIds: string[]
  spaceIds: string[]
  rotate: Rotation
  authorizations: { instanceId: string; spaceId: string; token: string }[]
}

async function start(c: ApiContext, deps: ApiDeps, wanted: Wanted): Promise<SyncRecord> {
  const { platformId, instanceIds, spaceIds, rotate, authorizations } = wanted
  const [platform] = await getPlatforms(deps.store, [platformId])
  if (platform === undefined) throw notFound('platform', platformId)
  const input = {
    platformId,
    name: `Rotate tokens in ${platform.name}`,
    selection: { instanceIds, spaceIds, rotate },
    authorizations,
    // What is rotated stands there already: whoever brought it has seen the warnings.
    acceptWarnings: true,
    requestedBy: c.get('principal')?.name ?? 'unknown',
  }
  return await createAndStart(deps, input, warningsOf(deps, platform), null)
}

function rotationOf(
  { force: forces, graceSeconds }: { force: boolean; graceSeconds?: number | undefined },
  mints: boolean,
): Rotation {
  const grace = forces ? 0 : graceSeconds
  return {
    by: 'hand',
    before: mints ? new Date().toISOString() : null,
    ...(grace === undefined ? {} : { graceSeconds: grace }),
  }
}

/** Ends what still waits for its grace period; what the platform may still send ends once it holds another one. */
async function force(
  deps: ApiDeps,
  bindingIds: readonly string[],
  wanted: boolean,
): Promise<{ ended: number; effective: boolean }> {
  if (!wanted) return { ended: 0, effective: true }
  const { ended, revision } = await forceFormer(deps.store, bindingIds)
  const effective = revision === null || (await deps.gatewaySeen(revision, EFFECTIVE_TIMEOUT_MS))
  return { ended, effective }
}

/** Deployed bindings of the selection that may be used now. Throws 422 for ids that are not there. */
async function usableOf(deps: ApiDeps, filter: RotationFilter) {
  if (filter.platformId !== undefined && (await getPlatforms(deps.store, [filter.platformId])).length === 0) {
    throw invalidField('platformId', 'There is no such platform; GET /api/v1/platforms lists them.')
  }
  if (filter.spaceIds !== undefined) {
    const known = new Set((await getSpaces(deps.store, [...filter.spaceIds])).map((space) => space.id))
    const unknown = filter.spaceIds.findIndex((id) => !known.has(id))
    if (unknown >= 0) throw invalidField(`spaceIds[${unknown}]`, 'There is no such space.')
  }
  const deployed = await listDeployedBindings(deps.store, filter)
  const now = new Date()
  const usable = new Set(
    (await findBindings(deps.store, deployed))
      .filter(({ enabled, expiresAt }) => enabled && (expiresAt === null || expiresAt > now))
      .map(({ id }) => id),
  )
  return deployed.filter(({ bindingId }) => usable.has(bindingId))
}

/** Somebody else's, or the one that the binding has already. */
async function refuseUnfitToken(
  deps: ApiDeps,
  bindingId: string,
  own: { instanceId: string; spaceId: string; token: string },
): Promise<void> {
  await refuseTakenTokens(deps, [own], () => 'token')
  const present = await activeToken(deps.store, bindingId)
  const lookupHash = deps.store.tokenHash(own.token)
  const same = await deps.store.db.gatewayToken.findUnique({ where: { lookupHash }, select: { id: true } })
  if (same !== null && same.id === present?.id) {
    throw new ApiProblem(409, 'same_token', 'This is the token that the binding has already.', {
      hint: 'Give another one, or leave it out to have one made.',
      errors: [{ field: 'token', message: 'It is in use here already.' }],
    })
  }
}

function notDeployed(): ApiProblem {
  return new ApiProblem(409, 'not_deployed', 'Nothing of this selection stands on a platform and may be used.', {
    hint: 'A sync brings it there, with a token of its own.',
  })
}
