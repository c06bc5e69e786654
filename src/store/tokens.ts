import { ToolferryError } from '../domain/errors.ts'
import { newId } from '../domain/ids.ts'
import { judgeCustomToken, mintToken, normaliseToken, visibleStart } from '../domain/token.ts'
import type { Db, Tx } from './client.ts'
import { chunksOf, parseJson, readInChunks } from './columns.ts'
import { NotFoundError, TokenInUseError } from './errors.ts'
import type { GatewayToken } from './generated/sqlite/client.ts'
import { insertRowsIn } from './insert-rows.ts'
import type { Headers } from './instances.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { isUniqueViolation } from './transaction.ts'
import { places } from './update-each.ts'

/** Gateway tokens of bindings. Those of manual clients are in manual-tokens.ts. */

export type TokenState = 'active' | 'retiring' | 'revoked'

export type TokenRecord = {
  id: string
  instanceId: string
  /** null: a manual token. */
  bindingId: string | null
  name: string | null
  start: string
  origin: 'minted' | 'custom'
  state: TokenState
  hasHeaders: boolean
  provenAt: Date | null
  expiresAt: Date | null
  lastUsedAt: Date | null
  /** When another one took its place. */
  retiringAt: Date | null
  /** When its platform was seen to hold the one that took its place. */
  supersededAt: Date | null
  /** How long it must have gone unused before it ends; null: as the installation says. */
  graceSeconds: number | null
  revision: number
  createdAt: Date
  revokedAt: Date | null
}

/** A token with its value in the clear. */
export type OpenedToken = TokenRecord & { secret: string }

export type TokenOptions = {
  expiresAt?: Date | null
  /** For the token whose place it takes; null: as the installation says. */
  graceSeconds?: number | null
}

const TABLE = 'GatewayToken'

/** A new token for the binding. A former active one is `retiring`: still good until it is revoked. Throws NotFoundError. */
export async function mintTokenFor(store: Store, bindingId: string, options: TokenOptions = {}): Promise<OpenedToken> {
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    return placeToken(store, tx, bindingId, mintToken('tfg'), { ...options, origin: 'minted', revision })
  })
}

/**
 * A token for each of the bindings that has no active one, in one transaction; by binding id. One that got its token in the
 * meantime (the admin's own) keeps it, and that is answered. Throws NotFoundError.
 */
export async function mintTokensFor(store: Store, bindingIds: readonly string[]): Promise<Map<string, OpenedToken>> {
  const minted = new Map<string, OpenedToken>()
  for (const chunk of chunksOf(bindingIds)) {
    const tokens = await store.write(
      async (tx) => {
        // First, since its row is the lock: of two runs that mint for the same bindings at once, the second sees what the first made.
        const revision = await bumpRevision(store, tx)
        const active = await activeRows(tx, chunk)
        const kept = [...active.values()].map((row) => ({ ...toToken(row), secret: openTokenRow(store, row) }))
        const lacking = chunk.filter((id) => !active.has(id))
        if (lacking.length === 0) return kept
        const bindings = await tx.findRows('Binding', { id: lacking }, { columns: ['id', 'instanceId'] })
        if (bindings.length < new Set(lacking).size) throw new NotFoundError('The binding')
        const made = bindings.map((binding) => {
          const secret = mintToken('tfg')
          return { row: newTokenRow(store, binding, secret, { origin: 'minted', revision }), secret }
        })
        await insertRowsIn(
          tx,
          'GatewayToken',
          made.map(({ row }) => row),
        )
        return [...kept, ...made.map(({ row, secret }) => ({ ...toToken(row), secret }))]
      },
      { shared: true },
    )
    for (const token of tokens) if (token.bindingId !== null) minted.set(token.bindingId, token)
  }
  return minted
}

/**
 * Makes the admin's own token the active one of the binding; the same token again only changes its expiry. Throws
 * InvalidDesiredState (field token) with the reason, TokenInUseError, NotFoundError.
 */
export async function setCustomToken(
  store: Store,
  bindingId: string,
  token: string,
  options: TokenOptions = {},
): Promise<OpenedToken> {
  try {
    return await store.write(async (tx) => {
      const revision = await bumpRevision(store, tx)
      return setCustomTokenIn(store, tx, revision, bindingId, token, options)
    })
  } catch (error) {
    throw isUniqueViolation(error) ? new TokenInUseError() : error
  }
}

