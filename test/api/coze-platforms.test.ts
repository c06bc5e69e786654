import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { openCredential, setCredentialState } from '../../src/store/platforms.ts'
import { createSync } from '../../src/store/syncs.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let coze: CozeSimulator
let zhang: CozeAccount
let li: CozeAccount
let enterpriseId: string

beforeAll(async () => {
  ;[api, coze] = await Promise.all([openTestApi(), startCozeSimulator({ adminPort: null })])
  zhang = coze.addAccount({ name: '张三' })
  li = coze.addAccount({ name: '李四' })
  enterpriseId = coze.addEnterprise({ name: '企业' }).enterpriseId
  for (const { userId } of [zhang, li]) coze.joinEnterprise(userId, enterpriseId)
  coze.addSpace({ ownerId: zhang.userId, name: '研发', enterpriseId, members: { [li.userId]: 2 } })
  coze.addSpace({ ownerId: li.userId, name: '市场', enterpriseId, members: { [zhang.userId]: 3 } })
})
afterAll(async () => {
  await api.close()
  await coze.stop()
})

function team(over: Record<string, unknown> = {}) {
  return {
    kind: 'coze',
    name: `COZE ${randomBytes(4).toString('hex')}`,
    baseUrl: coze.origin,
    accountType: 'team',
    enterpriseId,
    cookie: zhang.cookie,
    ...over,
  }
}

async function registered(over: Record<string, unknown> = {}): Promise<{ id: string }> {
  const answer = await api.call('POST', '/api/v1/platforms', { body: team(over) })
  expect(answer.status, answer.text).toBe(201)
  return answer.json
}

const forget = (id: string) => api.call('DELETE', `/api/v1/platforms/${id}?forget=true`)

