import { z } from '@hono/zod-openapi'
import { idSchema, nameSchema, timestamp } from './schemas.ts'

const host = z
  .string()
  .trim()
  .min(1)
  .max(255)
  .openapi({ description: 'Host name or IP, no scheme.', example: 'db.example.com' })

/** A Dify database's address, without its password. */
export const difyDatabase = z
  .strictObject({
    engine: z.enum(['postgresql', 'mysql']),
    host,
    port: z.int().min(1).max(65535),
    user: z.string().min(1).max(128),
    database: z.string().min(1).max(128),
    tls: z.enum(['disable', 'prefer', 'require', 'verify-full']).default('prefer'),
  })
  .openapi('DifyDatabase')

const password = z
  .string()
  .min(1)
  .max(1024)
  .openapi({ description: 'Sealed; write-only. Taken as it is, spaces and quotes included.', format: 'password' })

const gatewayUrl = z
  .url({ protocol: /^https?$/ })
  .max(500)
  .openapi({ description: 'The gateway as this platform reaches it.' })

export const difySettings = z.object({
  edition: z.enum(['community', 'enterprise']),
  database: difyDatabase,
})
export type DifySettings = z.infer<typeof difySettings>

const difyInput = z.strictObject({
  kind: z.literal('dify'),
  name: nameSchema,
  edition: z.enum(['community', 'enterprise']).default('community'),
  database: difyDatabase.extend({ password }),
  gatewayUrl: gatewayUrl.nullable().optional(),
})

/** Known and refused for now with a reason of its own, instead of as a wrong word. */
const cozeInput = z.looseObject({ kind: z.literal('coze') })

export const platformInput = z
  .discriminatedUnion('kind', [difyInput, cozeInput], {
    error: (issue) => (issue.code === 'invalid_union' ? 'must be "dify" or "coze"' : undefined),
  })
  .openapi('PlatformInput')
export type DifyInput = z.infer<typeof difyInput>

export const platformPatch = z
  .strictObject({
    name: nameSchema.optional(),
    edition: z.enum(['community', 'enterprise']).optional(),
    database: z
      .strictObject({
        engine: z.enum(['postgresql', 'mysql']).optional(),
        host: host.optional(),
        port: z.int().min(1).max(65535).optional(),
        user: z.string().min(1).max(128).optional(),
        database: z.string().min(1).max(128).optional(),
        tls: z.enum(['disable', 'prefer', 'require', 'verify-full']).optional(),
        password: password.optional(),
      })
      .optional(),
    gatewayUrl: gatewayUrl.nullable().optional(),
  })
  .openapi('PlatformPatch')
export type PlatformPatch = z.infer<typeof platformPatch>

export const credentialInput = z.strictObject({ password }).openapi('PlatformCredential')

export const platformSchema = z
  .object({
    id: idSchema,
    kind: z.enum(['dify', 'coze']),
    name: z.string(),
    settings: z.record(z.string(), z.unknown()).openapi({ description: 'Where it points to; no secrets.' }),
    gatewayUrl: z.string().nullable(),
    effectiveGatewayUrl: z
      .string()
      .openapi({ description: 'What the platform calls: its own gateway URL, else the public URL.' }),
    hasCredential: z.boolean(),
    credentialState: z.string().openapi({ description: 'none, unknown, valid, refused or expired' }),
    credentialExpiresAt: timestamp.nullable(),
    status: z.string().openapi({ description: 'active or removing' }),
    checkedAt: timestamp.nullable(),
    rowVersion: z.int(),
    createdAt: timestamp,
    updatedAt: timestamp,
  })
  .openapi('Platform')

export const checkSchema = z
  .object({
    ok: z.boolean(),
    version: z.string().nullable(),
    error: z.object({ type: z.string(), message: z.string(), field: z.string().optional() }).nullable(),
    hints: z.array(z.string()),
    findings: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })),
    spaces: z.int().nullable(),
  })
  .openapi('PlatformCheck')
