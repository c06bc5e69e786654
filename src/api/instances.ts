import { z } from '@hono/zod-openapi'
import { listBindings } from '../store/binding-views.ts'
import { countOwnHeaders } from '../store/bindings.ts'
import {
  createInstance,
  deleteInstance,
  getInstance,
  type InstanceRecord,
  listInstances,
  openDefaultPassThrough,
  openHeaders,
  updateInstance,
} from '../store/instances.ts'
import { listOpenSyncs } from '../store/syncs.ts'
import { bindingSchema, showBinding } from './binding-schemas.ts'
import { clientConfigOf, clientConfigSchema } from './client-config.ts'
import { type Api, type ApiContext, hasRole } from './context.ts'
import { deleteWithObjects, deletionQuery, deletionResponses } from './deletion.ts'
import type { ApiDeps } from './deps.ts'
import { etag, ifMatchHeader, optionalIfMatch } from './if-match.ts'
import { checkHeaders } from './input-rules.ts'
import { instanceInput, instancePatch, instanceSchema, showInstance } from './instance-schemas.ts'
import { pageOf, pageQuery } from './pagination.ts'
import { ApiProblem, notFound } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, unmaskHeaders } from './schemas.ts'

const tags = ['instances']

const listRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances',
  operationId: 'listInstances',
  tags,
  summary: 'MCP instances',
  request: {
    query: pageQuery.extend({
      search: z.string().max(200).optional().openapi({ description: 'Part of the name.' }),
      status: z.enum(['active', 'inactive', 'removing']).optional(),
    }),
  },
  responses: { 200: json(pageOf(instanceSchema), 'Instances') },
})

const createRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/instances',
    operationId: 'createInstance',
    tags,
    summary: 'Register an MCP server',
    request: { body: body(instanceInput) },
    responses: { 201: json(instanceSchema, 'Registered') },
  },
  { resource: 'instance', action: 'create' },
)

const getRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances/{id}',
  operationId: 'getInstance',
  tags,
  summary: 'An MCP instance',
  request: { params: idParam },
  responses: { 200: json(instanceSchema, 'The instance') },
})

const patchRoute = defineRoute(
  'operator',
  {
    method: 'patch',
    path: '/api/v1/instances/{id}',
    operationId: 'updateInstance',
    tags,
    summary:
      'Change an instance; another URL or transport drops its sealed headers, which must be given again; another host needs the role admin where authorizations have headers of their own; a status ends a deletion that failed',
    request: { params: idParam, headers: ifMatchHeader, body: body(instancePatch) },
    responses: { 200: json(instanceSchema, 'The instance') },
  },
  { resource: 'instance', action: 'update' },
)

const deleteRoute = defineRoute(
  'operator',
  {
    method: 'delete',
    path: '/api/v1/instances/{id}',
    operationId: 'deleteInstance',
    tags,
    summary: 'Delete an instance with its bindings; its objects are removed from the platforms first',
    request: { params: idParam, query: deletionQuery },
    responses: deletionResponses,
  },
  { resource: 'instance', action: 'delete' },
)

const bindingsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances/{id}/bindings',
  operationId: 'listInstanceBindings',
  tags,
  summary: 'The instance’s bindings: its MCP access configuration, space by space',
  request: { params: idParam, query: pageQuery },
  responses: { 200: json(pageOf(bindingSchema), 'Bindings') },
})

const clientConfigRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances/{id}/client-config',
  operationId: 'getClientConfig',
  tags,
  summary: 'How an MCP client reaches the instance through the gateway; the token is a placeholder',
  request: { params: idParam },
  responses: { 200: json(clientConfigSchema, 'An mcpServers JSON') },
})

