import type { Clock } from './clock.ts'
import type { FaultHandle, FaultRule } from './fault-types.ts'
import type { CozeSwitches, SessionLoss } from './options.ts'

/**
 * A coze.cn that runs here (coze.md §6). `origin` is what a client is given as base URL. Everything else is for the test or
 * the demo that plays the people: it never shows on the COZE API.
 */
export type CozeSimulator = {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  /** The admin view: `/` for people, `/state.json`, `/calls.json`. Null when it was not wanted. */
  readonly adminOrigin: string | null
  readonly clock: Clock
  /** The switches in force; may be set at any time. */
  readonly switches: CozeSwitches

  // People and places
  /** A user with a personal space and a session. */
  addAccount(account?: NewAccount): CozeAccount
  /** A new session for a user; answers the cookie as a browser would send it. Earlier sessions stay. */
  login(userId: string, options?: { ttlS?: number }): string
  /** Ends sessions; their calls then answer in `shape` (default: the switch). Of a user all of them, of a cookie that one. */
  loseSession(who: { userId: string } | { cookie: string }, shape?: SessionLoss): void
  addEnterprise(enterprise?: NewEnterprise): CozeEnterprise
  addOrganization(enterpriseId: string, name?: string): string
  /** Makes a user a member of an enterprise, and of the organizations named (default: the default one). */
  joinEnterprise(userId: string, enterpriseId: string, organizationIds?: string[]): void
  addSpace(space: NewSpace): string
  /** null takes the user out of the space. */
  setRole(spaceId: string, userId: string, role: SpaceRole | null): void
  renameSpace(spaceId: string, name: string): void

  // What other people do to plugins, in the web interface
  /** A plugin somebody made by hand; published unless said otherwise. It is in the index at once. */
  addForeignPlugin(plugin: NewForeignPlugin): string
  /** Edits a draft by hand, as a user; bumps edit_version. */
  editPlugin(pluginId: string, edit: PluginEdit): void
  /** Publishes a draft by hand; `versionName` defaults to the next one. */
  publishPlugin(pluginId: string, versionName?: string): void
  deletePlugin(pluginId: string): void
  setBotQuote(pluginId: string, agents: number): void
  setProductStatus(pluginId: string, status: ProductStatus): void
  /** Somebody opens the plugin for editing; `forMs` defaults to the switch lockTtlMs. */
  holdLock(pluginId: string, userId: string, forMs?: number): void
  releaseLock(pluginId: string): void

  // The network
  /** Makes `publicOrigin` (https://name) reachable for COZE's cloud at `realOrigin`; null takes it away. */
  route(publicOrigin: string, realOrigin: string | null): void
  readonly faults: {
    add(rule: FaultRule): FaultHandle
    clear(): void
  }
  /**
   * Called for every call to the API and waited for: "received" before it is processed; "applied" once its answer is ready and
   * before it is sent or lost (`processed` and `changed` say what it did; left out for a lost request); "answered" afterwards.
   * Answers how to stop listening.
   */
  onCall(listener: CallListener): () => void

  // What there is to see
  /** Deleted ones left out unless asked for; without a space: of all. */
  plugins(spaceId?: string, options?: { deleted?: boolean }): PluginView[]
  plugin(pluginId: string): PluginView
  spaces(): SpaceView[]
  /** URL path (no host) → live MCP plugins with it, by space: must be 1 each. Key `<spaceId> <path>`. */
  livePluginsByUrl(): Map<string, number>
  calls(filter?: CallFilter): CozeCall[]
  /** Calls by endpoint: the last part of the path (`register_plugin_meta`), `space/list` for that one. */
  counts(): Record<string, number>
  resetCalls(): void
  load(): CozeLoad
  stop(): Promise<void>
}

/** 1 owner, 2 administrator, 3 member. */
export type SpaceRole = 1 | 2 | 3

/** 0 never listed, 1 listed, 2 unlisted, 3 banned. */
export type ProductStatus = 0 | 1 | 2 | 3

export type NewAccount = {
  /** Shown name; default 用户<n>. */
  name?: string
  uniqueName?: string
  /** Default: a fresh 16-digit one. */
  userId?: string
  /** Life of the first session; default 60 days. */
  ttlS?: number
}

export type CozeAccount = {
  userId: string
  name: string
  uniqueName: string
  /** As copied from a browser: `ttwid=…; sessionid=…; sid_guard=…; …` */
  cookie: string
  personalSpaceId: string
}

export type NewEnterprise = { name?: string; enterpriseId?: string; level?: string }

export type CozeEnterprise = { enterpriseId: string; name: string; defaultOrganizationId: string }

