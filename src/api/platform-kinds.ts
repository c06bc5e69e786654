import { createHash } from 'node:crypto'
import { openSourceRefused, parseCozeCookie } from '../platforms/coze/cookie.ts'
import { checkedBaseUrl } from '../platforms/coze/coze-platform.ts'
import { checkedGatewayUrl as checkedCozeGateway, textRulesFor } from '../platforms/coze/normalise.ts'
import type { PlatformCheck, PlatformKind } from '../platforms/platform.ts'
import type { Credential, PlatformRecord } from '../store/platforms.ts'
import type { ApiDeps, PlatformTarget } from './deps.ts'
import { plainAddress } from './input-rules.ts'
import {
  type CozeSettings,
  type CredentialInput,
  cozeSettings,
  type DifySettings,
  difySettings,
  type PlatformInput,
  type PlatformPatch,
} from './platform-schemas.ts'
import { ApiProblem, invalidField, invalidRequest } from './problem.ts'

/** What differs between the kinds of platforms, as the API sees them: where they point, what their secret is. */

type Account = NonNullable<PlatformCheck['account']>

/** A platform as it shall be saved. */
export type Draft =
  | { kind: 'dify'; settings: DifySettings; credential: Credential | null }
  | { kind: 'coze'; settings: CozeSettings; credential: Credential | null }

/** The settings of a new platform. Throws what names the wrong field. */
export function draftOf(deps: ApiDeps, input: PlatformInput): Draft {
  if (input.kind === 'dify') {
    const { password, ...database } = input.database
    const settings = allowedDify(deps, { edition: input.edition, database, consoleUrl: input.consoleUrl ?? null })
    return { kind: 'dify', settings, credential: { password } }
  }
  if (input.edition === 'open-source') throw openSourceRefused()
  const settings = allowedCoze(deps, {
    baseUrl: input.baseUrl,
    accountType: input.accountType,
    enterpriseId: input.enterpriseId ?? null,
    userId: input.userId ?? null,
    cookieUser: null,
  })
  return {
    kind: 'coze',
    settings,
    credential: input.cookie === undefined ? null : { cookie: parseCozeCookie(input.cookie).header },
  }
}

/** The settings after a change. `placed`: it is about them; `moved`: they point elsewhere, so that the secret is void. */
export function patchedDraft(
  deps: ApiDeps,
  platform: PlatformRecord,
  patch: PlatformPatch,
): { draft: Draft; moved: boolean; placed: boolean } {
  const { edition, database, consoleUrl, baseUrl, enterpriseId, userId } = patch
  const placed = [edition, database, consoleUrl, baseUrl, enterpriseId, userId].some((given) => given !== undefined)
  if (platform.kind === 'dify') {
    refuseFields(platform.kind, { baseUrl, enterpriseId, userId })
    const before = difySettings.parse(platform.settings)
    const { password, ...rest } = database ?? {}
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
    const settings = allowedDify(
      deps,
      difySettings.parse({
        edition: edition ?? before.edition,
        database: { ...before.database, ...given },
        consoleUrl: consoleUrl === undefined ? before.consoleUrl : consoleUrl,
      }),
    )
    const moved = JSON.stringify(settings.database) !== JSON.stringify(before.database)
    return {
      draft: { kind: 'dify', settings, credential: password === undefined ? null : { password } },
      moved,
      placed,
    }
  }
  refuseFields(platform.kind, { edition, database, consoleUrl })
  const before = cozeSettings.parse(platform.settings)
  const wanted = {
    ...before,
    ...(baseUrl === undefined ? {} : { baseUrl }),
    ...(enterpriseId === undefined ? {} : { enterpriseId }),
    ...(userId === undefined ? {} : { userId }),
  }
  const settings = allowedCoze(deps, wanted)
  const moved = (['baseUrl', 'enterpriseId', 'userId'] as const).some((key) => settings[key] !== before[key])
  return {
    draft: { kind: 'coze', settings: moved ? { ...settings, cookieUser: null } : settings, credential: null },
    moved,
    placed,
  }
}

/** The saved platform with another secret, as PUT /credential gives it. */
export function draftWithCredential(platform: PlatformRecord, input: CredentialInput): Draft {
  const field = secretField(platform.kind)
  const other = platform.kind === 'dify' ? input.cookie : input.password
  if (other !== undefined) {
    throw invalidField(field === 'cookie' ? 'password' : 'cookie', `This platform has a ${field}; give that.`)
  }
  const secret = input[field]
  if (secret === undefined) throw invalidRequest([{ field, message: `The platform needs a ${field}.` }])
  if (platform.kind === 'dify') {
    return { kind: 'dify', settings: difySettings.parse(platform.settings), credential: { password: secret } }
  }
  const settings = cozeSettings.parse(platform.settings)
  return { kind: 'coze', settings, credential: { cookie: parseCozeCookie(secret).header } }
}

