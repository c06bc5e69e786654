import type { IncomingHttpHeaders } from 'node:http'
import { checkTokenFormat } from '../domain/token.ts'
import type { RefusalCode } from './refusal.ts'
import type { GatewayCredential, GatewayInstance } from './view.ts'

/** In order of precedence; none of them ever goes upstream (but `authorization`, where the instance forwards it). */
const CREDENTIAL_HEADERS = ['authorization', 'x-mcp-authorization', 'api-key', 'x-api-key'] as const
const MAX_TOKEN_LENGTH = 4096

/** The first credential of a request: `Bearer <token>` or the raw token. An instance that forwards `Authorization` looks at the others only. */
export function presentedToken(headers: IncomingHttpHeaders, forwardAuthorization: boolean): string | null {
  for (const name of CREDENTIAL_HEADERS) {
    if (forwardAuthorization && name === 'authorization') continue
    const token = bareToken(headers[name])
    if (token !== null) return token
  }
  return null
}

/** The credential of `?token=`, for instances that allow it; null if there is none. */
export function queryToken(target: string): string | null {
  const query = target.indexOf('?')
  return query === -1 ? null : bareToken(new URLSearchParams(target.slice(query + 1)).get('token') ?? undefined)
}

/** A header's value without its `Bearer`; null if there is nothing that could be a token. */
export function bareToken(value: string | string[] | undefined): string | null {
  if (typeof value !== 'string' || value.length > MAX_TOKEN_LENGTH) return null
  const bare = /^bearer(?:$|[ \t])/i.test(value) ? value.slice(6).trim() : value.trim()
  return bare === '' ? null : bare
}

/** Whether a text holds one of our minted tokens (`tfg_…`, `tfa_…`, architecture §9), known or not. */
export function holdsMinted(text: string): boolean {
  return /(?:^|[^0-9A-Za-z])tf[ga]_[0-9A-Za-z]{38}(?:$|[^0-9A-Za-z])/.test(text)
}

/** Whether a token looks like one of ours but has a typo in it; nobody can own it (custom tokens of that look are refused). */
export function isMistyped(token: string | null): boolean {
  return token !== null && /^tf[ga]_/.test(token) && checkTokenFormat(token) === null
}

/**
 * Whether a credential may use an instance now (`now` gives Unix time in ms); null = it may.
 *
 * | token    | instance       | binding            | expiry | verdict                  |
 * | -------- | -------------- | ------------------ | ------ | ------------------------ |
 * | revoked  | any            | any                | any    | 401 credential_revoked   |
 * | known    | another one    | any                | any    | 403 wrong_instance       |
 * | known    | not active     | any                | any    | 403 instance_inactive    |
 * | known    | active         | disabled           | any    | 403 binding_disabled     |
 * | known    | active         | enabled            | passed | 403 …_expired            |
 */
export function judgeCredential(
  credential: GatewayCredential,
  instance: GatewayInstance,
  now: () => number,
): RefusalCode | null {
  if (credential.state === 'revoked') return 'credential_revoked'
  if (credential.instanceId !== instance.id) return 'wrong_instance'
  if (instance.status !== 'active') return 'instance_inactive'
  if (!credential.enabled) return 'binding_disabled'
  if (credential.bindingExpiresAt !== null && credential.bindingExpiresAt.getTime() <= now()) return 'binding_expired'
  if (credential.tokenExpiresAt !== null && credential.tokenExpiresAt.getTime() <= now()) return 'credential_expired'
  return null
}

/** Whom sessions belong to: the binding (so that rotation keeps them), the manual token, or everybody without a credential. */
export function subjectOf(credential: GatewayCredential | null): string {
  if (credential === null) return 'anonymous'
  return credential.bindingId === null ? `token:${credential.tokenId}` : `binding:${credential.bindingId}`
}
