import { newId } from '../domain/ids.ts'
import type { NoticeType } from '../domain/notices.ts'
import { afterId, type Page, type PageRequest, pageSize, parseJson, toPage } from './columns.ts'
import { NotFoundError, StaleWriteError } from './errors.ts'
import type { Webhook } from './generated/sqlite/client.ts'
import type { Store } from './store.ts'

/** Where notices go. The address and its secrets are sealed; they leave the store only through openWebhook. */

export type WebhookEvents = readonly NoticeType[] | 'all'

export type WebhookRecord = {
  id: string
  name: string
  /** Scheme and host of the address: what may be shown of it. */
  origin: string
  events: WebhookEvents
  /** null: generic. */
  template: string | null
  /** null: en. */
  language: string | null
  enabled: boolean
  hasBotSecret: boolean
  /** When each active signing secret was made, the newest first. */
  secretsMadeAt: Date[]
  rowVersion: number
  createdAt: Date
  updatedAt: Date
}

/** With everything in the clear. `signingSecrets`: the newest first. */
export type OpenedWebhook = WebhookRecord & { url: string; signingSecrets: string[]; botSecret: string | null }

export type NewWebhook = {
  name: string
  url: string
  events: WebhookEvents
  template: string | null
  language: string | null
  botSecret: string | null
  enabled: boolean
  signingSecret: string
}

/** `botSecret`: null takes it away. */
export type WebhookPatch = Partial<Omit<NewWebhook, 'signingSecret'>>

type Secrets = { signing: { secret: string; madeAt: string }[]; bot: string | null }

const TABLE = 'Webhook'
/** Signing secrets that are active at the same time: receivers need a while to learn the new one. */
const MAX_SECRETS = 2

export async function createWebhook(store: Store, input: NewWebhook): Promise<WebhookRecord> {
  const id = newId()
  const now = new Date()
  const secrets: Secrets = {
    signing: [{ secret: input.signingSecret, madeAt: now.toISOString() }],
    bot: input.botSecret,
  }
  const row = await store.write((tx) =>
    tx.webhook.create({
      data: {
        id,
        name: input.name,
        sealedUrl: seal(store, id, 'sealedUrl', input.url),
        sealedSecrets: seal(store, id, 'sealedSecrets', JSON.stringify(secrets)),
        events: JSON.stringify(input.events),
        template: input.template,
        language: input.language,
        enabled: input.enabled,
        createdAt: now,
        updatedAt: now,
      },
    }),
  )
  return toRecord(store, row)
}

export async function getWebhook(store: Store, id: string): Promise<WebhookRecord | null> {
  const row = await store.db.webhook.findUnique({ where: { id } })
  return row === null ? null : toRecord(store, row)
}

export async function listWebhooks(store: Store, request: PageRequest = {}): Promise<Page<WebhookRecord>> {
  const size = pageSize(request)
  const rows = await store.db.webhook.findMany({
    where: afterId(request.cursor),
    orderBy: { id: 'asc' },
    take: size + 1,
  })
  return toPage(
    rows,
    size,
    (row) => [row.id],
    (row) => toRecord(store, row),
  )
}

/** For sending. Null when it is gone. */
export async function openWebhook(store: Store, id: string): Promise<OpenedWebhook | null> {
  const row = await store.db.webhook.findUnique({ where: { id } })
  if (row === null) return null
  const { signing, bot } = openSecrets(store, row)
  return {
    ...toRecord(store, row),
    url: openUrl(store, row),
    signingSecrets: signing.map(({ secret }) => secret),
    botSecret: bot,
  }
}

