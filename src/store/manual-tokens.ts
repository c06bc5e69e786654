import { ToolferryError } from '../domain/errors.ts'
import { newId } from '../domain/ids.ts'
import { judgeCustomToken, mintToken, normaliseToken, visibleStart } from '../domain/token.ts'
import type { Db } from './client.ts'
import { beforeId, type Page, type PageRequest, pageSize, readInChunks, toPage } from './columns.ts'
import { BeingDeletedError, IdempotentEndedError, NotFoundError, StaleWriteError, TokenInUseError } from './errors.ts'
import type { GatewayToken } from './generated/sqlite/client.ts'
import { findIdempotent, type Idempotency, rememberIdempotent } from './idempotency.ts'
import type { Headers } from './instances.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { openTokenHeaders, openTokenRow, sealToken, sealTokenHeaders, type TokenRecord, toToken } from './tokens.ts'
import { isUniqueViolation } from './transaction.ts'

/** Tokens that belong to an instance and to no binding: for a person's own MCP client. */

/** With the pass-through headers of its own in the clear. Its `revision` changes with whatever an admin changes: it is the row's version. */
export type ManualToken = TokenRecord & { headers: Headers }

/** With its value in the clear. */
export type OpenedManualToken = ManualToken & { secret: string }

export type NewManualToken = {
  instanceId: string
  name: string
  token?: string
  headers?: Headers | null
  expiresAt?: Date | null
}

/**
 * Minted unless `token` is given. With an idempotency key that made one before, that one is answered. Throws NotFoundError,
 * BeingDeletedError, InvalidDesiredState (field token), TokenInUseError, IdempotencyKeyReusedError, IdempotentEndedError.
 */
export async function createManualToken(
  store: Store,
  input: NewManualToken,
  idempotency: Idempotency | null = null,
): Promise<OpenedManualToken> {
  const secret = input.token === undefined ? mintToken('tfg') : normaliseToken(input.token)
  const verdict = judgeCustomToken(secret)
  if (!verdict.ok) {
    throw new ToolferryError('InvalidDesiredState', `The token cannot be used. ${verdict.reason}`, { field: 'token' })
  }
  const id = newId()
  try {
    const row = await store.write(async (tx) => {
      // First, since its row is the lock: of two calls with one key at once, the second sees what the first made.
      const revision = await bumpRevision(store, tx)
      const earlier = await findEarlier(tx, input.instanceId, idempotency)
      if (earlier !== null) return earlier
      const instance = await tx.mcpInstance.findUnique({ where: { id: input.instanceId } })
      if (instance === null || instance.status === 'deleted') throw new NotFoundError('The instance')
      if (instance.removingAt !== null) throw new BeingDeletedError('The instance')
      if (idempotency !== null) await rememberIdempotent(tx, idempotency, id)
      return tx.gatewayToken.create({
        data: {
          id,
          instanceId: input.instanceId,
          bindingId: null,
          name: input.name,
          lookupHash: store.tokenHash(secret),
          start: visibleStart(secret),
          sealedToken: sealToken(store, id, secret),
          sealedHeaders: sealTokenHeaders(store, id, input.headers),
          origin: input.token === undefined ? 'minted' : 'custom',
          state: 'active',
          expiresAt: input.expiresAt ?? null,
          revision,
          createdAt: new Date(),
        },
      })
    })
    return { ...toManual(store, row), secret: openTokenRow(store, row) }
  } catch (error) {
    throw isUniqueViolation(error) ? new TokenInUseError() : error
  }
}

/** What this key made here before, or null. Throws IdempotencyKeyReusedError; IdempotentEndedError when it is over. */
export async function findMadeBefore(
  store: Store,
  instanceId: string,
  idempotency: Idempotency,
): Promise<OpenedManualToken | null> {
  const row = await findEarlier(store.db, instanceId, idempotency)
  return row === null ? null : { ...toManual(store, row), secret: openTokenRow(store, row) }
}

/** The newest first, revoked ones left out. */
export async function listManualTokens(
  store: Store,
  instanceId: string,
  page: PageRequest = {},
): Promise<Page<ManualToken>> {
  const size = pageSize(page)
  const rows = await store.db.gatewayToken.findMany({
    where: { ...beforeId(page.cursor), ...living(instanceId) },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(
    rows,
    size,
    (row) => [row.id],
    (row) => toManual(store, row),
  )
}

/** null: there is none, or it was revoked. */
export async function getManualToken(store: Store, instanceId: string, tokenId: string): Promise<ManualToken | null> {
  const row = await store.db.gatewayToken.findFirst({ where: { id: tokenId, ...living(instanceId) } })
  return row === null ? null : toManual(store, row)
}

/** By id, of those that are manual tokens; revoked ones too, as long as their rows are there. */
export async function manualTokenNames(
  store: Pick<Store, 'db'>,
  tokenIds: readonly string[],
): Promise<Map<string, string>> {
  const rows = await readInChunks(tokenIds, (chunk) =>
    store.db.gatewayToken.findMany({
      where: { id: { in: chunk }, bindingId: null },
      select: { id: true, name: true },
    }),
  )
  return new Map(rows.map(({ id, name }) => [id, name ?? '']))
}

/** `revision`: as read. What is not given stays; `headers` replaces all of them. Throws NotFoundError, StaleWriteError. */
export async function updateManualToken(
  store: Store,
  { instanceId, tokenId, revision: seen }: { instanceId: string; tokenId: string; revision: number },
  patch: { name?: string; headers?: Headers; expiresAt?: Date | null },
): Promise<ManualToken> {
  const { headers, ...plain } = patch
  const row = await store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    const before = await tx.gatewayToken.findFirst({ where: { id: tokenId, ...living(instanceId) } })
    if (before === null) throw new NotFoundError('The token')
    if (before.revision !== seen) throw new StaleWriteError('The token', before.revision)
    const sealed = headers === undefined ? {} : { sealedHeaders: sealTokenHeaders(store, tokenId, headers) }
    return tx.gatewayToken.update({ where: { id: tokenId }, data: { ...plain, ...sealed, revision } })
  })
  return toManual(store, row)
}

/** It ends at once; its row goes later, when every gateway has noticed. Throws NotFoundError. Answers the revision. */
export async function deleteManualToken(store: Store, instanceId: string, tokenId: string): Promise<number> {
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    const changed = await tx.gatewayToken.updateMany({
      where: { id: tokenId, ...living(instanceId) },
      data: { state: 'revoked', revokedAt: new Date(), revision },
    })
    if (changed.count === 0) throw new NotFoundError('The token')
    return revision
  })
}

function living(instanceId: string) {
  return { instanceId, bindingId: null, state: { not: 'revoked' } }
}

async function findEarlier(db: Db, instanceId: string, idempotency: Idempotency | null): Promise<GatewayToken | null> {
  const madeId = idempotency === null ? null : await findIdempotent(db, idempotency)
  if (madeId === null) return null
  const row = await db.gatewayToken.findFirst({ where: { id: madeId, ...living(instanceId) } })
  if (row === null) throw new IdempotentEndedError()
  return row
}

function toManual(store: Store, row: GatewayToken): ManualToken {
  return { ...toToken(row), headers: openTokenHeaders(store, row) }
}
