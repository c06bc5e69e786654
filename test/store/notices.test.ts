import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { NoticeType } from '../../src/domain/notices.ts'
import { emptyCounts } from '../../src/domain/states.ts'
import { tellOfCredential } from '../../src/store/credential-notices.ts'
import {
  beginAttempt,
  createDelivery,
  dueDeliveries,
  giveUpDelivery,
  listDeliveries,
  markHandedOver,
  postNotice,
  purgeDeliveries,
  recordAttempt,
} from '../../src/store/deliveries.ts'
import { setCredential } from '../../src/store/platforms.ts'
import { DRIFT_EVENT } from '../../src/store/run-notices.ts'
import { appendSyncEvent } from '../../src/store/sync-events.ts'
import { createSync, finishSync, type SyncRecord, updateSync } from '../../src/store/syncs.ts'
import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  openWebhook,
  rotateSigningSecret,
  updateWebhook,
  type WebhookEvents,
  type WebhookRecord,
} from '../../src/store/webhooks.ts'
import { makePlatform, one } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

describe.each(ENGINES)('notices on %s', (engine) => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore(engine)
  })
  afterAll(() => test.close())
  beforeEach(async () => {
    await test.store.write(async (tx) => {
      await tx.webhookDelivery.deleteMany({})
      await tx.webhook.deleteMany({})
    })
  })

  const URL_SECRET = 'https://hooks.test/services/url-secret?key=key-secret'
  const newWebhook = (events: WebhookEvents = 'all', enabled = true): Promise<WebhookRecord> =>
    createWebhook(test.store, {
      name: 'ops',
      url: URL_SECRET,
      events,
      template: 'generic',
      language: 'en',
      botSecret: 'bot-secret',
      enabled,
      signingSecret: 'whsec_Zmlyc3Q=',
    })
  const newSync = async (): Promise<SyncRecord> => {
    const platform = await makePlatform(test.store)
    const { sync } = await createSync(test.store, {
      platformId: platform.id,
      name: 'nightly',
      selection: { instanceIds: [], spaceIds: 'all' },
      requestedBy: 'ann',
    })
    await updateSync(test.store, sync.id, { state: 'running' })
    return sync
  }
  const outbox = async (webhook: WebhookRecord) =>
    (await test.store.db.webhookDelivery.findMany({ where: { webhookId: webhook.id }, orderBy: { id: 'asc' } })).map(
      (row) => ({ ...row, notice: JSON.parse(row.payload) }),
    )
  const events = async (webhook: WebhookRecord) => (await outbox(webhook)).map((row) => row.event)

  describe('a webhook', () => {
    it('keeps its address and its secrets sealed, and opens them for sending alone', async () => {
      const webhook = await newWebhook(['sync.failed'])
      expect(webhook).toMatchObject({ origin: 'https://hooks.test', hasBotSecret: true, rowVersion: 1 })
      expect(await openWebhook(test.store, webhook.id)).toMatchObject({
        url: URL_SECRET,
        signingSecrets: ['whsec_Zmlyc3Q='],
        botSecret: 'bot-secret',
        events: ['sync.failed'],
      })
      const row = await test.store.db.webhook.findUnique({ where: { id: webhook.id } })
      expect(JSON.stringify([row, webhook])).not.toMatch(/url-secret|key-secret|bot-secret|Zmlyc3Q/)
    })

    it('has two signing secrets at the most', async () => {
      const { id } = await newWebhook()
      const active = async () => (await openWebhook(test.store, id))?.signingSecrets
      await rotateSigningSecret(test.store, id, 'whsec_c2Vjb25k', false)
      expect(await active()).toEqual(['whsec_c2Vjb25k', 'whsec_Zmlyc3Q='])
      await rotateSigningSecret(test.store, id, 'whsec_dGhpcmQ=', false)
      expect(await active()).toEqual(['whsec_dGhpcmQ=', 'whsec_c2Vjb25k'])
      const last = await rotateSigningSecret(test.store, id, 'whsec_Zm91cnRo', true)
      expect(await active()).toEqual(['whsec_Zm91cnRo'])
      expect(last.secretsMadeAt).toHaveLength(1)
      expect((await openWebhook(test.store, id))?.botSecret).toBe('bot-secret')
    })

    it('is changed field by field, and not over somebody else’s change', async () => {
      const { id } = await newWebhook()
      const changed = await updateWebhook(test.store, id, 1, { botSecret: null, url: 'https://other.test/x' })
      expect(changed).toMatchObject({ origin: 'https://other.test', hasBotSecret: false, rowVersion: 2, name: 'ops' })
      expect((await openWebhook(test.store, id))?.signingSecrets).toEqual(['whsec_Zmlyc3Q='])
      await expect(updateWebhook(test.store, id, 1, { name: 'late' })).rejects.toMatchObject({ code: 'stale_write' })
      expect(await getWebhook(test.store, id)).toMatchObject({ name: 'ops' })
    })

    it('takes its deliveries with it', async () => {
      const webhook = await newWebhook()
      await createDelivery(test.store, webhook.id, {
        type: 'webhook.test',
        data: { webhookId: webhook.id, name: 'ops' },
      })
      await deleteWebhook(test.store, webhook.id)
      expect(await outbox(webhook)).toEqual([])
      await expect(deleteWebhook(test.store, webhook.id)).rejects.toMatchObject({ code: 'not_found' })
    })
  })

  describe('the outbox', () => {
    it('gets one row for each webhook that wants it, however often it is told', async () => {
      const [all, some, other, off] = [
        await newWebhook(),
        await newWebhook(['sync.failed', 'drift.found']),
        await newWebhook(['sync.partial']),
        await newWebhook('all', false),
      ]
      const sync = await newSync()
      expect(
        await finishSync(test.store, sync.id, { state: 'failed', errorType: 'TargetGone', errorMessage: 'x' }),
      ).toBe(true)
      expect(await finishSync(test.store, sync.id, { state: 'failed' })).toBe(false)
      for (const webhook of [all, some]) {
        const row = one(await outbox(webhook))
        expect(row).toMatchObject({ event: 'sync.failed', state: 'pending', attempts: 0 })
        expect(row.notice).toMatchObject({
          type: 'sync.failed',
          data: { syncId: sync.id, name: 'nightly', error: { type: 'TargetGone', message: 'x' } },
        })
      }
      expect([await events(other), await events(off)]).toEqual([[], []])
      const told = { type: 'credential.expired' as const, data: { ...ref, expiresAt: null } }
      await test.store.write((tx) => postNotice(tx, 'k', told))
      expect(await test.store.write((tx) => postNotice(tx, 'k', told))).toBe(0)
      expect(await test.store.write((tx) => postNotice(tx, 'k2', told))).toBe(1)
    })
    const ref = { platformId: 'p', platformName: 'P', platformKind: 'dify' }

    it('has the row only if what it tells of has happened', async () => {
      const webhook = await newWebhook()
      const told = { type: 'credential.expired' as const, data: { ...ref, expiresAt: null } }
      const failing = test.store.write(async (tx) => {
        await postNotice(tx, 'never', told)
        throw new Error('rolled back')
      })
      await expect(failing).rejects.toThrow('rolled back')
      expect(await outbox(webhook)).toEqual([])
    })

    it.each(['succeeded', 'planned', 'cancelled'] as const)('says nothing of a run that ends %s', async (state) => {
      const webhook = await newWebhook()
      const sync = await newSync()
      await finishSync(test.store, sync.id, { state })
      expect(await events(webhook)).toEqual([])
    })

    it('says that a run ended in part, with its counts', async () => {
      const webhook = await newWebhook()
      const sync = await newSync()
      await finishSync(test.store, sync.id, {
        state: 'partial',
        counts: { ...emptyCounts(), total: 2, failed: 1, succeeded: 1 },
      })
      expect(one(await outbox(webhook)).notice.data).toMatchObject({ counts: { total: 2, failed: 1 }, error: null })
    })

    it('says that a run waits: once for each credential, however often it waits for it', async () => {
      const webhook = await newWebhook(['sync.waiting_for_credential'])
      const sync = await newSync()
      const wait = () => updateSync(test.store, sync.id, { state: 'waiting_for_credential' })
      await wait()
      await wait()
      await updateSync(test.store, sync.id, { state: 'running' })
      await wait()
      expect(await events(webhook)).toEqual(['sync.waiting_for_credential'])
      await setCredential(test.store, sync.platformId, { credential: { password: 'another' } })
      await updateSync(test.store, sync.id, { state: 'running' })
      await wait()
      expect(await events(webhook)).toHaveLength(2)
    })

    it('says what drifted when the run is over, each space once', async () => {
      const webhook = await newWebhook(['drift.found'])
      const sync = await newSync()
      const drift = (spaceId: string, objects: number, fields: string[]) =>
        appendSyncEvent(test.store, sync.id, DRIFT_EVENT, { spaceId, objects, fields })
      await drift('a', 3, ['url'])
      await drift('a', 3, ['url'])
      await drift('b', 2, ['tools', 'url'])
      expect(await events(webhook)).toEqual([])
      await finishSync(test.store, sync.id, { state: 'planned' })
      expect(one(await outbox(webhook)).notice.data).toMatchObject({
        syncId: sync.id,
        objects: 5,
        spaces: 2,
        fields: ['tools', 'url'],
      })
    })

    it('says each step of a credential’s end once, and keeps that it has', async () => {
      const webhook = await newWebhook()
      const platform = await makePlatform(test.store)
      const tell = (step: string) =>
        tellOfCredential(
          test.store,
          { [platform.id]: { version: 1, told: [step] } },
          { platformId: platform.id, version: 1, step },
          'credential.expiring',
          new Date('2030-01-01T00:00:00Z'),
        )
      await tell('expires_in_7_days')
      await tell('expires_in_7_days')
      await tell('expires_in_1_day')
      const types: NoticeType[] = ['credential.expiring', 'credential.expiring']
      expect(await events(webhook)).toEqual(types)
      expect((await outbox(webhook))[0]?.notice.data).toMatchObject({
        platformName: platform.name,
        expiresAt: '2030-01-01T00:00:00.000Z',
      })
    })
  })

  describe('a delivery', () => {
    const posted = async () => {
      const webhook = await newWebhook()
      const sync = await newSync()
      await finishSync(test.store, sync.id, { state: 'failed' })
      return { webhook, id: one(await outbox(webhook)).id }
    }
    const later = (minutes: number) => new Date(Date.now() + minutes * 60_000)

    it('is due until its workflow has been started, and again when that was long ago', async () => {
      const { id } = await posted()
      expect(await dueDeliveries(test.store, 10)).toEqual([id])
      await markHandedOver(test.store, [id])
      expect(await dueDeliveries(test.store, 10)).toEqual([])
      expect(await dueDeliveries(test.store, 10, later(16))).toEqual([id])
      await giveUpDelivery(test.store, id)
      expect(await dueDeliveries(test.store, 10, later(16))).toEqual([])
    })

    it('counts its attempts, and never changes once it is closed', async () => {
      const { webhook, id } = await posted()
      expect((await beginAttempt(test.store, id))?.attempts).toBe(1)
      await recordAttempt(test.store, id, { state: 'pending', status: 503, error: 'busy' })
      expect((await beginAttempt(test.store, id))?.notice).toMatchObject({ type: 'sync.failed' })
      await recordAttempt(test.store, id, { state: 'delivered', status: 204, error: null })
      expect(await beginAttempt(test.store, id)).toBeNull()
      await recordAttempt(test.store, id, { state: 'failed', status: 500, error: 'late' })
      await giveUpDelivery(test.store, id)
      const page = await listDeliveries(test.store, webhook.id)
      expect(page.items).toMatchObject([{ id, state: 'delivered', attempts: 2, lastStatus: 204, lastError: null }])
      expect(page.items[0]?.finishedAt).not.toBeNull()
    })

    it('goes with age, but not while it is open', async () => {
      const [open, closed] = [await posted(), await posted()]
      // Each run was told to every webhook that was there.
      await giveUpDelivery(test.store, closed.id)
      expect(await purgeDeliveries(test.store, later(-1))).toBe(0)
      expect(await purgeDeliveries(test.store, later(1))).toBe(1)
      expect((await outbox(closed.webhook)).map((row) => row.id)).toEqual([])
      expect((await outbox(open.webhook)).length).toBeGreaterThan(0)
    })
  })
})
