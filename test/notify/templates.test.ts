import { describe, expect, it } from 'vitest'
import type { Notice } from '../../src/domain/notices.ts'
import { emptyCounts } from '../../src/domain/states.ts'
import { dingtalkSign, feishuSign, newSigningSecret, signatureHeaders } from '../../src/notify/signature.ts'
import { type RenderOptions, refusalIn, render } from '../../src/notify/templates.ts'

const timestamp = '2026-05-01T08:00:00.000Z'
const platform = { platformId: 'p-1', platformName: 'Our <!channel> Dify', platformKind: 'dify' }
const partial: Notice = {
  type: 'sync.partial',
  timestamp,
  data: {
    ...platform,
    syncId: 's-1',
    name: 'nightly <at user_id="all">',
    counts: { ...emptyCounts(), total: 4, succeeded: 3, failed: 1 },
    error: null,
  },
}
const NOTICES: Notice[] = [
  partial,
  {
    ...partial,
    type: 'sync.failed',
    data: { ...partial.data, error: { type: 'CredentialExpired', message: 'The cookie has ended.' } },
  },
  { ...partial, type: 'sync.waiting_for_credential' },
  {
    type: 'drift.found',
    timestamp,
    data: { ...platform, syncId: 's-1', name: 'check', objects: 7, spaces: 3, fields: ['tools', 'url'] },
  },
  { type: 'credential.expiring', timestamp, data: { ...platform, expiresAt: '2026-05-02T00:00:00.000Z' } },
  { type: 'credential.expired', timestamp, data: { ...platform, expiresAt: null } },
  { type: 'credential.refused', timestamp, data: { ...platform, expiresAt: null } },
  {
    type: 'token.expiring',
    timestamp,
    data: {
      withinDays: 7,
      count: 12,
      tokens: Array.from({ length: 12 }, (_, index) => ({
        bindingId: `b-${index}`,
        instanceName: `server ${index}`,
        spaceName: index === 0 ? null : 'Sales',
        expiresAt: '2026-05-07T00:00:00.000Z',
      })),
    },
  },
  {
    type: 'token.still_used',
    timestamp,
    data: {
      count: 12,
      tokens: Array.from({ length: 12 }, (_, index) => ({
        tokenId: `t-${index}`,
        bindingId: index === 0 ? null : `b-${index}`,
        instanceName: `server ${index}`,
        spaceName: index === 0 ? null : 'Sales',
        replacedAt: '2026-04-30T00:00:00.000Z',
        lastUsedAt: '2026-05-01T07:59:00.000Z',
      })),
    },
  },
  { type: 'webhook.test', timestamp, data: { webhookId: 'w-1', name: 'ops' } },
]

const options = (over: Partial<RenderOptions> = {}): RenderOptions => ({
  template: 'generic',
  language: 'en',
  botSecret: null,
  nowMs: 1_777_600_000_123,
  ...over,
})

describe('signatures', () => {
  it('are what the specification’s own example says', () => {
    // The vector of github.com/standard-webhooks/standard-webhooks.
    const headers = signatureHeaders(['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'], {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampS: 1614265330,
      body: '{"test": 2432232314}',
    })
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  it('are one for each secret, and secrets are long enough for the specification', () => {
    const secrets = [newSigningSecret(), newSigningSecret()]
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]+=*$/)
      expect(Buffer.from(secret.slice(6), 'base64')).toHaveLength(32)
    }
    const message = { id: 'm', timestampS: 1, body: '{}' }
    const both = signatureHeaders(secrets, message)['webhook-signature']
    const each = secrets.map((secret) => signatureHeaders([secret], message)['webhook-signature'])
    expect(both).toBe(each.join(' '))
    expect(new Set(each).size).toBe(2)
  })

  it('of the bots are those of their published algorithms', () => {
    // Computed with the Python samples of both platforms' documentation.
    expect(feishuSign('demo', 1599360473)).toBe('l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=')
    expect(dingtalkSign('this is secret', 1577262236757)).toBe('hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM=')
  })
})

