import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MASK } from '../../src/api/schemas.ts'
import { headerSetDigest } from '../../src/domain/upstream-headers.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { getToolSnapshot, openDefaultPassThrough, openHeaders } from '../../src/store/instances.ts'
import { currentRevision } from '../../src/store/revision.ts'
import { makeWorld, unique } from '../store/fixtures.ts'
import { freePort, type RunningServer, startEverything } from '../support/mcp-servers.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let everything: RunningServer
beforeAll(async () => {
  ;[api, everything] = await Promise.all([openTestApi(), startEverything('streamableHttp')])
})
afterAll(async () => {
  await api.close()
  await everything.stop()
})

const post = (body: unknown) => api.call('POST', '/api/v1/instances', { role: 'operator', body })

describe('instances', () => {
  it('keeps headers sealed: names come back, values never; the mask keeps what is sealed', async () => {
    const made = await post({
      name: unique('masked'),
      url: 'http://mcp.test/mcp?key=query-secret',
      headers: { 'X-Key': 'header-secret' },
      defaultPassThroughHeaders: { 'X-User': 'pass-secret' },
    })
    expect(made.status).toBe(201)
    expect(made.json).toMatchObject({
      headers: { 'X-Key': MASK },
      defaultPassThroughHeaders: { 'X-User': MASK },
      status: 'active',
    })
    const { id } = made.json
    const patched = await api.call('PATCH', `/api/v1/instances/${id}`, {
      role: 'operator',
      body: { headers: { 'x-key': MASK, 'X-New': 'n' } },
    })
    expect(patched.json.headers).toEqual({ 'x-key': MASK, 'X-New': MASK })
    expect(await openHeaders(api.store, id)).toEqual({ 'x-key': 'header-secret', 'X-New': 'n' })
    const seen = await api.call('GET', `/api/v1/instances/${id}`, { role: 'viewer' })
    expect(seen.text).not.toMatch(/query-secret|header-secret|pass-secret/)
    const unknown = await api.call('PATCH', `/api/v1/instances/${id}`, { body: { headers: { 'X-Other': MASK } } })
    expect([unknown.status, fieldsOf(unknown)]).toEqual([422, ['headers.X-Other']])
  })

  it('another URL or transport drops both kinds of headers, and the mask no longer helps', async () => {
    for (const move of [{ url: 'http://elsewhere.test/mcp' }, { transport: 'sse' }]) {
      const made = await post({
        name: unique('moved'),
        url: 'http://mcp.test/mcp',
        headers: { 'X-Key': 'header-secret' },
        defaultPassThroughHeaders: { 'X-User': 'pass-secret' },
      })
      const { id } = made.json
      const kept = await api.call('PATCH', `/api/v1/instances/${id}`, { body: { ...move, headers: { 'X-Key': MASK } } })
      expect([kept.status, fieldsOf(kept)]).toEqual([422, ['headers.X-Key']])
      const moved = await api.call('PATCH', `/api/v1/instances/${id}`, {
        body: { ...move, headers: { 'X-Key': 'given again' } },
      })
      expect(moved.json).toMatchObject({ headers: { 'X-Key': MASK }, defaultPassThroughHeaders: {} })
      expect(await openDefaultPassThrough(api.store, id)).toEqual({})
    }
  })

  it('is moved to another host by an admin only, where single authorizations have headers that would go there', async () => {
    const world = await makeWorld(api.store, { spaces: 1, instances: 1 })
    const [instance, binding] = [world.instances[0], world.bindings[0]]
    if (instance === undefined || binding === undefined) throw new Error('no world')
    const move = (role: 'operator' | 'admin', url: string) =>
      api.call('PATCH', `/api/v1/instances/${instance.id}`, { role, body: { url } })
    expect((await move('operator', 'http://first.test/mcp')).status).toBe(200)
    await updateBinding(api.store, binding.id, null, { passThroughHeaders: { 'X-Tenant': 'own-secret' } })
    const refused = await move('operator', 'http://second.test/mcp')
    expect([refused.status, refused.json.code]).toEqual([403, 'forbidden'])
    expect((await move('operator', 'http://first.test/other')).status).toBe(200)
    expect((await move('admin', 'http://second.test/mcp')).status).toBe(200)
  })

  it.each<[string, object, number, string]>([
    ['a URL with credentials', { url: 'http://user:pw@mcp.test/mcp' }, 422, 'url'],
    ['a URL that is none', { url: 'mcp.test' }, 422, 'url'],
    ['another scheme', { url: 'file:///etc/passwd' }, 422, 'url'],
    ['a metadata address', { url: 'http://169.254.169.254/latest' }, 422, 'url'],
    ['a header of the connection', { headers: { Host: 'x' } }, 422, 'headers.Host'],
    ['a header with a line break', { headers: { 'X-Key': 'a\nb' } }, 422, 'headers.X-Key'],
    [
      'a cookie to pass through',
      { defaultPassThroughHeaders: { Cookie: 'a=b' } },
      422,
      'defaultPassThroughHeaders.Cookie',
    ],
    ['a header that is a number', { headers: { 'X-Key': 5 } }, 400, 'headers.X-Key'],
    ['an unknown transport', { transport: 'stdio' }, 400, 'transport'],
  ])('refuses %s by its field', async (_what, over, status, field) => {
    const answer = await post({ name: unique('bad'), url: 'http://mcp.test/mcp', ...over })
    expect([answer.status, fieldsOf(answer)]).toEqual([status, [field]])
    expect(answer.text).not.toMatch(/user:pw|a\\nb/)
  })

  it('a name is taken once', async () => {
    const name = unique('twin')
    await post({ name, url: 'http://mcp.test/mcp' })
    const twin = await post({ name, url: 'http://mcp.test/mcp' })
    expect([twin.status, twin.json.code, fieldsOf(twin)]).toEqual([409, 'name_taken', ['name']])
  })

  it('an instance with bindings is deleted with them; forgetting is for admins', async () => {
    const { instances } = await makeWorld(api.store, { spaces: 2, instances: 1 })
    const id = instances[0]?.id ?? ''
    expect((await api.call('GET', `/api/v1/instances/${id}/bindings`)).json.items).toHaveLength(2)
    const forget = await api.call('DELETE', `/api/v1/instances/${id}?forget=true`, { role: 'operator' })
    expect(forget.status).toBe(403)
    expect((await api.call('DELETE', `/api/v1/instances/${id}`, { role: 'operator' })).status).toBe(204)
    expect((await api.call('GET', `/api/v1/instances/${id}`)).status).toBe(404)
  })

  it.each(['', '?forget=true'])('DELETE%s says whether every gateway refuses its tokens by now', async (query) => {
    const { instances } = await makeWorld(api.store, { spaces: 1, instances: 2 })
    const [first, second] = instances.map(({ id }) => `/api/v1/instances/${id}${query}`)
    api.gateway.asked.length = 0
    expect((await api.call('DELETE', first ?? '')).status).toBe(204)
    const revision = await currentRevision(api.store.db)
    expect(api.gateway.asked).toEqual([{ revision, timeoutMs: 2000 }])
    api.gateway.effective = false
    try {
      const late = await api.call('DELETE', second ?? '')
      expect([late.status, late.json]).toEqual([200, { effective: false }])
    } finally {
      api.gateway.effective = true
    }
  })
})

