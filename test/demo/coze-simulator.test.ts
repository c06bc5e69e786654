import { describe, expect, test } from 'vitest'
import type { SessionLoss } from '../../demo/coze-simulator/options.ts'
import type { CozeAccount } from '../../demo/coze-simulator/simulator-types.ts'
import { createWorld, mcpUrl, sseUrl } from '../gateway/world.ts'
import { startEverything } from '../support/mcp-servers.ts'
import {
  call,
  clock,
  code,
  info,
  type Json,
  list,
  mcp,
  owner,
  PUBLIC,
  publication,
  publishNew,
  register,
  registration,
  SPACE_LIST,
  simulator,
  spaceId,
  stops,
  useSimulator,
} from './coze-caller.ts'

useSimulator()

describe('the front', () => {
  test('method, path, Content-Type and body are judged before anything else', async () => {
    expect((await call('/api/plugin_api/nothing')).status).toBe(404)
    expect((await call(SPACE_LIST, {}, {}, 'GET')).status).toBe(405)
    expect((await call(SPACE_LIST, {}, { 'content-type': 'text/plain' })).status).toBe(403)
    const response = await fetch(`${simulator.origin}/api/${SPACE_LIST}`, {
      method: 'POST',
      headers: { cookie: owner.cookie, 'content-type': 'application/json' },
    })
    expect([response.status, await response.json()]).toMatchObject([400, { code: 400 }])
  })

  test('every answer has a trace id, and the cookie is nowhere in the log', async () => {
    const { headers } = await call(SPACE_LIST)
    expect(headers.get('x-tt-logid')).toMatch(/^[0-9A-F]{34}$/)
    expect(simulator.calls()).toMatchObject([
      { n: 1, endpoint: 'space/list', userId: owner.userId, httpStatus: 200, code: 0, processed: true, changed: false },
    ])
    expect(simulator.calls()[0]?.headers.cookie).toMatch(/^sha256:/)
    expect(JSON.stringify(simulator.calls())).not.toContain(/sessionid=(\w+)/.exec(owner.cookie)?.[1])
  })

  test.each<[SessionLoss, number, RegExp, Json]>([
    ['code', 200, /json/, { code: 700012006, msg: '登录校验不合法' }],
    ['unauthorized', 401, /json/, { code: 401, data: { redirect_uri: '/sign' } }],
    ['redirect', 302, /html/, {}],
    ['html', 200, /html/, {}],
    ['human-verification', 403, /html/, {}],
    ['human-verification-json', 403, /json/, { code: 403 }],
    ['risk', 200, /json/, { code: 700012014 }],
    ['region', 200, /json/, { code: 700012015 }],
  ])('a session lost as “%s”', async (shape, status, type, json) => {
    simulator.loseSession({ userId: owner.userId }, shape)
    const answer = await call('register_plugin_meta', registration())
    expect(answer).toMatchObject({ status, json })
    expect(answer.headers.get('content-type')).toMatch(type)
    if (shape === 'redirect') expect(answer.headers.get('location')).toBe('/passport/login')
    expect(simulator.plugins()).toEqual([])
    owner.cookie = simulator.login(owner.userId)
    expect(await code(SPACE_LIST)).toBe(0)
  })

  test('a cookie ends with its life, and says when in sid_guard', async () => {
    owner.cookie = simulator.login(owner.userId, { ttlS: 100 })
    const guard = decodeURIComponent(/sid_guard=([^;]+)/.exec(owner.cookie)?.[1] ?? '').split('|')
    expect(guard.slice(1)).toEqual([String(clock.nowMs() / 1000), '100', 'Mon,+05-Jan-2026+04:01:40+GMT'])
    clock.advance(99_999)
    expect(await code(SPACE_LIST)).toBe(0)
    clock.advance(1)
    expect(await code(SPACE_LIST)).toBe(700012006)
  })

  test('anonymous cookies prove nothing; a reduced set fails where the full one is asked for', async () => {
    expect(await code(SPACE_LIST, {}, { cookie: owner.cookie.replace(/sessionid=\w+; /, '') })).toBe(700012006)
    const reduced = /sessionid=\w+/.exec(owner.cookie)?.[0]
    expect(await code(SPACE_LIST, {}, { cookie: reduced })).toBe(0)
    simulator.switches.requiredCookies = ['sessionid', 'uid_tt', 'ttwid']
    expect(await code(SPACE_LIST, {}, { cookie: reduced })).toBe(700012006)
    expect(await code(SPACE_LIST)).toBe(0)
  })

  test('the pace that the switch sets is kept by the clock', async () => {
    simulator.switches.rateLimit = { perSecond: 2, retryAfterS: 3 }
    expect([await code(SPACE_LIST), await code(SPACE_LIST)]).toEqual([0, 0])
    const refused = await call(SPACE_LIST)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3'])
    clock.advance(1000)
    expect(await code(SPACE_LIST)).toBe(0)
    expect(simulator.load()).toMatchObject({ maxInFlight: 1, maxStartsPerSecondOfOneUser: 3 })
  })
})

