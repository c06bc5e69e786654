import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openTestApi, type TestApi } from './harness.ts'

let api: TestApi
beforeAll(async () => {
  api = await openTestApi({ facts: { publicUrl: 'http://127.0.0.1:8080' } })
})
afterAll(() => api.close())

async function signIn(from: TestApi = api): Promise<{ cookie: string; header: string }> {
  const answer = await from.call('POST', '/api/v1/session', { role: 'anonymous', body: { apiKey: from.keys.admin } })
  expect(answer.status).toBe(201)
  const header = answer.headers.get('set-cookie') ?? ''
  return { header, cookie: header.split(';')[0] ?? '' }
}

const own = { origin: 'http://localhost', 'content-type': 'application/json' }

describe('the console session', () => {
  it('its cookie is out of reach for scripts and other sites', async () => {
    const { header } = await signIn()
    expect(header).toMatch(/^toolferry=/)
    expect(header).toContain('HttpOnly')
    expect(header).toContain('SameSite=Strict')
    const https = await openTestApi({ facts: { publicUrl: 'https://toolferry.test' } })
    const secure = (await signIn(https)).header
    expect(secure).toMatch(/^__Host-toolferry=.*Path=\/.*Secure/)
    await https.close()
  })

  it('is refused in words where the browser would not keep its cookie', async () => {
    const https = await openTestApi({ facts: { publicUrl: 'https://toolferry.test' } })
    const from = (origin: string) =>
      https.call('POST', '/api/v1/session', {
        role: 'anonymous',
        headers: { origin },
        body: { apiKey: https.keys.admin },
      })
    for (const origin of ['http://10.20.30.40:8080', 'http://toolferry.test']) {
      const refused = await from(origin)
      expect([refused.status, refused.json.code]).toEqual([400, 'https_needed'])
      expect(refused.headers.get('set-cookie')).toBeNull()
    }
    for (const origin of [
      'https://toolferry.test',
      'http://127.0.0.1:8080',
      'http://localhost:8080',
      'http://[::1]:8080',
    ]) {
      expect((await from(origin)).status).toBe(201)
    }
    await https.close()
    const http = await api.call('POST', '/api/v1/session', {
      role: 'anonymous',
      headers: { origin: 'http://10.20.30.40:8080' },
      body: { apiKey: api.keys.admin },
    })
    expect(http.status).toBe(201)
  })

  it('is who the API key is; a write needs JSON and our own origin', async () => {
    const { cookie } = await signIn()
    const me = await api.call('GET', '/api/v1/me', { role: 'anonymous', headers: { cookie } })
    expect(me.json).toMatchObject({ name: 'adm', role: 'admin', via: 'session' })
    const write = (headers: Record<string, string>) =>
      api.call('POST', '/api/v1/api-keys', {
        role: 'anonymous',
        headers: { cookie, ...headers },
        body: { name: 'n', role: 'viewer' },
      })
    expect((await write(own)).status).toBe(201)
    for (const origin of ['http://evil.test', 'null', 'http://localhost:81']) {
      const refused = await write({ ...own, origin })
      expect([refused.status, refused.json.code]).toEqual([403, 'foreign_origin'])
    }
    expect((await write({ 'content-type': 'application/json' })).json.code).toBe('foreign_origin')
    expect((await write({ ...own, 'content-type': 'text/plain' })).status).toBe(415)
  })

  it('ends with DELETE, and with its key', async () => {
    const first = await signIn()
    expect(
      (await api.call('DELETE', '/api/v1/session', { role: 'anonymous', headers: { cookie: first.cookie, ...own } }))
        .status,
    ).toBe(204)
    expect((await api.call('GET', '/api/v1/me', { role: 'anonymous', headers: { cookie: first.cookie } })).status).toBe(
      401,
    )

    const made = await api.call('POST', '/api/v1/api-keys', { body: { name: 'second', role: 'viewer' } })
    const session = await api.call('POST', '/api/v1/session', { role: 'anonymous', body: { apiKey: made.json.key } })
    const cookie = (session.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
    await api.call('DELETE', `/api/v1/api-keys/${made.json.id}`)
    expect((await api.call('GET', '/api/v1/me', { role: 'anonymous', headers: { cookie } })).status).toBe(401)
  })

  it('is not opened with a wrong key', async () => {
    const answer = await api.call('POST', '/api/v1/session', { role: 'anonymous', body: { apiKey: 'tfa_nonsense' } })
    expect([answer.status, answer.json.code, answer.headers.get('set-cookie')]).toEqual([401, 'unauthenticated', null])
  })

  it('tells the audit who tried in vain, and how, but not with what', async () => {
    const guess = 'tfa_guess-of-a-secret'
    const attempt = (body: object) =>
      api.call('POST', '/api/v1/session', {
        role: 'anonymous',
        body,
        from: '192.0.2.66',
        headers: { 'x-request-id': 'try' },
      })
    expect((await attempt({ apiKey: guess })).status).toBe(401)
    expect((await attempt({ code: guess })).json.code).toBe('code_used')
    const headers = { authorization: `Bearer ${guess}` }
    expect((await api.call('GET', '/api/v1/me', { role: 'anonymous', headers, from: '192.0.2.66' })).status).toBe(401)
    const audit = await api.call('GET', '/api/v1/audit?actor=anonymous%20(192.0.2.66)')
    expect(audit.json.items).toMatchObject([
      { action: 'use', resource: 'api-key', resourceId: null, outcome: 'refused' },
      { action: 'create', resource: 'session', fields: ['code'], outcome: 'refused', requestId: 'try' },
      { action: 'create', resource: 'session', fields: ['apiKey'], outcome: 'refused', requestId: 'try' },
    ])
    expect(api.answered() + api.logged()).not.toContain('guess-of-a-secret')
  })

  it('is not to be had by trying on and on from one address; others, and what needs no key, are not held up', async () => {
    const attempt = (from: string, headers: Record<string, string> = {}) =>
      api.call('POST', '/api/v1/session', { role: 'anonymous', body: { apiKey: 'tfa_nonsense' }, from, headers })
    for (let count = 0; count < 20; count += 1) expect((await attempt('192.0.2.77')).status).toBe(401)
    const limited = await attempt('192.0.2.77')
    expect([limited.status, limited.json.code]).toEqual([429, 'too_many_failures'])
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
    const headers = { authorization: 'Bearer tfa_nonsense' }
    const get = (path: string, from: string) => api.call('GET', path, { role: 'anonymous', headers, from })
    const refused = await get('/api/v1/me', '192.0.2.77')
    expect([refused.status, refused.json.code, refused.headers.has('retry-after')]).toEqual([
      429,
      'too_many_failures',
      true,
    ])
    expect((await get('/healthz', '192.0.2.77')).status).toBe(200)
    // What a client says of itself is not believed.
    expect((await attempt('192.0.2.77', { 'x-forwarded-for': '192.0.2.78' })).status).toBe(429)
    expect((await attempt('192.0.2.78')).status).toBe(401)
  })

  it('behind a proxy that is trusted, each of its clients is counted by itself', async () => {
    const behind = await openTestApi({ trustedProxies: ['10.0.0.0/8'] })
    const attempt = (client: string) =>
      behind.call('POST', '/api/v1/session', {
        role: 'anonymous',
        body: { apiKey: 'tfa_nonsense' },
        from: '10.0.0.1',
        headers: { 'x-forwarded-for': client },
      })
    for (let count = 0; count < 20; count += 1) await attempt(`6.6.6.${count}, 192.0.2.1`)
    expect((await attempt('192.0.2.1')).status).toBe(429)
    expect((await attempt('192.0.2.2')).status).toBe(401)
    await behind.close()
  })
})
