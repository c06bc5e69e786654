import { countExpiring, countExpiringManual } from '../store/expiring.ts'
import {
  expiryRange,
  listStillUsedTokens,
  listUnfinishedTokens,
  type TokenAttentionKind,
} from '../store/token-attention.ts'
import type { ApiDeps } from './deps.ts'

/**
 * What of tokens needs somebody's attention, for the overview. GET /bindings?attention=… lists the bindings; tokens of manual clients
 * are told by their instance, which lists them.
 */

type TokenAttention = {
  kind: TokenAttentionKind | 'client_token_expires'
  message: string
  count: number
  instance: { id: string; name: string } | null
}

const MAX_INSTANCES = 50

export async function tokenAttention({ store, facts }: Pick<ApiDeps, 'store' | 'facts'>): Promise<TokenAttention[]> {
  const now = new Date()
  const week = { after: now, until: expiryRange('token_expires_in_7_days', now).until }
  const [used, waiting, withinDay, withinWeek, manual] = await Promise.all([
    listStillUsedTokens(store, facts.tokenGraceSeconds, now),
    listUnfinishedTokens(store, now),
    countExpiring(store, expiryRange('token_expires_in_1_day', now)),
    countExpiring(store, expiryRange('token_expires_in_7_days', now)),
    countExpiringManual(store, week, MAX_INSTANCES),
  ])
  const stillUsed = used.length
  const unfinished = waiting.length
  const ofBindings: Omit<TokenAttention, 'instance'>[] = [
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
  return [
    ...ofBindings.filter(({ count }) => count > 0).map((entry) => ({ ...entry, instance: null })),
    ...manual.map(({ instance, count }) => ({
      kind: 'client_token_expires' as const,
      message: `${count} tokens made by hand for "${instance.name}" expire within 7 days.`,
      count,
      instance,
    })),
  ]
}
