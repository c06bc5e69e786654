import { createPlugin, editDraft, nextVersion, releaseDraft, removePlugin } from './plugin-life.ts'
import { openSession } from './sessions.ts'
import type {
  CozeAccount,
  CozeEnterprise,
  CozeSimulator,
  NewAccount,
  NewEnterprise,
  NewForeignPlugin,
  NewSpace,
  PluginEdit,
} from './simulator-types.ts'
import type { Plugin, Space, Tool, World } from './world.ts'
import { copyPairs, emptyMeta } from './world.ts'

/** What people do outside the API: sign up, found spaces, edit plugins by hand. Mistakes here are the test's: plain errors. */
export type People = Pick<
  CozeSimulator,
  | 'addAccount'
  | 'addEnterprise'
  | 'addOrganization'
  | 'joinEnterprise'
  | 'addSpace'
  | 'setRole'
  | 'renameSpace'
  | 'addForeignPlugin'
  | 'editPlugin'
  | 'publishPlugin'
  | 'deletePlugin'
  | 'setBotQuote'
  | 'setProductStatus'
  | 'holdLock'
  | 'releaseLock'
>

export function createPeople(world: World): People {
  return {
    addAccount: (account) => addAccount(world, account ?? {}),
    addEnterprise: (enterprise) => addEnterprise(world, enterprise ?? {}),
    addOrganization: (enterpriseId, name) => addOrganization(world, enterpriseId, name ?? '新组织'),
    joinEnterprise: (userId, enterpriseId, organizationIds) => {
      const enterprise = known(world.enterprises, enterpriseId, 'enterprise')
      known(world.users, userId, 'user')
      enterprise.members.add(userId)
      for (const organizationId of organizationIds ?? [enterprise.defaultOrganizationId]) {
        known(world.organizations, organizationId, 'organization').members.add(userId)
      }
    },
    addSpace: (space) => addSpace(world, space).spaceId,
    setRole: (spaceId, userId, role) => {
      const space = known(world.spaces, spaceId, 'space')
      if (role === null) space.roles.delete(userId)
      else space.roles.set(userId, role)
    },
    renameSpace: (spaceId, name) => {
      known(world.spaces, spaceId, 'space').name = name
    },
    addForeignPlugin: (plugin) => addForeignPlugin(world, plugin).pluginId,
    editPlugin: (pluginId, edit) => editByHand(world, livePlugin(world, pluginId), edit),
    publishPlugin: (pluginId, versionName) => {
      const plugin = livePlugin(world, pluginId)
      const release = {
        versionName: versionName ?? nextVersion(plugin),
        versionDesc: '手动发布',
        publisherId: plugin.creatorId,
      }
      releaseDraft(world, plugin, release, world.switches.indexLagMs)
    },
    deletePlugin: (pluginId) => removePlugin(world, livePlugin(world, pluginId), world.switches.indexLagMs),
    setBotQuote: (pluginId, agents) => {
      livePlugin(world, pluginId).botQuote = agents
    },
    setProductStatus: (pluginId, status) => {
      livePlugin(world, pluginId).productStatus = status
    },
    holdLock: (pluginId, userId, forMs) => {
      known(world.users, userId, 'user')
      livePlugin(world, pluginId).lock = {
        userId,
        untilMs: world.clock.nowMs() + (forMs ?? world.switches.lockTtlMs),
      }
    },
    releaseLock: (pluginId) => {
      livePlugin(world, pluginId).lock = null
    },
  }
}

function addAccount(world: World, account: NewAccount): CozeAccount {
  const userId = account.userId ?? world.mintUserId()
  if (world.users.has(userId)) throw new Error(`User ${userId} exists.`)
  const name = account.name ?? `用户${world.users.size + 1}`
  const uniqueName = account.uniqueName ?? `user${userId.slice(-4)}`
  world.users.set(userId, { userId, name, uniqueName })
  const personal = addSpace(world, { name: '个人空间', ownerId: userId })
  personal.spaceType = 1
  return {
    userId,
    name,
    uniqueName,
    cookie: openSession(world, userId, account.ttlS),
    personalSpaceId: personal.spaceId,
  }
}

function addEnterprise(world: World, enterprise: NewEnterprise): CozeEnterprise {
  const enterpriseId = enterprise.enterpriseId ?? `volcano_${2_100_000_000 + world.enterprises.size}`
  if (world.enterprises.has(enterpriseId)) throw new Error(`Enterprise ${enterpriseId} exists.`)
  const name = enterprise.name ?? '示例企业'
  world.enterprises.set(enterpriseId, {
    enterpriseId,
    name,
    level: enterprise.level ?? 'Team',
    defaultOrganizationId: '',
    members: new Set(),
    createdMs: world.clock.nowMs(),
  })
  const defaultOrganizationId = addOrganization(world, enterpriseId, '默认组织')
  known(world.enterprises, enterpriseId, 'enterprise').defaultOrganizationId = defaultOrganizationId
  return { enterpriseId, name, defaultOrganizationId }
}

