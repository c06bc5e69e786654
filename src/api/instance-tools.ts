import { z } from '@hono/zod-openapi'
import { toToolferryError } from '../domain/errors.ts'
import { headerSetDigest, upstreamHeaders } from '../domain/upstream-headers.ts'
import { getBindingView } from '../store/binding-views.ts'
import {
  type InstanceRecord,
  type LastProbe,
  latestToolSnapshot,
  openDefaultPassThrough,
  openHeaders,
  saveToolSnapshot,
  setLastProbe,
} from '../store/instances.ts'
import { openToken } from '../store/tokens.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { gatewayUrlOf, probeSchema } from './instance-schemas.ts'
import { findInstance } from './instances.ts'
import { ApiProblem, invalidField } from './problem.ts'
import { body, defineRoute, json } from './route.ts'
import { idParam, idSchema, isoOrNull, shownError, timestamp } from './schemas.ts'

/** What an instance's MCP server itself says: probe, tools, a call. Straight to the server, with the instance's own headers; a call also through the gateway. */

const PROBE_TIMEOUT_MS = 30_000
const CALL_TIMEOUT_MS = 60_000

const tags = ['instances']
const toolSchema = z
  .looseObject({ name: z.string() })
  .openapi('Tool', { description: 'An MCP Tool, as the server sent it.' })

const probeRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/instances/{id}/probe',
    operationId: 'probeInstance',
    tags,
    summary: 'A real MCP handshake and all pages of the tools; both are kept',
    request: { params: idParam },
    responses: {
      200: json(
        probeSchema.extend({ warnings: z.array(z.string()), tools: z.array(toolSchema) }).openapi('ProbeResult'),
        'What was found',
      ),
    },
  },
  { resource: 'instance', action: 'probe' },
)

const toolsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/instances/{id}/tools',
  operationId: 'listInstanceTools',
  tags,
  summary: 'The tools as last seen',
  request: { params: idParam },
  responses: {
    200: json(
      z.object({
        items: z.array(toolSchema),
        nextCursor: z.null(),
        seenAt: timestamp.nullable().openapi({ description: 'Null: never probed.' }),
      }),
      'Tools',
    ),
  },
})

const outcomeSchema = z
  .object({
    ok: z.boolean().openapi({ description: 'False: the server answered with a JSON-RPC error.' }),
    result: z
      .object({
        content: z.array(z.record(z.string(), z.unknown())),
        isError: z.boolean(),
        structuredContent: z.unknown().optional(),
      })
      .nullable(),
    error: z.object({ code: z.number(), message: z.string() }).nullable(),
  })
  .openapi('ToolCallOutcome')

const callRoute = defineRoute(
  'operator',
  {
    method: 'post',
    path: '/api/v1/instances/{id}/tools/{name}/call',
    operationId: 'callInstanceTool',
    tags,
    summary:
      'Call a tool of the instance to try it: straight at the server, or through the gateway as one of its bindings',
    request: {
      params: idParam.extend({ name: z.string().max(256) }),
      body: body(
        z.strictObject({
          arguments: z.record(z.string(), z.unknown()).default({}),
          bindingId: idSchema.optional().openapi({
            description:
              'Take the way of the platform’s calls: the gateway, with this binding’s token, headers and limits.',
          }),
        }),
      ),
    },
    responses: { 200: json(outcomeSchema, 'What the server answered') },
  },
  { resource: 'instance', action: 'call-tool' },
)

export function registerInstanceTools(app: Api, deps: ApiDeps): void {
  const { store } = deps

  const targetOf = async (instance: InstanceRecord, signal: AbortSignal, timeoutMs: number) => ({
    url: instance.url,
    transport: instance.transport,
    headers: upstreamHeaders(await openHeaders(store, instance.id), await openDefaultPassThrough(store, instance.id)),
    egress: deps.egress,
    signal,
    timeoutMs,
  })

  app.openapi(probeRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    const target = await targetOf(instance, c.req.raw.signal, PROBE_TIMEOUT_MS)
    const at = new Date().toISOString()
    try {
      const { tools, warnings, ...server } = await deps.mcp.discoverTools(target)
      await saveToolSnapshot(store, {
        instanceId: instance.id,
        headerDigest: headerSetDigest(store.digest, target.headers),
        tools,
      })
      const { serverName, serverVersion, protocolVersion } = server
      const probe = { at, ok: true, error: null, serverName, serverVersion, protocolVersion, toolCount: tools.length }
      await setLastProbe(store, instance.id, probe)
      return c.json({ ...probe, error: null, warnings, tools }, 200)
    } catch (thrown) {
      if (target.signal.aborted) throw thrown
      const error = toToolferryError(thrown)
      if (error.type === 'Bug') throw thrown
      const failed: LastProbe = {
        at,
        ok: false,
        error: { type: error.type, message: error.message },
        serverName: null,
        serverVersion: null,
        protocolVersion: null,
        toolCount: null,
      }
      await setLastProbe(store, instance.id, failed)
      return c.json({ ...failed, error: shownError(error.type, error.message), warnings: [], tools: [] }, 200)
    }
  })

  app.openapi(toolsRoute, async (c) => {
    const instance = await findInstance(deps, c.req.valid('param').id)
    const snapshot = await latestToolSnapshot(store, instance.id)
    return c.json({ items: snapshot?.tools ?? [], nextCursor: null, seenAt: isoOrNull(snapshot?.seenAt ?? null) }, 200)
  })

  app.openapi(callRoute, async (c) => {
    const { id, name } = c.req.valid('param')
    const instance = await findInstance(deps, id)
    const { arguments: given, bindingId } = c.req.valid('json')
    const { signal } = c.req.raw
    const target =
      bindingId === undefined
        ? await targetOf(instance, signal, CALL_TIMEOUT_MS)
        : await gatewayTargetOf(deps, instance, bindingId, signal)
    const outcome = await deps.mcp.callTool({ ...target, name, arguments: given })
    return c.json(
      outcome.ok
        ? { ok: true, result: outcome.result, error: null }
        : { ok: false, result: null, error: outcome.error },
      200,
    )
  })
}

/** The instance behind our own gateway, as the platform of this binding calls it. */
async function gatewayTargetOf(deps: ApiDeps, instance: InstanceRecord, bindingId: string, signal: AbortSignal) {
  const binding = await getBindingView(deps.store, bindingId)
  if (binding === null || binding.instance.id !== instance.id) {
    throw invalidField('bindingId', 'This instance has no such binding.')
  }
  if (binding.token === null) {
    throw new ApiProblem(404, 'no_token', 'This binding has no token yet.', { hint: 'A sync makes one.' })
  }
  return {
    url: gatewayUrlOf(instance, deps.facts.gatewayUrl),
    transport: instance.transport,
    headers: { Authorization: `Bearer ${await openToken(deps.store, binding.token.id)}` },
    egress: deps.egress.forOwnGateway(deps.facts.gatewayUrl),
    signal,
    timeoutMs: CALL_TIMEOUT_MS,
  }
}
