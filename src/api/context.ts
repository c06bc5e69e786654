import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { AuditEvent } from '../audit/events.ts'

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type ApiRole = (typeof ROLES)[number]

/** Who calls. `name` is what the audit shows. */
export type Principal = {
  via: 'key' | 'session'
  apiKeyId: string | null
  name: string
  role: ApiRole
}

/** What a call did, for the audit: field names, never values. */
export type AuditEntry = Pick<AuditEvent, 'action' | 'resource' | 'resourceId' | 'fields' | 'outcome'>

export type ApiEnv = {
  Variables: {
    requestId: string
    principal: Principal | null
    /** The id of what a mutating call made or changed, when it is not in the path. */
    auditId: string | null
    audit: (entry: AuditEntry) => Promise<void>
  }
}

export type Api = OpenAPIHono<ApiEnv>
export type ApiContext = Context<ApiEnv>

/** viewer < operator < admin. */
export function hasRole(held: ApiRole, needed: ApiRole): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed)
}
