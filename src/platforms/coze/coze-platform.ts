import { type Clock, systemClock } from '../../domain/clock.ts'
import { ToolferryError } from '../../domain/errors.ts'
import type { EgressPolicy } from '../../egress/policy.ts'
import type { Platform, RemoteSpace } from '../platform.ts'
import { findAdoptable } from './adopt.ts'
import type { CozeBudget } from './budget.ts'
import type { Calls } from './calls.ts'
import { checkCoze } from './check.ts'
import { type CozeTimeouts, createCozeClient } from './client.ts'
import { parseCozeCookie } from './cookie.ts'
import { createMemory } from './memory.ts'
import { type CozeTextRules, checkedGatewayUrl, isLoopbackHost, normaliseForCoze, textRulesFor } from './normalise.ts'
import { readSpace } from './read.ts'
import { administeredSpaces, organizationsOf } from './spaces.ts'
import { openSpaceWriter } from './writer.ts'

/** Where a COZE platform is; what the store keeps of it in clear. */
export type CozeSettings = {
  /** Origin, `https://www.coze.cn`. */
  baseUrl: string
  accountType: 'team' | 'personal'
  /** `volcano_…`; null for a personal account. */
  enterpriseId: string | null
  /** The user of a personal account, when the admin said which. */
  userId: string | null
  /** Whose cookie was given last: another one's is noticed. */
  cookieUser: { id: string; name: string } | null
}

export type CozePlatformOptions = {
  settings: CozeSettings
  /** As pasted. */
  cookie: string
  egress: EgressPolicy
  budget: CozeBudget
  clock?: Clock
  timeouts?: Partial<CozeTimeouts>
}

/**
 * COZE by the calls of its web interface and a user's cookie (coze.md): one MCP plugin a deployment. Throws
 * InvalidDesiredState when the cookie or the address cannot be right; connects on first use.
 */
export function createCozePlatform(options: CozePlatformOptions): Platform {
  const { settings, egress, budget } = options
  const clock = options.clock ?? systemClock
  const cookie = parseCozeCookie(options.cookie)
  const baseUrl = checkedBaseUrl(settings.baseUrl, egress)
  const rules = textRulesFor(baseUrl)
  const memory = createMemory(clock)
  const client = createCozeClient({
    baseUrl,
    cookie,
    userId: settings.cookieUser?.id ?? null,
    egress,
    budget,
    clock,
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
  })
  const calls = (signal: AbortSignal): Calls => ({ client, signal })
  const listSpaces = async (signal: AbortSignal): Promise<RemoteSpace[]> => {
    const organizations = await organizationsOf(calls(signal), settings.enterpriseId)
    return await administeredSpaces(calls(signal), settings.enterpriseId, organizations)
  }

  return {
    kind: 'coze',
    check: ({ signal, gatewayUrl }) => {
      const gatewayHint = gatewayUrl === undefined ? null : whyUnusable(gatewayUrl, rules)
      return checkCoze(calls(signal), settings, cookie, { clock, gatewayHint })
    },
    listSpaces: ({ signal }) => listSpaces(signal),
    normalise: (desired) => normaliseForCoze(desired, rules),
    proposeIdentity: () => null,
    read: (space, wanted, { signal }) => readSpace({ calls: calls(signal), clock, memory, listSpaces }, space, wanted),
    findAdoptable: (space, query, { signal }) =>
      findAdoptable({ calls: calls(signal), clock, memory, listSpaces }, space, query),
    openSpace: async (space, { signal, fence }) => {
      signal.throwIfAborted()
      return openSpaceWriter({ calls: { client, signal, fence }, clock, memory }, space)
    },
    close: () => client.close(),
  }
}

/** Why COZE could not call that gateway; null when it can. A plan refuses it, a check only says so. */
function whyUnusable(gatewayUrl: string, rules: CozeTextRules): string | null {
  try {
    checkedGatewayUrl(gatewayUrl, rules)
    return null
  } catch (error) {
    if (error instanceof ToolferryError) return error.message
    throw error
  }
}

/** The origin. https only, since the cookie is a whole account; without it on this machine alone. */
export function checkedBaseUrl(text: string, egress: Pick<EgressPolicy, 'checkUrl'>): string {
  const url = egress.checkUrl(text, 'baseUrl')
  if (url.protocol !== 'https:' && !isLoopbackHost(url.hostname)) {
    throw new ToolferryError('InvalidDesiredState', 'baseUrl: the cookie may travel over https only.', {
      field: 'baseUrl',
    })
  }
  return url.origin
}