/** Ready to be opened, with its secret; null without one. */
export function targetOf(draft: Draft): PlatformTarget | null {
  const { credential } = draft
  if (draft.kind === 'dify') {
    return credential?.password === undefined
      ? null
      : { kind: 'dify', settings: draft.settings, credential: credential.password }
  }
  return credential?.cookie === undefined
    ? null
    : { kind: 'coze', settings: draft.settings, credential: credential.cookie }
}

export function savedDraft(platform: PlatformRecord, credential: Credential): Draft {
  return platform.kind === 'dify'
    ? { kind: 'dify', settings: difySettings.parse(platform.settings), credential }
    : { kind: 'coze', settings: cozeSettings.parse(platform.settings), credential }
}

/** What the check has found out belongs to the settings, too: whose cookie it is, and so whose account. */
export function withAccount(draft: Draft, account: Account | null): Draft {
  if (draft.kind === 'dify' || account === null) return draft
  const { settings } = draft
  const userId = settings.accountType === 'personal' ? (settings.userId ?? account.id) : settings.userId
  return { ...draft, settings: { ...settings, userId, cookieUser: account } }
}

/**
 * One place is registered once: a Dify database whatever user and TLS mode it is called with, a COZE team or account whoever's
 * cookie is used. sha256 hex.
 */
export function remoteKeyOf(draft: Draft): string {
  return createHash('sha256')
    .update(JSON.stringify(placeOf(draft)))
    .digest('hex')
}

function placeOf(draft: Draft): unknown[] {
  if (draft.kind === 'dify') {
    const { engine, host, port, database } = draft.settings.database
    return ['dify', engine, host, port, database]
  }
  const { baseUrl, accountType, enterpriseId, userId } = draft.settings
  if (accountType === 'team') return ['coze', new URL(baseUrl).host, 'team', enterpriseId]
  if (userId === null) {
    throw invalidField(
      'userId',
      'COZE did not tell whose account it is. Give the user id (UID) from its account settings.',
    )
  }
  return ['coze', new URL(baseUrl).host, 'personal', userId]
}

export function secretField(kind: PlatformKind): 'password' | 'cookie' {
  return kind === 'dify' ? 'password' : 'cookie'
}

/** COZE's cloud calls by https and name only: said when it is given, not when COZE refuses it (coze.md §7.2). */
export function refuseUnusableGateway(draft: Draft, gatewayUrl: string | null | undefined): void {
  if (draft.kind === 'coze' && gatewayUrl != null) checkedCozeGateway(gatewayUrl, textRulesFor(draft.settings.baseUrl))
}

/** Another person's cookie works, and then this person answers for all that is done: it must be meant. */
export function refuseOtherUser(draft: Draft, found: PlatformCheck, confirmed: boolean): void {
  if (draft.kind === 'dify' || confirmed) return
  const before = draft.settings.cookieUser
  const now = found.account ?? null
  if (before === null || now === null || before.id === now.id) return
  const message = `This cookie is of ${now.name} (${now.id}); the one before was of ${before.name} (${before.id}).`
  throw new ApiProblem(409, 'other_user', message, {
    hint: 'If that is meant, send it again with "confirmUserChange": true. Plugins keep the owner that made them.',
    errors: [{ field: 'cookie', message }],
  })
}

function allowedDify(deps: ApiDeps, settings: DifySettings): DifySettings {
  const { database, consoleUrl } = settings
  const host = deps.egress.checkHost(database.host, database.port, 'database.host')
  return {
    ...settings,
    database: { ...database, host },
    consoleUrl: consoleUrl === null ? null : plainAddress(consoleUrl, 'consoleUrl', 'https://dify.example.com'),
  }
}

function allowedCoze(deps: ApiDeps, settings: CozeSettings): CozeSettings {
  const baseUrl = checkedBaseUrl(settings.baseUrl, deps.egress)
  const { accountType, enterpriseId } = settings
  if (accountType === 'team' && enterpriseId === null) {
    throw invalidField(
      'enterpriseId',
      'A team or enterprise needs its id, like volcano_2100000000 (organization settings).',
    )
  }
  if (accountType === 'personal' && enterpriseId !== null) {
    throw invalidField('enterpriseId', 'A personal account has none; leave it out, or give accountType "team".')
  }
  if (enterpriseId !== null && /^\d{17,}$/.test(enterpriseId)) {
    throw invalidField(
      'enterpriseId',
      'This is an organization id. Give the team or enterprise id, like volcano_2100000000.',
    )
  }
  return { ...settings, baseUrl }
}

function refuseFields(kind: PlatformKind, fields: Record<string, unknown>): void {
  const wrong = Object.entries(fields).filter(([, value]) => value !== undefined)
  if (wrong.length === 0) return
  throw invalidRequest(wrong.map(([field]) => ({ field, message: `A ${kind} platform has no such field.` })))
}