export type NewSpace = {
  name?: string
  ownerId: string
  /** Beside the owner: user id → role. */
  members?: Record<string, SpaceRole>
  /** Default: none, a team space of the personal account. */
  enterpriseId?: string
  /** Default: the enterprise's default organization. */
  organizationId?: string
}

export type NewForeignPlugin = {
  spaceId: string
  /** Default: the space's owner. */
  creatorId?: string
  name?: string
  desc?: string
  /** Default 1 (an API plugin). */
  pluginType?: number
  url?: string
  headers?: NameValue[]
  tools?: string[]
  published?: boolean
  /** Clock ms; default now, and never equal to another one of the space unless given so. */
  updatedMs?: number
}

/** Fields absent stay. */
export type PluginEdit = {
  name?: string
  desc?: string
  url?: string
  /** The header list, whole. */
  headers?: NameValue[]
  /** The plugin's own authorization, by what differs from none. */
  auth?: Partial<PluginMeta['auth']>
  iconUri?: string
  /** Names of draft tools to switch off (all others on). */
  disabledTools?: string[]
}

export type NameValue = { name: string; value: string }

export type PluginMeta = {
  name: string
  desc: string
  url: string
  iconUri: string
  briefIntro: string
  auth: {
    type: number
    subType: number
    location: number
    key: string
    serviceToken: string
    payload: string
    oauthInfo: string
  }
  /** Keys "1" path, "2" query, "3" body, "4" header; all four are always there. */
  commonParams: Record<'1' | '2' | '3' | '4', NameValue[]>
  privacy: { status: boolean; info: string }
}

export type ToolView = {
  apiId: string
  name: string
  desc: string
  inputSchema: Record<string, unknown>
  disabled: boolean
  /** 0 waiting, 1 passed. */
  debugStatus: 0 | 1
}

export type PluginView = {
  pluginId: string
  spaceId: string
  creatorId: string
  /** 11 = MCP. */
  pluginType: number
  editVersion: number
  deleted: boolean
  /** `published` and `status` of get_plugin_info: ever published; changed since. */
  published: boolean
  status: boolean
  draft: { meta: PluginMeta; tools: ToolView[] }
  /** What agents use; null before the first publish. */
  online: { meta: PluginMeta; tools: ToolView[]; versionName: string; versionTs: string } | null
  /** Newest first. */
  history: { versionName: string; versionDesc: string; versionTs: string; publisherId: string }[]
  /** The header list that agents call with: of the draft or of what is online, by the switch headerChange. Null before the first publish. */
  agentHeaders: NameValue[] | null
  lock: { userId: string; untilMs: number } | null
  botQuote: number
  productStatus: ProductStatus
  createdMs: number
  updatedMs: number
  /** True for what `addForeignPlugin` made. */
  foreign: boolean
}

export type SpaceView = {
  spaceId: string
  name: string
  /** 1 personal, 2 team. */
  spaceType: 1 | 2
  enterpriseId: string | null
  organizationId: string | null
  ownerId: string
  roles: Record<string, SpaceRole>
}

export type CallStage = 'received' | 'applied' | 'answered'

export type CallListener = (call: CozeCall, stage: CallStage) => void | Promise<void>

export type CozeCall = {
  /** From 1, over all endpoints. */
  n: number
  /** Clock ms when it arrived. */
  atMs: number
  method: string
  path: string
  endpoint: string
  /** Whose session; null when it has none that is valid. */
  userId: string | null
  /** Lower-case names; `cookie` is replaced by its SHA-256's start, `set-cookie` never occurs. */
  headers: Record<string, string>
  query: Record<string, string>
  /** The parsed body, whole (in-process only; the admin view masks header values); undefined when it was not JSON. */
  body: unknown
  /** Of the request or, for register, of the answer; null when there is none. */
  pluginId: string | null
  spaceId: string | null
  /** What was answered; null while it is in flight, or when the connection was cut. */
  httpStatus: number | null
  code: number | null
  msg: string | null
  logId: string
  /** The faults that hit it, by kind. */
  faults: string[]
  /** True when the endpoint did its work (a read, or a write that took place). */
  processed: boolean
  /** True for a write that changed something. */
  changed: boolean
  /** The client was gone before the answer could be sent. */
  clientGone: boolean
}

export type CallFilter = {
  endpoint?: string
  pluginId?: string
  spaceId?: string
  userId?: string
  /** register, update, refresh, publish, del, locks, tool edits. */
  writes?: boolean
  /** Only calls after this number. */
  after?: number
}

export type CozeLoad = {
  /** Most calls in flight at once: over all, of one user, and writes in one space. */
  maxInFlight: number
  maxInFlightOfOneUser: number
  maxWritesInFlightInOneSpace: number
  /** Most calls of one user that started within a second of the clock. */
  maxStartsPerSecondOfOneUser: number
}