/** As setCustomToken, inside a transaction that has bumped the revision. */
export async function setCustomTokenIn(
  store: Store,
  tx: Tx,
  revision: number,
  bindingId: string,
  token: string,
  options: TokenOptions,
): Promise<OpenedToken> {
  const secret = normaliseToken(token)
  const verdict = judgeCustomToken(secret)
  if (!verdict.ok) {
    throw new ToolferryError('InvalidDesiredState', `The token cannot be used. ${verdict.reason}`, { field: 'token' })
  }
  const same = await tx.gatewayToken.findUnique({ where: { lookupHash: store.tokenHash(secret) } })
  if (same === null) return placeToken(store, tx, bindingId, secret, { ...options, origin: 'custom', revision })
  if (same.bindingId !== bindingId) throw new TokenInUseError()
  const returns = same.state !== 'active'
  if (returns) await retireActiveIn(tx, [bindingId], revision, options.graceSeconds ?? null)
  const row = await tx.gatewayToken.update({
    where: { id: same.id },
    data: {
      state: 'active',
      revokedAt: null,
      retiringAt: null,
      supersededAt: null,
      graceSeconds: null,
      // One that comes back is proven anew.
      ...(returns ? { provenAt: null } : {}),
      ...(options.expiresAt === undefined ? {} : { expiresAt: options.expiresAt }),
      revision,
    },
  })
  return { ...toToken(row), secret }
}

/** The binding's active token, expired or not. */
export async function activeToken(store: Store, bindingId: string): Promise<TokenRecord | null> {
  return (await activeTokens(store, [bindingId])).get(bindingId) ?? null
}

/** By binding id. */
export async function activeTokens(
  store: Pick<Store, 'db'>,
  bindingIds: readonly string[],
): Promise<Map<string, TokenRecord>> {
  return new Map([...(await activeRows(store.db, bindingIds))].map(([id, row]) => [id, toToken(row)]))
}

/** As activeTokens, with the values in the clear. */
export async function openActiveTokens(store: Store, bindingIds: readonly string[]): Promise<Map<string, OpenedToken>> {
  const rows = await activeRows(store.db, bindingIds)
  return new Map([...rows].map(([id, row]) => [id, { ...toToken(row), secret: openTokenRow(store, row) }]))
}

/** The token's value in the clear. Throws NotFoundError. */
export async function openToken(store: Store, tokenId: string): Promise<string> {
  const row = await store.db.gatewayToken.findUnique({ where: { id: tokenId } })
  if (row === null) throw new NotFoundError('The token')
  return openTokenRow(store, row)
}

/** Every token the binding ever had, the newest first. */
export async function listTokensOfBinding(store: Store, bindingId: string): Promise<TokenRecord[]> {
  return (await store.db.gatewayToken.findMany({ where: { bindingId }, orderBy: { id: 'desc' } })).map(toToken)
}

/** A real MCP handshake through the gateway has succeeded with these. */
export async function markTokensProven(
  store: Store,
  tokenIds: readonly string[],
  at: Date = new Date(),
): Promise<void> {
  for (const chunk of chunksOf(tokenIds)) {
    const sql = `UPDATE \`GatewayToken\` SET \`provenAt\` = ? WHERE \`id\` IN (${places(chunk)})`
    await store.write((tx) => tx.$executeRawUnsafe(sql, at, ...chunk), { shared: true })
  }
}

/** They end at once. Answers the revision, or null when nothing changed. */
export async function revokeTokens(store: Store, tokenIds: readonly string[]): Promise<number | null> {
  return setState(store, tokenIds, { not: 'revoked' }, { state: 'revoked', revokedAt: new Date() })
}

/** Changes when a token ends; null: never. */
export async function setTokenExpiry(store: Store, tokenId: string, expiresAt: Date | null): Promise<number> {
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    const changed = await tx.gatewayToken.updateMany({ where: { id: tokenId }, data: { expiresAt, revision } })
    if (changed.count === 0) throw new NotFoundError('The token')
    return revision
  })
}

export function sealToken(store: Pick<Store, 'sealer'>, id: string, secret: string): string {
  return store.sealer.seal({ table: TABLE, column: 'sealedToken', rowId: id }, secret)
}

