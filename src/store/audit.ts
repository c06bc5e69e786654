import { beforeId, clip, clipOrNull, type Page, type PageRequest, pageSize, parseJson, toPage } from './columns.ts'
import type { Store } from './store.ts'

/** The audit's rows. Write through src/audit/events.ts, which knows what may stand in one. */

export type AuditRecord = {
  id: string
  at: Date
  actor: string
  actorId: string | null
  action: string
  resource: string
  resourceId: string | null
  fields: string[]
  outcome: 'allowed' | 'refused'
  requestId: string | null
}

export async function insertAudit(store: Store, record: AuditRecord): Promise<void> {
  await store.write((tx) =>
    tx.auditEvent.create({
      data: {
        ...record,
        actor: clip(record.actor, 191),
        resourceId: clipOrNull(record.resourceId, 191),
        requestId: clipOrNull(record.requestId, 64),
        fields: JSON.stringify(record.fields),
      },
    }),
  )
}

/** The newest first. */
export async function listAudit(
  store: Store,
  request: PageRequest & {
    resource?: string | undefined
    resourceId?: string | undefined
    actor?: string | undefined
    action?: string | undefined
  } = {},
): Promise<Page<AuditRecord>> {
  const size = pageSize(request)
  const { resource, resourceId, actor, action } = request
  const rows = await store.db.auditEvent.findMany({
    where: {
      ...beforeId(request.cursor),
      ...(resource === undefined ? {} : { resource }),
      ...(resourceId === undefined ? {} : { resourceId }),
      ...(actor === undefined ? {} : { actor }),
      ...(action === undefined ? {} : { action }),
    },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(
    rows,
    size,
    (row) => [row.id],
    (row): AuditRecord => ({
      ...row,
      fields: parseJson<string[]>(row.fields),
      outcome: row.outcome === 'allowed' ? 'allowed' : 'refused',
    }),
  )
}

export async function purgeAudit(store: Store, before: Date): Promise<number> {
  return (await store.write((tx) => tx.auditEvent.deleteMany({ where: { at: { lt: before } } }))).count
}
