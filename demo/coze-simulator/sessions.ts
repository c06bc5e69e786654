import { createHash, randomBytes } from 'node:crypto'
import type { SessionLoss } from './options.ts'
import type { World } from './world.ts'

/** Cookies as a browser has them after a login (coze.md §3.2), and what they are worth. */

/** 60 days: the usual life. */
export const SESSION_TTL_S = 5_184_000

/** Opens a session; answers the cookie as copied from a browser. */
export function openSession(world: World, userId: string, ttlS: number = SESSION_TTL_S): string {
  const sessionId = randomBytes(16).toString('hex')
  const nowMs = world.clock.nowMs()
  world.sessions.set(sessionId, { sessionId, userId, expiresMs: nowMs + ttlS * 1000, lost: null })
  return cookieOf(sessionId, Math.floor(nowMs / 1000), ttlS)
}

function cookieOf(sessionId: string, issuedS: number, ttlS: number): string {
  const hex = (bytes: number) => randomBytes(bytes).toString('hex')
  const until = new Date((issuedS + ttlS) * 1000).toUTCString().replace(/^(\w+), (\d+) (\w+) (\d+)/, '$1, $2-$3-$4')
  const guard = encodeURIComponent(`${sessionId}|${issuedS}|${ttlS}|${until}`).replaceAll('%20', '+')
  const [uid, ucp] = [hex(16), `1.0.0-${Buffer.from(hex(12)).toString('base64url')}`]
  const csrf = hex(16)
  return Object.entries({
    i18next: 'zh-CN',
    s_v_web_id: `verify_${hex(6)}`,
    passport_csrf_token: csrf,
    passport_csrf_token_default: csrf,
    ttwid: encodeURIComponent(`1|${hex(16)}|${issuedS}|${hex(32)}`),
    odin_tt: hex(48),
    passport_auth_status: hex(16),
    sid_guard: guard,
    uid_tt: uid,
    uid_tt_ss: uid,
    sid_tt: sessionId,
    sessionid: sessionId,
    sessionid_ss: sessionId,
    sid_ucp_v1: ucp,
    ssid_ucp_v1: ucp,
    'store-region': 'cn-bj',
    msToken: hex(32),
  })
    .map(([name, value]) => `${name}=${value}`)
    .join('; ')
}

/** Who calls; or how the answer looks to somebody who is not (or no longer) logged in. */
export function judgeCookie(
  world: World,
  cookie: string | undefined,
): { userId: string; sessionId: string } | { loss: SessionLoss } {
  const pairs = parseCookie(cookie ?? '')
  const [main = 'sessionid', ...others] = world.switches.requiredCookies
  const session = world.sessions.get(pairs.get(main) ?? '')
  if (session === undefined) return { loss: world.switches.sessionLoss }
  if (session.lost !== null) return { loss: session.lost }
  if (session.expiresMs <= world.clock.nowMs()) return { loss: world.switches.sessionLoss }
  if (others.some((name) => !pairs.has(name))) return { loss: world.switches.sessionLoss }
  return { userId: session.userId, sessionId: session.sessionId }
}

export function loseSessions(
  world: World,
  who: { userId: string } | { cookie: string },
  shape: SessionLoss = world.switches.sessionLoss,
): void {
  if ('userId' in who) {
    for (const session of world.sessions.values()) if (session.userId === who.userId) session.lost = shape
    return
  }
  const session = world.sessions.get(parseCookie(who.cookie).get('sessionid') ?? '')
  if (session === undefined) throw new Error('No session has this cookie.')
  session.lost = shape
}

export function parseCookie(cookie: string): Map<string, string> {
  const pairs = new Map<string, string>()
  for (const part of cookie.split(';')) {
    const at = part.indexOf('=')
    if (at <= 0) continue
    const name = part.slice(0, at).trim()
    if (!pairs.has(name)) pairs.set(name, part.slice(at + 1).trim())
  }
  return pairs
}

/** What stands for a cookie in logs and views. */
export function hashText(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 12)}`
}
