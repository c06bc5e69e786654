import { type Cell, findBindings } from './bindings.ts'
import { readInChunks } from './columns.ts'
import type { Store } from './store.ts'
import type { Rotation } from './syncs.ts'

/** Which bindings a rotation is about: those whose platform holds an object of ours with a token that is too old. */

type Deployed = { bindingId: string; platformId: string; spaceId: string; instanceId: string }

export type RotationFilter = {
  platformId?: string | undefined
  instanceIds?: readonly string[] | undefined
  spaceIds?: readonly string[] | undefined
  bindingIds?: readonly string[] | undefined
}

/** Bindings with an object of ours on an active platform. All of the filter's parts must hold. */
export async function listDeployedBindings(store: Pick<Store, 'db'>, filter: RotationFilter): Promise<Deployed[]> {
  const { platformId, instanceIds, spaceIds, bindingIds } = filter
  const where = { ownership: { not: null }, ...(platformId === undefined ? {} : { platformId }) }
  const select = { bindingId: true, platformId: true, spaceId: true, instanceId: true }
  const orderBy = { bindingId: 'asc' as const }
  const { db } = store
  // Of the lists the one that cuts down most is the statement's; the others are looked at here.
  const rows =
    bindingIds !== undefined
      ? await readInChunks(bindingIds, (ids) =>
          db.deployment.findMany({ where: { ...where, bindingId: { in: ids } }, select, orderBy }),
        )
      : spaceIds !== undefined
        ? await readInChunks(spaceIds, (ids) =>
            db.deployment.findMany({ where: { ...where, spaceId: { in: ids } }, select, orderBy }),
          )
        : instanceIds !== undefined
          ? await readInChunks(instanceIds, (ids) =>
              db.deployment.findMany({ where: { ...where, instanceId: { in: ids } }, select, orderBy }),
            )
          : await db.deployment.findMany({ where, select, orderBy })
  const active = await db.platform.findMany({ where: { status: 'active' }, select: { id: true } })
  const platforms = new Set(active.map(({ id }) => id))
  const spaces = spaceIds === undefined ? null : new Set(spaceIds)
  const instances = instanceIds === undefined ? null : new Set(instanceIds)
  return rows.filter(
    (row) =>
      platforms.has(row.platformId) && spaces?.has(row.spaceId) !== false && instances?.has(row.instanceId) !== false,
  )
}

/** The cells of a rotation's run, as the world is now. */
export async function cellsOfRotation(
  store: Store,
  run: { platformId: string; selection: { instanceIds: string[]; spaceIds: string[] | 'all'; rotate?: Rotation } },
): Promise<Cell[]> {
  const { instanceIds, spaceIds, rotate } = run.selection
  const deployed = await listDeployedBindings(store, {
    platformId: run.platformId,
    instanceIds,
    spaceIds: spaceIds === 'all' ? undefined : spaceIds,
    bindingIds: rotate?.bindingIds,
  })
  if (rotate === undefined || rotate.before === null) return deployed
  const old = await bindingsWithOldTokens(store, rotate, new Date(rotate.before))
  return deployed.filter(({ bindingId }) => old.has(bindingId))
}

/** After how many days the tokens of each active platform are replaced, by platform id; platforms where they never are are left out. */
export async function rotationAges(store: Store, installationDays: number | null): Promise<Map<string, number>> {
  const platforms = await store.db.platform.findMany({
    where: { status: 'active' },
    select: { id: true, rotateAfterDays: true },
  })
  const ages = platforms.map(({ id, rotateAfterDays }) => [id, rotateAfterDays ?? installationDays ?? 0] as const)
  return new Map(ages.filter(([, days]) => days > 0))
}

/** Of these platforms: those with tokens of ours from before that moment, and where these are. The admin's own tokens are left to the admin. */
export async function listPlatformsWithOldTokens(
  store: Store,
  platformIds: readonly string[],
  before: Date,
): Promise<{ platformId: string; instanceIds: string[]; spaceIds: string[] }[]> {
  const old = await bindingsWithOldTokens(store, { by: 'age' }, before)
  const deployed = await listDeployedBindings(store, { bindingIds: [...old] })
  const usable = new Set((await findBindings(store, deployed)).filter(isUsable).map(({ id }) => id))
  const due = deployed.filter(({ platformId, bindingId }) => platformIds.includes(platformId) && usable.has(bindingId))
  return [...Map.groupBy(due, ({ platformId }) => platformId)].map(([platformId, cells]) => ({
    platformId,
    instanceIds: [...new Set(cells.map(({ instanceId }) => instanceId))],
    spaceIds: [...new Set(cells.map(({ spaceId }) => spaceId))],
  }))
}

async function bindingsWithOldTokens(
  store: Pick<Store, 'db'>,
  rotate: Pick<Rotation, 'by'>,
  before: Date,
): Promise<Set<string>> {
  const rows = await store.db.gatewayToken.findMany({
    where: {
      state: 'active',
      bindingId: { not: null },
      createdAt: { lt: before },
      ...(rotate.by === 'age' ? { origin: 'minted' } : {}),
    },
    select: { bindingId: true },
  })
  return new Set(rows.flatMap(({ bindingId }) => bindingId ?? []))
}

function isUsable({ enabled, expiresAt }: { enabled: boolean; expiresAt: Date | null }): boolean {
  return enabled && (expiresAt === null || expiresAt > new Date())
}
