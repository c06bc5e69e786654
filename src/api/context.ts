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
  /** Of a session. */
  sessionId: string | null
}

/** What a call did, for the audit: field names, never values. */
export type AuditEntry = Pick<AuditEvent, 'action' | 'resource' | 'resourceId' | 'fields' | 'outcome'>

export type ApiEnv = {
  /** Of @hono/node-server; a call that came from no socket has none. */
  Bindings: { incoming?: { socket: { remoteAddress?: string | undefined } } } | undefined
  Variables: {
    requestId: string
    principal: Principal | null
    /** The client's (src/audit/client-address.ts). */
    address: string
    /** The call's API key was not even looked at: so long must its client wait. */
    limitedSeconds: number | null
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
