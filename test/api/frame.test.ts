import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeWorld } from '../store/fixtures.ts'
import { type Answer, fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
beforeAll(async () => {
  api = await openTestApi()
})
afterAll(() => api.close())

describe('every answer', () => {
  it('carries the caller’s request id when it is harmless, else a new one', async () => {
    const kept = await api.call('GET', '/api/v1/me', { headers: { 'x-request-id': 'trace-1.a:b' } })
    expect(kept.headers.get('x-request-id')).toBe('trace-1.a:b')
    for (const bad of ['a b', 'x'.repeat(65), '<script>']) {
      const made = await api.call('GET', '/api/v1/nothing', { headers: { 'x-request-id': bad } })
      expect(made.json.requestId).toMatch(/^[0-9a-f-]{36}$/)
      expect(made.headers.get('x-request-id')).toBe(made.json.requestId)
    }
  })

  it('has headers that let a browser do nothing with it, and none for other origins', async () => {
    for (const path of ['/api/v1/me', '/api/v1/nothing', '/healthz']) {
      const { headers } = await api.call('GET', path, { headers: { origin: 'https://evil.test' } })
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })
})

describe('bad input', () => {
  const instance = { name: 'x', url: 'http://mcp.test/mcp' }
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    api.call('POST', '/api/v1/instances', { body, headers })

  it.each<[string, () => Promise<Answer>, number, string, string[]]>([
    ['malformed JSON', () => post('{"name": '), 400, 'malformed_json', []],
    ['another content type', () => post('name=x', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type', []],
    ['no body at all', () => api.call('POST', '/api/v1/instances'), 400, 'invalid_request', ['name', 'url']],
    ['a list instead of an object', () => post([]), 400, 'invalid_request', ['body']],
    [
      'wrong types',
      () => post({ name: 7, url: null, transport: 'ws' }),
      400,
      'invalid_request',
      ['name', 'transport', 'url'],
    ],
    [
      'unknown properties',
      () => post({ ...instance, urll: 'x', Headers: {} }),
      400,
      'invalid_request',
      ['urll', 'Headers'],
    ],
    [
      'a limit that is no number',
      () => api.call('GET', '/api/v1/instances?limit=many'),
      400,
      'invalid_request',
      ['limit'],
    ],
    ['a limit too high', () => api.call('GET', '/api/v1/instances?limit=201'), 400, 'invalid_request', ['limit']],
    [
      'a foreign cursor',
      () => api.call('GET', '/api/v1/instances?cursor=abc'),
      422,
      'invalid_desired_state',
      ['cursor'],
    ],
    ['an unknown id', () => api.call('GET', '/api/v1/instances/1'), 404, 'not_found', []],
    ['an unknown call', () => api.call('GET', '/api/v1/instancez'), 404, 'not_found', []],
  ])('%s', async (_what, run, status, code, fields) => {
    const answer = await run()
    expect({ status: answer.status, code: answer.json.code }).toEqual({ status, code })
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(fieldsOf(answer).sort()).toEqual([...fields].sort())
    expect(answer.json).toMatchObject({
      status,
      title: expect.any(String),
      detail: expect.any(String),
      hint: expect.any(String),
    })
  })

  it('a 5 MB body is refused before it is parsed, with and without a length', async () => {
    const body = `{"name":"${'x'.repeat(5 * 1024 * 1024)}`
    const told = await api.call('POST', '/api/v1/instances', {
      body,
      headers: { 'content-length': String(body.length) },
    })
    const untold = await api.call('POST', '/api/v1/instances', { body })
    for (const answer of [told, untold]) expect([answer.status, answer.json.code]).toEqual([413, 'body_too_large'])
  })

  it('names the first of a hundred thousand faults: an answer is no larger for who is nobody', async () => {
    const wrong = Object.fromEntries(Array.from({ length: 90_000 }, (_, index) => [`k${index}`, 1]))
    for (const body of [wrong, { ['x'.repeat(900_000)]: 1 }]) {
      const answer = await api.call('POST', '/api/v1/session', { role: 'anonymous', body })
      expect([answer.status, answer.json.code]).toEqual([400, 'invalid_request'])
      expect(answer.json.errors.length).toBeLessThanOrEqual(100)
      expect(answer.text.length).toBeLessThan(50_000)
    }
    const lists = { platformId: 'x', instanceIds: ['x'], spaceIds: Array.from({ length: 5000 }, () => 7) }
    const ids = await api.call('POST', '/api/v1/syncs', { body: lists })
    expect([ids.status, ids.json.errors.length]).toEqual([400, 100])
  })

  it('an unexpected failure is answered without details, and logged by its request id without the caller’s words', async () => {
    const broken = await openTestApi({
      readiness: async () => {
        throw new Error('the-secret-of-the-failure')
      },
    })
    const answer = await broken.call('GET', '/readyz')
    expect([answer.status, answer.json.code]).toEqual([500, 'internal_error'])
    expect(broken.logged()).toContain(answer.json.requestId)
    expect(broken.logged() + answer.text).not.toContain('the-secret-of-the-failure')
    await broken.close()
  })
})

type Operation = {
  operationId: string
  'x-required-role': 'viewer' | 'operator' | 'admin' | 'anyone'
  parameters?: { name: string; in: string }[]
  responses: Record<string, { content?: Record<string, { schema?: unknown }> }>
  requestBody?: { content: Record<string, { schema?: unknown }> }
}

async function operations(): Promise<{ method: string; path: string; operation: Operation }[]> {
  const { json } = await api.call('GET', '/openapi.json', { role: 'anonymous' })
  return Object.entries<Record<string, Operation>>(json.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
}

describe('the OpenAPI document', () => {
  it('describes every route the app has, and each with ids, parameters and schemas', async () => {
    const all = await operations()
    const inDocument = new Set(all.map(({ method, path }) => `${method} ${path}`))
    const served = api.app.routes
      .filter((route) => route.method !== 'ALL')
      .map((route) => `${route.method} ${route.path.replaceAll(/:(\w+)/g, '{$1}')}`)
      .filter((route) => !/^GET \/(docs|docs\/start\.js|openapi\.json)$/.test(route))
    expect(inDocument).toEqual(new Set(served))
    expect(new Set(all.map(({ operation }) => operation.operationId)).size).toBe(all.length)
    for (const { method, path, operation } of all) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      const declared = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === 'path')
        .map(({ name }) => name)
      expect(declared.sort(), `${method} ${path}`).toEqual(named.sort())
      for (const [status, response] of Object.entries(operation.responses)) {
        if (status === '204') continue
        const schemas = Object.values(response.content ?? {}).map((content) => content.schema)
        expect(schemas.length, `${method} ${path} ${status}`).toBeGreaterThan(0)
        expect(schemas.every((schema) => schema !== undefined)).toBe(true)
      }
    }
  })

  it('is 3.1, and all its references lead somewhere', async () => {
    const { json, text } = await api.call('GET', '/openapi.json', { role: 'anonymous' })
    expect(json.openapi).toBe('3.1.0')
    const references = [...text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)]
    expect(references.length).toBeGreaterThan(20)
    for (const [, kind = '', name = ''] of references) expect(json.components[kind][name], name).toBeDefined()
  })

  it('reads without the internet: /docs lists every call itself', async () => {
    const page = await api.call('GET', '/docs', { role: 'anonymous' })
    for (const { path } of await operations()) expect(page.text).toContain(`<code>${path}</code>`)
    expect(page.headers.get('content-security-policy')).not.toContain("script-src 'unsafe-inline'")
    const script = await api.call('GET', '/docs/start.js', { role: 'anonymous' })
    expect(script.text).toMatch(/integrity = "sha384-/)
  })
})

describe('roles', () => {
  it('every route refuses who has too low a role, and lets in who has it', async () => {
    const { bindings, platform, spaces, instances } = await makeWorld(api.store, { spaces: 1, instances: 1 })
    const ids: Record<string, string | undefined> = {
      bindings: bindings[0]?.id,
      platforms: platform.id,
      spaces: spaces[0]?.id,
      instances: instances[0]?.id,
    }
    const roles = ['viewer', 'operator', 'admin'] as const
    let checked = 0
    for (const { method, path, operation } of await operations()) {
      const needs = operation['x-required-role']
      if (needs === 'anyone') continue
      const resource = path.split('/')[3] ?? ''
      const url = path.replace('{id}', ids[resource] ?? 'no-such-id').replace('{name}', 'echo')
      const asked = `${method} ${path}`
      const anonymous = await api.call(method, url, { role: 'anonymous' })
      expect([anonymous.status, anonymous.json.code], asked).toEqual([401, 'unauthenticated'])
      for (const role of roles.slice(0, roles.indexOf(needs))) {
        const refused = await api.call(method, url, { role })
        expect([refused.status, refused.json.code], `${asked} as ${role}`).toEqual([403, 'forbidden'])
        checked += 1
      }
    }
    expect(checked).toBeGreaterThan(30)
    for (const { method, path, operation } of await operations()) {
      const needs = operation['x-required-role']
      if (needs === 'anyone' || method !== 'GET') continue
      const allowed = await api.call(method, path.replaceAll(/\{\w+\}/g, 'no-such-id'), { role: needs })
      expect([200, 404], `${method} ${path} as ${needs}`).toContain(allowed.status)
    }
  })

  it('a wrong, an expired and a revoked key are nobody', async () => {
    const made = await api.call('POST', '/api/v1/api-keys', { body: { name: 'short', role: 'viewer' } })
    const use = () =>
      api.call('GET', '/api/v1/me', { role: 'anonymous', headers: { authorization: `Bearer ${made.json.key}` } })
    expect((await use()).json).toEqual({ name: 'short', role: 'viewer', via: 'key' })
    expect((await api.call('DELETE', `/api/v1/api-keys/${made.json.id}`)).status).toBe(204)
    expect((await use()).status).toBe(401)
    for (const authorization of ['Bearer tfa_wrong', 'Basic eDp5', made.json.key, 'Bearer ']) {
      const answer = await api.call('GET', '/api/v1/me', { role: 'anonymous', headers: { authorization } })
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="toolferry"'])
    }
  })
})

describe('API keys', () => {
  it('shows a key once and never again, and keeps the last admin key', async () => {
    const lonely = await openTestApi()
    const made = await lonely.call('POST', '/api/v1/api-keys', {
      body: { name: 'ci', role: 'operator', expiresAt: '2999-01-01T00:00:00Z' },
    })
    expect(made.status).toBe(201)
    const listed = await lonely.call('GET', '/api/v1/api-keys')
    expect(listed.text).not.toContain(made.json.key)
    const admins = listed.json.items.filter((key: { role: string }) => key.role === 'admin')
    expect(admins).toHaveLength(2)
    expect((await lonely.call('DELETE', `/api/v1/api-keys/${admins[1].id}`)).status).toBe(204)
    const last = await lonely.call('DELETE', `/api/v1/api-keys/${admins[0].id}`)
    expect([last.status, last.json.code]).toEqual([409, 'last_admin_key'])
    const past = await lonely.call('POST', '/api/v1/api-keys', {
      body: { name: 'x', role: 'viewer', expiresAt: '2001-01-01T00:00:00Z' },
    })
    expect([past.status, fieldsOf(past)]).toEqual([422, ['expiresAt']])
    await lonely.close()
  })
})

describe('health', () => {
  it('tells whether each part is ready', async () => {
    let ready = false
    const waking = await openTestApi({
      readiness: async () => ({ ready, parts: [{ name: 'temporal', ready, detail: 'building' }] }),
    })
    expect((await waking.call('GET', '/healthz', { role: 'anonymous' })).status).toBe(200)
    expect((await waking.call('GET', '/readyz', { role: 'anonymous' })).status).toBe(503)
    ready = true
    expect((await waking.call('GET', '/readyz', { role: 'anonymous' })).json.parts[0].name).toBe('temporal')
    expect((await waking.call('GET', '/metrics', { role: 'viewer' })).headers.get('content-type')).toContain(
      'text/plain',
    )
    await waking.close()
  })
})

describe('the audit', () => {
  it('tells who did what to what, with the names of the fields, never a value', async () => {
    const made = await api.call('POST', '/api/v1/instances', {
      role: 'operator',
      body: { name: 'audited', url: 'http://mcp.test/mcp', headers: { 'X-Key': 'header-secret' } },
      headers: { 'x-request-id': 'audit-1' },
    })
    await api.call('PATCH', `/api/v1/instances/${made.json.id}`, { role: 'operator', body: { nme: 'x' } })
    await api.call('DELETE', `/api/v1/instances/${made.json.id}`, { role: 'viewer' })
    const audit = await api.call('GET', `/api/v1/audit?resource=instance&resourceId=${made.json.id}`)
    expect(audit.json.items).toMatchObject([
      { actor: 'view', action: 'delete', outcome: 'refused', fields: [] },
      { actor: 'op', action: 'create', outcome: 'allowed', requestId: 'audit-1' },
    ])
    expect(audit.json.items[1].fields).toEqual(['name', 'url', 'headers.X-Key'])
    expect(audit.json.items).toHaveLength(2)
  })
})