export function registerInstances(app: Api, deps: ApiDeps): void {
  const { store, facts } = deps
  const show = (c: ApiContext, instance: InstanceRecord) =>
    showInstance(store, instance, { publicUrl: facts.publicUrl, role: c.get('principal')?.role ?? 'viewer' })

  app.openapi(listRoute, async (c) => {
    const page = await listInstances(store, c.req.valid('query'))
    const items = await Promise.all(page.items.map((instance) => show(c, instance)))
    return c.json({ items, nextCursor: page.nextCursor }, 200)
  })

  app.openapi(createRoute, async (c) => {
    const { headers, defaultPassThroughHeaders, url, ...rest } = c.req.valid('json')
    const checked = await deps.egress.checkUrlAddresses(url, 'url')
    const own = unmaskHeaders(headers ?? {}, null, 'headers')
    const passThrough = unmaskHeaders(defaultPassThroughHeaders ?? {}, null, 'defaultPassThroughHeaders')
    checkHeaders(own, 'headers')
    checkHeaders(passThrough, 'defaultPassThroughHeaders')
    const instance = await createInstance(store, {
      ...withoutUndefined(rest),
      url: checked.href,
      headers: own,
      defaultPassThrough: passThrough,
    })
    c.set('auditId', instance.id)
    c.header('location', `/api/v1/instances/${instance.id}`)
    c.header('etag', etag(instance.rowVersion))
    return c.json(await show(c, instance), 201)
  })

  app.openapi(getRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    c.header('etag', etag(instance.rowVersion))
    return c.json(await show(c, instance), 200)
  })

  app.openapi(patchRoute, async (c) => {
    const { headers, defaultPassThroughHeaders, url, ...rest } = c.req.valid('json')
    const before = await findInstance(deps, c.req.valid('param').id)
    if (rest.status !== undefined) await refuseDuringRemoval(deps, before)
    const version = optionalIfMatch(c.req.valid('header')['if-match'])
    // These go by what was read: somebody else's change since then must not get lost under them.
    const byRead = [url, rest.transport, headers, defaultPassThroughHeaders].some((given) => given !== undefined)
    const href = url === undefined ? before.url : (await deps.egress.checkUrlAddresses(url, 'url')).href
    const moved = href !== before.url || (rest.transport !== undefined && rest.transport !== before.transport)
    if (new URL(href).origin !== new URL(before.url).origin) await refuseToCarryOff(c, deps, before.id)
    const resolve = async (
      given: Record<string, string> | undefined,
      field: string,
      open: (s: typeof store, id: string) => Promise<Record<string, string>>,
    ) => {
      if (given === undefined) return moved ? null : undefined
      const headersGiven = unmaskHeaders(given, moved ? null : await open(store, before.id), field)
      checkHeaders(headersGiven, field)
      return headersGiven
    }
    const own = await resolve(headers, 'headers', openHeaders)
    const passThrough = await resolve(defaultPassThroughHeaders, 'defaultPassThroughHeaders', openDefaultPassThrough)
    const instance = await updateInstance(store, before.id, byRead ? (version ?? before.rowVersion) : version, {
      ...withoutUndefined(rest),
      ...(url === undefined ? {} : { url: href }),
      ...(own === undefined ? {} : { headers: own }),
      ...(passThrough === undefined ? {} : { defaultPassThrough: passThrough }),
    })
    c.header('etag', etag(instance.rowVersion))
    return c.json(await show(c, instance), 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const { id } = await findInstance(deps, c.req.valid('param').id)
    const erase = (options: { forget: boolean }) => deleteInstance(store, id, options)
    const deletion = await deleteWithObjects(c, deps, { instanceId: id }, erase, c.req.valid('query'))
    if ('syncs' in deletion) return c.json(deletion, 202)
    return deletion.effective ? c.body(null, 204) : c.json(deletion, 200)
  })

  app.openapi(bindingsRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    const page = await listBindings(store, { ...c.req.valid('query'), instanceId: instance.id })
    const items = await Promise.all(page.items.map((binding) => showBinding(deps, binding)))
    return c.json({ items, nextCursor: page.nextCursor }, 200)
  })

  app.openapi(clientConfigRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    return c.json(clientConfigOf(instance, facts.publicUrl, null), 200)
  })
}

/** The headers of single bindings stay with their instance, and go where it goes: secrets that an operator cannot read. */
async function refuseToCarryOff(c: ApiContext, { store }: ApiDeps, instanceId: string): Promise<void> {
  if (hasRole(c.get('principal')?.role ?? 'viewer', 'admin')) return
  const count = await countOwnHeaders(store, instanceId)
  if (count === 0) return
  throw new ApiProblem(403, 'forbidden', 'Moving this MCP server to another host needs the role admin.', {
    hint: `${count} of its authorizations have headers of their own, which would be sent there.`,
  })
}

/** Giving a status ends a deletion, though not under the run that is just carrying it out. */
async function refuseDuringRemoval(deps: ApiDeps, instance: InstanceRecord): Promise<void> {
  if (instance.status !== 'removing') return
  const runs = await listOpenSyncs(deps.store)
  const run = runs.find((one) => one.action === 'remove' && one.selection.instanceIds.includes(instance.id))
  if (run === undefined) return
  throw new ApiProblem(409, 'being_deleted', `The run ${run.id} is still removing its objects.`, {
    hint: 'Cancel that run first; then it can be activated again.',
  })
}

/** 404 for an unknown one. */
export async function findInstance(deps: ApiDeps, id: string): Promise<InstanceRecord> {
  const instance = await getInstance(deps.store, id)
  if (instance === null) throw notFound('instance', id)
  return instance
}

/** What was given, with the type that says so. */
function withoutUndefined<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
