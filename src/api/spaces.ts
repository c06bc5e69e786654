import { z } from '@hono/zod-openapi'
import { setBindingsEnabled } from '../store/bindings.ts'
import { getInstances } from '../store/instances.ts'
import { getPlatform } from '../store/platforms.ts'
import { getSpace, listSpaces, type SpaceRecord } from '../store/spaces.ts'
import type { SyncRecord } from '../store/syncs.ts'
import { type Api, type ApiContext, hasRole } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { throwFieldErrors } from './input-rules.ts'
import { signalOpenRuns } from './open-runs.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { refreshSpaces } from './platform-check.ts'
import { ApiProblem, notFound } from './problem.ts'
import { defineRoute, json } from './route.ts'
import { flagQuery, idParam, idSchema, iso, isoOrNull, timestamp } from './schemas.ts'

/** How long a change that cuts something off waits for every gateway to have seen it. */
export const EFFECTIVE_TIMEOUT_MS = 2000

export const spaceSchema = z
  .object({
    id: idSchema,
    platformId: idSchema,
    remoteId: z.string().openapi({ description: 'Its id on the platform.' }),
    name: z.string(),
    ownerName: z.string().nullable(),
    ownerEmail: z.string().nullable(),
    role: z.string().nullable(),
    archived: z.boolean(),
    problem: z.string().nullable().openapi({ description: 'Why nothing can be written there.' }),
    disabledAt: timestamp.nullable().openapi({
      description: 'Since when it is cut off: what is brought there later starts disabled, too. Null: it is not.',
    }),
    seenAt: timestamp,
  })
  .openapi('Space')

const switchBody = z.strictObject({
  instanceIds: z
    .array(idSchema)
    .min(1)
    .max(500)
    .optional()
    .openapi({ description: 'Only these; default: every instance in the space.' }),
})

const switched = z
  .object({
    bindingIds: z.array(idSchema).openapi({ description: 'The bindings that changed.' }),
    effective: z.boolean().openapi({ description: 'Every live gateway has seen it.' }),
    runsSignalled: z.int(),
  })
  .openapi('SpaceSwitched')

const disableRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/spaces/{id}/disable',
    operationId: 'disableSpace',
    tags: ['spaces'],
    summary:
      'Cut the space off: its gateway tokens are refused at once, open runs skip it; without instanceIds also what is brought there later',
    request: { params: idParam, body: { content: { 'application/json': { schema: switchBody } }, required: false } },
    responses: { 200: json(switched, 'Disabled') },
  },
  { resource: 'space', action: 'disable' },
)

const enableRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/spaces/{id}/enable',
    operationId: 'enableSpace',
    tags: ['spaces'],
    summary: 'Let the space in again',
    request: { params: idParam, body: { content: { 'application/json': { schema: switchBody } }, required: false } },
    responses: { 200: json(switched, 'Enabled') },
  },
  { resource: 'space', action: 'enable' },
)

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/platforms/{id}/spaces',
  operationId: 'listSpaces',
  tags: ['spaces'],
  summary: 'A platform’s spaces, by name, with their owner and role',
  request: {
    params: idParam,
    query: pageQuery.extend({
      refresh: flagQuery.openapi({ description: 'Ask the platform first (operators).' }),
      search: z.string().max(200).optional().openapi({ description: 'Part of a space’s name, owner or remote id.' }),
    }),
  },
  responses: { 200: json(pageOf(spaceSchema), 'Spaces') },
})

export function registerSpaces(app: Api, deps: ApiDeps): void {
  app.openapi(listRoute, async (c) => {
    const { refresh, ...page } = c.req.valid('query')
    const { id } = c.req.valid('param')
    const platform = await getPlatform(deps.store, id)
    if (platform === null) throw notFound('platform', id)
    if (refresh) {
      if (!hasRole(c.get('principal')?.role ?? 'viewer', 'operator')) {
        throw new ApiProblem(403, 'forbidden', 'Asking the platform (refresh) needs the role operator.', {
          hint: 'Leave refresh out to see the spaces known so far.',
        })
      }
      await refreshSpaces(deps, platform, c.req.raw.signal)
    }
    const spaces = await listSpaces(deps.store, platform.id, page)
    return c.json({ items: spaces.items.map(showSpace), nextCursor: spaces.nextCursor }, 200)
  })

  /** The store first, which decides; then the runs, so that they need not find out by themselves. */
  const turn = async (c: ApiContext, id: string, instanceIds: string[] | undefined, enabled: boolean) => {
    const space = await getSpace(deps.store, id)
    if (space === null) throw notFound('space', id)
    if (instanceIds !== undefined) await refuseUnknownInstances(deps, instanceIds)
    const { bindingIds, revision } = await setBindingsEnabled(deps.store, { spaceId: space.id, instanceIds }, enabled)
    const signal = enabled ? ('enableSpaceAuthorization' as const) : ('disableSpaceAuthorization' as const)
    const [runsSignalled, effective] = await Promise.all([
      signalOpenRuns(
        deps,
        { platformId: space.platformId, filter: (run) => isWhollyMeant(run, space.id, instanceIds) },
        {
          type: signal,
          spaceId: space.id,
          actor: c.get('principal')?.name ?? 'unknown',
          revision,
          ...(instanceIds === undefined ? {} : { instanceIds }),
        },
      ),
      deps.gatewaySeen(revision, EFFECTIVE_TIMEOUT_MS),
    ])
    return { bindingIds, effective, runsSignalled }
  }

  app.openapi(disableRoute, async (c) => {
    return c.json(await turn(c, c.req.valid('param').id, c.req.valid('json').instanceIds, false), 200)
  })
  app.openapi(enableRoute, async (c) => {
    return c.json(await turn(c, c.req.valid('param').id, c.req.valid('json').instanceIds, true), 200)
  })
}

export function showSpace(space: SpaceRecord): z.infer<typeof spaceSchema> {
  const { createdAt: _created, updatedAt: _updated, disabledAt, seenAt, ...shown } = space
  return { ...shown, disabledAt: isoOrNull(disabledAt), seenAt: iso(seenAt) }
}

/** The signal switches all of a run's instances in the space; a run with others besides looks into the store by itself. */
function isWhollyMeant(run: SyncRecord, spaceId: string, instanceIds: string[] | undefined): boolean {
  const { selection } = run
  if (selection.spaceIds !== 'all' && !selection.spaceIds.includes(spaceId)) return false
  return instanceIds === undefined || selection.instanceIds.every((id) => instanceIds.includes(id))
}

async function refuseUnknownInstances(deps: ApiDeps, ids: string[]): Promise<void> {
  const known = new Set((await getInstances(deps.store, ids)).map((instance) => instance.id))
  throwFieldErrors(
    ids.flatMap((id, index) =>
      known.has(id) ? [] : { field: `instanceIds[${index}]`, message: 'There is no such instance.' },
    ),
  )
}