describe('import', () => {
  const load = (body: unknown) => api.call('POST', '/api/v1/instances/import', { role: 'operator', body })
  const count = async () => (await api.call('GET', '/api/v1/overview')).json.instances

  it('takes a client’s configuration whole', async () => {
    const first = unique('import')
    const second = unique('import')
    const answer = await load({
      mcpServers: {
        [first]: { type: 'http', url: 'http://one.test/mcp', headers: { 'X-Key': 'k' } },
        [second]: { url: 'http://two.test/sse' },
      },
    })
    expect(answer.json.items.map((item: { name: string; transport: string }) => [item.name, item.transport])).toEqual([
      [first, 'streamable-http'],
      [second, 'sse'],
    ])
  })

  it('or nothing of it, saying for each entry why', async () => {
    const before = await count()
    const taken = unique('taken')
    await post({ name: taken, url: 'http://mcp.test/mcp' })
    const answer = await load({
      mcpServers: {
        good: { url: 'http://good.test/mcp' },
        local: { command: 'npx' },
        inside: { url: 'http://169.254.169.254/mcp' },
        cookie: { url: 'http://c.test/mcp', headers: { Cookie: 'a' } },
        [taken]: { url: 'http://mcp.test/mcp' },
      },
    })
    expect([answer.status, answer.json.code]).toEqual([422, 'invalid_import'])
    expect(fieldsOf(answer).sort()).toEqual(
      [
        'mcpServers.cookie.headers.Cookie',
        'mcpServers.inside.url',
        'mcpServers.local.command',
        `mcpServers.${taken}`,
      ].sort(),
    )
    expect(await count()).toBe(before + 1)
    expect(fieldsOf(await load({ mcpServers: {} }))).toEqual(['mcpServers'])
    expect(fieldsOf(await load({ mcpServers: [] }))).toEqual(['mcpServers'])
  })
})