describe('who and where', () => {
  test('personal spaces without an enterprise; paging only when page and size are both given', async () => {
    for (let n = 0; n < 3; n += 1) simulator.addSpace({ ownerId: owner.userId })
    const other = simulator.addAccount()
    const shared = simulator.addSpace({ ownerId: other.userId, members: { [owner.userId]: 3 } })
    const all = (await call(SPACE_LIST, { page: 1, page_size: 2 })).json.data as Json
    expect(all.bot_space_list).toHaveLength(6)
    expect(all).not.toHaveProperty('total')
    expect((all.bot_space_list as Json[]).at(-1)).toMatchObject({
      id: shared,
      space_type: 2,
      role_type: 3,
      space_role_type: 3,
      owner_user_id: other.userId,
    })
    const last = (await call(SPACE_LIST, { page: 2, size: 4 })).json.data
    expect(last).toMatchObject({ total: 6, has_more: false, bot_space_list: [{}, { id: shared }] })
  })

  test('organizations by page; spaces by organization; not-joined ones only with scope 0', async () => {
    const boss = simulator.addAccount()
    const { enterpriseId, defaultOrganizationId } = simulator.addEnterprise()
    const second = simulator.addOrganization(enterpriseId, '第二组织')
    for (let n = 0; n < 20; n += 1) simulator.addOrganization(enterpriseId)
    simulator.joinEnterprise(owner.userId, enterpriseId, [defaultOrganizationId, second])
    const mine = simulator.addSpace({ ownerId: owner.userId, enterpriseId, organizationId: second })
    const theirs = simulator.addSpace({ ownerId: boss.userId, enterpriseId, organizationId: second })

    const search = (body: Json) => call('permission_api/enterprise/search_organization', body)
    const first = (await search({ enterprise_id: enterpriseId, page: 1, page_size: 20, joined: false })).json
      .data as Json
    expect([(first.organization_list as unknown[]).length, first.has_more, first.total]).toEqual([20, true, 22])
    const joined = (await search({ enterprise_id: enterpriseId, joined: true, page: 1, page_size: 20 })).json.data
    expect(joined).toMatchObject({
      organization_list: [{ organization_id: defaultOrganizationId }, { organization_id: second }],
      has_more: false,
    })

    const ids = async (body: Json) => {
      const data = (await call(SPACE_LIST, { enterprise_id: enterpriseId, ...body })).json.data as Json
      return (data.bot_space_list as Json[]).map(({ id }) => id)
    }
    expect(await ids({})).toEqual([])
    expect(await ids({ organization_id: second })).toEqual([mine])
    expect(await ids({ organization_id: second, scope_type: 0 })).toEqual([mine, theirs])
    const stranger = simulator.addAccount()
    expect(await code(SPACE_LIST, { enterprise_id: enterpriseId }, { cookie: stranger.cookie })).toBe(702042162)
  })

  test('list_enterprises says who the cookie is', async () => {
    const { enterpriseId, defaultOrganizationId } = simulator.addEnterprise({ name: '渡船' })
    simulator.joinEnterprise(owner.userId, enterpriseId)
    const path = '/api/permission_api/enterprise/list_enterprises'
    expect((await call(path, {}, {}, 'GET')).json.data).toMatchObject({
      personal_account_info: { user_id: owner.userId, nick_name: '张三' },
      enterprise_info_list: [
        { enterprise_id: enterpriseId, name: '渡船', default_organization_id: defaultOrganizationId },
      ],
    })
    expect((await call(path, {}, { 'content-type': null }, 'GET')).status).toBe(403)
  })
})

