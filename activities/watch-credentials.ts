import { audit, SYSTEM_ACTOR } from '../src/audit/events.ts'
import { type Clock, systemClock } from '../src/domain/clock.ts'
import { type CredentialWarning, credentialWarning } from '../src/domain/credential-expiry.ts'
import { ERROR_FACTS, type ErrorType, toToolferryError } from '../src/domain/errors.ts'
import type { PlatformCheck } from '../src/platforms/platform.ts'
import {
  type CredentialNotices,
  type CredentialNoticeType,
  getCredentialNotices,
  tellOfCredential,
} from '../src/store/credential-notices.ts'
import {
  type CredentialState,
  type PlatformRecord,
  platformsWithCredential,
  setCredentialState,
} from '../src/store/platforms.ts'
import type { CredentialWatchResult } from '../workflows/messages.ts'
import type { ActivityDeps } from './deps.ts'
import { inActivity } from './in-activity.ts'
import { STATE_AFTER } from './on-platform.ts'

type Notice = CredentialWarning | 'refused'

const MESSAGES: Record<Notice, string> = {
  expires_in_7_days: 'a platform’s credential ends within 7 days: give a new one before',
  expires_in_1_day: 'a platform’s credential ends within a day: give a new one now',
  expired: 'a platform’s credential has ended: its runs wait for a new one',
  refused: 'a platform refuses its credential: its runs wait for a new one',
}

const TYPES: Record<Notice, CredentialNoticeType> = {
  expires_in_7_days: 'credential.expiring',
  expires_in_1_day: 'credential.expiring',
  expired: 'credential.expired',
  refused: 'credential.refused',
}

/**
 * Asks every COZE platform with a cookie whether it still holds and keeps what it says. Each warning is logged, put into
 * the audit and told to the webhooks once for each cookie (logged and audited twice, should the process die in between). One platform's trouble is not the others'.
 */
export async function watchCredentials(deps: ActivityDeps, clock: Clock = systemClock): Promise<CredentialWatchResult> {
  return await inActivity(deps.logger, {}, async (signal) => {
    const result: CredentialWatchResult = { valid: 0, ended: 0, unknown: 0, warned: 0 }
    const platforms = await platformsWithCredential(deps.store, 'coze')
    const before = await getCredentialNotices(deps.store)
    // Those that are gone are left out.
    const notices: CredentialNotices = {}
    for (const { id, credentialVersion } of platforms) {
      if (before[id]?.version === credentialVersion) notices[id] = before[id]
    }
    for (const platform of platforms) {
      const found = await checkOf(deps, platform, signal)
      const state = stateOf(found)
      if (state === null) result.unknown += 1
      else if (state === 'valid') result.valid += 1
      else result.ended += 1
      const expiresAt = found?.credentialExpiresAt ?? platform.credentialExpiresAt
      if (state !== null) {
        const { id, credentialVersion } = platform
        // A cookie given meanwhile is judged when its turn comes.
        if (!(await setCredentialState(deps.store, id, state, credentialVersion, expiresAt))) continue
      }
      const notice = noticeOf(state ?? platform.credentialState, expiresAt, clock.now())
      if (notice === null) continue
      const told = notices[platform.id]?.told ?? []
      if (told.includes(notice)) continue
      deps.logger.warn({ platformId: platform.id, platform: platform.name, notice, expiresAt }, MESSAGES[notice])
      await audit(deps.store, {
        actor: SYSTEM_ACTOR,
        action: 'warn',
        resource: 'platform',
        resourceId: platform.id,
        fields: ['credential', notice],
        outcome: 'allowed',
      })
      notices[platform.id] = { version: platform.credentialVersion, told: [...told, notice] }
      const version = platform.credentialVersion
      await tellOfCredential(
        deps.store,
        notices,
        { platformId: platform.id, version, step: notice },
        TYPES[notice],
        expiresAt,
      )
      result.warned += 1
    }
    return result
  })
}

/** null: it could not be asked. */
async function checkOf(
  deps: ActivityDeps,
  platform: PlatformRecord,
  signal: AbortSignal,
): Promise<PlatformCheck | null> {
  try {
    await using held = await deps.holdPlatform(platform.id)
    return await held.platform.check({ signal })
  } catch (thrown) {
    signal.throwIfAborted()
    const { type } = toToolferryError(thrown)
    deps.logger.warn({ platformId: platform.id, type }, 'a platform’s credential could not be checked')
    return null
  }
}

/** null: the check says nothing of the credential. */
function stateOf(found: PlatformCheck | null): CredentialState | null {
  if (found === null) return null
  if (found.ok) return 'valid'
  const type = found.error?.type ?? ''
  return Object.hasOwn(ERROR_FACTS, type) ? (STATE_AFTER[type as ErrorType] ?? null) : null
}

/** The date is a hint only: what COZE still accepts has not ended, though it may do so at any time. */
function noticeOf(state: CredentialState, expiresAt: Date | null, nowMs: number): Notice | null {
  if (state === 'expired' || state === 'refused') return state
  const warning = credentialWarning(expiresAt, nowMs)
  return warning === 'expired' && state === 'valid' ? 'expires_in_1_day' : warning
}
