import type { RemoteSpace } from '../platform.ts'
import type { SpaceItem } from './answers.ts'
import { accountInfo, type Calls, listEnterprises, listSpaces, searchOrganizations } from './calls.ts'
import { isFault } from './errors.ts'

const ORGANIZATIONS_PAGE = 20
const SPACES_PAGE = 50
const MAX_PAGES = 100

/** Whose login it is. `enterprises` is null when COZE does not tell. */
export type CozeAccount = {
  user: { id: string; name: string } | null
  enterprises: { id: string; name: string }[] | null
}

/** COZE's own word for who is calling, and a second way for when that has gone (coze.md §3.3). */
export async function whoIs(calls: Calls): Promise<CozeAccount> {
  try {
    const { data } = await listEnterprises(calls)
    const personal = data.personal_account_info
    const user =
      personal?.user_id == null ? null : { id: personal.user_id, name: personal.nick_name || personal.user_name }
    if (user !== null) {
      const enterprises = data.enterprise_info_list.map(({ enterprise_id, name }) => ({ id: enterprise_id, name }))
      return { user, enterprises }
    }
  } catch (error) {
    if (!isFault(error, 'refused', 'input', 'notFound', 'forbidden', 'lost')) throw error
  }
  try {
    const { data } = await accountInfo(calls)
    return {
      user: data.user_id_str === null ? null : { id: data.user_id_str, name: data.screen_name },
      enterprises: null,
    }
  } catch (error) {
    if (!isFault(error, 'refused', 'input', 'notFound', 'forbidden', 'lost')) throw error
    return { user: null, enterprises: null }
  }
}

/** All organizations of the enterprise; none for a personal account. */
export async function organizationsOf(
  calls: Calls,
  enterpriseId: string | null,
): Promise<{ id: string; name: string }[]> {
  if (enterpriseId === null) return []
  const found = new Map<string, string>()
  for (let page = 1; page <= MAX_PAGES; page++) {
    const { data } = await searchOrganizations(calls, enterpriseId, page, ORGANIZATIONS_PAGE)
    const before = found.size
    for (const item of data.organization_list) found.set(item.organization_id, item.organization_name || item.name)
    const more = data.has_more ?? data.organization_list.length === ORGANIZATIONS_PAGE
    if (!more || found.size === before) break
  }
  return [...found].map(([id, name]) => ({ id, name }))
}

/** The spaces in which the login's user is Owner or Administrator, over all organizations, each once. */
export async function administeredSpaces(
  calls: Calls,
  enterpriseId: string | null,
  organizations: readonly { id: string }[],
): Promise<RemoteSpace[]> {
  const found = new Map<string, SpaceItem>()
  const places = organizations.length === 0 ? [null] : organizations.map((organization) => organization.id)
  const refusals: unknown[] = []
  for (const organizationId of places) {
    try {
      const spaces = await spacesOf(calls, { enterpriseId, organizationId })
      for (const space of spaces) if (!found.has(space.id)) found.set(space.id, space)
    } catch (error) {
      // The search names organizations, too, that the user is not in (coze.md §1.3 no. 5).
      if (!isFault(error, 'forbidden', 'notFound')) throw error
      refusals.push(error)
    }
  }
  if (refusals.length === places.length) throw refusals[0]
  return [...found.values()].flatMap((space) => {
    const role = roleOf(space)
    return role === null ? [] : [toRemoteSpace(space, role)]
  })
}

async function spacesOf(
  calls: Calls,
  where: { enterpriseId: string | null; organizationId: string | null },
): Promise<SpaceItem[]> {
  const { data } = await listSpaces(calls, where, null)
  if (!data.has_more) return data.bot_space_list
  const found = new Map<string, SpaceItem>()
  for (let page = 1; page <= MAX_PAGES; page++) {
    const next = await listSpaces(calls, where, { page, size: SPACES_PAGE })
    const before = found.size
    for (const space of next.data.bot_space_list) found.set(space.id, space)
    if (!next.data.has_more || found.size === before) break
  }
  return [...found.values()]
}

/** coze.md §2.1: 1 owner, 2 administrator, 3 member. */
function roleOf(space: SpaceItem): 'owner' | 'admin' | null {
  const number = space.space_role_type || space.role_type
  if (number === 1) return 'owner'
  return number === 2 ? 'admin' : null
}

function toRemoteSpace(space: SpaceItem, role: string): RemoteSpace {
  return {
    remoteId: space.id,
    name: space.name,
    ownerName: space.owner_name || space.owner_user_name || null,
    ownerEmail: null,
    role,
    archived: false,
    problem: null,
  }
}
