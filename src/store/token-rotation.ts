import { retirementOf } from '../domain/retirement.ts'
import { mintToken } from '../domain/token.ts'
import { chunksOf, readInChunks } from './columns.ts'
import { NotFoundError } from './errors.ts'
import type { GatewayToken } from './generated/sqlite/client.ts'
import { bumpRevision } from './revision.ts'
import type { Store } from './store.ts'
import {
  activeRows,
  newTokenRow,
  type OpenedToken,
  openTokenRow,
  retireActiveIn,
  type TokenRecord,
  toToken,
} from './tokens.ts'

/** A binding's second token, and how the former one ends. */

/**
 * A second token for each binding, in the place of the given one, in one transaction a chunk; by binding id. A binding whose
 * active token is another one by now keeps that, and that is answered. The new ones expire when the former ones would have,
 * and are not older than `notBefore`. Throws NotFoundError.
 */
export async function rotateTokensFor(
  store: Store,
  former: readonly { bindingId: string; tokenId: string }[],
  options: { graceSeconds: number | null; notBefore: Date },
): Promise<Map<string, OpenedToken>> {
  const answer = new Map<string, OpenedToken>()
  for (const chunk of chunksOf(former)) {
    const formerOf = new Map(chunk.map(({ bindingId, tokenId }) => [bindingId, tokenId]))
    const ids = [...formerOf.keys()]
    const opened = await store.write(async (tx) => {
      // First, since its row is the lock.
      const revision = await bumpRevision(store, tx)
      const active = await activeRows(tx, ids)
      const bindings = await tx.binding.findMany({ where: { id: { in: ids } }, select: { id: true, instanceId: true } })
      if (bindings.length < ids.length) throw new NotFoundError('The binding')
      const createdAt = new Date(Math.max(Date.now(), options.notBefore.getTime()))
      const kept: OpenedToken[] = []
      const made: { row: GatewayToken; secret: string }[] = []
      for (const binding of bindings) {
        const present = active.get(binding.id)
        if (present !== undefined && present.id !== formerOf.get(binding.id)) {
          kept.push({ ...toToken(present), secret: openTokenRow(store, present) })
          continue
        }
        const secret = mintToken('tfg')
        const expiresAt = present?.expiresAt ?? null
        const row = newTokenRow(store, binding, secret, { origin: 'minted', revision, expiresAt })
        made.push({ row: { ...row, createdAt }, secret })
      }
      const rotated = made.flatMap(({ row }) => row.bindingId ?? [])
      await retireActiveIn(tx, rotated, revision, options.graceSeconds)
      await tx.gatewayToken.createMany({ data: made.map(({ row }) => row) })
      return [...kept, ...made.map(({ row, secret }) => ({ ...toToken(row), secret }))]
    })
    for (const token of opened) if (token.bindingId !== null) answer.set(token.bindingId, token)
  }
  return answer
}

/** Of these bindings: former tokens that are still good, the newest first. */
export async function listRetiringTokens(store: Store, bindingIds: readonly string[]): Promise<TokenRecord[]> {
  const rows = await readInChunks(bindingIds, (chunk) =>
    store.db.gatewayToken.findMany({
      where: { bindingId: { in: chunk }, state: 'retiring' },
      orderBy: { id: 'desc' },
    }),
  )
  return rows.map(toToken)
}

/** The retiring tokens whose platform was seen to hold another one, in pages by id. */
export async function listSupersededTokens(
  store: Store,
  page: { afterId: string | null; limit: number },
): Promise<(TokenRecord & { told: string | null })[]> {
  const rows = await store.db.gatewayToken.findMany({
    where: {
      state: 'retiring',
      supersededAt: { not: null },
      ...(page.afterId === null ? {} : { id: { gt: page.afterId } }),
    },
    orderBy: { id: 'asc' },
    take: page.limit,
  })
  return rows.map((row) => ({ ...toToken(row), told: row.told }))
}

/** The token that a binding's platform was seen to hold. */
export type SeenToken = { bindingId: string; tokenId: string }