describe('register and update', () => {
  test.each<[string, Json, unknown]>([
    ['a name with a hyphen', { name: 'my-server' }, 109000000],
    ['a name with an emoji', { name: '天气🌤' }, 109000000],
    ['31 characters', { name: '天'.repeat(31) }, 109000000],
    ['a blank name', { name: ' ' }, 109000000],
    ['601 characters of description', { desc: '长'.repeat(601) }, 109000000],
    ['a brief of 51', { brief_intro: '长'.repeat(51) }, 109000000],
    ['a word the content check refuses', { desc: '有违禁词' }, 720092020],
    ['http', { url: 'http://gateway.example.com/mcp' }, 109000000],
    ['an IP address', { url: 'https://203.0.113.9/mcp' }, 109000000],
    ['an IPv6 address', { url: 'https://[2001:db8::1]/mcp' }, 109000000],
    ['localhost', { url: 'https://localhost/mcp' }, 109000000],
    ['no icon', { icon: undefined }, 400],
    ['an empty icon', { icon: { uri: '' } }, 109000000],
    ['auth_type as get_plugin_info has it', { auth_type: [0] }, 400],
    ['no auth_type', { auth_type: undefined }, 400],
    ['an unknown type', { plugin_type: 9 }, 109000000],
    ['an id as a number', { space_id: 75 }, 400],
    ['21 headers', { common_params: { 4: Array(21).fill({ name: 'X-A', value: 'b' }) } }, 109000000],
    ['a value of 2,001', { common_params: { 4: [{ name: 'X-A', value: 'b'.repeat(2001) }] } }, 109000000],
    ['a space that is not there', { space_id: '7400000000000000009' }, 109000005],
  ])('refuses %s', async (_what, changes, wanted) => {
    expect(await code('register_plugin_meta', registration(changes))).toBe(wanted)
    expect(simulator.plugins()).toEqual([])
  })

  test('takes what the rules just allow, and is not idempotent', async () => {
    const changes = { name: '天'.repeat(30), desc: '长'.repeat(600), brief_intro: '简'.repeat(50) }
    const ids = [await register(changes), await register(changes)]
    expect(new Set(ids).size).toBe(2)
    expect(Number.isSafeInteger(Number(ids[0]))).toBe(false)
    expect(simulator.livePluginsByUrl().get(`${spaceId} /mcp`)).toBe(2)
    simulator.switches.duplicateNames = 'refused'
    expect(await code('register_plugin_meta', registration(changes))).toBe(702092010)
  })

  test('a draft is not published, and reads back as it was written', async () => {
    const pluginId = await register()
    expect(await info(pluginId)).toMatchObject({
      published: false,
      edit_version: 1,
      plugin_type: 11,
      creator: { id: owner.userId, self: true, space_roly_type: 1 },
      meta_info: {
        name: '天气',
        url: `${PUBLIC}/mcp`,
        auth_type: [0],
        common_params: { 1: [], 2: [], 3: [], 4: [{ name: 'Authorization', value: 'Bearer tfg_right' }] },
      },
    })
  })

  test('update: absent stays, a location is replaced whole, a stale edit_version is refused', async () => {
    const pluginId = await publishNew()
    const update = (body: Json) => call('update_plugin_meta', { plugin_id: pluginId, ...body })
    expect((await update({ name: '新名', edit_version: 2 })).json).toMatchObject({ code: 0, edit_version: 3 })
    expect((await update({ desc: '旧', edit_version: 2 })).json).toMatchObject({ code: 777777759 })
    expect((await update({ common_params: {} })).json.code).toBe(0)
    const { draft } = simulator.plugin(pluginId)
    expect(draft.meta).toMatchObject({ name: '新名', desc: '天气查询', url: `${PUBLIC}/mcp` })
    expect(draft.meta.commonParams[4]).toEqual([{ name: 'Authorization', value: 'Bearer tfg_right' }])
    await update({ common_params: { 4: [{ name: 'X-Key', value: 'k' }] } })
    expect(simulator.plugin(pluginId)).toMatchObject({
      status: true,
      draft: { meta: { commonParams: { 4: [{ name: 'X-Key', value: 'k' }] } } },
      agentHeaders: [{ name: 'Authorization', value: 'Bearer tfg_right' }],
    })
    expect((await update({ plugin_type: 1 })).json.code).toBe(109000000)
    expect((await update({ icon: { uri: '' } })).json.code).toBe(109000000)
  })

  test('another URL must be read again before it can be published', async () => {
    const pluginId = await publishNew()
    await call('update_plugin_meta', { plugin_id: pluginId, url: `${PUBLIC}/mcp?again` })
    expect(await code('publish_plugin', publication(pluginId, 'v1.0.1'))).toBe(109000011)
    await call('refresh_mcp_plugin_apis', { plugin_id: pluginId, space_id: spaceId })
    expect(await code('publish_plugin', publication(pluginId, 'v1.0.1'))).toBe(0)
  })
})

