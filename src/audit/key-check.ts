import { type ApiKeyRecord, findApiKey, findApiKeyId } from '../store/api-keys.ts'
import { redeemConsoleCode } from '../store/console-code.ts'
import type { Store } from '../store/store.ts'
import { networkOf } from './client-address.ts'
import { type AuditEvent, audit } from './events.ts'

/** Judges the secrets that calls and sign-ins come with: audits the wrong ones, never what they were, and limits them by address. */

export const MAX_KEY_CHARS = 512
/** Wrong secrets of one client (src/audit/client-address.ts) in a window; more are answered with 429, and not audited. */
export const MAX_FAILURES = 20
export const FAILURE_WINDOW_MS = 60_000

/** A client that goes on with the same wrong API key is audited once in this time. */
const SAME_KEY_MS = 3_600_000
/** Of everybody together in an hour: a flood from many addresses does not fill the audit. */
const MAX_AUDITED = 300
const AUDITED_WINDOW_MS = 3_600_000
const MAX_REMEMBERED = 10_000

export type Caller = { address: string; requestId: string | null }

/** The key; or that it is none; and, over the limit, how long to wait before the next one. */
export type Verdict = { key: ApiKeyRecord } | { key: null; waitSeconds: number | null }

export type KeyCheck = {
  /** The API key of a call. */
  apiKey(secret: string, caller: Caller): Promise<Verdict>
  /** A sign-in to the console. */
  signIn(given: { apiKey: string } | { code: string }, caller: Caller): Promise<Verdict>
}

/**
 * One for a process: it counts in memory. A good key is let in also while its address is limited, so that nobody is locked out by
 * another client behind the same proxy: our keys are too long to be guessed, it is the audit that is spared. `now` in milliseconds of a
 * clock that never goes back.
 */
export function createKeyCheck(store: Store, now: () => number = () => performance.now()): KeyCheck {
  const failures = createWindow(MAX_FAILURES, FAILURE_WINDOW_MS, now)
  const audited = createWindow(MAX_AUDITED, AUDITED_WINDOW_MS, now)
  const sameKey = createWindow(1, SAME_KEY_MS, now)

  const judge = async (
    secret: string,
    caller: Caller,
    find: () => Promise<ApiKeyRecord | null>,
    event: Pick<AuditEvent, 'action' | 'resource' | 'fields'>,
  ): Promise<Verdict> => {
    const client = networkOf(caller.address)
    const hash = store.tokenHash(secret)
    const wait = () => {
      const ms = failures.waitMs(client)
      return ms === 0 ? null : { key: null, waitSeconds: Math.ceil(ms / 1000) }
    }
    const key = await find()
    if (key !== null) return { key }
    const limited = wait()
    if (limited !== null) return limited
    failures.add(client)
    if (failures.waitMs(client) > 0) {
      store.logger.warn({ address: caller.address }, 'too many wrong keys from this address; it is limited')
    }
    const isKey = event.resource === 'api-key'
    const repeated = isKey && sameKey.waitMs(`${client} ${hash}`) > 0
    if (repeated) return { key: null, waitSeconds: null }
    if (isKey) sameKey.add(`${client} ${hash}`)
    // One of ours that was revoked or has expired is told in any flood of those that never were.
    const keyId = await findApiKeyId(store, secret)
    if (keyId !== null || audited.waitMs('') === 0) {
      if (keyId === null) audited.add('')
      await audit(store, {
        ...event,
        actor: { name: `anonymous (${caller.address})`, id: keyId },
        resourceId: isKey ? keyId : null,
        outcome: 'refused',
        requestId: caller.requestId,
      })
    }
    return { key: null, waitSeconds: null }
  }

  return {
    apiKey: async (secret, caller) => {
      if (secret.length > MAX_KEY_CHARS) return { key: null, waitSeconds: null }
      return await judge(secret, caller, () => findApiKey(store, secret), { action: 'use', resource: 'api-key' })
    },
    signIn: async (given, caller) => {
      const byCode = 'code' in given
      return await judge(
        byCode ? given.code : given.apiKey,
        caller,
        () => (byCode ? redeemConsoleCode(store, given.code) : findApiKey(store, given.apiKey)),
        { action: 'create', resource: 'session', fields: [byCode ? 'code' : 'apiKey'] },
      )
    },
  }
}

/** The secret of an Authorization header, when it is one that an API key could be in. */
export function bearerOf(authorization: string): string | null {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? null
}

/** A sliding window a key: at most `max` in `windowMs`. Remembers the newest keys only. */
function createWindow(max: number, windowMs: number, now: () => number) {
  const times = new Map<string, number[]>()
  const recent = (key: string) => (times.get(key) ?? []).filter((time) => time > now() - windowMs)
  return {
    add(key: string): void {
      const kept = [...recent(key), now()].slice(-max)
      times.delete(key)
      times.set(key, kept)
      dropOldest(times)
    },
    /** 0: there is room for another one. */
    waitMs(key: string): number {
      const kept = recent(key)
      return kept.length < max ? 0 : Math.max(1, (kept[0] ?? 0) + windowMs - now())
    },
  }
}

function dropOldest(collection: { size: number; keys(): Iterator<string>; delete(key: string): boolean }): void {
  if (collection.size <= MAX_REMEMBERED) return
  const oldest = collection.keys().next()
  if (oldest.done !== true) collection.delete(oldest.value)
}
