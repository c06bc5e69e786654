import type { MiddlewareHandler } from 'hono'
import { getCookie } from 'hono/cookie'
import { type ApiKeyRecord, findApiKey, findConsoleSession, getApiKey, touchApiKey } from '../store/api-keys.ts'
import type { Store } from '../store/store.ts'
import type { ApiEnv, Principal } from './context.ts'
import type { ApiDeps } from './deps.ts'

const MAX_KEY_CHARS = 512
const TOUCH_EVERY_MS = 60_000

/**
 * Finds out who calls: an API key, else a console session. Decides nothing; every route's guard does. A wrong API key is
 * nobody, even with a good cookie beside it.
 */
export function identify(deps: ApiDeps): MiddlewareHandler<ApiEnv> {
  const touched = new Map<string, number>()

  async function noteUse(key: ApiKeyRecord): Promise<void> {
    const now = Date.now()
    if (now - (touched.get(key.id) ?? 0) < TOUCH_EVERY_MS) return
    touched.set(key.id, now)
    await touchApiKey(deps.store, key.id, new Date(now))
  }

  return async (c, next) => {
    const authorization = c.req.header('authorization')
    if (authorization !== undefined) {
      const key = await keyOf(deps.store, authorization)
      if (key !== null) {
        await noteUse(key)
        c.set('principal', { via: 'key', apiKeyId: key.id, name: key.name, role: key.role })
      }
    } else {
      const secret = getCookie(c, sessionCookieName(deps.facts.publicUrl))
      if (secret !== undefined) c.set('principal', await sessionPrincipal(deps.store, secret))
    }
    await next()
  }
}

/** `__Host-` binds a cookie to this very host over https; browsers refuse the prefix on plain http, which only a loopback server uses. */
export function sessionCookieName(publicUrl: string): string {
  return publicUrl.startsWith('https:') ? '__Host-toolferry' : 'toolferry'
}

/** The session of this secret as long as the API key that opened it is good. */
export async function sessionPrincipal(
  store: Store,
  secret: string,
): Promise<(Principal & { sessionId: string }) | null> {
  if (secret.length > MAX_KEY_CHARS) return null
  const session = await findConsoleSession(store, secret)
  if (session === null || session.apiKeyId === null) return null
  const key = await getApiKey(store, session.apiKeyId)
  const expired = key?.expiresAt != null && key.expiresAt <= new Date()
  if (key === null || key.revokedAt !== null || expired) return null
  return { via: 'session', apiKeyId: key.id, name: key.name, role: key.role, sessionId: session.id }
}

async function keyOf(store: Store, authorization: string): Promise<ApiKeyRecord | null> {
  const secret = /^bearer +(\S+) *$/i.exec(authorization)?.[1]
  if (secret === undefined || secret.length > MAX_KEY_CHARS) return null
  return findApiKey(store, secret)
}