describe('refresh', () => {
  test('connects to the server with the headers of the plugin, reads all pages, keeps ids by name', async () => {
    const pluginId = await register()
    expect(await code('refresh_mcp_plugin_apis', { plugin_id: pluginId, space_id: spaceId })).toBe(0)
    const apis = (await call('get_plugin_apis', { plugin_id: pluginId, page: 1, size: 2 })).json
    expect(apis).toMatchObject({
      total: 3,
      edit_version: 2,
      api_info: [{ name: 'tool-1', debug_status: 1, disabled: false, online_status: 0 }, { name: 'tool-2' }],
    })
    expect(mcp.requests.every(({ headers }) => headers.authorization === 'Bearer tfg_right')).toBe(true)
    expect(mcp.requests[0]?.headers).toMatchObject({ host: 'gateway.example.com', 'user-agent': 'Coze/1.0' })
    expect([mcp.sessionsOpened(), mcp.sessionsClosed()]).toEqual([1, 1])
    const before = simulator.plugin(pluginId).draft.tools
    await call('refresh_mcp_plugin_apis', { plugin_id: pluginId, space_id: spaceId })
    expect(simulator.plugin(pluginId).draft.tools).toEqual(before)
  })

  test.each<[string, Json]>([
    ['refuses the header', { common_params: { 4: [{ name: 'Authorization', value: 'Bearer wrong' }] } }],
    ['has no route', { url: 'https://elsewhere.example.com/mcp' }],
  ])('a server that %s fails the refresh and leaves the draft', async (_what, changes) => {
    const pluginId = await register(changes)
    const { json } = await call('refresh_mcp_plugin_apis', { plugin_id: pluginId, space_id: spaceId })
    expect(json).toMatchObject({ code: 720092061, msg: expect.stringMatching(/^获取MCP工具失败 : /) })
    expect(simulator.plugin(pluginId)).toMatchObject({ editVersion: 1, draft: { tools: [] } })
    expect(await code('publish_plugin', publication(pluginId, 'v1.0.0'))).toBe(109000011)
  })

  test('the space must be the right one', async () => {
    const pluginId = await register()
    const body = { plugin_id: pluginId, space_id: owner.personalSpaceId }
    expect(await code('refresh_mcp_plugin_apis', body)).toBe(109000000)
  })

  test.each([
    ['Streamable HTTP', 'streamableHttp', mcpUrl],
    ['HTTP+SSE', 'sse', sseUrl],
  ] as const)('reads a server through the gateway under its public name, by %s', async (_name, transport, urlOf) => {
    const [gateway, everything] = await Promise.all([createWorld(), startEverything(transport)])
    stops.push(gateway.close, everything.stop)
    simulator.route(PUBLIC, gateway.origin)
    const instance = gateway.view.addInstance({
      url: everything.url,
      ...(transport === 'sse' ? { transport: 'sse' as const } : {}),
    })
    const { token } = gateway.view.addToken(instance)
    const pluginId = await register({
      url: PUBLIC + new URL(urlOf(gateway, instance)).pathname,
      common_params: { 4: [{ name: 'Authorization', value: `Bearer ${token}` }] },
    })
    const refresh = { plugin_id: pluginId, space_id: spaceId }
    expect((await call('refresh_mcp_plugin_apis', refresh)).json).toMatchObject({ code: 0 })
    expect(simulator.plugin(pluginId).draft.tools.map(({ name }) => name)).toContain('echo')
    await call('update_plugin_meta', { plugin_id: pluginId, common_params: { 4: [] } })
    expect((await call('refresh_mcp_plugin_apis', refresh)).json.msg).toContain('HTTP 401')
  })

  test('falls back to HTTP+SSE, and debug_api really calls a tool', async () => {
    const everything = await startEverything('sse')
    stops.push(everything.stop)
    simulator.route('https://sse.example.com', new URL(everything.url).origin)
    const pluginId = await publishNew({ url: 'https://sse.example.com/sse' })
    const echo = simulator.plugin(pluginId).draft.tools.find(({ name }) => name === 'echo')
    expect(
      (
        await call('debug_api', {
          plugin_id: pluginId,
          api_id: echo?.apiId,
          parameters: '{"message":"ahoy"}',
          operation: 1,
        })
      ).json,
    ).toMatchObject({ success: true, resp: expect.stringContaining('Echo: ahoy') })
  })
})

