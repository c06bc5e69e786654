import { z } from '@hono/zod-openapi'
import { ToolferryError } from '../domain/errors.ts'
import type { ObservedObject } from '../domain/object.ts'
import { type PlannedTarget, planTarget } from '../domain/plan.ts'
import { desiredObject } from '../platforms/desired.ts'
import type { Platform, SpaceRef } from '../platforms/platform.ts'
import { type BindingView, getBindingView } from '../store/binding-views.ts'
import { recordAdopted } from '../store/deployments.ts'
import { getInstance, latestToolSnapshot } from '../store/instances.ts'
import { getPlatform } from '../store/platforms.ts'
import { hasOpenTarget } from '../store/sync-targets.ts'
import { openActiveTokens } from '../store/tokens.ts'
import { bindingSchema, showBinding } from './binding-schemas.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { savedTarget, withPlatform } from './platform-check.ts'
import { ApiProblem, beingDeleted, notFound } from './problem.ts'
import { defineRoute, json } from './route.ts'
import { idParam } from './schemas.ts'

/**
 * Taking over an object that stands on the platform and that no record says is ours: one that the store lost, or that somebody
 * made by hand. Recorded as ours here; brought to the desired state by the next sync.
 */

const adoptInput = z.strictObject({
  remoteId: z.string().trim().min(1).max(191).optional().openapi({
    description:
      'Its id there, as a conflict names it. Default: what stands in the way, else what calls the MCP server itself.',
  }),
  dryRun: z.boolean().default(false).openapi({ description: 'Only show what a sync would change of it.' }),
})

const fieldChange = z.object({
  field: z.string(),
  before: z.string().nullable(),
  after: z.string().nullable(),
  secret: z.boolean(),
  tools: z
    .object({ added: z.array(z.string()), removed: z.array(z.string()), changed: z.array(z.string()) })
    .optional(),
})

const adoption = z
  .object({
    adopted: z.boolean(),
    object: z.object({ remoteId: z.string(), key: z.string().nullable(), name: z.string().nullable() }),
    changes: z.array(fieldChange).openapi({ description: 'What the next sync makes of it; secrets without a value.' }),
    kept: z.array(z.string()).openapi({ description: 'Fields that stay as its maker set them.' }),
    binding: bindingSchema,
  })
  .openapi('Adoption')

const adoptRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/bindings/{id}/adopt',
    operationId: 'adoptObject',
    tags: ['bindings'],
    summary:
      'Take over an object on the platform that no record says is ours; a sync then brings it to the desired state',
    request: { params: idParam, body: { content: { 'application/json': { schema: adoptInput } }, required: false } },
    responses: { 200: json(adoption, 'What was adopted, or would be') },
  },
  { resource: 'binding', action: 'adopt' },
)

export function registerAdoption(app: Api, deps: ApiDeps): void {
  const { store } = deps

  app.openapi(adoptRoute, async (c) => {
    const { remoteId = null, dryRun = false } = c.req.valid('json')
    const view = await find(deps, c.req.valid('param').id)
    const { observed, plan } = await look(deps, view, remoteId, c.req.raw.signal)
    if (!dryRun) {
      const fields = plan.changes.map((change) => change.field)
      await recordAdopted(store, view.id, observed.identity, fields)
    }
    const { identity, shown } = observed
    const object = { remoteId: identity.id, key: identity.key, name: shown.name ?? null }
    const binding = await showBinding(deps, await find(deps, view.id))
    return c.json({ adopted: !dryRun, object, changes: plan.changes, kept: plan.kept, binding }, 200)
  })
}

async function find(deps: ApiDeps, id: string): Promise<BindingView> {
  const view = await getBindingView(deps.store, id)
  if (view === null) throw notFound('binding', id)
  return view
}

/** The object that is meant, and what a sync would make of it. Refuses what is not to be adopted, with the reason. */
async function look(
  deps: ApiDeps,
  view: BindingView,
  remoteId: string | null,
  requestSignal: AbortSignal,
): Promise<{ observed: ObservedObject; plan: PlannedTarget }> {
  const { store } = deps
  const [platform, instance] = [await getPlatform(store, view.platform.id), await getInstance(store, view.instance.id)]
  if (platform === null || instance === null) throw notFound('binding', view.id)
  if (platform.status === 'removing') throw beingDeleted(`The platform "${platform.name}"`)
  if (instance.status === 'removing') throw beingDeleted(`The instance "${instance.name}"`)
  if (await hasOpenTarget(store, platform.id, view.id)) {
    throw new ApiProblem(409, 'run_open', 'A run is about to write for this binding.', { hint: 'Wait for its end.' })
  }
  const { target } = await savedTarget(deps, platform)
  const tokens = await openActiveTokens(store, [view.id])
  const secret = tokens.get(view.id)?.secret
  const snapshot = await latestToolSnapshot(store, instance.id)
  const gatewayOrigin = (platform.gatewayUrl ?? deps.facts.publicUrl).replace(/\/+$/, '')

  return await withPlatform(deps, target, requestSignal, async (adapter, signal) => {
    const wish = {
      bindingId: view.id,
      instance,
      token: secret === undefined ? null : { value: secret },
      tools: snapshot?.tools ?? null,
      toolAllowList: view.toolAllowList,
      gatewayOrigin,
    }
    const { desired, unknownFields, error } = desiredObject(wish, adapter)
    if (desired === null) throw new ToolferryError(error.type, error.message)
    const space = { spaceId: view.space.id, remoteId: view.space.remoteId }
    await refuseOwn(adapter, space, view, signal)
    const identity = view.deployment.identity ?? adapter.proposeIdentity(instance.id)
    const query = { remoteId, identity, desired, upstreamUrl: instance.url }
    const observed = await adapter.findAdoptable(space, query, { signal })
    if (observed === null) throw nothingThere(remoteId)
    const input = {
      action: 'sync' as const,
      writePolicy: 'upsert-only' as const,
      right: 'granted' as const,
      desired,
      desiredError: null,
      unknownFields,
      recorded: { identity: observed.identity, state: 'absent' as const, digests: null },
      spaceProblem: null,
      observed,
      inTheWay: null,
    }
    return { observed, plan: planTarget(input, store.digest) }
  })
}

/** A binding has one object: while its own stands there, none is adopted beside it. */
async function refuseOwn(adapter: Platform, space: SpaceRef, view: BindingView, signal: AbortSignal): Promise<void> {
  const { identity } = view.deployment
  if (identity === null) return
  const wanted = { bindingId: view.id, identity, desired: null }
  const { objects, refused } = await adapter.read(space, [wanted], { signal })
  const unseen = refused?.get(view.id)
  if (unseen !== undefined) throw new ToolferryError(unseen.type, unseen.message)
  const own = objects.get(view.id)
  if (own === undefined) return
  throw new ApiProblem(409, 'has_own_object', `The binding has an object of its own there (${own.identity.id}).`, {
    hint: 'Remove that one first, with a sync of the action "remove".',
  })
}

function nothingThere(remoteId: string | null): ApiProblem {
  return remoteId === null
    ? new ApiProblem(404, 'nothing_to_adopt', 'Nothing there stands in the way, and nothing calls this MCP server.', {
        hint: 'Sync it, or name an object by its id on the platform (remoteId).',
      })
    : new ApiProblem(404, 'nothing_to_adopt', 'The space has no MCP object with this id.', {
        hint: 'Give the id that the conflict names.',
      })
}
