import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { MASK } from '../../src/api/schemas.ts'
import { openPassThrough } from '../../src/store/bindings.ts'
import { upsertSpaces } from '../../src/store/spaces.ts'
import { createSync } from '../../src/store/syncs.ts'
import { mintTokenFor } from '../../src/store/tokens.ts'
import { at, makeWorld, remoteSpace, type World } from '../store/fixtures.ts'
import { fieldsOf, openTestApi, type TestApi } from './harness.ts'

let api: TestApi
let world: World
let id: string
beforeAll(async () => {
  api = await openTestApi()
})
afterAll(() => api.close())
beforeEach(async () => {
  world = await makeWorld(api.store, { spaces: 2, instances: 2 })
  id = at(world.bindings, 0).id
  api.gateway.effective = true
  api.gateway.asked.length = 0
  api.runs.signals.length = 0
})

const patch = (body: unknown, version: string | null = 'W/"1"') =>
  api.call('PATCH', `/api/v1/bindings/${id}`, {
    role: 'operator',
    body,
    headers: version === null ? {} : { 'if-match': version },
  })

describe('PATCH /bindings/{id}', () => {
  it('needs the version that was read, in either form, and refuses a stale one without changing anything', async () => {
    const none = await patch({ enabled: false }, null)
    expect([none.status, none.json.code, fieldsOf(none)]).toEqual([428, 'precondition_required', ['If-Match']])
    expect((await patch({ tags: ['a'] }, '*')).status).toBe(400)
    const first = await patch({ tags: ['a'] }, '"1"')
    expect([first.status, first.headers.get('etag')]).toEqual([200, 'W/"2"'])
    const stale = await patch({ tags: ['b'] })
    expect([stale.status, stale.json.code]).toEqual([409, 'stale_write'])
    const now = await api.call('GET', `/api/v1/bindings/${id}`, { role: 'viewer' })
    expect([now.json.tags, now.json.rowVersion]).toEqual([['a'], 2])
  })

  it('disabling waits for the gateway and tells whether it is effective', async () => {
    const off = await patch({ enabled: false })
    expect(off.json).toMatchObject({ enabled: false, access: 'disabled', effective: true })
    expect(api.gateway.asked).toEqual([{ revision: expect.any(Number), timeoutMs: 2000 }])
    api.gateway.effective = false
    const again = await patch({ enabled: false }, 'W/"2"')
    expect(again.json.effective).toBe(false)
    await patch({ enabled: true }, 'W/"3"')
    expect(at(api.gateway.asked, 2).timeoutMs).toBe(0)
  })

  it('takes an expiry as a time, a preset or never', async () => {
    const week = await patch({ expiresIn: '7d' })
    const days = (new Date(week.json.expiresAt).getTime() - Date.now()) / 86_400_000
    expect(Math.round(days)).toBe(7)
    expect((await patch({ expiresIn: 'permanent' }, '"2"')).json.expiresAt).toBeNull()
    expect((await patch({ expiresAt: '2999-01-01T00:00:00.000Z' }, '"3"')).json).toMatchObject({
      expiresAt: '2999-01-01T00:00:00.000Z',
      access: 'granted',
    })
    for (const bad of [{ expiresAt: '2001-01-01T00:00:00Z' }, { expiresAt: null, expiresIn: '7d' }]) {
      expect((await patch(bad, '"4"')).status).toBe(422)
    }
    expect((await patch({ expiresAt: 'tomorrow' }, '"4"')).status).toBe(400)
  })

  it('a mask in the headers of a binding that inherits stands for the default of its instance', async () => {
    const { instanceId } = at(world.bindings, 0)
    const instance = await api.call('GET', `/api/v1/instances/${instanceId}`)
    const defaults = await api.call('PATCH', `/api/v1/instances/${instanceId}`, {
      headers: { 'if-match': `"${instance.json.rowVersion}"` },
      body: { defaultPassThroughHeaders: { 'X-User': 'default-secret' } },
    })
    expect(defaults.status).toBe(200)
    await patch({ passThroughHeaders: { 'x-user': MASK, 'X-More': 'more' } })
    expect(await openPassThrough(api.store, id)).toEqual({ 'x-user': 'default-secret', 'X-More': 'more' })
    // With headers of its own, what they do not name is still the instance's.
    await patch({ passThroughHeaders: { 'X-More': 'own' } }, '"2"')
    await patch({ passThroughHeaders: { 'X-More': MASK, 'X-User': MASK } }, '"3"')
    expect(await openPassThrough(api.store, id)).toEqual({ 'X-More': 'own', 'X-User': 'default-secret' })
    const unknown = await patch({ passThroughHeaders: { 'X-Other': MASK } }, '"4"')
    expect([unknown.status, fieldsOf(unknown)]).toEqual([422, ['passThroughHeaders.X-Other']])
  })

  it('pass-through headers: own ones are masked, {} sends none, null inherits', async () => {
    const own = await patch({ passThroughHeaders: { 'X-User': 'pass-secret' } })
    expect(own.json.passThroughHeaders).toEqual({ 'X-User': MASK })
    expect(own.text).not.toContain('pass-secret')
    await patch({ passThroughHeaders: { 'X-User': MASK, 'X-Two': 'two' } }, '"2"')
    expect(await openPassThrough(api.store, id)).toEqual({ 'X-User': 'pass-secret', 'X-Two': 'two' })
    expect((await patch({ passThroughHeaders: {} }, '"3"')).json.passThroughHeaders).toEqual({})
    expect((await patch({ passThroughHeaders: null }, '"4"')).json.passThroughHeaders).toBeNull()
    const bad = await patch({ passThroughHeaders: { 'Content-Length': '1' } }, '"5"')
    expect([bad.status, fieldsOf(bad)]).toEqual([422, ['passThroughHeaders.Content-Length']])
  })

  it('names unknown properties', async () => {
    const answer = await patch({ enable: false })
    expect([answer.status, fieldsOf(answer)]).toEqual([400, ['enable']])
  })
})

