import { ToolferryError } from '../domain/errors.ts'
import { newId } from '../domain/ids.ts'
import { judgeCustomToken, mintToken, normaliseToken, visibleStart } from '../domain/token.ts'
import { beforeId, type Page, type PageRequest, pageSize, toPage } from './columns.ts'
import { NotFoundError, TokenInUseError } from './errors.ts'
import type { Headers } from './instances.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import { type OpenedToken, sealToken, sealTokenHeaders, type TokenRecord, toToken } from './tokens.ts'
import { isUniqueViolation } from './transaction.ts'

/** Tokens that belong to an instance and to no binding: for a person's own MCP client. */

/** Minted unless `token` is given. Throws NotFoundError, InvalidDesiredState (field token), TokenInUseError. */
export async function createManualToken(
  store: Store,
  input: { instanceId: string; name: string; token?: string; headers?: Headers | null; expiresAt?: Date | null },
): Promise<OpenedToken> {
  const secret = input.token === undefined ? mintToken('tfg') : normaliseToken(input.token)
  const verdict = judgeCustomToken(secret)
  if (!verdict.ok) {
    throw new ToolferryError('InvalidDesiredState', `The token cannot be used. ${verdict.reason}`, { field: 'token' })
  }
  const id = newId()
  try {
    const row = await store.write(async (tx) => {
      const revision = await bumpRevision(store, tx)
      const instance = await tx.mcpInstance.findUnique({ where: { id: input.instanceId } })
      if (instance === null || instance.status === 'deleted') throw new NotFoundError('The instance')
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
    return { ...toToken(row), secret }
  } catch (error) {
    throw isUniqueViolation(error) ? new TokenInUseError() : error
  }
}

/** The newest first, revoked ones left out. */
export async function listManualTokens(
  store: Store,
  instanceId: string,
  page: PageRequest = {},
): Promise<Page<TokenRecord>> {
  const size = pageSize(page)
  const rows = await store.db.gatewayToken.findMany({
    where: { ...beforeId(page.cursor), instanceId, bindingId: null, state: { not: 'revoked' } },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toToken)
}

/** It ends at once; its row goes later, when every gateway has noticed. Throws NotFoundError. Answers the revision. */
export async function deleteManualToken(store: Store, instanceId: string, tokenId: string): Promise<number> {
  return store.write(async (tx) => {
    const revision = await bumpRevision(store, tx)
    const changed = await tx.gatewayToken.updateMany({
      where: { id: tokenId, instanceId, bindingId: null, state: { not: 'revoked' } },
      data: { state: 'revoked', revokedAt: new Date(), revision },
    })
    if (changed.count === 0) throw new NotFoundError('The token')
    return revision
  })
}
