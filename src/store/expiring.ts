import type { Store } from './store.ts'

/** What expires soon: bindings, and tokens that have an end of their own (those of manual clients, for example). */

export type ExpiringKind = 'binding' | 'token'

export type Expiring = {
  kind: ExpiringKind
  id: string
  instanceId: string
  /** Where: the binding itself, or the one that the token belongs to; null: a manual client's. */
  bindingId: string | null
  expiresAt: Date
  /** What was last said of it. */
  told: string | null
}

type Between = { after: Date; until: Date }

/** Enabled bindings, or active tokens, that end between these moments; in pages by id. */
export async function listExpiring(
  store: Pick<Store, 'db'>,
  kind: ExpiringKind,
  between: Between,
  page: { afterId: string | null; limit: number },
): Promise<Expiring[]> {
  const id = page.afterId === null ? {} : { id: { gt: page.afterId } }
  const select = { id: true, instanceId: true, expiresAt: true, told: true }
  const query = { orderBy: { id: 'asc' as const }, take: page.limit }
  const rows =
    kind === 'binding'
      ? (await store.db.binding.findMany({ where: { ...expiringBinding(between), ...id }, select, ...query })).map(
          (row) => ({ ...row, bindingId: row.id }),
        )
      : await store.db.gatewayToken.findMany({
          where: { ...expiringToken(between), ...id },
          select: { ...select, bindingId: true },
          ...query,
        })
  return rows.flatMap(({ expiresAt, ...row }) => (expiresAt === null ? [] : [{ kind, ...row, expiresAt }]))
}

/** How many bindings, and tokens of bindings, end between these moments. */
export async function countExpiring(store: Pick<Store, 'db'>, between: Between): Promise<number> {
  const [bindings, tokens] = await Promise.all([
    store.db.binding.count({ where: expiringBinding(between) }),
    store.db.gatewayToken.count({ where: { ...expiringToken(between), bindingId: { not: null } } }),
  ])
  return bindings + tokens
}

/** How many tokens of manual clients end between these moments, by instance; of `limit` instances at most. */
export async function countExpiringManual(
  store: Pick<Store, 'db'>,
  between: Between,
  limit: number,
): Promise<{ instance: { id: string; name: string }; count: number }[]> {
  const groups = await store.db.gatewayToken.groupBy({
    by: ['instanceId'],
    where: { ...expiringToken(between), bindingId: null },
    _count: { _all: true },
    orderBy: { instanceId: 'asc' },
    take: limit,
  })
  const instances = await store.db.mcpInstance.findMany({
    where: { id: { in: groups.map(({ instanceId }) => instanceId) } },
    select: { id: true, name: true },
  })
  const byId = new Map(instances.map((instance) => [instance.id, instance]))
  return groups.flatMap(({ instanceId, _count }) => {
    const instance = byId.get(instanceId)
    return instance === undefined ? [] : [{ instance, count: _count._all }]
  })
}

/** Keeps what has been told of each. Neither row versions nor the gateway are concerned. */
export async function setExpiryTold(
  store: Store,
  told: readonly { one: Pick<Expiring, 'kind' | 'id'>; told: string }[],
): Promise<void> {
  await store.write(async (tx) => {
    for (const { one, told: text } of told) {
      if (one.kind === 'binding') await tx.binding.updateMany({ where: { id: one.id }, data: { told: text } })
      else await tx.gatewayToken.updateMany({ where: { id: one.id }, data: { told: text } })
    }
  })
}

function expiringBinding({ after, until }: Between) {
  return { enabled: true, expiresAt: { gt: after, lte: until } }
}

function expiringToken({ after, until }: Between) {
  return { state: 'active', expiresAt: { gt: after, lte: until } }
}
