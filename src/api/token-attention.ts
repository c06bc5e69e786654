import { countExpiring } from '../store/expiring.ts'
import {
  expiryRange,
  listStillUsedTokens,
  listUnfinishedTokens,
  type TokenAttentionKind,
} from '../store/token-attention.ts'
import type { ApiDeps } from './deps.ts'

/** What of tokens needs somebody's attention, for the overview. GET /bindings?attention=… lists the bindings. */

type TokenAttention = { kind: TokenAttentionKind; message: string; count: number }

export async function tokenAttention({ store, facts }: Pick<ApiDeps, 'store' | 'facts'>): Promise<TokenAttention[]> {
  const now = new Date()
  const [used, waiting, withinDay, withinWeek] = await Promise.all([
    listStillUsedTokens(store, facts.tokenGraceSeconds, now),
    listUnfinishedTokens(store, now),
    countExpiring(store, expiryRange('token_expires_in_1_day', now)),
    countExpiring(store, expiryRange('token_expires_in_7_days', now)),
  ])
  const stillUsed = used.length
  const unfinished = waiting.length
  const all: TokenAttention[] = [
    {
      kind: 'still_used',
      message: `${stillUsed} replaced tokens are still used although their grace period is over: find who sends them, or end them.`,
      count: stillUsed,
    },
    {
      kind: 'rotation_unfinished',
      message: `${unfinished} replaced tokens are still what their platform holds: sync them again.`,
      count: unfinished,
    },
    {
      kind: 'token_expires_in_1_day',
      message: `${withinDay} bindings or tokens expire within a day.`,
      count: withinDay,
    },
    {
      kind: 'token_expires_in_7_days',
      message: `${withinWeek} bindings or tokens expire within 7 days.`,
      count: withinWeek,
    },
  ]
  return all.filter(({ count }) => count > 0)
}
