import type { TargetCounts } from './states.ts'

/** What Toolferry tells of by itself, through webhooks. A notice holds ids, names, states, counts and times; never a secret. */

export const NOTICE_TYPES = [
  'sync.failed',
  'sync.partial',
  'sync.waiting_for_credential',
  'drift.found',
  'credential.expiring',
  'credential.expired',
  'credential.refused',
  'token.expiring',
  'token.still_used',
] as const
export type NoticeType = (typeof NOTICE_TYPES)[number]

/** Sent on demand only, so that nobody has to select it. */
export const TEST_NOTICE = 'webhook.test'

export type PlatformRef = { platformId: string; platformName: string; platformKind: string }

export type RunData = PlatformRef & {
  syncId: string
  name: string
  counts: TargetCounts
  /** What ended the run or makes it wait; null: the targets say it. */
  error: { type: string; message: string } | null
}

export type DriftData = PlatformRef & {
  syncId: string
  name: string
  /** Objects on the platform that were found drifted for the first time, and the spaces they are in. */
  objects: number
  spaces: number
  /** Names of the fields that drifted. */
  fields: string[]
}

export type CredentialData = PlatformRef & { expiresAt: string | null }

export type ExpiringToken = {
  /** null: the token of a manual client. */
  bindingId: string | null
  instanceName: string
  spaceName: string | null
  expiresAt: string
}

export type TokenData = {
  withinDays: 7 | 1
  count: number
  /** The first of them; `count` says how many there are. */
  tokens: ExpiringToken[]
}

export type UsedToken = {
  tokenId: string
  bindingId: string | null
  instanceName: string
  spaceName: string | null
  /** When its platform was seen to hold the token that took its place, ISO 8601. */
  replacedAt: string
  lastUsedAt: string
}

/** Former tokens that somebody still sends after their grace period; they stay good until an admin ends them. */
export type UsedTokenData = {
  count: number
  /** The first of them; `count` says how many there are. */
  tokens: UsedToken[]
}

export type NoticeBody =
  | { type: 'sync.failed' | 'sync.partial' | 'sync.waiting_for_credential'; data: RunData }
  | { type: 'drift.found'; data: DriftData }
  | { type: 'credential.expiring' | 'credential.expired' | 'credential.refused'; data: CredentialData }
  | { type: 'token.expiring'; data: TokenData }
  | { type: 'token.still_used'; data: UsedTokenData }
  | { type: typeof TEST_NOTICE; data: { webhookId: string; name: string } }

export type Notice = NoticeBody & {
  /** When it happened, ISO 8601. */
  timestamp: string
}
