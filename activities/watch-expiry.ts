import { audit, SYSTEM_ACTOR } from '../src/audit/events.ts'
import { type Clock, systemClock } from '../src/domain/clock.ts'
import { type CredentialWarning, credentialWarning } from '../src/domain/credential-expiry.ts'
import { type Expiring, type ExpiringKind, listExpiring, setExpiryTold } from '../src/store/expiring.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'

const DAY_MS = 24 * 3_600_000
const PAGE = 500
const KINDS: readonly ExpiringKind[] = ['binding', 'token']

const MESSAGES: Record<CredentialWarning, string> = {
  expires_in_7_days: 'a binding or token expires within 7 days',
  expires_in_1_day: 'a binding or token expires within a day',
  expired: 'a binding or token has expired: the gateway refuses it',
}

/**
 * Says of bindings and tokens that they expire, in the log and in the audit: 7 days before, a day before, and when it has
 * happened; each once. Webhooks hear of it from the housekeeping.
 */
export async function watchExpiry(deps: ActivityDeps, clock: Clock = systemClock): Promise<{ warned: number }> {
  return await inActivity(deps.logger, {}, async (signal) => {
    const nowMs = clock.now()
    // What ended long ago is no news.
    const between = { after: new Date(nowMs - DAY_MS), until: new Date(nowMs + 7 * DAY_MS) }
    let warned = 0
    for (const kind of KINDS) {
      let afterId: string | null = null
      for (;;) {
        signal.throwIfAborted()
        const page: Expiring[] = await listExpiring(deps.store, kind, between, { afterId, limit: PAGE })
        warned += await tell(deps, page, nowMs)
        afterId = page.at(-1)?.id ?? null
        if (page.length < PAGE) break
      }
    }
    return { warned }
  })
}

type News = { one: Expiring; notice: CredentialWarning; told: string }

/** Answers of how many it was not said before. */
async function tell(deps: ActivityDeps, page: readonly Expiring[], nowMs: number): Promise<number> {
  const news = page.flatMap((one): News[] => {
    const notice = credentialWarning(one.expiresAt, nowMs)
    // Another end is another matter.
    const told = `${notice} ${one.expiresAt.toISOString()}`
    return notice === null || one.told === told ? [] : [{ one, notice, told }]
  })
  for (const [notice, some] of Map.groupBy(news, (one) => one.notice)) {
    await setExpiryTold(deps.store, some)
    for (const { one } of some) {
      const { kind, id, instanceId, expiresAt } = one
      deps.logger.warn({ [`${kind}Id`]: id, instanceId, notice, expiresAt }, MESSAGES[notice])
      await audit(deps.store, {
        actor: SYSTEM_ACTOR,
        action: 'warn',
        resource: kind,
        resourceId: id,
        fields: ['expiresAt', notice],
        outcome: 'allowed',
      })
    }
  }
  return news.length
}
