import { randomBytes } from 'node:crypto'
import type { Clock } from './clock.ts'
import { CozeRefused, DEFAULT_CODES } from './codes.ts'
import type { CozeCode, CozeRefusal, CozeSwitches, SessionLoss } from './options.ts'
import type { NameValue, PluginMeta, ProductStatus, SpaceRole } from './simulator-types.ts'

/** Everything the simulator remembers. Plugins' meta and tools are replaced, never changed, so online and draft may share them. */
export type World = {
  clock: Clock
  switches: CozeSwitches
  codes: Record<CozeRefusal, CozeCode>
  /** Set once the server listens. */
  origin: string
  users: Map<string, User>
  sessions: Map<string, Session>
  enterprises: Map<string, Enterprise>
  organizations: Map<string, Organization>
  spaces: Map<string, Space>
  plugins: Map<string, Plugin>
  /** Public origin → real origin. */
  routes: Map<string, string>
  insecureOrigins: Set<string>
  mintId(): string
  mintUserId(): string
}

export type User = { userId: string; name: string; uniqueName: string }

export type Session = { sessionId: string; userId: string; expiresMs: number; lost: SessionLoss | null }

export type Enterprise = {
  enterpriseId: string
  name: string
  level: string
  defaultOrganizationId: string
  members: Set<string>
  createdMs: number
}

export type Organization = { organizationId: string; enterpriseId: string; name: string; members: Set<string> }

export type Space = {
  spaceId: string
  name: string
  spaceType: 1 | 2
  enterpriseId: string | null
  organizationId: string | null
  ownerId: string
  roles: Map<string, SpaceRole>
  /** The latest edit time given out in it, clock ms. */
  lastEditMs: number
}

export type Tool = {
  apiId: string
  name: string
  desc: string
  inputSchema: Record<string, unknown>
  disabled: boolean
  debugStatus: 0 | 1
  createdMs: number
}

export type Release = {
  meta: PluginMeta
  tools: readonly Tool[]
  versionName: string
  versionDesc: string
  versionTs: string
  publisherId: string
}

/** What the list shows of a plugin, as of one moment; null = it is out of the index. */
export type IndexDoc = { name: string; desc: string; publishStatus: 1 | 2; updatedMs: number } | null

export type Plugin = {
  pluginId: string
  spaceId: string
  creatorId: string
  pluginType: number
  editVersion: number
  deleted: boolean
  /** Edited since the last publish: `status` of get_plugin_info. */
  changed: boolean
  meta: PluginMeta
  tools: readonly Tool[]
  online: Release | null
  /** Newest first. */
  history: Release[]
  lock: { userId: string; untilMs: number } | null
  botQuote: number
  productStatus: ProductStatus
  createdMs: number
  updatedMs: number
  index: { visibleAtMs: number; doc: IndexDoc }[]
  foreign: boolean
  /** Reads of get_plugin_info that still show the state before a publish. */
  unseen: { reads: number; published: boolean; changed: boolean } | null
}

export const MCP_PLUGIN_TYPE = 11
export const DEFAULT_ICON_URI = 'plugin_icon/default_icon.png'

export const DEFAULT_SWITCHES: CozeSwitches = {
  indexLagMs: 1_000,
  strictEditVersion: true,
  strictVersion: true,
  lockEnforced: true,
  lockTtlMs: 300_000,
  textRules: true,
  fetchToolsOnRegister: false,
  duplicateNames: 'accepted',
  subTypeFilter: 'exact',
  totalInLibrary: true,
  playgroundNeedsType: true,
  publishUnchanged: 'accepted',
  spacesWithoutOrganization: 'default-organization',
  memberEdits: 'own',
  headerChange: 'publish',
  requiredCookies: ['sessionid'],
  sessionLoss: 'code',
  messageField: 'msg',
  renewsCookies: true,
  briefIntroMaxChars: 50,
  sparseAnswers: false,
  rateLimit: null,
  sensitiveWords: ['违禁词'],
  pluginsPerSpace: null,
  mcpTimeoutMs: 60_000,
}