function addOrganization(world: World, enterpriseId: string, name: string): string {
  known(world.enterprises, enterpriseId, 'enterprise')
  const organizationId = world.mintId()
  world.organizations.set(organizationId, { organizationId, enterpriseId, name, members: new Set() })
  return organizationId
}

function addSpace(world: World, space: NewSpace): Space {
  known(world.users, space.ownerId, 'user')
  const enterprise =
    space.enterpriseId === undefined ? null : known(world.enterprises, space.enterpriseId, 'enterprise')
  const organizationId = enterprise === null ? null : (space.organizationId ?? enterprise.defaultOrganizationId)
  const organization = organizationId === null ? null : known(world.organizations, organizationId, 'organization')
  const roles = new Map(Object.entries(space.members ?? {}))
  roles.set(space.ownerId, 1)
  // Whoever is in a space is in its organization and enterprise.
  for (const userId of roles.keys()) {
    known(world.users, userId, 'user')
    enterprise?.members.add(userId)
    organization?.members.add(userId)
  }
  const made: Space = {
    spaceId: world.mintId(),
    name: space.name ?? `空间${world.spaces.size + 1}`,
    spaceType: 2,
    enterpriseId: enterprise?.enterpriseId ?? null,
    organizationId,
    ownerId: space.ownerId,
    roles,
    lastEditMs: 0,
  }
  world.spaces.set(made.spaceId, made)
  return made
}

function addForeignPlugin(world: World, plugin: NewForeignPlugin): Plugin {
  const space = known(world.spaces, plugin.spaceId, 'space')
  const empty = emptyMeta()
  const name = plugin.name ?? `插件_${world.plugins.size + 1}`
  const meta = {
    ...empty,
    name,
    desc: plugin.desc ?? `${name}，手动创建`,
    url: plugin.url ?? 'https://api.example.org',
    commonParams: { ...empty.commonParams, 4: copyPairs(plugin.headers ?? []) },
  }
  const made = createPlugin(
    world,
    {
      spaceId: plugin.spaceId,
      creatorId: plugin.creatorId ?? space.ownerId,
      pluginType: plugin.pluginType ?? 1,
      meta,
      tools: (plugin.tools ?? ['run']).map((tool) => toolByHand(world, tool)),
      foreign: true,
      ...(plugin.updatedMs === undefined ? {} : { updatedMs: plugin.updatedMs }),
    },
    0,
  )
  if (plugin.published === false) return made
  const release = { versionName: 'v1.0.0', versionDesc: '手动发布', publisherId: made.creatorId }
  releaseDraft(world, made, release, 0)
  if (plugin.updatedMs !== undefined) {
    made.updatedMs = plugin.updatedMs
    const doc = { name: meta.name, desc: meta.desc, publishStatus: 2 as const, updatedMs: plugin.updatedMs }
    made.index = [{ visibleAtMs: 0, doc }]
  }
  return made
}

function toolByHand(world: World, name: string): Tool {
  return {
    apiId: world.mintId(),
    name,
    desc: name,
    inputSchema: { type: 'object', properties: {} },
    disabled: false,
    debugStatus: 1,
    createdMs: world.clock.nowMs(),
  }
}

/** The web form's edit. Another URL resets the tools' debugging, as through the API. */
export function editByHand(world: World, plugin: Plugin, edit: PluginEdit): void {
  const { meta } = plugin
  const changed = {
    ...meta,
    name: edit.name ?? meta.name,
    desc: edit.desc ?? meta.desc,
    url: edit.url ?? meta.url,
    iconUri: edit.iconUri ?? meta.iconUri,
    auth: edit.auth === undefined ? meta.auth : { ...emptyMeta().auth, ...edit.auth },
    commonParams: edit.headers === undefined ? meta.commonParams : { ...meta.commonParams, 4: copyPairs(edit.headers) },
  }
  const off = edit.disabledTools
  const moved = changed.url !== meta.url
  const tools = plugin.tools.map((tool) => ({
    ...tool,
    disabled: off === undefined ? tool.disabled : off.includes(tool.name),
    debugStatus: moved ? (0 as const) : tool.debugStatus,
  }))
  editDraft(world, plugin, { meta: changed, tools }, world.switches.indexLagMs)
}

export function livePlugin(world: World, pluginId: string): Plugin {
  const plugin = known(world.plugins, pluginId, 'plugin')
  if (plugin.deleted) throw new Error(`Plugin ${pluginId} is deleted.`)
  return plugin
}

function known<T>(all: Map<string, T>, id: string, what: string): T {
  const one = all.get(id)
  if (one === undefined) throw new Error(`No ${what} ${id}.`)
  return one
}
