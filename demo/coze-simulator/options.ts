import type { Clock } from './clock.ts'

/** How the simulator is started. Everything has a default: `startCozeSimulator()` is a coze.cn with nobody in it. */
export type CozeSimulatorOptions = {
  /** Default 0 = a free one. */
  port?: number
  /** Default 0 = a free one; null = no admin view. */
  adminPort?: number | null
  /** Default `systemClock`; tests inject a steered one (clock.ts). */
  clock?: Clock
  /**
   * The public internet as COZE's cloud sees it: public origin → the origin where it really is, e.g.
   * `{ 'https://gateway.example.com': 'http://127.0.0.1:8080' }`. Nothing but these, and `allowInsecureOrigins`, can be reached.
   */
  routes?: Record<string, string>
  /** Origins that break the URL rule (http, IP address) and are taken nevertheless, e.g. `http://127.0.0.1:8080`. Default none. */
  allowInsecureOrigins?: string[]
  /** What is unknown of coze.cn; each with its default. */
  switches?: Partial<CozeSwitches>
  /** Codes and messages that are unknown of coze.cn; each with its default. */
  codes?: Partial<Record<CozeRefusal, CozeCode>>
}

/** What nobody has seen of coze.cn yet (coze.md §6 marks it †, §9 lists it). The default is the first value named. */
export type CozeSwitches = {
  /** 1000. How long a change takes to reach library_resource_list, in ms (§2.3: eventually consistent). */
  indexLagMs: number
  /** true. Whether an update with an `edit_version` that is not the current one is refused (§4). */
  strictEditVersion: boolean
  /** true. Whether a version must be greater than the published one (§2.8; OSS). */
  strictVersion: boolean
  /** true. Whether writes are refused while somebody else holds the edit lock (§2.11). */
  lockEnforced: boolean
  /** 300 000. How long an edit lock holds without being renewed, in ms. */
  lockTtlMs: number
  /** true. Whether the server enforces the web form's rules on name, desc, headers, versions (§7.1). */
  textRules: boolean
  /** false. Whether `register` itself already reads the tools (§2.5 [D]). */
  fetchToolsOnRegister: boolean
  /** "accepted". Whether a second plugin of the same name in a space is refused with 702092010 (§3.4). */
  duplicateNames: 'accepted' | 'refused'
  /** "exact": `[1,11]` lists MCP plugins only. "empty": it finds nothing; "ignored": it is taken as `[1,-1]`; "refused": parameter error (§2.3 [U]). */
  subTypeFilter: 'exact' | 'empty' | 'ignored' | 'refused'
  /** true. Whether library_resource_list answers `total` (§2.3: [V], but not in the IDL). */
  totalInLibrary: boolean
  /** true. Whether get_playground_plugin_list leaves MCP plugins out unless `plugin_types` has 11 (§2.9 [U]). */
  playgroundNeedsType: boolean
  /** "accepted". What publishing does when nothing has changed since the last time (§2.8). */
  publishUnchanged: 'accepted' | 'refused'
  /** "default-organization": space/list of an enterprise without organization_id answers the default organization's; "all": every one's. */
  spacesWithoutOrganization: 'default-organization' | 'all'
  /** "own". What a member (role 3) may change: the plugins he made, all, or none (§4 [U]). */
  memberEdits: 'own' | 'all' | 'none'
  /** "publish": a changed header reaches running agents with the next publish; "at-once" (§4). Shown as `agentHeaders` of a plugin. */
  headerChange: 'publish' | 'at-once'
  /** ["sessionid"]. Cookies a session needs beside a valid value of the first; the full set makes reduced cookies fail (§3.2 [U]). */
  requiredCookies: string[]
  /** How a lost session shows when nothing else is said: "code". */
  sessionLoss: SessionLoss
  /** "msg". The field that carries the message of refusals (§2: msg or message). */
  messageField: 'msg' | 'message'
  /** true. Whether answers carry Set-Cookie renewals (§3.2: to be ignored). */
  renewsCookies: boolean
  /** 50. Longest brief_intro in code points; null = no limit (§7.1: unknown; mcpcan never sends more than 50 bytes). */
  briefIntroMaxChars: number | null
  /** false. Leaves out what the open-source backend leaves out: edit_version, creator, version_ts (Appendix B). */
  sparseAnswers: boolean
  /** null = none. Calls a second a session may start before 429 (§3.5: undocumented). */
  rateLimit: { perSecond: number; retryAfterS: number } | null
  /** ["违禁词"]. Words the content check refuses with 720092020. */
  sensitiveWords: string[]
  /** null = unlimited. Plugins a space may hold (§7.2: not documented). */
  pluginsPerSpace: number | null
  /** 60 000. How long COZE's cloud waits for an MCP server on refresh, in real ms. */
  mcpTimeoutMs: number
}

/**
 * How the loss of a session, or a stop by risk control, shows (§0.5, §3.4):
 * "code" 200 with 700012006 · "unauthorized" 401 with data.redirect_uri · "redirect" 302 to the login page · "html" 200 with the
 * login page · "human-verification" 403 with a page · "human-verification-json" 403 with JSON · "risk" 200 with 700012014 ·
 * "region" 200 with 700012015.
 */
export type SessionLoss =
  | 'code'
  | 'unauthorized'
  | 'redirect'
  | 'html'
  | 'human-verification'
  | 'human-verification-json'
  | 'risk'
  | 'region'

export type CozeCode = { code: number; msg: string }

/** Every reason the simulator refuses for; codes.ts has the code, the message and where it comes from. */
export type CozeRefusal =
  | 'notLoggedIn'
  | 'riskControl'
  | 'regionRestricted'
  | 'invalidParameter'
  | 'permissionDenied'
  | 'notFound'
  | 'toolsCheckFailed'
  | 'versionTooLow'
  | 'contentCheck'
  | 'duplicateName'
  | 'editLocked'
  | 'staleEditVersion'
  | 'mcpUnreachable'
  | 'productListed'
  | 'notInEnterprise'
  | 'nothingToPublish'
  | 'pluginQuota'
  | 'toolFailed'
