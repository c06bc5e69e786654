import {
  beforeId,
  chunksOf,
  clip,
  clipOrNull,
  type Page,
  type PageRequest,
  pageSize,
  parseJson,
  toPage,
} from './columns.ts'
import type { AuditEvent } from './generated/sqlite/client.ts'
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

export type AuditFilter = {
  resource?: string | undefined
  resourceId?: string | undefined
  actor?: string | undefined
  action?: string | undefined
}

/** The newest first. `from` on, and before `to`. */
export async function listAudit(
  store: Store,
  request: PageRequest & AuditFilter & { from?: Date | undefined; to?: Date | undefined } = {},
): Promise<Page<AuditRecord>> {
  const size = pageSize(request)
  const { from, to } = request
  const rows = await store.db.auditEvent.findMany({
    where: {
      ...matching(request),
      AND: [
        beforeId(request.cursor),
        from === undefined ? {} : { id: { gt: timePrefix(from.getTime() - ID_SLACK_MS) }, at: { gte: from } },
        to === undefined ? {} : { id: { lt: timePrefix(to.getTime() + ID_SLACK_MS) }, at: { lt: to } },
      ],
    },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toRecord)
}

/** Ids begin with the time at which they were made, a moment before or after the event's own. */
const ID_SLACK_MS = 60_000

/** What happened from `from` on and before `to`, the oldest first, page by page. */
export async function* auditBetween(
  store: Store,
  range: { from: Date; to: Date },
  pageRows: number,
  filter: AuditFilter = {},
): AsyncGenerator<AuditRecord[]> {
  const idBefore = timePrefix(range.to.getTime() + ID_SLACK_MS)
  for (let after = timePrefix(range.from.getTime() - ID_SLACK_MS); ; ) {
    const rows = await store.db.auditEvent.findMany({
      where: { ...matching(filter), id: { gt: after, lt: idBefore }, at: { gte: range.from, lt: range.to } },
      orderBy: { id: 'asc' },
      take: pageRows,
    })
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.map(toRecord)
    if (rows.length < pageRows) return
    after = last.id
  }
}

function matching({ resource, resourceId, actor, action }: AuditFilter) {
  return {
    ...(resource === undefined ? {} : { resource }),
    ...(resourceId === undefined ? {} : { resourceId }),
    ...(actor === undefined ? {} : { actor }),
    ...(action === undefined ? {} : { action }),
  }
}

/** The beginning of the ids that are made at that time: the key's order is used where only the time is asked for. */
function timePrefix(atMs: number): string {
  const hex = Math.max(0, atMs).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}`
}

const PURGE_CHUNK = 1_000

/** Deletes what is older, in short transactions. Answers how many rows went. */
export async function purgeAudit(store: Store, before: Date): Promise<number> {
  for (let purged = 0; ; ) {
    const old = await store.db.auditEvent.findMany({
      where: { at: { lt: before } },
      select: { id: true },
      take: PURGE_CHUNK,
    })
    for (const chunk of chunksOf(old)) {
      const ids = chunk.map(({ id }) => id)
      purged += (await store.write((tx) => tx.auditEvent.deleteMany({ where: { id: { in: ids } } }))).count
    }
    if (old.length < PURGE_CHUNK) return purged
  }
}

function toRecord(row: AuditEvent): AuditRecord {
  return {
    ...row,
    fields: parseJson<string[]>(row.fields),
    outcome: row.outcome === 'allowed' ? 'allowed' : 'refused',
  }
}
