import { z } from '@hono/zod-openapi'
import { retirementOf } from '../domain/retirement.ts'
import { DEPLOYMENT_STATES } from '../domain/states.ts'
import type { BindingView } from '../store/binding-views.ts'
import { openPassThrough } from '../store/bindings.ts'
import type { TokenRecord } from '../store/tokens.ts'
import { UPSTREAM_TOOLS } from '../store/tool-changes.ts'
import type { ApiDeps } from './deps.ts'
import { EXPIRY_PRESETS } from './input-rules.ts'
import {
  errorSchema,
  headersInput,
  idSchema,
  iso,
  isoOrNull,
  maskedHeaders,
  maskHeaders,
  shownError,
  timestamp,
} from './schemas.ts'

const patchFields = {
  enabled: z.boolean().optional(),
  expiresAt: timestamp.nullable().optional().openapi({ description: 'Null: never.' }),
  expiresIn: z.enum(EXPIRY_PRESETS).optional().openapi({ description: 'Instead of expiresAt, from now on.' }),
  passThroughHeaders: headersInput
    .nullable()
    .optional()
    .openapi({ description: 'Null: the instance’s defaults. {}: none.' }),
  toolAllowList: z
    .array(z.string().min(1).max(256))
    .max(2000)
    .nullable()
    .optional()
    .openapi({ description: 'Null: every tool.' }),
  tags: z.array(z.string().trim().min(1).max(64)).max(50).optional(),
}

export const bindingPatch = z.strictObject(patchFields).openapi('BindingPatch')
export type BindingPatchInput = z.infer<typeof bindingPatch>

export const bindingBatch = z
  .strictObject({
    changes: z
      .array(z.strictObject({ id: idSchema, rowVersion: z.int().min(1), ...patchFields }))
      .min(1)
      .max(500),
  })
  .openapi('BindingBatch')

export const formerToken = z
  .object({
    id: idSchema,
    start: z.string().openapi({ description: 'The visible first characters.' }),
    origin: z.enum(['minted', 'custom']),
    stage: z.enum(['waiting', 'grace', 'still_used', 'over']).openapi({
      description:
        'waiting: its platform may still hold it. grace: it ends once it has gone unused. still_used: the grace period is over, and somebody still sends it. over: it ends any moment.',
    }),
    stillUsed: z.boolean(),
    endsAt: timestamp.nullable().openapi({ description: 'Unless it is used again. Null: while it waits.' }),
    lastUsedAt: timestamp.nullable(),
    retiringAt: timestamp.nullable(),
  })
  .openapi('FormerToken')