/** `rowVersion`: as read, or null to write regardless. Throws NotFoundError, StaleWriteError. */
export async function updateWebhook(
  store: Store,
  id: string,
  rowVersion: number | null,
  patch: WebhookPatch,
): Promise<WebhookRecord> {
  const { url, events, botSecret, ...plain } = patch
  return await change(store, id, rowVersion, (row) => ({
    ...plain,
    ...(url === undefined ? {} : { sealedUrl: seal(store, id, 'sealedUrl', url) }),
    ...(events === undefined ? {} : { events: JSON.stringify(events) }),
    ...(botSecret === undefined
      ? {}
      : {
          sealedSecrets: seal(
            store,
            id,
            'sealedSecrets',
            JSON.stringify({ ...openSecrets(store, row), bot: botSecret }),
          ),
        }),
  }))
}

/**
 * A new signing secret. The former one goes on signing beside it until the next change, or ends at once with `endFormer`.
 * Throws NotFoundError.
 */
export async function rotateSigningSecret(
  store: Store,
  id: string,
  secret: string,
  endFormer: boolean,
): Promise<WebhookRecord> {
  return await change(store, id, null, (row) => {
    const { signing, bot } = openSecrets(store, row)
    const kept = endFormer ? [] : signing.slice(0, MAX_SECRETS - 1)
    const secrets: Secrets = { signing: [{ secret, madeAt: new Date().toISOString() }, ...kept], bot }
    return { sealedSecrets: seal(store, id, 'sealedSecrets', JSON.stringify(secrets)) }
  })
}

/** With its deliveries: what was not delivered yet never will be. Throws NotFoundError. */
export async function deleteWebhook(store: Store, id: string): Promise<void> {
  const deleted = await store.write(async (tx) => {
    const { count } = await tx.webhook.deleteMany({ where: { id } })
    await tx.webhookDelivery.deleteMany({ where: { webhookId: id } })
    return count
  })
  if (deleted === 0) throw new NotFoundError('The webhook')
}

type Columns = Partial<Omit<Webhook, 'id' | 'rowVersion' | 'createdAt' | 'updatedAt'>>

async function change(
  store: Store,
  id: string,
  rowVersion: number | null,
  columns: (row: Webhook) => Columns,
): Promise<WebhookRecord> {
  const row = await store.write(async (tx) => {
    const before = await tx.webhook.findUnique({ where: { id } })
    if (before === null) throw new NotFoundError('The webhook')
    if (rowVersion !== null && before.rowVersion !== rowVersion) {
      throw new StaleWriteError('The webhook', before.rowVersion)
    }
    // Sealed together, so a change between the look and the write must not be lost: the version is part of the condition.
    const changed = await tx.webhook.updateMany({
      where: { id, rowVersion: before.rowVersion },
      data: { ...columns(before), rowVersion: { increment: 1 }, updatedAt: new Date() },
    })
    const after = await tx.webhook.findUnique({ where: { id } })
    if (after === null) throw new NotFoundError('The webhook')
    if (changed.count === 0) throw new StaleWriteError('The webhook', after.rowVersion)
    return after
  })
  return toRecord(store, row)
}

function toRecord(store: Store, row: Webhook): WebhookRecord {
  const { sealedUrl: _url, sealedSecrets: _secrets, events, ...rest } = row
  const { signing, bot } = openSecrets(store, row)
  return {
    ...rest,
    origin: new URL(openUrl(store, row)).origin,
    events: parseJson<WebhookEvents>(events),
    hasBotSecret: bot !== null,
    secretsMadeAt: signing.map(({ madeAt }) => new Date(madeAt)),
  }
}

function openUrl(store: Store, row: Webhook): string {
  return store.sealer.open({ table: TABLE, column: 'sealedUrl', rowId: row.id }, row.sealedUrl)
}

function openSecrets(store: Store, row: Webhook): Secrets {
  return parseJson<Secrets>(
    store.sealer.open({ table: TABLE, column: 'sealedSecrets', rowId: row.id }, row.sealedSecrets),
  )
}

function seal(store: Store, id: string, column: 'sealedUrl' | 'sealedSecrets', text: string): string {
  return store.sealer.seal({ table: TABLE, column, rowId: id }, text)
}
