import { retirementOf } from '../domain/retirement.ts'
import { listExpiring } from './expiring.ts'
import type { Store } from './store.ts'

/** Tokens that somebody should look at, and the bindings that have them. */

export const TOKEN_ATTENTION_KINDS = [
  'still_used',
  'rotation_unfinished',
  'token_expires_in_1_day',
  'token_expires_in_7_days',
] as const

export type TokenAttentionKind = (typeof TOKEN_ATTENTION_KINDS)[number]

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Longer than a run takes that nothing holds up. */
const UNFINISHED_AFTER_MS = HOUR_MS
const PAGE_ROWS = 500

/** What ends within a day, and what ends later but within a week: after the first moment, until the second. */
export function expiryRange(
  kind: 'token_expires_in_1_day' | 'token_expires_in_7_days',
  now: Date,
): { after: Date; until: Date } {
  const inDays = (days: number) => new Date(now.getTime() + days * DAY_MS)
  return kind === 'token_expires_in_1_day' ? { after: now, until: inDays(1) } : { after: inDays(1), until: inDays(7) }
}

/** Replaced tokens whose grace period is over and that are still sent. `bindingId` null: a manual client's. */
export async function listStillUsedTokens(
  store: Pick<Store, 'db'>,
  defaultGraceSeconds: number,
  now: Date,
): Promise<{ bindingId: string | null }[]> {
  const superseded = await store.db.gatewayToken.findMany({
    where: { state: 'retiring', supersededAt: { not: null } },
    select: { bindingId: true, supersededAt: true, lastUsedAt: true, graceSeconds: true },
  })
  return superseded.filter((token) => retirementOf(token, defaultGraceSeconds, now).stage === 'still_used')
}

/** Replaced tokens that for a long time have been what their platform holds. */
export async function listUnfinishedTokens(
  store: Pick<Store, 'db'>,
  now: Date,
): Promise<{ bindingId: string | null }[]> {
  return await store.db.gatewayToken.findMany({
    where: {
      state: 'retiring',
      supersededAt: null,
      retiringAt: { lt: new Date(now.getTime() - UNFINISHED_AFTER_MS) },
    },
    select: { bindingId: true },
  })
}

/** The bindings that a kind of attention is about, in the order of their ids. */
export async function bindingsNeedingAttention(
  store: Pick<Store, 'db'>,
  kind: TokenAttentionKind,
  options: { defaultGraceSeconds: number; now?: Date },
): Promise<string[]> {
  const { defaultGraceSeconds, now = new Date() } = options
  const found =
    kind === 'still_used'
      ? await listStillUsedTokens(store, defaultGraceSeconds, now)
      : kind === 'rotation_unfinished'
        ? await listUnfinishedTokens(store, now)
        : await expiringIn(store, expiryRange(kind, now))
  return [...new Set(found.flatMap(({ bindingId }) => bindingId ?? []))].sort()
}

async function expiringIn(
  store: Pick<Store, 'db'>,
  between: { after: Date; until: Date },
): Promise<{ bindingId: string | null }[]> {
  const found: { bindingId: string | null }[] = []
  for (const kind of ['binding', 'token'] as const) {
    for (let afterId: string | null = null; ; ) {
      const page = await listExpiring(store, kind, between, { afterId, limit: PAGE_ROWS })
      found.push(...page)
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE_ROWS) break
      afterId = last.id
    }
  }
  return found
}