export function sealTokenHeaders(
  store: Pick<Store, 'sealer'>,
  id: string,
  headers: Headers | null | undefined,
): string | null {
  if (headers === null || headers === undefined || Object.keys(headers).length === 0) return null
  return store.sealer.seal({ table: TABLE, column: 'sealedHeaders', rowId: id }, JSON.stringify(headers))
}

/** A manual token's own pass-through headers. */
export function openTokenHeaders(
  store: Pick<Store, 'sealer'>,
  row: Pick<GatewayToken, 'id' | 'sealedHeaders'>,
): Headers {
  if (row.sealedHeaders === null) return {}
  return parseJson<Headers>(
    store.sealer.open({ table: TABLE, column: 'sealedHeaders', rowId: row.id }, row.sealedHeaders),
  )
}

export function toToken(row: GatewayToken): TokenRecord {
  const { lookupHash: _hash, sealedToken: _token, sealedHeaders, ...rest } = row
  return {
    ...rest,
    hasHeaders: sealedHeaders !== null,
    origin: row.origin === 'custom' ? 'custom' : 'minted',
    state: toTokenState(row.state),
  }
}

/** An unknown word grants nothing. */
export function toTokenState(text: string): TokenState {
  return text === 'active' || text === 'retiring' ? text : 'revoked'
}

async function placeToken(
  store: Store,
  tx: Tx,
  bindingId: string,
  secret: string,
  options: TokenOptions & { origin: 'minted' | 'custom'; revision: number },
): Promise<OpenedToken> {
  const binding = await tx.binding.findUnique({ where: { id: bindingId } })
  if (binding === null) throw new NotFoundError('The binding')
  await retireActiveIn(tx, [bindingId], options.revision, options.graceSeconds ?? null)
  const row = await tx.gatewayToken.create({ data: newTokenRow(store, binding, secret, options) })
  return { ...toToken(row), secret }
}

/** Not in the store yet. */
export function newTokenRow(
  store: Store,
  binding: { id: string; instanceId: string },
  secret: string,
  options: TokenOptions & { origin: 'minted' | 'custom'; revision: number },
): GatewayToken {
  const id = newId()
  return {
    id,
    instanceId: binding.instanceId,
    bindingId: binding.id,
    name: null,
    lookupHash: store.tokenHash(secret),
    start: visibleStart(secret),
    sealedToken: sealToken(store, id, secret),
    sealedHeaders: null,
    origin: options.origin,
    state: 'active',
    provenAt: null,
    expiresAt: options.expiresAt ?? null,
    lastUsedAt: null,
    retiringAt: null,
    supersededAt: null,
    graceSeconds: null,
    told: null,
    revision: options.revision,
    createdAt: new Date(),
    revokedAt: null,
  }
}

/** Still good, but not for new writes: its platform gets the binding's active one. */
export async function retireActiveIn(
  tx: Tx,
  bindingIds: readonly string[],
  revision: number,
  graceSeconds: number | null,
): Promise<void> {
  await tx.gatewayToken.updateMany({
    where: { bindingId: { in: [...bindingIds] }, state: 'active' },
    data: { state: 'retiring', retiringAt: new Date(), graceSeconds, revision },
  })
}

/** The binding's active token as its row, by binding id. */
export async function activeRows(db: Db, bindingIds: readonly string[]): Promise<Map<string, GatewayToken>> {
  const rows = await readInChunks(bindingIds, (bindingId) =>
    db.findRows('GatewayToken', { bindingId, state: 'active' }, { orderBy: 'id' }),
  )
  return byBinding(rows)
}

/** The last one of each. */
function byBinding(rows: readonly GatewayToken[]): Map<string, GatewayToken> {
  const last = new Map<string, GatewayToken>()
  for (const row of rows) if (row.bindingId !== null) last.set(row.bindingId, row)
  return last
}

/** The value in the clear of what was read with the row. */
export function openTokenRow(store: Store, row: GatewayToken): string {
  return store.sealer.open({ table: TABLE, column: 'sealedToken', rowId: row.id }, row.sealedToken)
}

async function setState(
  store: Store,
  tokenIds: readonly string[],
  from: string | { not: string },
  data: { state: TokenState; revokedAt?: Date },
): Promise<number | null> {
  if (tokenIds.length === 0) return null
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    for (const chunk of chunksOf(tokenIds)) {
      await tx.gatewayToken.updateMany({ where: { id: { in: chunk }, state: from }, data: { ...data, revision } })
    }
    return revision
  })
}
