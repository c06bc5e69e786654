import { z } from '@hono/zod-openapi'
import { type InstanceRecord, openDefaultPassThrough, openHeaders } from '../store/instances.ts'
import type { Store } from '../store/store.ts'
import type { ApiRole } from './context.ts'
import {
  errorSchema,
  headersInput,
  idSchema,
  iso,
  maskedHeaders,
  maskHeaders,
  nameSchema,
  shownError,
  timestamp,
  urlWithoutQueryValues,
} from './schemas.ts'

const transport = z.enum(['streamable-http', 'sse'])
const accessMode = z.enum(['token', 'anonymous'])
const url = z
  .string()
  .min(1)
  .max(4000)
  .openapi({ description: 'http or https, without user name or password.', example: 'https://mcp.example.com/mcp' })
const description = z.string().max(4000)

const timeoutMs = (maxMs: number) => z.int().min(100).max(maxMs).nullable()
/** As the gateway reads them (src/gateway/view.ts); null or absent is its default. */
const limits = z
  .strictObject({
    connectTimeoutMs: timeoutMs(120_000).openapi({ description: 'Until a connection stands. Default 10 s.' }),
    headersTimeoutMs: timeoutMs(3_600_000).openapi({ description: 'Until an answer begins. Default 60 s.' }),
    idleTimeoutMs: timeoutMs(86_400_000).openapi({ description: 'Silence within an answer. Default: no limit.' }),
    requestsPerSecond: z.int().min(1).max(100_000).nullable().openapi({
      description:
        'Of one binding, manual token, or all anonymous callers, on each machine that runs gateways. Default: no limit.',
    }),
    maxOpenRequests: z.int().min(1).max(100_000).nullable().openapi({
      description: 'As above, at one time; an open stream is one. Default: no limit.',
    }),
    tokenInQuery: z.boolean().nullable().openapi({
      description: 'Whether ?token= is accepted too. URLs end up in logs of others. Default: no.',
    }),
  })
  .partial()
  .openapi('GatewayLimits')

export const instanceInput = z
  .strictObject({
    name: nameSchema,
    description: description.optional(),
    transport: transport.default('streamable-http'),
    url,
    headers: headersInput.optional(),
    defaultPassThroughHeaders: headersInput.optional(),
    accessMode: accessMode.default('token'),
    forwardAuthorization: z.boolean().default(false),
    limits: limits.default({}),
  })
  .openapi('InstanceInput')

export const instancePatch = z
  .strictObject({
    name: nameSchema.optional(),
    description: description.optional(),
    transport: transport.optional(),
    url: url.optional(),
    headers: headersInput.optional(),
    defaultPassThroughHeaders: headersInput.optional(),
    accessMode: accessMode.optional(),
    forwardAuthorization: z.boolean().optional(),
    limits: limits.optional().openapi({ description: 'Replaces all of them.' }),
    status: z.enum(['active', 'inactive']).optional(),
  })
  .openapi('InstancePatch')

export const probeSchema = z
  .object({
    at: timestamp,
    ok: z.boolean(),
    error: errorSchema.nullable(),
    serverName: z.string().nullable(),
    serverVersion: z.string().nullable(),
    protocolVersion: z.string().nullable(),
    toolCount: z.int().nullable(),
  })
  .openapi('Probe')

export const instanceSchema = z
  .object({
    id: idSchema,
    name: z.string(),
    description: z.string(),
    transport,
    url: z.string().openapi({ description: 'For viewers, the values of its query are masked.' }),
    headers: maskedHeaders,
    defaultPassThroughHeaders: maskedHeaders,
    accessMode,
    forwardAuthorization: z.boolean(),
    limits,
    status: z.string().openapi({ description: 'active, inactive or removing' }),
    gatewayUrl: z.string().openapi({ description: 'Where clients reach it through the gateway.' }),
    lastProbe: probeSchema.nullable(),
    rowVersion: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('Instance')

/** The instance as `role` may see it; sealed headers as their names. */
export async function showInstance(
  store: Store,
  instance: InstanceRecord,
  view: { publicUrl: string; role: ApiRole },
): Promise<z.infer<typeof instanceSchema>> {
  const headers = instance.hasHeaders ? await openHeaders(store, instance.id) : {}
  const passThrough = instance.hasDefaultPassThrough ? await openDefaultPassThrough(store, instance.id) : {}
  const probe = instance.lastProbe
  return {
    id: instance.id,
    name: instance.name,
    description: instance.description,
    transport: instance.transport,
    url: view.role === 'viewer' ? urlWithoutQueryValues(instance.url) : instance.url,
    headers: maskHeaders(Object.keys(headers)),
    defaultPassThroughHeaders: maskHeaders(Object.keys(passThrough)),
    accessMode: instance.accessMode,
    forwardAuthorization: instance.forwardAuthorization,
    limits: instance.limits,
    status: instance.status,
    gatewayUrl: gatewayUrlOf(instance, view.publicUrl),
    lastProbe:
      probe === null ? null : { ...probe, error: shownError(probe.error?.type ?? null, probe.error?.message ?? null) },
    rowVersion: instance.rowVersion,
    createdAt: iso(instance.createdAt),
    updatedAt: iso(instance.updatedAt),
  }
}

/** `<gateway>/mcp-gateway/<id>/mcp` or `/sse` (architecture §7). */
export function gatewayUrlOf(instance: Pick<InstanceRecord, 'id' | 'transport'>, gatewayUrl: string): string {
  return `${gatewayUrl.replace(/\/+$/, '')}/mcp-gateway/${instance.id}/${instance.transport === 'sse' ? 'sse' : 'mcp'}`
}