describe('POST /bindings/batch', () => {
  const batch = (changes: unknown[]) =>
    api.call('POST', '/api/v1/bindings/batch', { role: 'operator', body: { changes } })

  it('changes all or none, naming what is stale, unknown or doubled', async () => {
    const [a, b] = [at(world.bindings, 0), at(world.bindings, 1)]
    const done = await batch([
      { id: a.id, rowVersion: 1, enabled: false },
      { id: b.id, rowVersion: 1, toolAllowList: ['echo'] },
    ])
    expect(done.json).toMatchObject({ effective: true, items: [{ enabled: false }, { toolAllowList: ['echo'] }] })
    const stale = await batch([
      { id: a.id, rowVersion: 2, enabled: true },
      { id: b.id, rowVersion: 1, enabled: false },
    ])
    expect([stale.status, stale.json.code, fieldsOf(stale)]).toEqual([409, 'stale_write', ['changes[1].rowVersion']])
    const bad = await batch([
      { id: a.id, rowVersion: 2 },
      { id: a.id, rowVersion: 2 },
      { id: 'nobody', rowVersion: 1 },
    ])
    expect([bad.status, fieldsOf(bad)]).toEqual([422, ['changes[1].id', 'changes[2].id']])
    const header = await batch([{ id: a.id, rowVersion: 2, passThroughHeaders: { Host: 'x' } }])
    expect(fieldsOf(header)).toEqual(['changes[0].passThroughHeaders.Host'])
    expect((await api.call('GET', `/api/v1/bindings/${a.id}`)).json).toMatchObject({ enabled: false, rowVersion: 2 })
  })
})

