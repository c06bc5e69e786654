import type { DeploymentState } from '../domain/states.ts'
import type { McpTransport } from '../domain/tool.ts'
import { type BindingRecord, toBinding } from './bindings.ts'
import { chunksOf, decodeCursor, type Page, type PageRequest, pageSize, readInChunks, toPage } from './columns.ts'
import { type DeploymentRecord, toDeployment } from './deployments.ts'
import type { Deployment } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import { listRetiringTokens } from './token-rotation.ts'
import { activeTokens, type TokenRecord } from './tokens.ts'

/** Bindings as people look at them: with names, what is true on the platform, and the token's summary. */

export type BindingView = BindingRecord & {
  platform: { id: string; name: string; kind: string }
  space: { id: string; name: string; remoteId: string; archived: boolean }
  instance: { id: string; name: string; transport: McpTransport; accessMode: string; status: string }
  deployment: DeploymentRecord
  /** The active token, without its value. */
  token: TokenRecord | null
  /** Former tokens that are still good, the newest first. */
  formerTokens: TokenRecord[]
}

export type BindingFilter = {
  state?: DeploymentState | undefined
  /** true: only those that drifted. */
  drift?: boolean | undefined
  platformId?: string | undefined
  instanceId?: string | undefined
  spaceId?: string | undefined
  /** Only these, which are in the order of their ids. */
  bindingIds?: readonly string[] | undefined
}

export async function getBindingView(store: Store, id: string): Promise<BindingView | null> {
  const row = await store.db.deployment.findUnique({ where: { bindingId: id } })
  return row === null ? null : ((await toViews(store, [row]))[0] ?? null)
}

/** In the order of their creation. */
export async function listBindings(
  store: Store,
  request: PageRequest & BindingFilter = {},
): Promise<Page<BindingView>> {
  const size = pageSize(request)
  const key = decodeCursor(request.cursor, 1)
  const { state, drift, platformId, instanceId, spaceId, bindingIds } = request
  const where = {
    ...(state === undefined ? {} : { state }),
    ...(drift === undefined ? {} : { driftSince: drift ? { not: null } : null }),
    ...(platformId === undefined ? {} : { platformId }),
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(spaceId === undefined ? {} : { spaceId }),
  }
  const afterId = key?.[0] ?? ''
  const orderBy = { bindingId: 'asc' as const }
  const rows: Deployment[] = []
  if (bindingIds === undefined) {
    const later = { ...where, ...(key === null ? {} : { bindingId: { gt: afterId } }) }
    rows.push(...(await store.db.deployment.findMany({ where: later, orderBy, take: size + 1 })))
  } else {
    for (const ids of chunksOf(bindingIds.filter((id) => id > afterId))) {
      const take = size + 1 - rows.length
      if (take === 0) break
      rows.push(...(await store.db.deployment.findMany({ where: { ...where, bindingId: { in: ids } }, orderBy, take })))
    }
  }
  const page = toPage(
    rows,
    size,
    (row) => [row.bindingId],
    (row) => row,
  )
  return { items: await toViews(store, page.items), nextCursor: page.nextCursor }
}

/** The views of given bindings, in the order of `ids`; unknown ones are left out. */
export async function getBindingViews(store: Store, ids: readonly string[]): Promise<BindingView[]> {
  const rows = await readInChunks(ids, (chunk) => store.db.deployment.findMany({ where: { bindingId: { in: chunk } } }))
  const views = new Map((await toViews(store, rows)).map((view) => [view.id, view]))
  return ids.flatMap((id) => views.get(id) ?? [])
}

async function toViews(store: Store, rows: Deployment[]): Promise<BindingView[]> {
  const ids = rows.map((row) => row.bindingId)
  const [bindings, spaces, instances, platforms, tokens, retiring] = await Promise.all([
    readInChunks(ids, (chunk) => store.db.binding.findMany({ where: { id: { in: chunk } } })),
    readInChunks(
      rows.map((row) => row.spaceId),
      (chunk) => store.db.space.findMany({ where: { id: { in: chunk } } }),
    ),
    readInChunks(
      rows.map((row) => row.instanceId),
      (chunk) => store.db.mcpInstance.findMany({ where: { id: { in: chunk } } }),
    ),
    readInChunks(
      rows.map((row) => row.platformId),
      (chunk) => store.db.platform.findMany({ where: { id: { in: chunk } } }),
    ),
    activeTokens(store, ids),
    listRetiringTokens(store, ids),
  ])
  const formerOf = Map.groupBy(retiring, ({ bindingId }) => bindingId)
  const bindingOf = new Map(bindings.map((row) => [row.id, row]))
  const spaceOf = new Map(spaces.map((row) => [row.id, row]))
  const instanceOf = new Map(instances.map((row) => [row.id, row]))
  const platformOf = new Map(platforms.map((row) => [row.id, row]))
  return rows.flatMap((row) => {
    const binding = bindingOf.get(row.bindingId)
    const space = spaceOf.get(row.spaceId)
    const instance = instanceOf.get(row.instanceId)
    const platform = platformOf.get(row.platformId)
    // One of them was deleted between two reads: then there is no binding any more.
    if (binding === undefined || space === undefined || instance === undefined || platform === undefined) return []
    return {
      ...toBinding(binding),
      platform: { id: platform.id, name: platform.name, kind: platform.kind },
      space: { id: space.id, name: space.name, remoteId: space.remoteId, archived: space.archived },
      instance: {
        id: instance.id,
        name: instance.name,
        transport: instance.transport as McpTransport,
        accessMode: instance.accessMode,
        status: instance.status,
      },
      deployment: toDeployment(row),
      token: tokens.get(row.bindingId) ?? null,
      formerTokens: formerOf.get(row.bindingId) ?? [],
    }
  })
}