describe('templates', () => {
  it('give every notice a text in both languages, with nothing left out and no length over the limits', () => {
    for (const notice of NOTICES) {
      for (const template of ['generic', 'feishu', 'dingtalk', 'slack'] as const) {
        const [en, zh] = (['en', 'zh'] as const).map((language) => render(notice, options({ template, language })).body)
        expect(en).not.toBe(zh)
        expect(zh).toMatch(/[\u4e00-\u9fff]/)
        // Some robots take only messages with a keyword of theirs: this one is always there.
        for (const body of [en, zh]) {
          expect(body).toContain('Toolferry')
          expect(body).not.toMatch(/undefined|NaN|\[object/)
        }
      }
    }
  })

  it('generic: type, time and data for programs, a text for people', () => {
    expect(JSON.parse(render(partial, options()).body)).toEqual({
      type: 'sync.partial',
      timestamp,
      data: partial.data,
      text: {
        title: 'Toolferry: a sync failed in part',
        lines: [
          'Run: nightly <at user_id="all">',
          'Platform: Our <!channel> Dify',
          'Targets: 4 in all, 3 succeeded, 0 unchanged, 1 failed, 0 in conflict',
          'Sync id: s-1',
        ],
      },
    })
  })

  it('Feishu: an interactive card of plain text, signed with seconds', () => {
    const body = JSON.parse(render(partial, options({ template: 'feishu', language: 'zh', botSecret: 'demo' })).body)
    expect(body).toMatchObject({
      timestamp: '1777600000',
      sign: feishuSign('demo', 1_777_600_000),
      msg_type: 'interactive',
      card: { header: { title: { tag: 'plain_text', content: 'Toolferry：同步部分失败' }, template: 'orange' } },
    })
    // lark_md would read the <at> in the run's name.
    expect(body.card.elements).toEqual([{ tag: 'div', text: { tag: 'plain_text', content: expect.any(String) } }])
    const plain = JSON.parse(render(partial, options({ template: 'feishu' })).body)
    expect(Object.keys(plain)).toEqual(['msg_type', 'card'])
  })

  it('DingTalk: plain text, signed in the query with milliseconds', () => {
    const { body, query } = render(partial, options({ template: 'dingtalk', botSecret: 'SECdemo' }))
    expect(JSON.parse(body)).toEqual({
      msgtype: 'text',
      text: { content: expect.stringMatching(/^Toolferry: a sync failed in part\nRun: nightly/) },
    })
    expect(query).toEqual({ timestamp: '1777600000123', sign: dingtalkSign('SECdemo', 1_777_600_000_123) })
    expect(render(partial, options({ template: 'dingtalk' })).query).toEqual({})
  })

  it('Slack: blocks of plain text, where <!channel> is only text', () => {
    const { text, blocks } = JSON.parse(render(partial, options({ template: 'slack' })).body)
    expect(text).toBe('Toolferry: a sync failed in part')
    expect(blocks.map((block: { text: { type: string } }) => block.text.type)).toEqual(['plain_text', 'plain_text'])
    const long = { ...partial, data: { ...partial.data, name: '长'.repeat(5000) } }
    const section = JSON.parse(render(long, options({ template: 'slack' })).body).blocks[1]
    expect([...section.text.text].length).toBeLessThanOrEqual(3000)
  })
})

describe('what a bot answers with 200', () => {
  it.each([
    ['feishu', '{"code":0,"msg":"success"}', null],
    ['feishu', '{"StatusCode":0,"StatusMessage":"success"}', null],
    ['feishu', '{"code":19021,"msg":"sign match fail"}', /19021.*botSecret/],
    ['feishu', '<html>sign in</html>', /not that of a Feishu bot/],
    ['dingtalk', '{"errcode":0,"errmsg":"ok"}', null],
    ['dingtalk', '{"errcode":310000,"errmsg":"token abc"}', /310000.*security settings/],
    ['dingtalk', '{"errcode":12345,"errmsg":"token abc"}', /code 12345\.$/],
    ['slack', 'ok', null],
    ['generic', 'anything', null],
  ] as const)('%s %s', (template, answer, reason) => {
    const refusal = refusalIn(template, answer)
    if (reason === null) expect(refusal).toBeNull()
    else {
      expect(refusal).toMatch(reason)
      expect(refusal).not.toContain('abc')
    }
  })
})
