import { randomBytes } from 'node:crypto'
import { type ApiKeyRecord, findInitialAdminKey, getApiKey } from './api-keys.ts'
import { getSetting, setSetting } from './settings.ts'
import type { Store } from './store.ts'

/**
 * The one-time code that opens the console without the admin key: printed by the embedded server as a link, good once and
 * for ten minutes. Kept as a hash; a new one replaces the last.
 */

const SETTING = 'console-code'
export const CONSOLE_CODE_MS = 10 * 60_000

type Kept = { hash: string; apiKeyId: string; expiresAtMs: number }

/** A new code for the initial admin key; null when that key was revoked. */
export async function createConsoleCode(store: Store, now: Date = new Date()): Promise<string | null> {
  const key = await findInitialAdminKey(store)
  if (key === null) return null
  const code = randomBytes(24).toString('base64url')
  const kept: Kept = { hash: store.tokenHash(code), apiKeyId: key.id, expiresAtMs: now.getTime() + CONSOLE_CODE_MS }
  await setSetting(store, SETTING, JSON.stringify(kept))
  return code
}

/** The key that the code stands for, once; null for a wrong, used or old code. */
export async function redeemConsoleCode(
  store: Store,
  code: string,
  now: Date = new Date(),
): Promise<ApiKeyRecord | null> {
  const text = await getSetting(store.db, SETTING)
  const kept = text === null ? null : (JSON.parse(text) as Kept)
  if (kept === null || kept.hash !== store.tokenHash(code)) return null
  // Whoever deletes the row has used the code: two at the same time cannot both.
  const deleted = await store.write((tx) => tx.setting.deleteMany({ where: { name: SETTING, value: text ?? '' } }))
  if (deleted.count !== 1 || kept.expiresAtMs <= now.getTime()) return null
  const key = await getApiKey(store, kept.apiKeyId)
  const usable = key !== null && key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now)
  return usable ? key : null
}
