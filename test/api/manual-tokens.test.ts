import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { MASK } from '../../src/api/schemas.ts'
import { listAudit } from '../../src/store/audit.ts'
import { createGatewayView } from '../../src/store/gateway-view.ts'
import { appendJournalEntries } from '../../src/store/journal.ts'
import { createManualToken } from '../../src/store/manual-tokens.ts'
import { mintTokenFor } from '../../src/store/tokens.ts'
import { at, makeWorld, unique, type World } from '../store/fixtures.ts'
import { type Answer, type CallOptions, fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let world: World
let instanceId: string
let path: string
beforeAll(async () => {
  api = await openTestApi()
})
afterAll(() => api.close())
beforeEach(async () => {
  world = await makeWorld(api.store, { spaces: 1, instances: 1 })
  instanceId = at(world.instances, 0).id
  path = `/api/v1/instances/${instanceId}/tokens`
  api.gateway.effective = true
  api.gateway.asked.length = 0
})

const make = (body: object = {}, options: Partial<CallOptions> = {}) =>
  api.call('POST', path, { body: { name: 'Cursor', ...body }, ...options })
const patch = (id: string, body: unknown, version: number | null, role: CallOptions['role'] = 'operator') =>
  api.call('PATCH', `${path}/${id}`, {
    role: role ?? 'operator',
    body,
    headers: version === null ? {} : { 'if-match': `"${version}"` },
  })
const list = async () => (await api.call('GET', path, { role: 'viewer' })).json.items
const codeOf = (answer: Answer) => [answer.status, answer.json.code]

describe('a token made by hand', () => {
  it('is shown once, with the configuration of a client, and never again', async () => {
    const made = await make({ expiresIn: '7d', passThroughHeaders: { 'X-Me': 'own-header-value' } })
    expect(made.status).toBe(201)
    const { token, clientConfig, ...shown } = made.json
    expect(token).toMatch(/^tfg_[0-9A-Za-z]{38}$/)
    expect(clientConfig.mcpServers[at(world.instances, 0).name]).toEqual({
      type: 'http',
      url: `https://toolferry.test/mcp-gateway/${instanceId}/mcp`,
      headers: { Authorization: `Bearer ${token}` },
    })
    expect(shown).toMatchObject({
      name: 'Cursor',
      start: token.slice(0, 8),
      passThroughHeaders: { 'X-Me': MASK },
      lastUsedAt: null,
    })
    expect(Math.round((Date.parse(shown.expiresAt) - Date.now()) / 86_400_000)).toBe(7)
    expect(made.headers.get('location')).toBe(`${path}/${shown.id}`)
    expect(made.headers.get('cache-control')).toBe('no-store')
    const one = await api.call('GET', `${path}/${shown.id}`, { role: 'viewer' })
    expect([one.json, one.headers.get('etag')]).toEqual([shown, `W/"${shown.rowVersion}"`])
    expect(await list()).toEqual([shown])
    const audit = await listAudit(api.store, { resource: 'token' })
    expect(audit.items[0]).toMatchObject({
      action: 'create',
      resourceId: shown.id,
      fields: ['name', 'expiresIn', 'passThroughHeaders.X-Me'],
      outcome: 'allowed',
    })
    const elsewhere = api.logged() + one.text + JSON.stringify(await list()) + JSON.stringify(audit)
    for (const secret of [token, 'own-header-value']) expect(elsewhere).not.toContain(secret)
    expect(made.text).not.toContain('own-header-value')
  })

  it('is told in another header where the instance forwards Authorization, and its client speaks the instance’s transport', async () => {
    const version = { 'if-match': `"${at(world.instances, 0).rowVersion}"` }
    const changed = await api.call('PATCH', `/api/v1/instances/${instanceId}`, {
      headers: version,
      body: { forwardAuthorization: true, transport: 'sse' },
    })
    expect(changed.status).toBe(200)
    const made = await make()
    expect(made.json.clientConfig.mcpServers[changed.json.name]).toEqual({
      type: 'sse',
      url: `https://toolferry.test/mcp-gateway/${instanceId}/sse`,
      headers: { 'X-API-Key': made.json.token },
    })
    const config = await api.call('GET', `/api/v1/instances/${instanceId}/client-config`, { role: 'viewer' })
    expect(config.json.mcpServers[changed.json.name].headers).toEqual({ 'X-API-Key': '<gateway token>' })
  })

  it('is made by an admin, changed and ended by an operator, seen by a viewer', async () => {
    for (const role of ['viewer', 'operator'] as const) expect((await make({}, { role })).status).toBe(403)
    expect((await api.call('GET', path, { role: 'anonymous' })).status).toBe(401)
    const { id, rowVersion } = (await make()).json
    expect((await patch(id, { name: 'x' }, rowVersion, 'viewer')).status).toBe(403)
    expect((await api.call('DELETE', `${path}/${id}`, { role: 'viewer' })).status).toBe(403)
    const refused = await listAudit(api.store, { resource: 'token' })
    expect(refused.items.slice(0, 2)).toMatchObject([
      { action: 'revoke', resourceId: id, outcome: 'refused' },
      { action: 'update', resourceId: id, outcome: 'refused' },
    ])
    expect((await patch(id, { name: 'x' }, rowVersion)).status).toBe(200)
    expect((await api.call('DELETE', `${path}/${id}`, { role: 'operator' })).status).toBe(200)
  })

  it('has an end that is a time, a preset or none', async () => {
    expect((await make()).json.expiresAt).toBeNull()
    expect((await make({ expiresIn: 'permanent' })).json.expiresAt).toBeNull()
    expect((await make({ expiresAt: '2999-01-01T00:00:00.000Z' })).json.expiresAt).toBe('2999-01-01T00:00:00.000Z')
    for (const bad of [{ expiresAt: '2001-01-01T00:00:00Z' }, { expiresAt: null, expiresIn: '7d' }]) {
      const refused = await make(bad)
      expect(refused.status).toBe(422)
      expect(refused.text).not.toContain('binding')
    }
  })

  it('is refused with the field that is wrong', async () => {
    const cases: [object, number, string][] = [
      [{ name: ' ' }, 400, 'name'],
      [{ expiresIn: '8d' }, 400, 'expiresIn'],
      [{ token: 'of-my-own-0123456789' }, 400, 'token'],
      [{ passThroughHeaders: { Host: 'x' } }, 422, 'passThroughHeaders.Host'],
      [{ passThroughHeaders: { 'X-Me': MASK } }, 422, 'passThroughHeaders.X-Me'],
    ]
    for (const [body, status, field] of cases) {
      const answer = await make(body)
      expect([answer.status, fieldsOf(answer)]).toEqual([status, [field]])
    }
    expect(await list()).toEqual([])
  })

  it('is there for its own instance only, and none of a binding is among them', async () => {
    const { id, rowVersion } = (await make()).json
    const ofBinding = await mintTokenFor(api.store, at(world.bindings, 0).id)
    const other = at((await makeWorld(api.store, { spaces: 0, instances: 1 })).instances, 0).id
    for (const wrong of [`/api/v1/instances/${other}/tokens/${id}`, `${path}/${ofBinding.id}`, `${path}/no-such`]) {
      expect(codeOf(await api.call('GET', wrong))).toEqual([404, 'not_found'])
      expect(codeOf(await api.call('DELETE', wrong))).toEqual([404, 'not_found'])
      const headers = { 'if-match': `"${rowVersion}"` }
      expect(codeOf(await api.call('PATCH', wrong, { body: { name: 'x' }, headers }))).toEqual([404, 'not_found'])
    }
    for (const method of ['GET', 'POST']) {
      const body = method === 'POST' ? { body: { name: 'x' } } : {}
      expect(codeOf(await api.call(method, '/api/v1/instances/no-such/tokens', body))).toEqual([404, 'not_found'])
    }
    expect((await list()).map((token: { id: string }) => token.id)).toEqual([id])
  })

  it('is listed page by page, the newest first', async () => {
    const names = ['a', 'b', 'c']
    for (const name of names) await make({ name })
    const first = await api.call('GET', `${path}?limit=2`)
    const second = await api.call('GET', `${path}?limit=2&cursor=${first.json.nextCursor}`)
    const namesOf = (answer: Answer) => answer.json.items.map(({ name }: { name: string }) => name)
    expect([namesOf(first), namesOf(second), second.json.nextCursor]).toEqual([['c', 'b'], ['a'], null])
  })

  it('is not made for an instance that is being deleted', async () => {
    await api.store.write((tx) =>
      tx.mcpInstance.update({ where: { id: instanceId }, data: { removingAt: new Date() } }),
    )
    const refused = await make()
    expect(codeOf(refused)).toEqual([409, 'being_deleted'])
    expect(refused.json.hint).toBe('Wait for the end of its removal. Deleting it again goes on with what is left.')
    // Also when the deletion began after the API had looked.
    await expect(createManualToken(api.store, { instanceId, name: 'late' })).rejects.toMatchObject({
      code: 'being_deleted',
    })
    expect(await list()).toEqual([])
  })
})

it('that ends within a week is told of by its instance, and not among those of bindings', async () => {
  const kinds = async () => {
    const { json } = await api.call('GET', '/api/v1/overview', { role: 'viewer' })
    return json.attention.filter(({ kind }: { kind: string }) => /^token_expires|^client_token/.test(kind))
  }
  const before = await kinds()
  await make({ expiresIn: '7d' })
  await make({ expiresAt: new Date(Date.now() + 3_600_000).toISOString() })
  await make({ expiresIn: '15d' })
  const told = (await kinds()).filter(
    ({ instance }: { instance: { id: string } | null }) => instance?.id === instanceId,
  )
  expect(told).toMatchObject([
    { kind: 'client_token_expires', count: 2, instance: { name: at(world.instances, 0).name } },
  ])
  expect(await kinds()).toHaveLength(before.length + 1)
})

describe('PATCH of a token made by hand', () => {
  it('needs the version that was read, and changes what it names alone', async () => {
    const { id, rowVersion } = (await make({ passThroughHeaders: { 'X-Me': 'first' } })).json
    expect(codeOf(await patch(id, { name: 'CI' }, null))).toEqual([428, 'precondition_required'])
    const renamed = await patch(id, { name: 'CI', expiresIn: '30d' }, rowVersion)
    expect(renamed.json).toMatchObject({ name: 'CI', passThroughHeaders: { 'X-Me': MASK } })
    expect(renamed.json.expiresAt).not.toBeNull()
    expect(codeOf(await patch(id, { name: 'other' }, rowVersion))).toEqual([409, 'stale_write'])
    const { rowVersion: now } = renamed.json
    const headers = await patch(id, { passThroughHeaders: { 'x-me': MASK, 'X-More': 'm' } }, now)
    expect(headers.json).toMatchObject({ name: 'CI', passThroughHeaders: { 'x-me': MASK, 'X-More': MASK } })
    const { credentials } = await createGatewayView(api.store).loadAll()
    expect(credentials.find(({ tokenId }) => tokenId === id)).toMatchObject({
      passThroughHeaders: { 'x-me': 'first', 'X-More': 'm' },
      tokenExpiresAt: new Date(headers.json.expiresAt),
    })
  })

  it('waits for the gateway and tells whether it is effective', async () => {
    const { id, rowVersion } = (await make()).json
    expect(api.gateway.asked).toEqual([])
    api.gateway.effective = false
    const changed = await patch(id, { expiresIn: '7d' }, rowVersion)
    expect([changed.status, changed.json.effective]).toEqual([200, false])
    expect(api.gateway.asked).toEqual([{ revision: changed.json.rowVersion, timeoutMs: 2000 }])
    api.gateway.effective = true
    expect((await patch(id, { expiresIn: 'permanent' }, changed.json.rowVersion)).json).toMatchObject({
      expiresAt: null,
      effective: true,
    })
  })
})

describe('DELETE of a token made by hand', () => {
  it('waits for the gateway and tells whether it is effective; then it is gone', async () => {
    const { id } = (await make()).json
    api.gateway.effective = false
    const ended = await api.call('DELETE', `${path}/${id}`, { role: 'operator' })
    expect([ended.status, ended.json]).toEqual([200, { effective: false }])
    expect(api.gateway.asked).toEqual([{ revision: expect.any(Number), timeoutMs: 2000 }])
    const audit = await listAudit(api.store, { resource: 'token' })
    expect(audit.items[0]).toMatchObject({ action: 'revoke', resourceId: id, outcome: 'allowed' })
    expect(codeOf(await api.call('DELETE', `${path}/${id}`))).toEqual([404, 'not_found'])
    expect(codeOf(await api.call('GET', `${path}/${id}`))).toEqual([404, 'not_found'])
    expect(await list()).toEqual([])
  })
})

describe('Idempotency-Key', () => {
  it('the same call twice is one token, whose secret comes again; another call with that key is refused', async () => {
    const headers = { 'idempotency-key': unique('key').replaceAll(' ', '-') }
    const [first, again] = await Promise.all([make({}, { headers }), make({}, { headers })])
    expect([first.status, again.status]).toEqual([201, 201])
    expect(again.json).toEqual(first.json)
    expect(await list()).toHaveLength(1)
    expect(codeOf(await make({ name: 'another' }, { headers }))).toEqual([409, 'idempotency_key_reused'])
    const sync = { platformId: world.platform.id, instanceIds: [instanceId], spaceIds: 'all' }
    expect(codeOf(await api.call('POST', '/api/v1/syncs', { body: sync, headers }))).toEqual([
      409,
      'idempotency_key_reused',
    ])
    await api.call('DELETE', `${path}/${first.json.id}`)
    const over = await make({}, { headers })
    expect(codeOf(over)).toEqual([409, 'idempotency_key_reused'])
    expect(over.json.detail).toContain('has been ended since')
    expect(await list()).toEqual([])
  })

  it('the same call gets its token again also when nothing could be made by it any more', async () => {
    const headers = { 'idempotency-key': unique('key').replaceAll(' ', '-') }
    const body = { expiresAt: new Date(Date.now() + 60_000).toISOString() }
    const first = await make(body, { headers })
    expect(first.status).toBe(201)
    await api.store.write((tx) =>
      tx.mcpInstance.update({ where: { id: instanceId }, data: { removingAt: new Date() } }),
    )
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 120_000 })
    try {
      const again = await make(body, { headers })
      expect([again.status, again.json]).toEqual([201, first.json])
    } finally {
      vi.useRealTimers()
    }
    expect(codeOf(await make(body))).toEqual([409, 'being_deleted'])
  })
})

