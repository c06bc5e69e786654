import { newId } from '../domain/ids.ts'
import { mintToken, visibleStart } from '../domain/token.ts'
import type { Tx } from './client.ts'
import { beforeId, type Page, type PageRequest, pageSize, toPage } from './columns.ts'
import { NotFoundError, StoreError } from './errors.ts'
import type { ApiKey, ConsoleSession } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'

/** API keys and the console's sessions. Their secrets are kept as hashes only. */

export type ApiRole = 'viewer' | 'operator' | 'admin'

export type ApiKeyRecord = {
  id: string
  name: string
  start: string
  role: ApiRole
  expiresAt: Date | null
  lastUsedAt: Date | null
  revokedAt: Date | null
  createdAt: Date
}

export type ConsoleSessionRecord = {
  id: string
  apiKeyId: string | null
  role: ApiRole
  expiresAt: Date
  createdAt: Date
}

const INITIAL_NAME = 'initial admin key'

/** `secret` is shown once, here. */
export async function createApiKey(
  store: Store,
  input: { name: string; role: ApiRole; expiresAt?: Date | null },
): Promise<{ key: ApiKeyRecord; secret: string }> {
  const secret = mintToken('tfa')
  const row = await store.write((tx) => tx.apiKey.create({ data: newRow(store, secret, input) }))
  return { key: toRecord(row), secret }
}

/** The newest first, revoked ones included. */
export async function listApiKeys(store: Store, page: PageRequest = {}): Promise<Page<ApiKeyRecord>> {
  const size = pageSize(page)
  const rows = await store.db.apiKey.findMany({ where: beforeId(page.cursor), orderBy: { id: 'desc' }, take: size + 1 })
  return toPage(rows, size, (row) => [row.id], toRecord)
}

export async function getApiKey(store: Store, id: string): Promise<ApiKeyRecord | null> {
  const row = await store.db.apiKey.findUnique({ where: { id } })
  return row === null ? null : toRecord(row)
}

/** The key with this secret, only while it is neither revoked nor expired. */
export async function findApiKey(store: Store, secret: string, now: Date = new Date()): Promise<ApiKeyRecord | null> {
  return findApiKeyByHash(store, store.tokenHash(secret), now)
}

/** As findApiKey; `hash` from store.tokenHash. */
export async function findApiKeyByHash(
  store: Store,
  hash: string,
  now: Date = new Date(),
): Promise<ApiKeyRecord | null> {
  const row = await store.db.apiKey.findUnique({ where: { lookupHash: hash } })
  if (row === null || row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= now)) return null
  return toRecord(row)
}

/** The id of the key with this secret, be it revoked or expired. */
export async function findApiKeyId(store: Store, secret: string): Promise<string | null> {
  const where = { lookupHash: store.tokenHash(secret) }
  return (await store.db.apiKey.findUnique({ where, select: { id: true } }))?.id ?? null
}

/**
 * Revokes the key and ends the sessions it opened. Idempotent. Throws NotFoundError, and StoreError `last_admin_key` when no
 * other admin key would be usable.
 */
export async function revokeApiKey(store: Store, id: string, now: Date = new Date()): Promise<ApiKeyRecord> {
  const row = await store.write(async (tx) => {
    // Locks them all: two admins who revoke each other's keys at one time come one after the other.
    await tx.apiKey.updateMany({ where: { role: 'admin', revokedAt: null }, data: { role: 'admin' } })
    const before = await tx.apiKey.findUnique({ where: { id } })
    if (before === null) throw new NotFoundError('The API key')
    if (before.role === 'admin' && before.revokedAt === null) await refuseLastAdmin(tx, id, now)
    await tx.apiKey.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: now } })
    await tx.consoleSession.deleteMany({ where: { apiKeyId: id } })
    return tx.apiKey.findUniqueOrThrow({ where: { id } })
  })
  return toRecord(row)
}

async function refuseLastAdmin(tx: Tx, id: string, now: Date): Promise<void> {
  const others = await tx.apiKey.count({
    where: { id: { not: id }, role: 'admin', revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] },
  })
  if (others > 0) return
  throw new StoreError('last_admin_key', 'This is the last admin key; without it nobody could administer Toolferry.')
}