describe('publish', () => {
  test('what agents use changes only then; versions rise; history is newest first', async () => {
    const pluginId = await publishNew()
    expect(await info(pluginId)).toMatchObject({ published: true, status: false })
    const next = async () =>
      (await call('get_plugin_next_version', { plugin_id: pluginId, space_id: spaceId })).json.next_version_name
    expect(await next()).toBe('v1.0.1')
    await call('update_plugin_meta', { plugin_id: pluginId, name: '新名' })
    expect(simulator.plugin(pluginId).online?.meta.name).toBe('天气')
    expect(await info(pluginId)).toMatchObject({ published: true, status: true })
    expect(await code('publish_plugin', publication(pluginId, 'v0.0.20260101120000'))).toBe(109000000)
    expect(await code('publish_plugin', publication(pluginId, 'newest'))).toBe(109000000)
    expect(await code('publish_plugin', { ...publication(pluginId, 'v1.0.1'), version_desc: '' })).toBe(109000000)
    clock.advance(5)
    const { json } = await call('publish_plugin', publication(pluginId, 'v1.0.1'))
    expect(json).toMatchObject({ code: 0, version_ts: String(clock.nowMs()) })
    expect(simulator.plugin(pluginId).online?.meta.name).toBe('新名')
    const history = await call('get_plugin_publish_history', {
      plugin_id: pluginId,
      space_id: spaceId,
      page: 1,
      size: 10,
    })
    expect(history.json).toMatchObject({
      total: 2,
      plugin_publish_info_list: [{ version_name: 'v1.0.1', version_ts: clock.nowMs() }, { version_name: 'v1.0.0' }],
    })
  })

  test('get_updated_apis and the batched read show draft and online apart', async () => {
    const pluginId = await publishNew()
    const apiId = simulator.plugin(pluginId).draft.tools[0]?.apiId
    await call('update_api', { plugin_id: pluginId, api_id: apiId, disabled: true })
    expect((await call('get_updated_apis', { plugin_id: pluginId })).json).toMatchObject({
      created_api_names: [],
      deleted_api_names: [],
      updated_api_names: ['tool-1'],
    })
    const read = async (body: Json) => {
      const request = { space_id: spaceId, page: 1, size: 10, plugin_ids: [pluginId], ...body }
      return ((await call('get_playground_plugin_list', request)).json.data as Json).plugin_list as Json[]
    }
    expect(await read({})).toEqual([])
    expect(await read({ plugin_types: [11] })).toMatchObject([
      {
        id: pluginId,
        version_name: 'v1.0.0',
        plugin_apis: [{ name: 'tool-1' }, { name: 'tool-2' }, { name: 'tool-3' }],
      },
    ])
  })
})

