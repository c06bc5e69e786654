import { describe, expect, test } from 'vitest'
import type { Fault } from '../../demo/coze-simulator/fault-types.ts'
import {
  type Answer,
  call,
  clock,
  code,
  info,
  list,
  owner,
  publication,
  publishNew,
  register,
  registration,
  SPACE_LIST,
  simulator,
  spaceId,
  useSimulator,
} from './coze-caller.ts'

useSimulator()

describe('faults', () => {
  const add = (endpoint: string, fault: Fault, more: { from?: number; times?: number } = {}) =>
    simulator.faults.add({ endpoint, fault, ...more })

  test('a lost request does nothing, a lost response did it; both cut the connection', async () => {
    const lost = add('register_plugin_meta', { kind: 'lost-request' })
    await expect(call('register_plugin_meta', registration())).rejects.toThrow('fetch failed')
    expect([lost.hits(), simulator.plugins().length]).toEqual([1, 0])
    add('register_plugin_meta', { kind: 'lost-response' })
    await expect(call('register_plugin_meta', registration())).rejects.toThrow('fetch failed')
    expect(simulator.plugins()).toHaveLength(1)
    expect(simulator.calls()).toMatchObject([
      { faults: ['lost-request'], httpStatus: null, processed: false, changed: false },
      { faults: ['lost-response'], httpStatus: null, processed: true, changed: true, pluginId: expect.any(String) },
    ])
    expect(await code('register_plugin_meta', registration())).toBe(0)
    expect(simulator.counts()).toEqual({ register_plugin_meta: 3 })
  })

  test.each<[Fault, boolean, (answer: Answer) => unknown, unknown]>([
    [
      { kind: 'rate-limited', retryAfter: 7 },
      false,
      ({ status, headers }) => [status, headers.get('retry-after')],
      [429, '7'],
    ],
    [{ kind: 'rate-limited', retryAfter: null }, false, ({ headers }) => headers.get('retry-after'), null],
    [{ kind: 'server-error' }, false, ({ status, json }) => [status, json.code], [500, 500]],
    [{ kind: 'server-error', status: 502, body: 'html', applied: true }, true, ({ status }) => status, 502],
    [{ kind: 'server-error', status: 504, body: 'empty', applied: true }, true, ({ text }) => text, ''],
    [{ kind: 'html' }, false, ({ status, text }) => [status, text.startsWith('<html>')], [200, true]],
    [{ kind: 'invalid-json', applied: true }, true, ({ status, text }) => [status, text], [200, '{"code":0,,}']],
    [
      { kind: 'truncated-json' },
      true,
      ({ status, text }) => [status, /^\{"code":0/.test(text) && !text.endsWith('}')],
      [200, true],
    ],
    [
      { kind: 'business-error', code: 702095072, msg: '额度不足' },
      false,
      ({ json }) => json,
      { code: 702095072, msg: '额度不足' },
    ],
    [{ kind: 'message-field' }, true, ({ json }) => [json.message, json.msg], ['success', undefined]],
    [{ kind: 'numeric-ids' }, true, ({ text }) => /"plugin_id":\d{19},/.test(text), true],
    [{ kind: 'session-lost', shape: 'unauthorized', lasting: false }, false, ({ status }) => status, 401],
  ])('%j, once', async (fault, applied, look, wanted) => {
    add('register_plugin_meta', fault)
    expect(look(await call('register_plugin_meta', registration()))).toEqual(wanted)
    expect(simulator.plugins()).toHaveLength(applied ? 1 : 0)
    expect(await code('register_plugin_meta', registration())).toBe(0)
  })

  test('a session dies at the nth call and stays dead until the next login', async () => {
    add('*', { kind: 'session-lost', shape: 'redirect' }, { from: 3 })
    const statuses = [await call(SPACE_LIST), await call(SPACE_LIST), await call(SPACE_LIST), await call(SPACE_LIST)]
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 302, 302])
    owner.cookie = simulator.login(owner.userId)
    expect((await call(SPACE_LIST)).status).toBe(200)
  })

  test('a lock and an edit of somebody else arrive between two calls', async () => {
    const pluginId = await register()
    add('update_plugin_meta', { kind: 'version-conflict' })
    const stale = { plugin_id: pluginId, name: 'x', edit_version: 1 }
    expect(await code('update_plugin_meta', stale)).toBe(777777759)
    expect(await code('update_plugin_meta', { ...stale, edit_version: 2 })).toBe(0)
    simulator.addAccount({ name: '李四' })
    add('refresh_mcp_plugin_apis', { kind: 'lock-held', forMs: 1000 })
    const refresh = { plugin_id: pluginId, space_id: spaceId }
    expect((await call('refresh_mcp_plugin_apis', refresh)).json.msg).toContain('其他用户正在编辑')
    clock.advance(1000)
    expect(await code('refresh_mcp_plugin_apis', refresh)).toBe(0)
  })

  test('pages that repeat and cursors that stick', async () => {
    for (let n = 0; n < 9; n += 1) simulator.addForeignPlugin({ spaceId })
    const page = (cursor?: string) => list({ res_type_filter: [1, -1], size: 3, ...(cursor ? { cursor } : {}) })
    const first = await page()
    add('library_resource_list', { kind: 'duplicate-pages', items: 2 })
    const repeated = await page(first.cursor)
    expect(repeated.items.slice(0, 2)).toEqual(first.items.slice(1))
    add('library_resource_list', { kind: 'stuck-cursor' }, { times: Number.POSITIVE_INFINITY })
    const stuck = await page(first.cursor)
    expect([stuck.cursor, stuck.more]).toEqual([first.cursor, true])
    simulator.faults.clear()
    expect((await page(first.cursor)).cursor).not.toBe(first.cursor)
  })

  test('what the list, the details, refresh and publish may get wrong', async () => {
    simulator.switches.indexLagMs = 0
    add('register_plugin_meta', { kind: 'index-lag', ms: 30_000 })
    const pluginId = await register()
    expect((await list()).items).toEqual([])
    clock.advance(30_000)
    expect((await list()).items).toHaveLength(1)

    const refresh = { plugin_id: pluginId, space_id: spaceId }
    add('refresh_mcp_plugin_apis', { kind: 'no-tools' })
    expect(await code('refresh_mcp_plugin_apis', refresh)).toBe(0)
    expect(await code('publish_plugin', publication(pluginId, 'v1.0.0'))).toBe(109000011)
    add('refresh_mcp_plugin_apis', { kind: 'mcp-unreachable' })
    expect(await code('refresh_mcp_plugin_apis', refresh)).toBe(720092061)
    await call('refresh_mcp_plugin_apis', refresh)

    add('publish_plugin', { kind: 'publish-unseen', reads: 2 })
    expect(await code('publish_plugin', publication(pluginId, 'v1.0.0'))).toBe(0)
    const seen = [await info(pluginId), await info(pluginId), await info(pluginId)]
    expect(seen.map(({ published, status }) => [published, status])).toEqual([
      [false, true],
      [false, true],
      [true, false],
    ])
    add('get_plugin_info', { kind: 'no-meta-info' })
    expect(await info(pluginId)).not.toHaveProperty('meta_info')
    add('get_plugin_info', { kind: 'empty-auth-type' })
    expect(await info(pluginId)).toMatchObject({ meta_info: { auth_type: [] } })
  })

  test('latency waits for the clock, hold for its release; a listener sees the stages in between', async () => {
    const stages: string[] = []
    const off = simulator.onCall(({ endpoint }, stage) => {
      stages.push(`${endpoint} ${stage} ${simulator.plugins().length}`)
    })
    add('register_plugin_meta', { kind: 'latency', ms: 5000, at: 'before' })
    const slow = call('register_plugin_meta', registration())
    await clock.someoneWaits()
    expect(simulator.plugins()).toEqual([])
    clock.advance(5000)
    expect((await slow).json.code).toBe(0)
    expect(stages.slice(0, 2)).toEqual(['register_plugin_meta received 0', 'register_plugin_meta applied 1'])
    off()
    const hold = add('del_plugin', { kind: 'hold', at: 'after' })
    const applied = Promise.withResolvers<void>()
    simulator.onCall((_call, stage) => {
      if (stage === 'applied') applied.resolve()
    })
    const held = call('del_plugin', { plugin_id: simulator.plugins()[0]?.pluginId })
    await Promise.all([hold.hit, applied.promise])
    expect(simulator.plugins()).toEqual([])
    hold.release()
    expect((await held).json.code).toBe(0)
  })

  test('a client that dies with a call in flight changes nothing about what was done', async () => {
    const controller = new AbortController()
    const seen = Promise.withResolvers<void>()
    const off = simulator.onCall((_call, stage) => {
      if (stage !== 'applied') return
      controller.abort()
      const gone = simulator.calls().at(-1)
      return new Promise((resolve) => {
        const look = () => (gone?.clientGone ? resolve() : setImmediate(look))
        look()
        seen.resolve()
      })
    })
    const dying = fetch(`${simulator.origin}/api/plugin_api/register_plugin_meta`, {
      method: 'POST',
      headers: { cookie: owner.cookie, 'content-type': 'application/json' },
      body: JSON.stringify(registration()),
      signal: controller.signal,
    })
    await expect(dying).rejects.toThrow(/abort/)
    await seen.promise
    off()
    expect(simulator.plugins()).toHaveLength(1)
    await expect.poll(() => simulator.calls()[0]?.clientGone).toBe(true)
    expect(simulator.load().maxInFlight).toBe(1)
  })
})