describe('lists', () => {
  it('are paged past the longest names', async () => {
    const { platform } = await makeWorld(api.store, { spaces: 0, instances: 0 })
    const names = ['\u{1F6A2}', '\u{1F9F0}'].map((letter) => letter.repeat(255))
    await upsertSpaces(
      api.store,
      platform.id,
      names.map((name, index) => remoteSpace(name, { remoteId: `space ${index}` })),
    )
    const path = `/api/v1/platforms/${platform.id}/spaces?limit=1`
    const first = await api.call('GET', path)
    const second = await api.call('GET', `${path}&cursor=${first.json.nextCursor}`)
    const seen = [first, second].flatMap(({ json }) => json.items?.map(({ name }: { name: string }) => name) ?? json)
    expect(seen).toEqual(names)
    expect(second.json.nextCursor).toBeNull()
  })

  it('filters by where a binding is and how it stands, page by page', async () => {
    const space = at(world.spaces, 0)
    const instance = at(world.instances, 0)
    const list = async (query: string) => (await api.call('GET', `/api/v1/bindings?${query}`)).json
    expect((await list(`spaceId=${space.id}`)).items).toHaveLength(2)
    expect((await list(`spaceId=${space.id}&instanceId=${instance.id}`)).items).toHaveLength(1)
    expect((await list(`platformId=${world.platform.id}&state=absent`)).items).toHaveLength(4)
    expect((await list(`platformId=${world.platform.id}&drift=true`)).items).toHaveLength(0)
    expect((await api.call('GET', '/api/v1/bindings?state=great')).status).toBe(400)
    const first = await list(`platformId=${world.platform.id}&limit=3`)
    const second = await list(`platformId=${world.platform.id}&limit=3&cursor=${first.nextCursor}`)
    const ids = [...first.items, ...second.items].map((item: { id: string }) => item.id)
    expect([new Set(ids).size, second.nextCursor]).toEqual([4, null])
  })

  it('by what the overview says needs attention, together with the other filters, page by page', async () => {
    const day = 24 * 3_600_000
    const ago = (ms: number) => new Date(Date.now() - ms)
    const [used, unfinished, soon, later] = world.bindings.map((binding) => binding.id)
    const retired = async (bindingId: string | undefined, data: Record<string, Date | number | null>) => {
      const former = await mintTokenFor(api.store, bindingId ?? '')
      await mintTokenFor(api.store, bindingId ?? '')
      await api.store.write((tx) => tx.gatewayToken.update({ where: { id: former.id }, data }))
    }
    await retired(used, { supersededAt: ago(3 * day), graceSeconds: day / 1000, lastUsedAt: ago(3_600_000) })
    await retired(unfinished, { retiringAt: ago(2 * 3_600_000) })
    const ends = (bindingId: string | undefined, ms: number) =>
      api.store.write((tx) =>
        tx.binding.update({ where: { id: bindingId ?? '' }, data: { expiresAt: new Date(Date.now() + ms) } }),
      )
    await ends(soon, day / 2)
    await ends(later, 3 * day)
    const here = `platformId=${world.platform.id}`
    const ids = async (query: string) =>
      (await api.call('GET', `/api/v1/bindings?${query}`)).json.items.map((item: { id: string }) => item.id)
    expect(await ids(`${here}&attention=still_used`)).toEqual([used])
    expect(await ids(`${here}&attention=rotation_unfinished`)).toEqual([unfinished])
    expect(await ids(`${here}&attention=token_expires_in_1_day`)).toEqual([soon])
    expect(await ids(`${here}&attention=token_expires_in_7_days`)).toEqual([later])
    expect(await ids(`${here}&attention=still_used&spaceId=${at(world.spaces, 1).id}`)).toEqual([])
    expect((await api.call('GET', '/api/v1/bindings?attention=great')).status).toBe(400)

    await ends(used, 3 * day)
    const [first, second] = [used, later].sort()
    const page = `${here}&attention=token_expires_in_7_days&limit=1`
    const { json } = await api.call('GET', `/api/v1/bindings?${page}`)
    expect(json.items).toMatchObject([{ id: first }])
    expect(await ids(`${page}&cursor=${json.nextCursor}`)).toEqual([second])
  })
})

