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

const consoleUrl = z
  .url({ protocol: /^https?$/ })
  .max(500)
  .openapi({
    description: 'Where people open Dify’s web console, for links to its tools. Nothing is ever sent there.',
    example: 'https://dify.example.com',
  })

const rotateAfterDays = z.int().min(0).max(36_500).nullable().openapi({
  description: 'Minted tokens that are older are replaced. 0: never; null: as the installation says.',
})

export const difySettings = z.object({
  edition: z.enum(['community', 'enterprise']),
  database: difyDatabase,
  /** Platforms from before there was one have none. */
  consoleUrl: z.string().nullable().default(null),
})
export type DifySettings = z.infer<typeof difySettings>

const difyInput = z.strictObject({
  kind: z.literal('dify'),
  name: nameSchema,
  edition: z.enum(['community', 'enterprise']).default('community'),
  database: difyDatabase.extend({ password }),
  consoleUrl: consoleUrl.nullable().optional(),
  gatewayUrl: gatewayUrl.nullable().optional(),
  rotateAfterDays: rotateAfterDays.optional(),
})

const cookie = z.string().min(1).max(65_536).openapi({
  description: 'The Cookie header of a signed-in COZE user, as copied from the browser. Sealed; write-only.',
  format: 'password',
})
const baseUrl = z
  .url({ protocol: /^https?$/ })
  .max(500)
  .openapi({ description: 'Where COZE is.', example: 'https://www.coze.cn' })
const enterpriseId = z
  .string()
  .trim()
  .regex(/^[\w-]{1,64}$/, 'is of letters, digits, _ and -')
  .openapi({ description: 'Team or enterprise id, volcano_…' })
const userId = z
  .string()
  .trim()
  .regex(/^\d{1,32}$/, 'is a number, the UID in COZE’s account settings')
  .openapi({ description: 'Whose personal account it is; default: the cookie’s user.' })

/** What the store keeps of a COZE platform in clear. */
export const cozeSettings = z.object({
  baseUrl: z.string(),
  accountType: z.enum(['team', 'personal']),
  enterpriseId: z.string().nullable(),
  userId: z.string().nullable(),
  cookieUser: z.object({ id: z.string(), name: z.string() }).nullable(),
})
export type CozeSettings = z.infer<typeof cozeSettings>

const cozeInput = z.strictObject({
  kind: z.literal('coze'),
  name: nameSchema,
  /** `open-source` is known and refused with its reason, instead of as a wrong word. */
  edition: z.enum(['business', 'open-source']).default('business'),
  baseUrl: baseUrl.default('https://www.coze.cn'),
  accountType: z.enum(['team', 'personal']),
  enterpriseId: enterpriseId.optional(),
  userId: userId.optional(),
  cookie: cookie.optional(),
  gatewayUrl: gatewayUrl.nullable().optional(),
  rotateAfterDays: rotateAfterDays.optional(),
})

export const platformInput = z
  .discriminatedUnion('kind', [difyInput, cozeInput], {
    error: (issue) => (issue.code === 'invalid_union' ? 'must be "dify" or "coze"' : undefined),
  })
  .openapi('PlatformInput')
export type PlatformInput = z.infer<typeof platformInput>

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
    consoleUrl: consoleUrl.nullable().optional().openapi({ description: 'Of a Dify platform; null: none any more.' }),
    baseUrl: baseUrl.optional(),
    enterpriseId: enterpriseId.optional(),
    userId: userId.optional(),
    gatewayUrl: gatewayUrl.nullable().optional(),
    rotateAfterDays: rotateAfterDays.optional(),
  })
  .openapi('PlatformPatch')
export type PlatformPatch = z.infer<typeof platformPatch>

export const credentialInput = z
  .strictObject({
    password: password.optional().openapi({ description: 'Of a Dify database.' }),
    cookie: cookie.optional().openapi({ description: 'Of a COZE user.' }),
    confirmUserChange: z
      .boolean()
      .default(false)
      .openapi({ description: 'The cookie is of another user than before.' }),
  })
  .openapi('PlatformCredential')
export type CredentialInput = z.infer<typeof credentialInput>

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
    rotateAfterDays: z.int().nullable(),
    hasCredential: z.boolean(),
    credentialState: z.string().openapi({ description: 'none, unknown, valid, refused or expired' }),
    credentialExpiresAt: timestamp.nullable().openapi({ description: 'A hint; the platform has the last word.' }),
    credentialWarning: z.enum(['expires_in_7_days', 'expires_in_1_day', 'expired']).nullable(),
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
    account: z.object({ id: z.string(), name: z.string() }).nullable().openapi({ description: 'Whose cookie it is.' }),
    credentialExpiresAt: timestamp.nullable(),
  })
  .openapi('PlatformCheck')
