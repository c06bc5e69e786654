import type { Clock } from '../../domain/clock.ts'
import { ToolferryError } from '../../domain/errors.ts'
import type { PlatformCheck } from '../platform.ts'
import type { Calls } from './calls.ts'
import type { CozeCookie } from './cookie.ts'
import type { CozeSettings } from './coze-platform.ts'
import { administeredSpaces, type CozeAccount, organizationsOf, whoIs } from './spaces.ts'

const DAY_MS = 24 * 3_600_000
const SOON_MS = 7 * DAY_MS

/** The findings of a check, in order: whose login it is, what it belongs to, what it may administer. The first failure ends it. */
export async function checkCoze(
  calls: Calls,
  settings: CozeSettings,
  cookie: CozeCookie,
  surroundings: { clock: Clock; gatewayHint: string | null },
): Promise<PlatformCheck> {
  const findings: PlatformCheck['findings'] = []
  const found = (name: string, detail: string): void => void findings.push({ name, ok: true, detail })
  const credentialExpiresAt = cookie.expiresAt
  let failing = 'login'
  let account: CozeAccount['user'] = null
  try {
    const { host } = new URL(settings.baseUrl)
    const who = await whoIs(calls)
    account = who.user
    found(
      'login',
      account === null
        ? `accepted by ${host}; it does not tell whose it is`
        : `${account.name} (${account.id}) at ${host}`,
    )

    failing = 'account'
    refuseOtherAccount(settings, who)
    const organizations = await organizationsOf(calls, settings.enterpriseId)
    found('account', describeAccount(settings, who, organizations))

    failing = 'spaces'
    const spaces = await administeredSpaces(calls, settings.enterpriseId, organizations)
    found('spaces', `${spaces.length} in which the user is owner or administrator`)
    const hints = [
      ...(surroundings.gatewayHint === null ? [] : [surroundings.gatewayHint]),
      ...expiryHints(credentialExpiresAt, surroundings.clock.now()),
      ...(spaces.length === 0
        ? ['The user is owner or administrator of no space. Have the user made administrator of the spaces to sync.']
        : []),
      'The cookie gives the whole account. Use an account of its own that is administrator of nothing but these spaces.',
    ]
    const version = `COZE, ${settings.accountType === 'team' ? 'team or enterprise' : 'personal'}`
    return { ok: true, version, error: null, hints, findings, spaces: spaces.length, account, credentialExpiresAt }
  } catch (error) {
    if (!(error instanceof ToolferryError)) throw error
    findings.push({ name: failing, ok: false, detail: error.message })
    const { type, message, field } = error
    return {
      ok: false,
      version: null,
      error: field === undefined ? { type, message } : { type, message, field },
      hints: [],
      findings,
      spaces: null,
      account,
      credentialExpiresAt,
    }
  }
}

function refuseOtherAccount(settings: CozeSettings, who: CozeAccount): void {
  const { enterpriseId, userId } = settings
  if (enterpriseId !== null && who.enterprises !== null && !who.enterprises.some(({ id }) => id === enterpriseId)) {
    const theirs = who.enterprises.map(({ id, name }) => (name === '' ? id : `${name} (${id})`))
    throw new ToolferryError(
      'Forbidden',
      `The cookie’s user is not in the team or enterprise ${enterpriseId}, but in ${theirs.length === 0 ? 'none' : theirs.join(', ')}.`,
      { field: 'enterpriseId' },
    )
  }
  if (enterpriseId === null && userId !== null && who.user !== null && who.user.id !== userId) {
    throw new ToolferryError('Forbidden', `The cookie is of the COZE user ${who.user.id}, not of ${userId}.`, {
      field: 'userId',
    })
  }
}

function describeAccount(
  settings: CozeSettings,
  who: CozeAccount,
  organizations: readonly { id: string; name: string }[],
): string {
  if (settings.enterpriseId === null) return 'personal account'
  const name = who.enterprises?.find(({ id }) => id === settings.enterpriseId)?.name
  const names = organizations.map((organization) => organization.name || organization.id)
  return `${name || settings.enterpriseId}, organizations: ${names.length === 0 ? 'none found' : names.join(', ')}`
}

function expiryHints(expiresAt: Date | null, nowMs: number): string[] {
  if (expiresAt === null) return ['The cookie does not tell when it ends (it has no sid_guard).']
  const leftMs = expiresAt.getTime() - nowMs
  if (leftMs > SOON_MS) return []
  const days = Math.max(0, Math.floor(leftMs / DAY_MS))
  return [
    `The login ends in about ${days} ${days === 1 ? 'day' : 'days'}; sign in again and paste the new cookie before.`,
  ]
}