describe('registering a COZE platform', () => {
  it('checks the pasted cookie, seals it cleaned, and offers the spaces with their role', async () => {
    const pasted = `Cookie: ${zhang.cookie.replace('; ', ';\r\n  ')}\n`
    const made = await api.call('POST', '/api/v1/platforms', { body: team({ name: 'Business', cookie: pasted }) })
    expect(made.status, made.text).toBe(201)
    expect(made.json).toMatchObject({
      kind: 'coze',
      hasCredential: true,
      credentialState: 'valid',
      credentialWarning: null,
      credentialExpiresAt: expect.stringMatching(/^20/),
      settings: { accountType: 'team', enterpriseId, cookieUser: { id: zhang.userId, name: '张三' } },
    })
    expect((await openCredential(api.store, made.json.id))?.credential).toEqual({ cookie: zhang.cookie })
    const spaces = await api.call('GET', `/api/v1/platforms/${made.json.id}/spaces`)
    expect(spaces.json.items.map((space: { name: string; role: string }) => [space.name, space.role])).toEqual([
      ['研发', 'owner'],
    ])
    const twice = await api.call('POST', '/api/v1/platforms', { body: team({ cookie: li.cookie }) })
    expect([twice.status, twice.json.code, fieldsOf(twice)]).toEqual([409, 'already_registered', ['enterpriseId']])
    await forget(made.json.id)
  })

  it('a personal account is the cookie’s user’s, unless said otherwise', async () => {
    const personal = { accountType: 'personal', enterpriseId: undefined }
    const { id } = await registered(personal)
    const saved = await api.call('GET', `/api/v1/platforms/${id}`)
    expect(saved.json.settings).toMatchObject({ userId: zhang.userId, enterpriseId: null })
    const twice = await api.call('POST', '/api/v1/platforms', { body: team(personal) })
    expect([twice.status, twice.json.code]).toEqual([409, 'already_registered'])
    const other = await api.call('POST', '/api/v1/platforms', { body: team({ ...personal, userId: li.userId }) })
    expect([other.status, other.json.code, fieldsOf(other)]).toEqual([422, 'check_failed', ['userId']])
    await forget(id)
  })

  it('needs no cookie yet, and then says what it lacks', async () => {
    const { id } = await registered({ cookie: undefined })
    const check = await api.call('POST', `/api/v1/platforms/${id}/check`)
    expect([check.status, check.json.code]).toEqual([409, 'credential_missing'])
    expect(check.json.detail).toContain('cookie')
    const put = await api.call('PUT', `/api/v1/platforms/${id}/credential`, { body: { cookie: zhang.cookie } })
    expect(put.json).toMatchObject({ credentialState: 'valid', settings: { cookieUser: { id: zhang.userId } } })
    await forget(id)
  })

  it.each<[string, () => Record<string, unknown>, number, string, string]>([
    ['the open-source edition', () => ({ edition: 'open-source' }), 422, 'unsupported_version', 'kind'],
    ['a cookie of it', () => ({ cookie: 'session_key=abc' }), 422, 'unsupported_version', 'kind'],
    ['a cookie without a login', () => ({ cookie: 'ttwid=1' }), 422, 'invalid_desired_state', 'cookie'],
    ['a cookie nobody knows', () => ({ cookie: 'sessionid=0123456789abcdef' }), 422, 'check_failed', 'cookie'],
    ['a team without its id', () => ({ enterpriseId: undefined }), 422, 'invalid_field', 'enterpriseId'],
    ['an organization’s id', () => ({ enterpriseId: '7400000000000000002' }), 422, 'invalid_field', 'enterpriseId'],
    ['somebody else’s team', () => ({ enterpriseId: 'volcano_1' }), 422, 'check_failed', 'enterpriseId'],
    ['http to somewhere else', () => ({ baseUrl: 'http://coze.example.com' }), 422, 'invalid_desired_state', 'baseUrl'],
    ['nobody there', () => ({ baseUrl: 'http://127.0.0.1:9' }), 422, 'check_failed', 'baseUrl'],
    [
      'a gateway without https',
      () => ({ gatewayUrl: 'http://gw.example.com' }),
      422,
      'invalid_desired_state',
      'gatewayUrl',
    ],
    ['a gateway by its IP', () => ({ gatewayUrl: 'https://203.0.113.7' }), 422, 'invalid_desired_state', 'gatewayUrl'],
    ['a misspelt field', () => ({ enterpriseID: 'x' }), 400, 'invalid_request', 'enterpriseID'],
  ])('%s is refused by its field, with what to do', async (_what, over, status, code, field) => {
    for (const path of ['/platforms', '/platforms/check']) {
      const answer = await api.call('POST', `/api/v1${path}`, { body: team(over()) })
      if (path === '/platforms/check' && code === 'check_failed') {
        expect(answer.json).toMatchObject({ ok: false })
        continue
      }
      expect([answer.status, answer.json.code, fieldsOf(answer)], answer.text).toEqual([status, code, [field]])
      expect(answer.json.detail.length).toBeGreaterThan(20)
    }
    expect((await api.call('GET', '/api/v1/platforms')).json.items).toEqual([])
  })
})

