import { newId } from '../domain/ids.ts'
import type { Notice, NoticeBody } from '../domain/notices.ts'
import type { Tx } from './client.ts'
import { beforeId, chunksOf, clip, type Page, type PageRequest, pageSize, parseJson, toPage } from './columns.ts'
import type { WebhookDelivery } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'
import type { WebhookEvents } from './webhooks.ts'

/**
 * The outbox: a row for each notice and webhook, written in the transaction that made the notice true. Whoever finds a row that
 * is due starts its workflow; the workflow delivers it at least once, the row says how it went.
 */

export const DELIVERY_STATES = ['pending', 'delivered', 'failed', 'cancelled'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

export type DeliveryRecord = {
  id: string
  webhookId: string
  event: string
  state: DeliveryState
  attempts: number
  lastStatus: number | null
  lastError: string | null
  createdAt: Date
  updatedAt: Date
  finishedAt: Date | null
}

export type OpenedDelivery = DeliveryRecord & { notice: Notice }

/** A started workflow is asked after again by then, in case Temporal has lost it. Longer than any pause between attempts would be too late. */
const LOOK_AGAIN_MS = 15 * 60_000
const PURGE_CHUNK = 1_000

/**
 * Puts the notice into the outbox of every enabled webhook that wants it. `key` says what is told (with its type): once for each
 * webhook, however often this is called. Answers how many rows came into being.
 */
export async function postNotice(tx: Tx, key: string, body: NoticeBody, at: Date = new Date()): Promise<number> {
  const webhooks = await tx.webhook.findMany({ where: { enabled: true }, select: { id: true, events: true } })
  const eventKey = clip(`${body.type}:${key}`, 191)
  let posted = 0
  for (const { id, events } of webhooks) {
    if (!wants(parseJson<WebhookEvents>(events), body.type)) continue
    const known = await tx.webhookDelivery.findUnique({
      where: { webhookId_eventKey: { webhookId: id, eventKey } },
      select: { id: true },
    })
    if (known !== null) continue
    await insert(tx, id, eventKey, { ...body, timestamp: at.toISOString() }, at)
    posted += 1
  }
  return posted
}

/** A delivery of its own for one webhook, whatever it has selected; not due, since its maker sends it. */
export async function createDelivery(store: Store, webhookId: string, body: NoticeBody): Promise<OpenedDelivery> {
  const at = new Date()
  const row = await store.write((tx) =>
    insert(tx, webhookId, `${body.type}:${newId()}`, { ...body, timestamp: at.toISOString() }, later(at)),
  )
  return toOpened(row)
}

/** Those whose workflow has to be started, or asked after; the oldest first. */
export async function dueDeliveries(store: Store, limit: number, now: Date = new Date()): Promise<string[]> {
  const rows = await store.db.webhookDelivery.findMany({
    where: { state: 'pending', dueAt: { lte: now } },
    select: { id: true },
    orderBy: { dueAt: 'asc' },
    take: limit,
  })
  return rows.map((row) => row.id)
}

/** Their workflows are going on: nobody has to look for a while. */
export async function markHandedOver(store: Store, ids: readonly string[], now: Date = new Date()): Promise<void> {
  for (const chunk of chunksOf(ids)) {
    await store.write((tx) =>
      tx.webhookDelivery.updateMany({
        where: { id: { in: chunk }, state: 'pending' },
        data: { dueAt: later(now) },
      }),
    )
  }
}

/** Counts an attempt before it is made. Null when there is nothing to deliver any more. */
export async function beginAttempt(store: Store, id: string): Promise<OpenedDelivery | null> {
  return await store.write(async (tx) => {
    const counted = await tx.webhookDelivery.updateMany({
      where: { id, state: 'pending' },
      data: { attempts: { increment: 1 }, updatedAt: new Date() },
    })
    if (counted.count === 0) return null
    const row = await tx.webhookDelivery.findUnique({ where: { id } })
    return row === null ? null : toOpened(row)
  })
}

/** What an attempt came to. `state` pending: there will be another one. A closed delivery stays as it is. */
export async function recordAttempt(
  store: Store,
  id: string,
  result: { state: DeliveryState; status: number | null; error: string | null },
): Promise<void> {
  const now = new Date()
  await store.write((tx) =>
    tx.webhookDelivery.updateMany({
      where: { id, state: 'pending' },
      data: {
        state: result.state,
        lastStatus: result.status,
        lastError: result.error === null ? null : clip(result.error, 1000),
        updatedAt: now,
        finishedAt: result.state === 'pending' ? null : now,
      },
    }),
  )
}

/** No attempt is left: what the last one said stands. */
export async function giveUpDelivery(store: Store, id: string): Promise<void> {
  const now = new Date()
  await store.write((tx) =>
    tx.webhookDelivery.updateMany({
      where: { id, state: 'pending' },
      data: { state: 'failed', updatedAt: now, finishedAt: now },
    }),
  )
}

export async function getDelivery(store: Store, id: string): Promise<DeliveryRecord | null> {
  const row = await store.db.webhookDelivery.findUnique({ where: { id } })
  return row === null ? null : toDelivery(row)
}

/** The newest first. */
export async function listDeliveries(
  store: Store,
  webhookId: string,
  request: PageRequest & { state?: DeliveryState | undefined } = {},
): Promise<Page<DeliveryRecord>> {
  const size = pageSize(request)
  const rows = await store.db.webhookDelivery.findMany({
    where: { webhookId, ...beforeId(request.cursor), ...(request.state === undefined ? {} : { state: request.state }) },
    orderBy: { id: 'desc' },
    take: size + 1,
  })
  return toPage(rows, size, (row) => [row.id], toDelivery)
}

/** Deletes what was closed and is older, in short transactions. Answers how many rows went. */
export async function purgeDeliveries(store: Store, before: Date): Promise<number> {
  for (let purged = 0; ; ) {
    const rows = await store.db.webhookDelivery.findMany({
      where: { createdAt: { lt: before }, state: { not: 'pending' } },
      select: { id: true },
      take: PURGE_CHUNK,
    })
    for (const chunk of chunksOf(rows)) {
      const ids = chunk.map(({ id }) => id)
      purged += (await store.write((tx) => tx.webhookDelivery.deleteMany({ where: { id: { in: ids } } }))).count
    }
    if (rows.length < PURGE_CHUNK) return purged
  }
}

function wants(events: WebhookEvents, type: string): boolean {
  return events === 'all' || (events as readonly string[]).includes(type)
}

async function insert(
  tx: Tx,
  webhookId: string,
  eventKey: string,
  notice: Notice,
  dueAt: Date,
): Promise<WebhookDelivery> {
  const now = new Date()
  return await tx.webhookDelivery.create({
    data: {
      id: newId(),
      webhookId,
      event: notice.type,
      eventKey,
      payload: JSON.stringify(notice),
      state: 'pending',
      dueAt,
      createdAt: now,
      updatedAt: now,
    },
  })
}

function later(at: Date): Date {
  return new Date(at.getTime() + LOOK_AGAIN_MS)
}

function toOpened(row: WebhookDelivery): OpenedDelivery {
  return { ...toDelivery(row), notice: parseJson<Notice>(row.payload) }
}

function toDelivery(row: WebhookDelivery): DeliveryRecord {
  const { eventKey: _key, payload: _payload, dueAt: _due, ...rest } = row
  return { ...rest, state: DELIVERY_STATES.find((state) => state === row.state) ?? 'failed' }
}