export function createWorld(options: {
  clock: Clock
  switches?: Partial<CozeSwitches>
  codes?: Partial<Record<CozeRefusal, CozeCode>>
  routes?: Record<string, string>
  allowInsecureOrigins?: string[]
}): World {
  // Beyond 2^53 on purpose: a client that reads an id as a number loses its last digits, and an odd one is never its own rounding.
  let id = 7_500_000_000_000_000_001n
  let userId = 3_700_000_000_000_000n
  return {
    clock: options.clock,
    switches: { ...DEFAULT_SWITCHES, ...options.switches },
    codes: { ...DEFAULT_CODES, ...options.codes },
    origin: '',
    users: new Map(),
    sessions: new Map(),
    enterprises: new Map(),
    organizations: new Map(),
    spaces: new Map(),
    plugins: new Map(),
    routes: new Map(Object.entries(options.routes ?? {})),
    insecureOrigins: new Set(options.allowInsecureOrigins ?? []),
    mintId: () => {
      id += 2n * BigInt(1 + (randomBytes(2).readUInt16BE() % 997))
      return String(id)
    },
    mintUserId: () => {
      userId += 1n
      return String(userId)
    },
  }
}

/** The refusal for a reason, with the code in force; `detail` is added to the message. */
export function refusal(world: World, why: CozeRefusal, detail = ''): CozeRefused {
  const { code, msg } = world.codes[why]
  return new CozeRefused(code, detail === '' ? msg : `${msg} : ${detail}`)
}

export function userOf(world: World, userId: string): User {
  return world.users.get(userId) ?? { userId, name: '已注销用户', uniqueName: `user${userId}` }
}

export function roleIn(space: Space, userId: string): SpaceRole | null {
  return space.roles.get(userId) ?? null
}

/** The space, for somebody who belongs to it. Throws permissionDenied, notFound. */
export function spaceFor(world: World, spaceId: string, userId: string): Space {
  const space = world.spaces.get(spaceId)
  if (space === undefined) throw refusal(world, 'notFound', 'space')
  if (roleIn(space, userId) === null) throw refusal(world, 'permissionDenied')
  return space
}

/** The plugin, for somebody who may read it. Throws notFound, permissionDenied. */
export function pluginFor(world: World, pluginId: string, userId: string): Plugin {
  const plugin = world.plugins.get(pluginId)
  if (plugin === undefined || plugin.deleted) throw refusal(world, 'notFound')
  spaceFor(world, plugin.spaceId, userId)
  return plugin
}

export function canEdit(world: World, plugin: Plugin, userId: string): boolean {
  const space = world.spaces.get(plugin.spaceId)
  const role = space === undefined ? null : roleIn(space, userId)
  if (role === null) return false
  if (role !== 3) return true
  if (world.switches.memberEdits === 'own') return plugin.creatorId === userId
  return world.switches.memberEdits === 'all'
}

/** The plugin, for somebody about to change it. Throws as pluginFor; permissionDenied, editLocked. */
export function pluginToEdit(world: World, pluginId: string, userId: string): Plugin {
  const plugin = pluginFor(world, pluginId, userId)
  if (!canEdit(world, plugin, userId)) throw refusal(world, 'permissionDenied')
  const holder = lockHolder(world, plugin)
  if (world.switches.lockEnforced && holder !== null && holder !== userId) throw refusal(world, 'editLocked')
  return plugin
}

/** Who holds the edit lock now. */
export function lockHolder(world: World, plugin: Plugin): string | null {
  return plugin.lock !== null && plugin.lock.untilMs > world.clock.nowMs() ? plugin.lock.userId : null
}

export function emptyMeta(): PluginMeta {
  return {
    name: '',
    desc: '',
    url: '',
    iconUri: DEFAULT_ICON_URI,
    briefIntro: '',
    auth: { type: 0, subType: 0, location: 0, key: '', serviceToken: '', payload: '', oauthInfo: '{}' },
    commonParams: { 1: [], 2: [], 3: [], 4: [] },
    privacy: { status: false, info: '' },
  }
}

export function copyPairs(pairs: readonly NameValue[]): NameValue[] {
  return pairs.map(({ name, value }) => ({ name, value }))
}
