import type { UsedToken } from '../domain/notices.ts'
import { chunksOf } from './columns.ts'
import { postNotice } from './deliveries.ts'
import type { Store } from './store.ts'
import { NAMED, namesOf } from './token-notices.ts'
import type { TokenRecord } from './tokens.ts'

/** What was last said of such a token. */
export const STILL_USED = 'still_used'

/**
 * Notes of these former tokens that it was said that they are still used, and puts one notice of them into the outbox: both or
 * neither. Of one that it was said before it is not said again.
 */
export async function tellOfUsedTokens(store: Store, tokens: readonly TokenRecord[], now: Date): Promise<void> {
  const ordered = tokens.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const named = await describe(store, ordered.slice(0, NAMED))
  const [first] = ordered
  if (first === undefined) return
  await store.write(async (tx) => {
    let count = 0
    for (const chunk of chunksOf(ordered)) {
      const where = { id: { in: chunk.map(({ id }) => id) }, OR: [{ told: null }, { told: { not: STILL_USED } }] }
      count += (await tx.gatewayToken.updateMany({ where, data: { told: STILL_USED } })).count
    }
    // Its first token and when that was replaced: each is told once, so no other notice has it.
    const key = `${first.id}:${first.supersededAt?.toISOString() ?? ''}`
    if (count > 0) await postNotice(tx, key, { type: 'token.still_used', data: { count, tokens: named } }, now)
  })
}

async function describe(store: Store, tokens: readonly TokenRecord[]): Promise<UsedToken[]> {
  const bindings = await store.db.binding.findMany({
    where: { id: { in: tokens.flatMap(({ bindingId }) => bindingId ?? []) } },
    select: { id: true, spaceId: true },
  })
  const spaceOf = new Map(bindings.map(({ id, spaceId }) => [id, spaceId]))
  const placed = tokens.map((token) => ({ ...token, spaceId: spaceOf.get(token.bindingId ?? '') ?? null }))
  const names = await namesOf(store, placed)
  return placed.map((token) => ({
    tokenId: token.id,
    bindingId: token.bindingId,
    ...names(token),
    replacedAt: token.supersededAt?.toISOString() ?? '',
    lastUsedAt: token.lastUsedAt?.toISOString() ?? '',
  }))
}