it('the gateway’s journal names it, also when it has ended', async () => {
  const { id } = (await make({ name: 'CI job' })).json
  const ofBinding = await mintTokenFor(api.store, at(world.bindings, 0).id)
  const entry = (over: object) => ({
    at: new Date(),
    instanceId,
    bindingId: null,
    tokenId: null,
    method: 'tools/call',
    toolName: 'echo',
    status: 200,
    errorCode: null,
    requestBytes: 1,
    responseBytes: 1,
    durationMs: 1,
    traceId: 'a'.repeat(32),
    ...over,
  })
  await appendJournalEntries(api.store, [
    entry({ tokenId: id }),
    entry({ tokenId: ofBinding.id, bindingId: at(world.bindings, 0).id }),
    entry({}),
  ])
  await api.call('DELETE', `${path}/${id}`)
  const { json } = await api.call('GET', `/api/v1/gateway/logs?instanceId=${instanceId}`, { role: 'viewer' })
  const names = new Map(json.items.map((row: Record<string, unknown>) => [row.tokenId, row.tokenName]))
  expect(names).toEqual(
    new Map([
      [id, 'CI job'],
      [ofBinding.id, null],
      [null, null],
    ]),
  )
  const used = await api.store.db.gatewayToken.findUnique({ where: { id } })
  expect(used?.lastUsedAt).not.toBeNull()
})