describe('the list', () => {
  test('follows the world only after the lag: birth, publishing, renaming, death', async () => {
    const pluginId = await publishNew()
    expect((await list()).items).toEqual([])
    clock.advance(1000)
    expect((await list()).items).toMatchObject([{ res_id: pluginId, name: '天气', publish_status: 2, del_flag: false }])
    await call('update_plugin_meta', { plugin_id: pluginId, name: '新名' })
    expect((await list()).items).toMatchObject([{ name: '天气' }])
    clock.advance(1000)
    expect((await list()).items).toMatchObject([{ name: '新名' }])
    expect(await code('del_plugin', { plugin_id: pluginId })).toBe(0)
    expect((await list()).items).toMatchObject([{ res_id: pluginId, del_flag: true }])
    expect(await code('get_plugin_info', { plugin_id: pluginId })).toBe(109000005)
    expect(await code('del_plugin', { plugin_id: pluginId })).toBe(109000005)
    clock.advance(1000)
    expect((await list()).items).toEqual([])
  })

  test('pages newest first; equal edit times at the border of pages are lost', async () => {
    const atMs = clock.nowMs()
    for (let n = 0; n < 6; n += 1) simulator.addForeignPlugin({ spaceId, updatedMs: n < 4 ? atMs : atMs + n })
    const first = await list({ res_type_filter: [1, -1], size: 3 })
    expect([first.items.length, first.more, first.cursor]).toEqual([3, true, String(atMs)])
    const second = await list({ res_type_filter: [1, -1], size: 3, cursor: first.cursor })
    expect([second.items.length, second.more]).toEqual([0, false])
    expect((await list({ res_type_filter: [1, -1], size: 1000 })).items).toHaveLength(6)
  })

  test('a hundred and thirty plugins on pages of at most a hundred, none twice', async () => {
    for (let n = 0; n < 130; n += 1) simulator.addForeignPlugin({ spaceId, pluginType: 11 })
    const first = await list({ size: 500 })
    const second = await list({ size: 500, cursor: first.cursor })
    expect([first.items.length, second.items.length, second.more]).toEqual([100, 30, false])
    expect(new Set([...first.items, ...second.items].map(({ res_id }) => res_id)).size).toBe(130)
  })

  test('filters by type, name, author and state; the switch for the sub type', async () => {
    const member = simulator.addAccount()
    simulator.setRole(spaceId, member.userId, 3)
    simulator.addForeignPlugin({ spaceId, name: 'http', published: false })
    simulator.addForeignPlugin({ spaceId, name: 'mcp_one', pluginType: 11, creatorId: member.userId })
    const names = async (body: Json) => (await list(body)).items.map(({ name }) => name)
    expect(await names({})).toEqual(['mcp_one'])
    expect(await names({ res_type_filter: [1, -1] })).toEqual(['mcp_one', 'http'])
    expect(await names({ res_type_filter: [2] })).toEqual([])
    expect(await names({ res_type_filter: [-1], name: 'tt' })).toEqual(['http'])
    expect(await names({ res_type_filter: [-1], user_filter: 1 })).toEqual(['http'])
    expect(await names({ res_type_filter: [-1], publish_status_filter: 1 })).toEqual(['http'])
    for (const [how, wanted] of [
      ['empty', []],
      ['ignored', ['mcp_one', 'http']],
      ['refused', []],
    ] as const) {
      simulator.switches.subTypeFilter = how
      expect(await names({})).toEqual(wanted)
    }
    expect((await list()).code).toBe(109000000)
    expect(await code('library_resource_list', { res_type_filter: [1, -1] })).toBe(400)
  })
})

