import { type Call, type Endpoint, optionalBool, optionalInt, optionalText, pageOf, requiredText } from './endpoint.ts'
import type { Enterprise, Organization, Space, World } from './world.ts'
import { refusal, roleIn, userOf } from './world.ts'

/** Who somebody is, and where: enterprises, organizations, spaces (coze.md §2.1, §2.2, §3.3). */
export const placeEndpoints: Record<string, Endpoint> = {
  '/api/playground_api/space/list': { method: 'POST', handle: listSpaces },
  '/api/permission_api/enterprise/search_organization': { method: 'POST', handle: searchOrganization },
  '/api/permission_api/enterprise/list_enterprises': { method: 'GET', handle: listEnterprises },
  '/api/permission_api/enterprise/get_enterprise': { method: 'GET', handle: getEnterprise },
}

function listSpaces(call: Call) {
  const { world, userId } = call
  const enterpriseId = optionalText(call, 'enterprise_id') ?? ''
  const organizationId = optionalText(call, 'organization_id') ?? ''
  const search = optionalText(call, 'search_word') ?? ''
  const everyone = enterpriseId !== '' && (optionalInt(call, 'scope_type') ?? 1) === 0
  const [page, size] = [optionalInt(call, 'page'), optionalInt(call, 'size')]
  const wanted = wantedOrganizations(world, userId, enterpriseId, organizationId)
  const all = [...world.spaces.values()].filter(
    (space) =>
      (wanted === null ? space.enterpriseId === null : wanted.has(space.organizationId ?? '')) &&
      (everyone ? space.spaceType === 2 || space.ownerId === userId : roleIn(space, userId) !== null) &&
      space.name.includes(search),
  )
  const paged = page !== undefined && size !== undefined
  const shown = paged ? pageOf(all, page, size) : all
  const mine = [...world.spaces.values()].filter(({ ownerId, enterpriseId: of }) => ownerId === userId && of === null)
  return {
    data: {
      bot_space_list: shown.map((space) => spaceItem(world, space, userId)),
      has_personal_space: mine.some(({ spaceType }) => spaceType === 1),
      team_space_num: mine.filter(({ spaceType }) => spaceType === 2).length,
      max_team_space_num: 3,
      recently_used_space_list: [],
      ...(paged ? { total: all.length, has_more: page * size < all.length } : {}),
    },
  }
}

/** The organizations whose spaces are meant; null = the personal account's. */
function wantedOrganizations(
  world: World,
  userId: string,
  enterpriseId: string,
  organizationId: string,
): Set<string> | null {
  if (enterpriseId === '') {
    if (organizationId === '') return null
    throw refusal(world, 'invalidParameter', 'organization_id without enterprise_id')
  }
  const enterprise = enterpriseFor(world, enterpriseId, userId)
  if (organizationId !== '') {
    if (world.organizations.get(organizationId)?.enterpriseId !== enterpriseId)
      throw refusal(world, 'notFound', 'organization')
    return new Set([organizationId])
  }
  return world.switches.spacesWithoutOrganization === 'all'
    ? new Set(organizationsOf(world, enterpriseId).map((organization) => organization.organizationId))
    : new Set([enterprise.defaultOrganizationId])
}

function spaceItem(world: World, space: Space, userId: string) {
  const role = roleIn(space, userId)
  const owner = userOf(world, space.ownerId)
  return {
    id: space.spaceId,
    name: space.name,
    description: '',
    icon_url: `${world.origin}/static/space.png`,
    space_type: space.spaceType,
    role_type: role ?? 0,
    space_role_type: role ?? 0,
    space_mode: 0,
    space_tag: space.enterpriseId === null ? 0 : 1,
    ...(space.enterpriseId === null
      ? {}
      : { enterprise_id: space.enterpriseId, organization_id: space.organizationId ?? '' }),
    owner_user_id: owner.userId,
    owner_name: owner.name,
    owner_user_name: owner.uniqueName,
    owner_icon_url: `${world.origin}/static/user.png`,
    space_apply_status: role === null ? 0 : 1,
    total_member_num: String(space.roles.size),
    connectors: [],
    app_ids: [],
    hide_operation: false,
    display_local_plugin: false,
  }
}

function searchOrganization(call: Call) {
  const { world, userId } = call
  const enterpriseId = requiredText(call, 'enterprise_id')
  enterpriseFor(world, enterpriseId, userId)
  const joined = optionalBool(call, 'joined') ?? false
  const page = optionalInt(call, 'page') ?? 1
  // The OpenAPI's own limit (§8).
  const size = Math.min(optionalInt(call, 'page_size') ?? 20, 20)
  const all = organizationsOf(world, enterpriseId).filter(({ members }) => !joined || members.has(userId))
  const [people, spaces] = [optionalBool(call, 'need_people_number'), optionalBool(call, 'need_workspace_number')]
  return {
    data: {
      organization_list: pageOf(all, page, size).map((organization) => ({
        organization_id: organization.organizationId,
        organization_name: organization.name,
        organization_icon_url: `${world.origin}/static/organization.png`,
        is_default_organization:
          world.enterprises.get(enterpriseId)?.defaultOrganizationId === organization.organizationId,
        ...(people ? { people_number: organization.members.size } : {}),
        ...(spaces ? { workspace_number: spacesIn(world, organization) } : {}),
      })),
      total: all.length,
      has_more: page * size < all.length,
    },
  }
}

function listEnterprises({ world, userId }: Call) {
  const user = userOf(world, userId)
  const mine = [...world.enterprises.values()].filter(({ members }) => members.has(userId))
  return {
    data: {
      personal_account_info: {
        user_id: user.userId,
        user_name: user.uniqueName,
        nick_name: user.name,
        avatar_url: `${world.origin}/static/user.png`,
      },
      enterprise_info_list: mine.map((enterprise) => ({
        enterprise_id: enterprise.enterpriseId,
        name: enterprise.name,
        icon_uri: 'enterprise/default.png',
        enterprise_role_type_list: ['Member'],
        default_organization_id: enterprise.defaultOrganizationId,
      })),
    },
  }
}

function getEnterprise({ world, userId, query }: Call) {
  const enterprise = enterpriseFor(world, query.get('enterprise_id') ?? '', userId)
  return {
    data: {
      level: enterprise.level,
      enterprise_id: enterprise.enterpriseId,
      name: enterprise.name,
      icon_url: `${world.origin}/static/enterprise.png`,
      default_organization_id: enterprise.defaultOrganizationId,
      enterprise_role_type_list: ['Member'],
      super_admin_list: [],
      create_time: Math.floor(enterprise.createdMs / 1000),
      expiration_time: Math.floor(enterprise.createdMs / 1000) + 365 * 86_400,
    },
  }
}

function enterpriseFor(world: World, enterpriseId: string, userId: string): Enterprise {
  const enterprise = world.enterprises.get(enterpriseId)
  if (enterprise === undefined) throw refusal(world, 'notFound', 'enterprise')
  if (!enterprise.members.has(userId)) throw refusal(world, 'notInEnterprise')
  return enterprise
}

function organizationsOf(world: World, enterpriseId: string): Organization[] {
  return [...world.organizations.values()].filter((organization) => organization.enterpriseId === enterpriseId)
}

function spacesIn(world: World, { organizationId }: Organization): number {
  return [...world.spaces.values()].filter((space) => space.organizationId === organizationId).length
}