describe('its cookie', () => {
  it('is replaced, and waiting runs hear of it; another user’s must be meant', async () => {
    const { id } = await registered()
    const { sync } = await createSync(api.store, {
      platformId: id,
      name: 'waiting',
      selection: { instanceIds: [], spaceIds: 'all' },
      requestedBy: 'test',
    })
    const fresh = coze.login(zhang.userId, { ttlS: 3 * 24 * 3600 })
    const put = await api.call('PUT', `/api/v1/platforms/${id}/credential`, { body: { cookie: fresh } })
    expect(put.json).toMatchObject({ credentialState: 'valid', credentialWarning: 'expires_in_7_days' })
    expect(api.runs.signals).toContainEqual({ syncId: sync.id, signal: { type: 'credentialReplaced' } })

    const overview = await api.call('GET', '/api/v1/overview')
    expect(overview.json.attention).toContainEqual(
      expect.objectContaining({ kind: 'credential_expiring', platformId: id }),
    )

    const path = `/api/v1/platforms/${id}/credential`
    const other = await api.call('PUT', path, { body: { cookie: li.cookie } })
    expect([other.status, other.json.code, fieldsOf(other)]).toEqual([409, 'other_user', ['cookie']])
    expect(other.json.detail).toMatch(/李四.*张三/)
    expect((await openCredential(api.store, id))?.credential).toEqual({ cookie: fresh })
    const meant = await api.call('PUT', path, { body: { cookie: li.cookie, confirmUserChange: true } })
    expect(meant.json.settings.cookieUser).toEqual({ id: li.userId, name: '李四' })

    const wrong = await api.call('PUT', path, { body: { password: 'x' } })
    expect([wrong.status, fieldsOf(wrong)]).toEqual([422, ['password']])
    const gone = await api.call('DELETE', path)
    expect(gone.json).toMatchObject({ hasCredential: false, credentialState: 'none', credentialWarning: null })
    await forget(id)
  })

  it('that ends is shown when COZE says so', async () => {
    const cookie = coze.login(zhang.userId)
    const { id } = await registered({ cookie })
    coze.loseSession({ cookie })
    const check = await api.call('POST', `/api/v1/platforms/${id}/check`)
    expect(check.json).toMatchObject({ ok: false, error: { type: 'CredentialExpired' } })
    expect((await api.call('GET', `/api/v1/platforms/${id}`)).json.credentialState).toBe('expired')
    await forget(id)
  })

  it('is looked at by a check of the saved platform: its state and its end are brought up to date', async () => {
    const cookie = coze.login(zhang.userId, { ttlS: 20 * 3600 })
    const { id } = await registered({ cookie })
    // As an older version left it, or a check while COZE did not know the login.
    expect(await setCredentialState(api.store, id, 'expired', 1, null)).toBe(true)
    const check = await api.call('POST', `/api/v1/platforms/${id}/check`)
    expect(check.json).toMatchObject({ ok: true, credentialExpiresAt: expect.stringMatching(/^20/) })
    const saved = await api.call('GET', `/api/v1/platforms/${id}`)
    expect(saved.json).toMatchObject({
      credentialState: 'valid',
      credentialExpiresAt: check.json.credentialExpiresAt,
      credentialWarning: 'expires_in_1_day',
      checkedAt: expect.stringMatching(/^20/),
    })

    const odd = coze.faults.add({
      endpoint: '*',
      times: Infinity,
      fault: { kind: 'business-error', code: 1, msg: '?' },
    })
    const away = await api.call('POST', `/api/v1/platforms/${id}/check`)
    odd.remove()
    expect(away.json).toMatchObject({ ok: false, error: { type: 'InvalidDesiredState' } })
    expect((await api.call('GET', `/api/v1/platforms/${id}`)).json).toMatchObject({
      credentialState: 'valid',
      credentialExpiresAt: check.json.credentialExpiresAt,
    })
    await forget(id)
  })

  it('is void when the platform points elsewhere', async () => {
    const { id } = await registered()
    const path = `/api/v1/platforms/${id}`
    const renamed = await api.call('PATCH', path, { body: { name: 'Renamed' } })
    expect(renamed.json).toMatchObject({ name: 'Renamed', hasCredential: true })
    const moved = await api.call('PATCH', path, { body: { enterpriseId: 'volcano_2' } })
    expect(moved.json).toMatchObject({ hasCredential: false, settings: { cookieUser: null } })
    const wrong = await api.call('PATCH', path, { body: { edition: 'enterprise' } })
    expect([wrong.status, fieldsOf(wrong)]).toEqual([400, ['edition']])
    await forget(id)
  })
})

it('nothing of a cookie came back in any answer or log line', () => {
  const secrets = [zhang, li].flatMap(({ cookie }) => /sessionid=([^;]+)/.exec(cookie)?.[1] ?? [])
  expect(secrets).toHaveLength(2)
  for (const secret of secrets) {
    expect(api.answered()).not.toContain(secret)
    expect(api.logged()).not.toContain(secret)
  }
})