describe('rights, locks, removal', () => {
  test('a stranger sees nothing; a member changes only what he made', async () => {
    const [member, stranger] = [simulator.addAccount(), simulator.addAccount()]
    simulator.setRole(spaceId, member.userId, 3)
    const pluginId = await register()
    const as = (account: CozeAccount) => ({ cookie: account.cookie })
    expect(await code('get_plugin_info', { plugin_id: pluginId }, as(stranger))).toBe(109000001)
    expect(await code('library_resource_list', { space_id: spaceId }, as(stranger))).toBe(109000001)
    expect(await code('get_plugin_info', { plugin_id: pluginId }, as(member))).toBe(0)
    expect(await code('update_plugin_meta', { plugin_id: pluginId, name: 'x' }, as(member))).toBe(109000001)
    expect((await call('get_user_authority', { plugin_id: pluginId }, as(member))).json.data).toMatchObject({
      can_edit: false,
      can_read: true,
      can_delete: false,
    })
    const { json } = await call('register_plugin_meta', registration(), as(member))
    expect(await code('update_plugin_meta', { plugin_id: json.plugin_id, name: 'x' }, as(member))).toBe(0)
  })

  test('a lock held by another names him, refuses writes, and ends with its time', async () => {
    const pluginId = await register()
    const other = simulator.addAccount({ name: '李四' })
    simulator.setRole(spaceId, other.userId, 2)
    simulator.holdLock(pluginId, other.userId, 60_000)
    const lock = async () => (await call('check_and_lock_plugin_edit', { plugin_id: pluginId })).json.data
    expect(await lock()).toMatchObject({ Occupied: true, Seized: false, user: { name: '李四', self: false } })
    const refused = await call('update_plugin_meta', { plugin_id: pluginId, name: 'x' })
    expect(refused.json).toMatchObject({ code: 777777759, msg: expect.stringContaining('其他用户正在编辑') })
    clock.advance(60_000)
    expect(await lock()).toMatchObject({ Occupied: false, Seized: true })
    expect(await code('update_plugin_meta', { plugin_id: pluginId, name: 'x' })).toBe(0)
    const asOther = { cookie: other.cookie }
    expect(await code('update_plugin_meta', { plugin_id: pluginId, name: 'y' }, asOther)).toBe(777777759)
    expect((await call('unlock_plugin_edit', { plugin_id: pluginId })).json).toMatchObject({ code: 0, released: true })
    expect(await code('update_plugin_meta', { plugin_id: pluginId, name: 'y' }, asOther)).toBe(0)
  })

  test('a listed plugin cannot be deleted; a used one can, and says by how many', async () => {
    const pluginId = await publishNew()
    simulator.setBotQuote(pluginId, 3)
    simulator.setProductStatus(pluginId, 1)
    expect(await info(pluginId)).toMatchObject({ statistic_data: { bot_quote: 3 }, plugin_product_status: 1 })
    expect((await call('del_plugin', { plugin_id: pluginId })).json.msg).toBe('请将您的插件下架后再删除')
    simulator.setProductStatus(pluginId, 2)
    expect(await code('del_plugin', { plugin_id: pluginId })).toBe(0)
    expect(simulator.plugins()).toEqual([])
    expect(simulator.plugins(spaceId, { deleted: true })).toMatchObject([{ pluginId, deleted: true }])
  })
})