export const bindingSchema = z
  .object({
    id: idSchema,
    instance: z.object({ id: idSchema, name: z.string(), transport: z.string(), status: z.string() }),
    space: z.object({ id: idSchema, name: z.string(), remoteId: z.string(), archived: z.boolean() }),
    platform: z.object({ id: idSchema, name: z.string(), kind: z.string() }),
    enabled: z.boolean(),
    expiresAt: timestamp.nullable(),
    access: z.enum(['granted', 'disabled', 'expired']).openapi({ description: 'What the gateway makes of it now.' }),
    enforceable: z.boolean().openapi({ description: 'False: the instance is open to anonymous callers.' }),
    passThroughHeaders: maskedHeaders.nullable().openapi({ description: 'Null: the instance’s defaults.' }),
    toolAllowList: z.array(z.string()).nullable(),
    tags: z.array(z.string()),
    token: z
      .object({
        id: idSchema,
        start: z.string().openapi({ description: 'The visible first characters.' }),
        origin: z.enum(['minted', 'custom']),
        provenAt: timestamp
          .nullable()
          .openapi({ description: 'When a handshake through the gateway succeeded with it.' }),
        expiresAt: timestamp.nullable(),
        lastUsedAt: timestamp.nullable(),
        createdAt: timestamp,
      })
      .nullable()
      .openapi({ description: 'Null: none was made yet.' }),
    formerTokens: z
      .array(formerToken)
      .openapi({ description: 'Tokens that were replaced and are still good, the newest first.' }),
    deployment: z.object({
      state: z.enum(DEPLOYMENT_STATES),
      remoteId: z.string().nullable(),
      driftFields: z.array(z.string()),
      driftReason: z
        .string()
        .nullable()
        .openapi({ description: 'What drifted, in words.', example: 'tools changed upstream' }),
      driftSince: timestamp.nullable(),
      error: errorSchema.nullable(),
      lastSyncId: idSchema.nullable(),
      appliedAt: timestamp.nullable(),
      verifiedAt: timestamp.nullable(),
    }),
    rowVersion: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('Binding')

export const changedBinding = bindingSchema
  .extend({ effective: z.boolean().openapi({ description: 'Every live gateway has seen the change.' }) })
  .openapi('ChangedBinding')

/** As recordCheck notes it: the gateway's address is not the one that was written. */
const GATEWAY_URL = 'gateway-url'

/** Null: nothing has drifted. */
function driftReasonOf(fields: readonly string[]): string | null {
  const ours = [UPSTREAM_TOOLS, GATEWAY_URL]
  const onPlatform = fields.filter((field) => !ours.includes(field) && field !== 'deleted')
  const reasons = [
    ...(fields.includes('deleted') ? ['deleted on the platform'] : []),
    ...(onPlatform.length > 0 ? [`changed on the platform: ${onPlatform.join(', ')}`] : []),
    ...(fields.includes(UPSTREAM_TOOLS) ? ['tools changed upstream'] : []),
    ...(fields.includes(GATEWAY_URL) ? ['the gateway has moved'] : []),
  ]
  return reasons.length === 0 ? null : reasons.join('; ')
}

/** A retiring token as people see it. `defaultGraceSeconds`: of the installation. */
export function showFormer(
  token: TokenRecord,
  defaultGraceSeconds: number,
  now: Date = new Date(),
): z.infer<typeof formerToken> {
  const { stage, endsAt } = retirementOf(token, defaultGraceSeconds, now)
  return {
    id: token.id,
    start: token.start,
    origin: token.origin,
    stage,
    stillUsed: stage === 'still_used',
    endsAt: isoOrNull(endsAt),
    lastUsedAt: isoOrNull(token.lastUsedAt),
    retiringAt: isoOrNull(token.retiringAt),
  }
}

/** Pass-through headers as their names, the token as its first characters. */
export async function showBinding(
  { store, facts }: Pick<ApiDeps, 'store' | 'facts'>,
  view: BindingView,
): Promise<z.infer<typeof bindingSchema>> {
  const passThrough = view.hasOwnPassThrough ? await openPassThrough(store, view.id) : null
  const { deployment, token, instance } = view
  const expired = [view.expiresAt, token?.expiresAt ?? null].some((end) => end !== null && end <= new Date())
  return {
    id: view.id,
    instance: { id: instance.id, name: instance.name, transport: instance.transport, status: instance.status },
    space: view.space,
    platform: view.platform,
    enabled: view.enabled,
    expiresAt: isoOrNull(view.expiresAt),
    access: !view.enabled ? 'disabled' : expired ? 'expired' : 'granted',
    enforceable: instance.accessMode === 'token',
    passThroughHeaders: passThrough === null ? null : maskHeaders(Object.keys(passThrough)),
    toolAllowList: view.toolAllowList,
    tags: view.tags,
    token:
      token === null
        ? null
        : {
            id: token.id,
            start: token.start,
            origin: token.origin,
            provenAt: isoOrNull(token.provenAt),
            expiresAt: isoOrNull(token.expiresAt),
            lastUsedAt: isoOrNull(token.lastUsedAt),
            createdAt: iso(token.createdAt),
          },
    formerTokens: view.formerTokens.map((former) => showFormer(former, facts.tokenGraceSeconds)),
    deployment: {
      state: deployment.state,
      remoteId: deployment.identity?.id ?? null,
      driftFields: deployment.driftFields,
      driftReason: driftReasonOf(deployment.driftFields),
      driftSince: isoOrNull(deployment.driftSince),
      error: shownError(deployment.lastErrorType, deployment.lastErrorMessage),
      lastSyncId: deployment.lastSyncId,
      appliedAt: isoOrNull(deployment.appliedAt),
      verifiedAt: isoOrNull(deployment.verifiedAt),
    },
    rowVersion: view.rowVersion,
    createdAt: iso(view.createdAt),
    updatedAt: iso(view.updatedAt),
  }
}