describe('switches and load', () => {
  test('what is unknown can be the other way round', async () => {
    Object.assign(simulator.switches, {
      fetchToolsOnRegister: true,
      strictEditVersion: false,
      strictVersion: false,
      textRules: false,
      sparseAnswers: true,
      headerChange: 'at-once',
      publishUnchanged: 'refused',
      pluginsPerSpace: 1,
      messageField: 'message',
    })
    const pluginId = await register({ name: 'my-server' })
    expect(simulator.plugin(pluginId).draft.tools).toHaveLength(3)
    expect((await call('register_plugin_meta', registration())).json).toMatchObject({ message: '插件数量已达上限' })
    const published = await call('publish_plugin', { ...publication(pluginId, 'first'), version_desc: '' })
    expect(published.json).toMatchObject({ code: 0, version_ts: '' })
    expect(await code('publish_plugin', publication(pluginId, 'second'))).toBe(109000000)
    const update = { plugin_id: pluginId, edit_version: 99, common_params: { 4: [{ name: 'X-Key', value: 'k' }] } }
    expect((await call('update_plugin_meta', update)).json).not.toHaveProperty('edit_version')
    expect(simulator.plugin(pluginId).agentHeaders).toEqual([{ name: 'X-Key', value: 'k' }])
    expect(await info(pluginId)).not.toHaveProperty('creator')
  })

  test('two writes in one space at a time are seen, and calls are found by what they were about', async () => {
    const pluginId = await register()
    simulator.resetCalls()
    const hold = simulator.faults.add({ endpoint: '*', times: 3, fault: { kind: 'hold', at: 'before' } })
    const inFlight = [
      call('update_plugin_meta', { plugin_id: pluginId, name: 'a' }),
      call('register_plugin_meta', registration()),
      call('get_plugin_info', { plugin_id: pluginId }),
    ]
    await expect.poll(() => hold.hits()).toBe(3)
    hold.release()
    await Promise.all(inFlight)
    expect(simulator.load()).toMatchObject({
      maxInFlight: 3,
      maxInFlightOfOneUser: 3,
      maxWritesInFlightInOneSpace: 2,
    })
    expect(simulator.calls({ writes: true, spaceId })).toHaveLength(2)
    expect(simulator.calls({ writes: false })).toMatchObject([{ endpoint: 'get_plugin_info', pluginId }])
    expect(simulator.calls({ after: simulator.calls().at(-1)?.n ?? 0 })).toEqual([])
  })
})