/**
 * These bindings' platforms were seen to hold these tokens: the grace period of the former ones begins, and those without one end
 * now. Nothing happens to a binding whose active token is another one by now: what its platform holds is itself a former one
 * then. Answers how many ended.
 */
export async function supersedeFormer(
  store: Store,
  seen: readonly SeenToken[],
  defaultGraceSeconds: number,
): Promise<number> {
  const seenIn = new Map(seen.map(({ bindingId, tokenId }) => [bindingId, tokenId]))
  const retiring = await listRetiringTokens(store, [...seenIn.keys()])
  const isGraceless = (former: { graceSeconds: number | null }) => (former.graceSeconds ?? defaultGraceSeconds) === 0
  const due = retiring.filter((former) => former.supersededAt === null || isGraceless(former))
  let ended = 0
  for (const bindingIds of chunksOf([...new Set(due.flatMap(({ bindingId }) => bindingId ?? []))])) {
    ended += await store.write(async (tx) => {
      // First, since its row is the lock: whoever makes another token active does so before this or after it.
      const revision = await bumpRevision(store, tx)
      const active = await activeRows(tx, bindingIds)
      const held = bindingIds.filter((id) => active.get(id)?.id === seenIn.get(id))
      const now = new Date()
      const where = { bindingId: { in: held }, state: 'retiring' }
      await tx.gatewayToken.updateMany({ where: { ...where, supersededAt: null }, data: { supersededAt: now } })
      const former = await tx.gatewayToken.findMany({ where, select: { id: true, graceSeconds: true } })
      const { count } = await tx.gatewayToken.updateMany({
        where: { id: { in: former.filter(isGraceless).map(({ id }) => id) }, state: 'retiring' },
        data: { state: 'revoked', revokedAt: now, revision },
      })
      return count
    })
  }
  return ended
}

/** Ends those of these tokens that have gone unused by now: looked at again where it is written. Answers their ids. */
export async function revokeQuietTokens(
  store: Store,
  tokens: readonly Pick<TokenRecord, 'id'>[],
  defaultGraceSeconds: number,
  now: Date = new Date(),
): Promise<string[]> {
  const revoked: string[] = []
  for (const chunk of chunksOf(tokens)) {
    const ended = await store.write(async (tx) => {
      const revision = await bumpRevision(store, tx)
      const ids = chunk.map(({ id }) => id)
      const rows = await tx.gatewayToken.findMany({
        where: { id: { in: ids }, state: 'retiring', supersededAt: { not: null } },
      })
      const due = rows.filter((row) => retirementOf(row, defaultGraceSeconds, now).stage === 'over')
      if (due.length === 0) return []
      const dueIds = due.map(({ id }) => id)
      await tx.gatewayToken.updateMany({
        where: { id: { in: dueIds } },
        data: { state: 'revoked', revokedAt: new Date(), revision },
      })
      return dueIds
    })
    revoked.push(...ended)
  }
  return revoked
}

/**
 * An admin ends the former tokens of bindings: at once where the platform is known to hold the active one, else as soon as
 * that is seen. Answers how many ended, and the revision that says so (null: none did).
 */
export async function forceFormer(
  store: Store,
  bindingIds: readonly string[],
): Promise<{ ended: number; revision: number | null }> {
  let ended = 0
  let last: number | null = null
  for (const chunk of chunksOf(bindingIds)) {
    const done = await store.write(async (tx) => {
      const where = { bindingId: { in: chunk }, state: 'retiring' }
      if ((await tx.gatewayToken.count({ where })) === 0) return null
      const revision = await bumpRevision(store, tx)
      const { count } = await tx.gatewayToken.updateMany({
        where: { ...where, supersededAt: { not: null } },
        data: { state: 'revoked', revokedAt: new Date(), revision },
      })
      await tx.gatewayToken.updateMany({ where, data: { graceSeconds: 0 } })
      return { count, revision }
    })
    if (done === null) continue
    ended += done.count
    if (done.count > 0) last = done.revision
  }
  return { ended, revision: last }
}
