import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSync, finishSync } from '../../src/store/syncs.ts'
import { makePlatform } from '../store/fixtures.ts'
import { type Receiver, startReceiver, verifies } from '../support/webhook-receiver.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let receiver: Receiver
beforeAll(async () => {
  ;[api, receiver] = await Promise.all([openTestApi(), startReceiver()])
})
afterAll(async () => {
  await api.close()
  await receiver.close()
})
beforeEach(() => {
  receiver.received.length = 0
  receiver.answer = (response) => response.writeHead(204).end()
})

const input = (over: Record<string, unknown> = {}) => ({
  name: 'ops',
  url: `${receiver.origin}/hook/canary-path?key=canary-query`,
  ...over,
})
const create = async (over: Record<string, unknown> = {}) => {
  const answer = await api.call('POST', '/api/v1/webhooks', { body: input(over) })
  expect(answer.status, answer.text).toBe(201)
  return answer.json
}
const on = (id: string, method: string, path: string, options = {}) =>
  api.call(method, `/api/v1/webhooks/${id}${path}`, options)

describe('a webhook', () => {
  it('is made with safe defaults; its signing secret is shown once, its URL never', async () => {
    const made = await create()
    expect(made).toMatchObject({
      name: 'ops',
      origin: receiver.origin,
      events: 'all',
      template: 'generic',
      language: 'en',
      enabled: true,
      hasBotSecret: false,
      rowVersion: 1,
      secret: expect.stringMatching(/^whsec_/),
    })
    const { secret, ...rest } = made
    const got = await on(made.id, 'GET', '', { role: 'viewer' })
    expect(got.json).toEqual(rest)
    expect(got.headers.get('etag')).toBe('W/"1"')
    const listed = await api.call('GET', '/api/v1/webhooks', { role: 'viewer' })
    expect(listed.json.items).toContainEqual(rest)
    expect(listed.text + got.text).not.toContain(secret)
  })

  it('is changed, rotated and deleted', async () => {
    const { id, secret } = await create({ botSecret: 'canary-bot' })
    const changed = await on(id, 'PATCH', '', {
      body: { events: ['drift.found'], language: 'zh', enabled: false, botSecret: null },
      headers: { 'if-match': 'W/"1"' },
    })
    expect(changed.json).toMatchObject({ events: ['drift.found'], language: 'zh', enabled: false, hasBotSecret: false })
    expect((await on(id, 'PATCH', '', { body: { name: 'x' }, headers: { 'if-match': 'W/"1"' } })).status).toBe(409)

    const rotated = await on(id, 'POST', '/rotate')
    expect(rotated.json.secretsMadeAt).toHaveLength(2)
    await on(id, 'POST', '/test')
    const [both] = receiver.received
    if (both === undefined) throw new Error('nothing came')
    expect([secret, rotated.json.secret].map((each) => verifies(both, each))).toEqual([true, true])

    const ended = await on(id, 'POST', '/rotate', { body: { endFormer: true } })
    await on(id, 'POST', '/test')
    const after = receiver.received[1]
    if (after === undefined) throw new Error('nothing came')
    const known = [secret, rotated.json.secret, ended.json.secret].map((each) => verifies(after, each))
    expect(known).toEqual([false, false, true])

    expect((await on(id, 'DELETE', '')).status).toBe(204)
    expect((await on(id, 'GET', '')).status).toBe(404)
    expect((await on(id, 'DELETE', '')).status).toBe(404)
  })

  it('is decided by admins, and every change is audited', async () => {
    const { id } = await create()
    const calls = [
      ['POST', '', input()],
      ['PATCH', `/${id}`, { name: 'x' }],
      ['DELETE', `/${id}`, undefined],
      ['POST', `/${id}/rotate`, {}],
      ['POST', `/${id}/test`, undefined],
    ] as const
    for (const [method, path, body] of calls) {
      const answer = await api.call(method, `/api/v1/webhooks${path}`, {
        role: 'operator',
        ...(body === undefined ? {} : { body }),
      })
      expect(answer.status, path).toBe(403)
    }
    await on(id, 'POST', '/rotate')
    await on(id, 'PATCH', '', { body: { url: `${receiver.origin}/canary-other` } })
    const { items } = (await api.call('GET', `/api/v1/audit?resource=webhook&resourceId=${id}`)).json
    expect(items.map((event: { action: string; outcome: string }) => `${event.action} ${event.outcome}`)).toEqual([
      'update allowed',
      'rotate allowed',
      'check refused',
      'rotate refused',
      'delete refused',
      'update refused',
      'create allowed',
    ])
    expect(items[0].fields).toEqual(['url'])
  })

  it.each([
    ['http://169.254.169.254/', ['url']],
    ['ftp://hooks.test/', ['url']],
    ['https://user:canary-pass@hooks.test/', ['url']],
  ])('is refused with the URL %s', async (url, fields) => {
    const answer = await api.call('POST', '/api/v1/webhooks', { body: input({ url }) })
    expect(answer.status).toBe(422)
    expect(fieldsOf(answer)).toEqual(fields)
    const { id } = await create()
    expect((await on(id, 'PATCH', '', { body: { url } })).status).toBe(422)
  })

  it.each([[{ events: [] }], [{ events: ['sync.unknown'] }], [{ template: 'teams' }], [{ language: 'fr' }]])(
    'is refused with %j',
    async (over) => {
      expect((await api.call('POST', '/api/v1/webhooks', { body: input(over) })).status).toBe(400)
    },
  )
})