/** Batch these: at most once a minute a key is fine. */
export async function touchApiKey(store: Store, id: string, at: Date = new Date()): Promise<void> {
  await store.write((tx) => tx.apiKey.updateMany({ where: { id }, data: { lastUsedAt: at } }))
}

/**
 * Makes the given secret the initial admin key. Another secret than last time replaces it; one that was revoked stays
 * revoked.
 */
export async function ensureAdminKey(store: Store, secret: string): Promise<void> {
  const lookupHash = store.tokenHash(secret)
  if ((await store.db.apiKey.findUnique({ where: { lookupHash } })) !== null) return
  await store.write(
    async (tx) => {
      if ((await tx.apiKey.findUnique({ where: { lookupHash } })) !== null) return
      await tx.apiKey.updateMany({ where: { name: INITIAL_NAME, revokedAt: null }, data: { revokedAt: new Date() } })
      await tx.apiKey.create({ data: newRow(store, secret, { name: INITIAL_NAME, role: 'admin' }) })
    },
    { retryUnique: true },
  )
}

/** The first admin key, while it is neither revoked nor expired. */
export async function findInitialAdminKey(store: Store, now: Date = new Date()): Promise<ApiKeyRecord | null> {
  const row = await store.db.apiKey.findFirst({
    where: {
      name: INITIAL_NAME,
      role: 'admin',
      revokedAt: null,
      OR: [{ expiresAt: null }, { expiresAt: { gt: now } }],
    },
    orderBy: { id: 'desc' },
  })
  return row === null ? null : toRecord(row)
}

/** A console session; `secret` goes into its cookie. */
export async function createConsoleSession(
  store: Store,
  input: { apiKeyId: string | null; role: ApiRole; expiresAt: Date; secret: string },
): Promise<ConsoleSessionRecord> {
  const { secret, ...rest } = input
  const row = await store.write((tx) =>
    tx.consoleSession.create({
      data: { id: newId(), lookupHash: store.tokenHash(secret), createdAt: new Date(), ...rest },
    }),
  )
  return { id: row.id, apiKeyId: row.apiKeyId, role: input.role, expiresAt: row.expiresAt, createdAt: row.createdAt }
}

export async function findConsoleSession(
  store: Store,
  secret: string,
  now: Date = new Date(),
): Promise<ConsoleSessionRecord | null> {
  const row = await store.db.consoleSession.findUnique({ where: { lookupHash: store.tokenHash(secret) } })
  return row === null || row.expiresAt <= now ? null : toSession(row)
}

export async function getConsoleSession(store: Store, id: string): Promise<ConsoleSessionRecord | null> {
  const row = await store.db.consoleSession.findUnique({ where: { id } })
  return row === null ? null : toSession(row)
}

export async function deleteConsoleSession(store: Store, id: string): Promise<void> {
  await store.write((tx) => tx.consoleSession.deleteMany({ where: { id } }))
}

export async function deleteExpiredConsoleSessions(store: Store, now: Date = new Date()): Promise<number> {
  return (await store.write((tx) => tx.consoleSession.deleteMany({ where: { expiresAt: { lte: now } } }))).count
}

function newRow(store: Store, secret: string, input: { name: string; role: ApiRole; expiresAt?: Date | null }) {
  return {
    id: newId(),
    name: input.name,
    lookupHash: store.tokenHash(secret),
    start: visibleStart(secret),
    role: input.role,
    expiresAt: input.expiresAt ?? null,
    createdAt: new Date(),
  }
}

function toRecord(row: ApiKey): ApiKeyRecord {
  const { lookupHash: _, ...rest } = row
  return { ...rest, role: toRole(row.role) }
}

function toSession({ lookupHash: _, ...row }: ConsoleSession): ConsoleSessionRecord {
  return { ...row, role: toRole(row.role) }
}

/** An unknown word grants the least. */
function toRole(text: string): ApiRole {
  return text === 'admin' || text === 'operator' ? text : 'viewer'
}
