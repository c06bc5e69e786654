import type { MiddlewareHandler } from 'hono'
import { getCookie } from 'hono/cookie'
import { clientAddressOf } from '../audit/client-address.ts'
import { bearerOf, type KeyCheck, MAX_KEY_CHARS } from '../audit/key-check.ts'
import { type ApiKeyRecord, findConsoleSession, getApiKey, getConsoleSession, touchApiKey } from '../store/api-keys.ts'
import type { Store } from '../store/store.ts'
import type { ApiEnv, Principal } from './context.ts'
import type { ApiDeps } from './deps.ts'

const TOUCH_EVERY_MS = 60_000

/**
 * Finds out who calls: an API key, else a console session. Decides nothing; every route's guard does. A wrong API key is
 * nobody, even with a good cookie beside it.
 */
export function identify(deps: ApiDeps, keys: KeyCheck): MiddlewareHandler<ApiEnv> {
  const addressOf = clientAddressOf(deps.trustedProxies)
  const touched = new Map<string, number>()

  async function noteUse(key: ApiKeyRecord): Promise<void> {
    const now = Date.now()
    if (now - (touched.get(key.id) ?? 0) < TOUCH_EVERY_MS) return
    touched.set(key.id, now)
    await touchApiKey(deps.store, key.id, new Date(now))
  }

  return async (c, next) => {
    const authorization = c.req.header('authorization')
    const address = addressOf({
      remoteAddress: c.env?.incoming?.socket.remoteAddress,
      forwardedFor: c.req.header('x-forwarded-for'),
    })
    c.set('address', address)
    if (authorization !== undefined) {
      const secret = bearerOf(authorization)
      const verdict = secret === null ? null : await keys.apiKey(secret, { address, requestId: c.get('requestId') })
      if (verdict !== null && verdict.key !== null) {
        const { key } = verdict
        await noteUse(key)
        c.set('principal', { via: 'key', apiKeyId: key.id, name: key.name, role: key.role, sessionId: null })
      } else if (verdict !== null) c.set('limitedSeconds', verdict.waitSeconds)
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
  const key = await goodKey(store, session.apiKeyId)
  return key === null
    ? null
    : { via: 'session', apiKeyId: key.id, name: key.name, role: key.role, sessionId: session.id }
}

async function goodKey(store: Store, id: string): Promise<ApiKeyRecord | null> {
  const key = await getApiKey(store, id)
  return key === null || key.revokedAt !== null || isOver(key.expiresAt) ? null : key
}

function isOver(expiresAt: Date | null): boolean {
  return expiresAt !== null && expiresAt <= new Date()
}

/** How long an answer that goes on may outlive the right to it. */
const RIGHT_ASKED_EVERY_MS = 500

/**
 * For an answer that goes on: whether who asked for it may still have it, their API key being neither revoked nor expired and
 * their session open. Asks the store twice a second at most.
 */
export function rightOf(store: Store, principal: Principal | null): () => Promise<boolean> {
  let askedAtMs = performance.now()
  let held = principal !== null
  const ask = async ({ apiKeyId, sessionId, via }: Principal): Promise<boolean> => {
    if (apiKeyId === null || (await goodKey(store, apiKeyId)) === null) return false
    if (via === 'key') return true
    const session = sessionId === null ? null : await getConsoleSession(store, sessionId)
    return session !== null && !isOver(session.expiresAt)
  }
  return async () => {
    if (principal === null || !held) return false
    const nowMs = performance.now()
    if (nowMs - askedAtMs >= RIGHT_ASKED_EVERY_MS) {
      askedAtMs = nowMs
      held = await ask(principal)
    }
    return held
  }
}