describe('a test message', () => {
  it('goes out at once, though the webhook is disabled, and says how it went', async () => {
    const { id, secret } = await create({ enabled: false, events: ['drift.found'] })
    const sent = await on(id, 'POST', '/test')
    expect(sent.json).toMatchObject({ event: 'webhook.test', state: 'delivered', attempts: 1, lastStatus: 204 })
    const [message] = receiver.received
    if (message === undefined) throw new Error('nothing came')
    expect(verifies(message, secret)).toBe(true)
    expect(JSON.parse(message.body)).toMatchObject({ type: 'webhook.test', data: { webhookId: id, name: 'ops' } })
    expect(message.headers['webhook-id']).toBe(sent.json.id)

    receiver.answer = (response) => response.writeHead(500).end('canary-answer')
    const failed = await on(id, 'POST', '/test')
    expect(failed.json).toMatchObject({ state: 'failed', lastStatus: 500, lastError: 'The receiver answered 500.' })
    const listed = await on(id, 'GET', '/deliveries', { role: 'viewer' })
    expect(listed.json.items).toEqual([failed.json, sent.json])
    expect((await on(id, 'GET', '/deliveries?state=delivered')).json.items).toEqual([sent.json])
  })
})

describe('deliveries', () => {
  it('show what waits, page by page, and nothing of the address', async () => {
    const { id } = await create({ events: ['sync.failed'] })
    const platform = await makePlatform(api.store)
    for (const name of ['one', 'two', 'three']) {
      const { sync } = await createSync(api.store, {
        platformId: platform.id,
        name,
        selection: { instanceIds: [], spaceIds: 'all' },
        requestedBy: 'ann',
      })
      await finishSync(api.store, sync.id, { state: 'failed' })
    }
    const first = await on(id, 'GET', '/deliveries?limit=2')
    expect(first.json.items).toMatchObject([
      { event: 'sync.failed', state: 'pending', attempts: 0, lastStatus: null },
      { event: 'sync.failed', state: 'pending' },
    ])
    const second = await on(id, 'GET', `/deliveries?limit=2&cursor=${first.json.nextCursor}`)
    expect([second.json.items.length, second.json.nextCursor]).toEqual([1, null])
  })
})

it('nothing that was given for an address or a bot comes back in an answer, a log line or the audit', async () => {
  const shown = api.answered() + api.logged() + JSON.stringify(await api.store.db.auditEvent.findMany())
  expect(shown.length).toBeGreaterThan(10_000)
  expect(shown).not.toContain('canary-')
})
