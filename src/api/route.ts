import { createRoute, type RouteConfig } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import type { AuditAction, AuditResource } from '../audit/events.ts'
import { FAILURE_WINDOW_MS, MAX_FAILURES } from '../audit/key-check.ts'
import { type ApiEnv, type ApiRole, hasRole } from './context.ts'
import { ApiProblem, problemSchema } from './problem.ts'

/** Every route is made here, so that none can be without a role, an audit entry and the problem answers. */

/** What the audit calls this route; every route but a GET has it. */
type RouteAudit = {
  resource: AuditResource
  action: AuditAction
  /** Audits refusals of every kind, not only a missing role. */
  refusals?: boolean
}

type NamedRoute<P extends string> = Omit<RouteConfig, 'path' | 'middleware'> & {
  path: P
  operationId: string
  tags: string[]
  summary: string
}

export function defineRoute<P extends string, R extends NamedRoute<P>>(
  needs: ApiRole | 'anyone',
  config: R,
  audit: RouteAudit | null = null,
): ReturnType<typeof createRoute<P, R>> {
  if (config.method !== 'get' && audit === null) throw new Error(`${config.operationId} needs its audit entry`)
  const problems = {
    ...(needs === 'anyone'
      ? {}
      : {
          401: problemAnswer('No valid credential'),
          403: problemAnswer('The role is too low'),
          429: tooManyAnswer,
        }),
    default: problemAnswer('Every other refusal'),
  }
  const full = {
    ...config,
    responses: { ...problems, ...config.responses },
    security: needs === 'anyone' ? [] : [{ apiKey: [] }, { session: [] }],
    'x-required-role': needs,
    middleware: [guard(needs, config.method, audit)],
  }
  // The middleware adds nothing to the types, and the problem answers are thrown, never returned: R is what handlers see.
  return createRoute<P, R>(full)
}

/** One JSON answer, for a route's `responses`. */
export function json<S>(schema: S, description: string) {
  return { content: { 'application/json': { schema } }, description }
}

/** A JSON body that must be there, for a route's `request`. */
export function body<S>(schema: S) {
  return { content: { 'application/json': { schema } }, required: true as const }
}

/** Names of the properties a body sets, two levels deep: what the audit keeps of it. Never a value. */
export function fieldNames(value: unknown): string[] {
  if (!isRecord(value)) return []
  const names = new Set<string>()
  for (const [key, inner] of Object.entries(value)) {
    const nested = Array.isArray(inner) ? inner.filter(isRecord) : isRecord(inner) ? [inner] : []
    const subKeys = new Set(nested.flatMap((item) => Object.keys(item)))
    if (subKeys.size === 0) names.add(key)
    for (const subKey of subKeys) names.add(`${key}${Array.isArray(inner) ? '[]' : ''}.${subKey}`)
  }
  return [...names].map((name) => name.slice(0, 100)).slice(0, 50)
}

function problemAnswer(description: string) {
  return { content: { 'application/problem+json': { schema: problemSchema } }, description }
}

/** For a route's `responses`. */
export const tooManyAnswer = {
  ...problemAnswer(
    `More than ${MAX_FAILURES} wrong keys or codes in ${FAILURE_WINDOW_MS / 1000} s from the caller’s address, or another limit`,
  ),
  headers: { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' as const } } },
}

export function tooManyFailures(waitSeconds: number): ApiProblem {
  return new ApiProblem(429, 'too_many_failures', 'Too many wrong keys or codes came from this address.', {
    hint: `Wait ${waitSeconds} s, then try again with a good API key.`,
    headers: { 'retry-after': String(waitSeconds) },
  })
}

function guard(needs: ApiRole | 'anyone', method: string, audit: RouteAudit | null): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const principal = c.get('principal')
    const record = async (outcome: 'allowed' | 'refused') => {
      if (audit === null) return
      const sent = outcome === 'allowed' ? await c.req.json().catch(() => null) : null
      await c.get('audit')({
        action: audit.action,
        resource: audit.resource,
        resourceId: c.get('auditId') ?? c.req.param('tokenId') ?? c.req.param('id') ?? null,
        fields: fieldNames(sent),
        outcome,
      })
    }
    if (needs !== 'anyone') {
      const limited = c.get('limitedSeconds')
      if (limited !== null) throw tooManyFailures(limited)
      if (principal === null) throw unauthenticated()
      if (!hasRole(principal.role, needs)) {
        await record('refused')
        throw new ApiProblem(403, 'forbidden', `This needs the role ${needs}; the caller has ${principal.role}.`, {
          hint: `Use an API key with the role ${needs}.`,
        })
      }
    }
    if (principal?.via === 'session' && method !== 'get') checkSameOrigin(c.req, method)
    await next()
    if (c.res.status < 400) await record('allowed')
    else if (audit?.refusals === true) await record('refused')
  }
}

function unauthenticated(): ApiProblem {
  return new ApiProblem(401, 'unauthenticated', 'The call has no valid API key or session.', {
    hint: 'Send Authorization: Bearer <api key>.',
    headers: { 'www-authenticate': 'Bearer realm="toolferry"' },
  })
}

/** A browser sends cookies by itself, so a write with one must prove that our own pages made it. */
function checkSameOrigin(request: { url: string; header(name: string): string | undefined }, method: string): void {
  const origin = request.header('origin')
  const host = new URL(request.url).host
  const sameOrigin = origin !== undefined && URL.canParse(origin) && new URL(origin).host === host
  if (!sameOrigin) {
    throw new ApiProblem(
      403,
      'foreign_origin',
      'A call with a session cookie must come from this server’s own pages.',
      {
        hint: 'Call from the console, or send an API key instead of the cookie.',
      },
    )
  }
  const isJson = /^application\/json\b/i.test(request.header('content-type') ?? '')
  if (method !== 'delete' && !isJson) {
    throw new ApiProblem(415, 'unsupported_media_type', 'A call with a session cookie must be JSON.', {
      hint: 'Send Content-Type: application/json.',
    })
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
