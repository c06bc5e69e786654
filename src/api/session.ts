import { randomBytes } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { KeyCheck } from '../audit/key-check.ts'
import { createConsoleSession, deleteConsoleSession } from '../store/api-keys.ts'
import { sessionCookieName, sessionPrincipal } from './auth.ts'
import type { Api } from './context.ts'
import { ROLES } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { isLoopback } from './loopback.ts'
import { ApiProblem, problemSchema } from './problem.ts'
import { body, defineRoute, json, tooManyAnswer, tooManyFailures } from './route.ts'
import { iso, timestamp } from './schemas.ts'

/** The console's session: an API key, or the one-time code that a first start prints, is exchanged for a cookie that scripts cannot read. */

const SESSION_MS = 12 * 60 * 60 * 1000

const me = z.object({ name: z.string(), role: z.enum(ROLES), via: z.enum(['key', 'session']) }).openapi('Me')

const credential = z
  .union([
    z.strictObject({ apiKey: z.string().min(1).max(512) }),
    z.strictObject({
      code: z.string().min(1).max(128).openapi({ description: 'Of the link that the server printed.' }),
    }),
  ])
  .openapi('SessionCredential')

const createSession = defineRoute(
  'anyone',
  {
    method: 'post',
    path: '/api/v1/session',
    operationId: 'createSession',
    tags: ['session'],
    summary: 'Open a console session with an API key or the one-time code',
    request: { body: body(credential) },
    responses: {
      201: json(
        z.object({ name: z.string(), role: z.enum(ROLES), expiresAt: timestamp }),
        'The session’s cookie is set',
      ),
      401: {
        content: { 'application/problem+json': { schema: problemSchema } },
        description: 'The key is not accepted, or the code was used or is too old; either is audited',
      },
      429: tooManyAnswer,
    },
  },
  { resource: 'session', action: 'create' },
)

const deleteSession = defineRoute(
  'viewer',
  {
    method: 'delete',
    path: '/api/v1/session',
    operationId: 'deleteSession',
    tags: ['session'],
    summary: 'Close the console session',
    responses: { 204: { description: 'Closed' } },
  },
  { resource: 'session', action: 'delete' },
)

const getMe = defineRoute('viewer', {
  method: 'get',
  path: '/api/v1/me',
  operationId: 'getMe',
  tags: ['session'],
  summary: 'Who I am and what I may do',
  responses: { 200: json(me, 'The caller') },
})

export function registerSession(app: Api, deps: ApiDeps, keys: KeyCheck): void {
  const { store } = deps
  // Asked for each time: the public URL may depend on the port, which is known only once we listen.
  const cookieName = () => sessionCookieName(deps.facts.publicUrl)
  const cookie = () =>
    ({ path: '/', httpOnly: true, sameSite: 'Strict', secure: deps.facts.publicUrl.startsWith('https:') }) as const

  app.openapi(createSession, async (c) => {
    const given = c.req.valid('json')
    refuseUnkeptCookie(c.req.header('origin'), deps.facts.publicUrl)
    const verdict = await keys.signIn(given, { address: c.get('address'), requestId: c.get('requestId') })
    if (verdict.key === null && verdict.waitSeconds !== null) throw tooManyFailures(verdict.waitSeconds)
    const { key } = verdict
    if (key === null && 'code' in given) {
      throw new ApiProblem(401, 'code_used', 'This link was used already, or is older than ten minutes.', {
        hint: 'Sign in with an API key, or start the server again for a new link.',
      })
    }
    if (key === null) {
      throw new ApiProblem(401, 'unauthenticated', 'This API key does not exist, has expired or was revoked.', {
        hint: 'Check the key; an admin can make a new one.',
      })
    }
    const secret = randomBytes(32).toString('base64url')
    const latest = Date.now() + SESSION_MS
    const expiresAt = new Date(Math.min(latest, key.expiresAt?.getTime() ?? latest))
    const session = await createConsoleSession(store, { apiKeyId: key.id, role: key.role, expiresAt, secret })
    c.set('principal', { via: 'session', apiKeyId: key.id, name: key.name, role: key.role, sessionId: session.id })
    c.set('auditId', session.id)
    setCookie(c, cookieName(), secret, { ...cookie(), expires: expiresAt })
    return c.json({ name: key.name, role: key.role, expiresAt: iso(expiresAt) }, 201)
  })

  app.openapi(deleteSession, async (c) => {
    const secret = getCookie(c, cookieName())
    const session = secret === undefined ? null : await sessionPrincipal(store, secret)
    if (session !== null) await deleteConsoleSession(store, session.sessionId)
    deleteCookie(c, cookieName(), cookie())
    return c.body(null, 204)
  })

  app.openapi(getMe, (c) => {
    const principal = c.get('principal')
    if (principal === null) throw new Error('the guard lets nobody in without a principal')
    return c.json({ name: principal.name, role: principal.role, via: principal.via }, 200)
  })
}

/** A browser drops a cookie for https on a page that it has by plain http, without a word: the next call would have no session. */
function refuseUnkeptCookie(origin: string | undefined, publicUrl: string): void {
  if (origin === undefined || !publicUrl.startsWith('https:') || !URL.canParse(origin)) return
  const page = new URL(origin)
  if (page.protocol !== 'http:' || isLoopback(page.hostname)) return
  throw new ApiProblem(400, 'https_needed', 'No session can be kept here: the console was opened by plain http.', {
    hint: 'TOOLFERRY_PUBLIC_URL is https, so the session is, too. Open the console by https, or on the machine itself at 127.0.0.1.',
  })
}
