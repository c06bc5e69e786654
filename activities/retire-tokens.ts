import { audit, SYSTEM_ACTOR } from '../src/audit/events.ts'
import { type Clock, systemClock } from '../src/domain/clock.ts'
import { retirementOf } from '../src/domain/retirement.ts'
import { listSupersededTokens, revokeQuietTokens } from '../src/store/token-rotation.ts'
import { STILL_USED, tellOfUsedTokens } from '../src/store/used-token-notices.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'

const PAGE = 500

/**
 * Ends former tokens that have gone unused for their grace period; one that is used past it is left, and that is said once, in
 * the log, in the audit and to webhooks, until an admin ends it.
 */
export async function retireTokens(
  deps: ActivityDeps,
  clock: Clock = systemClock,
): Promise<{ ended: number; stillUsed: number }> {
  return await inActivity(deps.logger, {}, async (signal) => {
    const { store, logger } = deps
    const { tokenGraceSeconds } = deps.limits
    const now = new Date(clock.now())
    const result = { ended: 0, stillUsed: 0 }
    let afterId: string | null = null
    for (;;) {
      signal.throwIfAborted()
      const tokens = await listSupersededTokens(store, { afterId, limit: PAGE })
      const stageOf = new Map(tokens.map((token) => [token.id, retirementOf(token, tokenGraceSeconds, now).stage]))
      const due = tokens.filter(({ id }) => stageOf.get(id) === 'over')
      const endedIds = due.length === 0 ? [] : await revokeQuietTokens(store, due, tokenGraceSeconds, now)
      for (const tokenId of endedIds) {
        logger.info({ tokenId }, 'a former token has gone unused and was ended')
        await tell(deps, 'revoke', tokenId, ['state'])
      }
      result.ended += endedIds.length
      const used = tokens.filter(({ id }) => stageOf.get(id) === 'still_used')
      result.stillUsed += used.length
      const news = used.filter(({ told }) => told !== STILL_USED)
      for (const { id, bindingId } of news) {
        const message = 'a former token is still used after its grace period: find who sends it, or end it'
        logger.warn({ tokenId: id, bindingId, notice: STILL_USED }, message)
        await tell(deps, 'warn', id, ['token', STILL_USED])
      }
      await tellOfUsedTokens(store, news, now)
      const last = tokens.at(-1)
      if (last === undefined || tokens.length < PAGE) return result
      afterId = last.id
    }
  })
}

async function tell(
  deps: ActivityDeps,
  action: 'revoke' | 'warn',
  tokenId: string,
  fields: readonly string[],
): Promise<void> {
  await audit(deps.store, {
    actor: SYSTEM_ACTOR,
    action,
    resource: 'token',
    resourceId: tokenId,
    fields,
    outcome: 'allowed',
  })
}
