import { z } from '@hono/zod-openapi'
import { DEPLOYMENT_STATES } from '../domain/states.ts'
import type { BindingView } from '../store/binding-views.ts'
import { openPassThrough } from '../store/bindings.ts'
import type { Store } from '../store/store.ts'
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
    deployment: z.object({
      state: z.enum(DEPLOYMENT_STATES),
      remoteId: z.string().nullable(),
      driftFields: z.array(z.string()),
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

/** Pass-through headers as their names, the token as its first characters. */
export async function showBinding(store: Store, view: BindingView): Promise<z.infer<typeof bindingSchema>> {
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
    deployment: {
      state: deployment.state,
      remoteId: deployment.identity?.id ?? null,
      driftFields: deployment.driftFields,
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
