import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Notice } from '../../src/domain/notices.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { type SendOptions, sendWebhook, type WebhookAddress } from '../../src/notify/send.ts'
import { dingtalkSign, newSigningSecret } from '../../src/notify/signature.ts'
import { freePort } from '../support/mcp-servers.ts'
import { type Receiver, startReceiver, verifies } from '../support/webhook-receiver.ts'

let receiver: Receiver
beforeAll(async () => {
  receiver = await startReceiver()
})
afterAll(() => receiver.close())
beforeEach(() => {
  receiver.received.length = 0
  receiver.answer = (response) => response.writeHead(204).end()
})

const [newer, former] = [newSigningSecret(), newSigningSecret()]
const notice: Notice = {
  type: 'webhook.test',
  timestamp: '2026-05-01T08:00:00.000Z',
  data: { webhookId: 'w', name: 'ops' },
}
const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
const to = (over: Partial<WebhookAddress> = {}): WebhookAddress => ({
  url: `${receiver.origin}/hook/path-secret?key=query-secret`,
  template: 'generic',
  language: 'en',
  signingSecrets: [newer, former],
  botSecret: null,
  ...over,
})
const send = (over: Partial<WebhookAddress> = {}, options: Partial<SendOptions> = {}) =>
  sendWebhook(to(over), { id: 'm-1', notice }, { egress, signal: new AbortController().signal, ...options })

describe('sending', () => {
  it('is one POST that either secret verifies, and no other', async () => {
    expect(await send()).toEqual({ ok: true, status: 204 })
    const [message] = receiver.received
    if (message === undefined) throw new Error('nothing came')
    expect(message.path).toBe('/hook/path-secret?key=query-secret')
    expect(message.headers).toMatchObject({
      'webhook-id': 'm-1',
      'content-type': 'application/json; charset=utf-8',
      'user-agent': 'Toolferry',
    })
    expect(verifies(message, newer)).toBe(true)
    expect(verifies(message, former)).toBe(true)
    expect(verifies(message, newSigningSecret())).toBe(false)
    expect(verifies({ ...message, body: `${message.body} ` }, newer)).toBe(false)
    const later = { ...message.headers, 'webhook-timestamp': String(Number(message.headers['webhook-timestamp']) + 1) }
    expect(verifies({ ...message, headers: later }, newer)).toBe(false)
  })

  it('adds DingTalk’s signature to the query that is there', async () => {
    receiver.answer = (response) => response.end('{"errcode":0,"errmsg":"ok"}')
    expect(await send({ template: 'dingtalk', botSecret: 'SECx' })).toEqual({ ok: true, status: 200 })
    const url = new URL(receiver.received[0]?.path ?? '', receiver.origin)
    expect(url.searchParams.get('key')).toBe('query-secret')
    const timestampMs = Number(url.searchParams.get('timestamp'))
    expect(url.searchParams.get('sign')).toBe(dingtalkSign('SECx', timestampMs))
  })

  it.each([500, 404, 401, 429])('may be tried again after %s', async (status) => {
    receiver.answer = (response) => response.writeHead(status).end('secret of the receiver')
    expect(await send()).toEqual({ ok: false, status, error: `The receiver answered ${status}.`, retry: true })
  })

  it('is over after 410', async () => {
    receiver.answer = (response) => response.writeHead(410).end()
    expect(await send()).toMatchObject({ ok: false, status: 410, retry: false })
  })

  it('waits as long as the receiver asks for, up to a limit', async () => {
    receiver.answer = (response) => response.writeHead(503, { 'retry-after': '120' }).end()
    expect(await send()).toMatchObject({ ok: false, retryAfterMs: 120_000 })
    receiver.answer = (response) => response.writeHead(503, { 'retry-after': '999999' }).end()
    expect(await send()).toMatchObject({ ok: false, retryAfterMs: 6 * 3_600_000 })
    receiver.answer = (response) => response.writeHead(503, { 'retry-after': 'soon' }).end()
    expect(await send()).not.toHaveProperty('retryAfterMs')
  })

  it('follows no redirect', async () => {
    const elsewhere = await startReceiver()
    receiver.answer = (response) => response.writeHead(307, { location: `${elsewhere.origin}/stolen` }).end()
    expect(await send()).toMatchObject({
      ok: false,
      status: 307,
      retry: true,
      error: expect.stringMatching(/redirect/),
    })
    expect(elsewhere.received).toEqual([])
    await elsewhere.close()
  })

  it('gives up on a receiver that does not answer, or never ends its answer', async () => {
    receiver.answer = () => undefined
    expect(await send({}, { timeoutMs: 300 })).toEqual({
      ok: false,
      status: null,
      error: 'There was no answer within 0.3 s.',
      retry: true,
    })
    receiver.answer = (response) => response.writeHead(200).write('{')
    expect(await send({ template: 'feishu' }, { timeoutMs: 300 })).toMatchObject({ ok: false, status: null })
  })

  it('reads a limited part of an endless answer', async () => {
    let written = 0
    receiver.answer = async (response) => {
      response.writeHead(200)
      while (!response.destroyed && written < 64 * 1024 * 1024) {
        response.write('x'.repeat(65_536))
        written += 65_536
        await sleep(1)
      }
      response.end()
    }
    expect(await send({ template: 'feishu' })).toMatchObject({ ok: false, status: 200 })
    expect(await send()).toEqual({ ok: true, status: 200 })
    expect(written).toBeLessThan(16 * 1024 * 1024)
  })

  it('goes only where the egress rules allow, whenever they were made', async () => {
    const strict = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: false, ownPorts: new Set() })
    expect(await send({}, { egress: strict })).toMatchObject({ ok: false, status: null, retry: false })
    const metadata = await send({ url: 'http://169.254.169.254/latest/key-secret' })
    expect(metadata).toMatchObject({ ok: false, retry: false, error: expect.stringMatching(/never connects there/) })
    // A name whose address has changed since it was saved.
    const rebound = createEgressPolicy({
      allow: [],
      deny: [],
      loopbackAllowed: false,
      ownPorts: new Set(),
      resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    })
    const url = `http://hooks.test:${new URL(receiver.origin).port}/`
    expect(await send({ url }, { egress: rebound })).toMatchObject({ ok: false, status: null, retry: false })
    expect(receiver.received).toEqual([])
  })

  it('names nothing of the address but its host in what went wrong', async () => {
    const away = `http://127.0.0.1:${await freePort()}/path-secret?key=query-secret`
    const refused = await send({ url: away })
    expect(refused).toEqual({
      ok: false,
      status: null,
      error: 'The receiver could not be reached (ECONNREFUSED).',
      retry: true,
    })
    const rejected = await send({ url: 'http://169.254.169.254/path-secret?key=query-secret' })
    expect(JSON.stringify([refused, rejected])).not.toMatch(/path-secret|query-secret/)
  })

  it('ends with its caller', async () => {
    receiver.answer = () => undefined
    const caller = new AbortController()
    const sending = send({}, { signal: caller.signal })
    await receiver.until(1)
    caller.abort(new Error('the worker stops'))
    await expect(sending).rejects.toThrow('the worker stops')
  })
})