describe('reveal', () => {
  const reveals = async (outcome: string) => {
    const { json } = await api.call('GET', `/api/v1/audit?action=reveal&resourceId=${id}`)
    return json.items.filter((event: { outcome: string }) => event.outcome === outcome)
  }

  it('is for admins, is never cached, and is audited also when refused', async () => {
    const token = await mintTokenFor(api.store, id)
    const listed = await api.call('GET', `/api/v1/bindings/${id}`)
    expect(listed.json.token).toMatchObject({ start: token.start, origin: 'minted' })
    expect(listed.text).not.toContain(token.secret)
    const refused = await api.call('POST', `/api/v1/bindings/${id}/reveal`, { role: 'operator' })
    expect([refused.status, refused.text.includes(token.secret)]).toEqual([403, false])
    expect(await reveals('refused')).toMatchObject([{ actor: 'op', resource: 'binding', fields: [] }])
    const shown = await api.call('POST', `/api/v1/bindings/${id}/reveal`)
    expect(shown.json).toEqual({ token: token.secret, authorization: `Bearer ${token.secret}` })
    expect(shown.headers.get('cache-control')).toBe('no-store')
    expect(await reveals('allowed')).toHaveLength(1)
  })

  it('is limited to ten a minute, and the refusals are audited', async () => {
    const own = await openTestApi()
    const { bindings } = await makeWorld(own.store, { spaces: 1, instances: 1 })
    const path = `/api/v1/bindings/${at(bindings, 0).id}/reveal`
    for (let count = 0; count < 10; count++) expect((await own.call('POST', path)).json.code).toBe('no_token')
    const limited = await own.call('POST', path)
    expect([limited.status, limited.json.code]).toEqual([429, 'rate_limited'])
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await own.call('GET', '/api/v1/audit?action=reveal')).json.items).toHaveLength(11)
    await own.close()
  })
})

describe('cutting off a space', () => {
  it('changes the store first, then tells the open runs that are meant, then asks the gateway', async () => {
    const space = at(world.spaces, 0)
    const [first, second] = [at(world.instances, 0), at(world.instances, 1)]
    const run = async (instanceIds: string[], spaceIds: string[] | 'all') =>
      (
        await createSync(api.store, {
          platformId: world.platform.id,
          name: 'r',
          selection: { instanceIds, spaceIds },
          requestedBy: 't',
        })
      ).sync.id
    const both = await run([first.id, second.id], 'all')
    const one = await run([first.id], [space.id])
    await run([first.id], [at(world.spaces, 1).id])

    const partly = await api.call('POST', `/api/v1/spaces/${space.id}/disable`, {
      role: 'operator',
      body: { instanceIds: [first.id] },
    })
    expect(partly.json).toMatchObject({ bindingIds: [expect.any(String)], effective: true, runsSignalled: 1 })
    expect(api.runs.signals).toEqual([
      {
        syncId: one,
        signal: {
          type: 'disableSpaceAuthorization',
          spaceId: space.id,
          actor: 'op',
          revision: expect.any(Number),
          instanceIds: [first.id],
        },
      },
    ])
    const shown = async () =>
      (await api.call('GET', `/api/v1/platforms/${world.platform.id}/spaces`)).json.items.map(
        (item: { disabledAt: string | null }) => typeof item.disabledAt,
      )
    expect(await shown()).toEqual(['object', 'object'])
    const wholly = await api.call('POST', `/api/v1/spaces/${space.id}/disable`, { role: 'operator' })
    expect(wholly.json).toMatchObject({ bindingIds: [expect.any(String)], runsSignalled: 2 })
    expect(await shown()).toEqual(['string', 'object'])
    expect(at(api.runs.signals, 1).signal).toEqual({
      type: 'disableSpaceAuthorization',
      spaceId: space.id,
      actor: 'op',
      revision: expect.any(Number),
    })
    const listed = await api.call('GET', `/api/v1/bindings?spaceId=${space.id}`)
    expect(listed.json.items.map((item: { access: string }) => item.access)).toEqual(['disabled', 'disabled'])

    api.gateway.effective = false
    const on = await api.call('POST', `/api/v1/spaces/${space.id}/enable`, { role: 'operator', body: {} })
    expect(on.json).toMatchObject({ effective: false })
    expect(on.json.bindingIds).toHaveLength(2)
    expect(await shown()).toEqual(['object', 'object'])
    expect(at(api.runs.signals, -1 + api.runs.signals.length).signal.type).toBe('enableSpaceAuthorization')
    expect(api.runs.signals.map((sent) => sent.syncId)).toContain(both)

    const unknown = await api.call('POST', `/api/v1/spaces/${space.id}/disable`, {
      body: { instanceIds: [first.id, 'nobody'] },
    })
    expect([unknown.status, fieldsOf(unknown)]).toEqual([422, ['instanceIds[1]']])
  })
})