describe('the admin view', () => {
  test('shows spaces, drafts, versions and calls, and no secret', async () => {
    const pluginId = await publishNew({ name: '天气_b_x' })
    const get = async (path: string) => (await fetch(`${simulator.adminOrigin}${path}`)).text()
    const [page, state, calls] = await Promise.all([get('/'), get('/state.json'), get('/calls.json')])
    expect(page).toContain('研发空间')
    expect(page).toContain(pluginId)
    expect(JSON.parse(state).spaces[1].plugins).toMatchObject([
      { pluginId, published: true, online: { versionName: 'v1.0.0', tools: [{}, {}, {}] } },
    ])
    expect(JSON.parse(calls)).toMatchObject({
      counts: { register_plugin_meta: 1, refresh_mcp_plugin_apis: 1, publish_plugin: 1 },
      calls: [
        { endpoint: 'publish_plugin' },
        { endpoint: 'refresh_mcp_plugin_apis' },
        { endpoint: 'register_plugin_meta' },
      ],
    })
    const session = /sessionid=(\w+)/.exec(owner.cookie)?.[1] ?? 'none'
    for (const text of [page, state, calls]) {
      expect(text).not.toContain('tfg_right')
      expect(text).not.toContain(session)
    }
    expect((await fetch(`${simulator.origin}/state.json`)).status).toBe(404)
    expect((await fetch(`${simulator.adminOrigin}/`, { method: 'POST' })).status).toBe(405)
  })

  test('names of people are text on the page, not markup', async () => {
    simulator.renameSpace(spaceId, '<script>x</script>')
    const page = await (await fetch(`${simulator.adminOrigin}/`)).text()
    expect(page).not.toContain('<script>')
  })
})