describe('a real MCP server', () => {
  it('is probed, its tools are kept, and one can be called', async () => {
    const made = await post({ name: unique('everything'), url: everything.url, headers: { 'X-B': '2', 'x-a': '1' } })
    const path = `/api/v1/instances/${made.json.id}`
    expect((await api.call('GET', `${path}/tools`)).json).toEqual({ items: [], nextCursor: null, seenAt: null })
    const probe = await api.call('POST', `${path}/probe`, { role: 'operator' })
    expect(probe.json).toMatchObject({
      ok: true,
      error: null,
      serverName: expect.any(String),
      protocolVersion: expect.stringMatching(/^20/),
    })
    const tools = await api.call('GET', `${path}/tools`, { role: 'viewer' })
    expect(tools.json.items).toHaveLength(probe.json.toolCount)
    expect((await api.call('GET', path)).json.lastProbe).toMatchObject({ ok: true, toolCount: probe.json.toolCount })

    // Under the key by which the workers look for it.
    const headers = await openHeaders(api.store, made.json.id)
    expect(await getToolSnapshot(api.store, made.json.id, headerSetDigest(api.store.digest, headers))).not.toBeNull()

    const echo = await api.call('POST', `${path}/tools/echo/call`, {
      role: 'operator',
      body: { arguments: { message: 'ahoy' } },
    })
    expect(echo.json.result.content[0].text).toContain('ahoy')
    const none = await api.call('POST', `${path}/tools/no-such-tool/call`, { body: {} })
    expect(none.status).toBe(200)
    expect(none.json.ok === false || none.json.result.isError).toBe(true)
  })

  it('that is not there is told with what to do, and remembered', async () => {
    const made = await post({ name: unique('away'), url: `http://127.0.0.1:${await freePort()}/mcp` })
    const probe = await api.call('POST', `/api/v1/instances/${made.json.id}/probe`)
    expect(probe.json).toMatchObject({
      ok: false,
      error: { type: 'UpstreamUnreachable', hint: expect.stringContaining('Check') },
      toolCount: null,
    })
    expect((await api.call('GET', `/api/v1/instances/${made.json.id}`)).json.lastProbe.ok).toBe(false)
    const call = await api.call('POST', `/api/v1/instances/${made.json.id}/tools/echo/call`, { body: {} })
    expect([call.status, call.json.code]).toEqual([502, 'upstream_unreachable'])
  })

  it('has a client configuration with a placeholder for the token', async () => {
    const name = unique('config')
    const made = await post({ name, url: everything.url })
    const config = await api.call('GET', `/api/v1/instances/${made.json.id}/client-config`, { role: 'viewer' })
    expect(config.json.mcpServers[name]).toEqual({
      type: 'http',
      url: `https://toolferry.test/mcp-gateway/${made.json.id}/mcp`,
      headers: { Authorization: 'Bearer <gateway token>' },
    })
  })
})
