import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DesiredObject } from '../../../src/platforms/platform.ts'
import { CellRecord, syncCells } from './cell.ts'
import { type CozeWorld, desiredObject, gatewayUrl, instanceId, never, openCozeWorld, TOOLS } from './world.ts'

let world: CozeWorld
let space: { spaceId: string; remoteId: string }
beforeEach(async () => {
  world = await openCozeWorld()
  space = { spaceId: 'space', remoteId: world.simulator.addSpace({ ownerId: world.account.userId, name: '研发' }) }
})
afterEach(async () => {
  await world.close()
})

async function made(change: Partial<DesiredObject> = {}) {
  const platform = world.open()
  const record = new CellRecord('a')
  const sync = async (more: Partial<DesiredObject> = {}) => {
    const [result] = await syncCells(platform, space, [{ record, desired: desiredObject({ ...change, ...more }) }])
    if (result === undefined) throw new Error('nothing was planned')
    return result
  }
  const first = await sync()
  expect(first).toMatchObject({ action: 'create', drift: [] })
  const pluginId = record.identity?.id ?? ''
  world.simulator.resetCalls()
  return { platform, record, sync, pluginId, plugin: () => world.simulator.plugin(pluginId) }
}

describe('a plugin', () => {
  it('is made as COZE wants it, published, with one header', async () => {
    const { plugin } = await made()
    expect(plugin()).toMatchObject({
      pluginType: 11,
      published: true,
      status: false,
      online: {
        versionName: 'v1.0.0',
        meta: { name: '天气', desc: 'Weather for everybody', url: gatewayUrl(instanceId(1)) },
      },
      agentHeaders: [{ name: 'Authorization', value: desiredObject().authorization }],
    })
    expect(plugin().online?.tools.map((tool) => tool.name)).toEqual(TOOLS.map((tool) => tool.name))
  })

  it('gets a new token with everybody else’s headers kept, and is published again', async () => {
    const { sync, plugin, pluginId } = await made()
    const headers = plugin().draft.meta.commonParams[4]
    world.simulator.editPlugin(pluginId, { headers: [{ name: 'X-Team', value: 'red' }, ...headers] })
    world.simulator.publishPlugin(pluginId)
    const result = await sync({ authorization: 'Bearer tfg_second' })
    expect(result).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().agentHeaders).toEqual([
      { name: 'Authorization', value: 'Bearer tfg_second' },
      { name: 'X-Team', value: 'red' },
    ])
    expect(plugin()).toMatchObject({ status: false, lock: null })
    expect(world.simulator.counts()).toMatchObject({ check_and_lock_plugin_edit: 1, unlock_plugin_edit: 1 })
  })

  it('follows its server’s tools, by a refresh and without another word', async () => {
    const { sync, plugin } = await made()
    const tools = [...TOOLS, { name: 'radar', inputSchema: { type: 'object' } }]
    world.offer(tools)
    expect(await sync({ tools })).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().online?.tools.map((tool) => tool.name)).toEqual(['forecast', 'history', 'radar'])
    expect(world.simulator.counts().update_plugin_meta).toBeUndefined()
  })

  it('keeps a name and description that somebody gave it in COZE, and its own otherwise', async () => {
    const { sync, plugin, pluginId } = await made()
    expect(await sync({ name: '天气预报' })).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().online?.meta.name).toBe('天气预报')
    world.simulator.editPlugin(pluginId, { name: 'Our_weather' })
    world.simulator.publishPlugin(pluginId)
    expect(await sync({ name: '天气三' })).toMatchObject({ action: 'unchanged', kept: ['name'] })
    expect(plugin().online?.meta.name).toBe('Our_weather')
  })

  it('has one Authorization: a second one that somebody adds, in whatever case, is taken out', async () => {
    const { sync, plugin, pluginId } = await made()
    const headers = plugin().draft.meta.commonParams[4]
    world.simulator.editPlugin(pluginId, { headers: [...headers, { name: 'authorization', value: 'Bearer other' }] })
    world.simulator.publishPlugin(pluginId)
    expect(await sync()).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().agentHeaders).toEqual(headers)
  })

  it.each([
    ['a key of its own in Authorization', { type: 1, location: 1, key: 'authorization', serviceToken: 'theirs' }],
    ['OIDC', { type: 1, subType: 2, payload: '{}' }],
    ['OAuth', { type: 3, oauthInfo: '{"client_id":"x"}' }],
  ])('that somebody gave %s sends our Authorization again', async (_what, auth) => {
    const { sync, plugin, pluginId } = await made()
    world.simulator.editPlugin(pluginId, { auth })
    world.simulator.publishPlugin(pluginId)
    expect(await sync()).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().online?.meta.auth.type).toBe(0)
    expect(world.mcp.requests.at(-1)?.headers.authorization).toBe(desiredObject().authorization)
    expect(await sync()).toMatchObject({ action: 'unchanged' })
  })

  it('keeps a key that somebody has it send beside ours', async () => {
    const { sync, plugin, pluginId } = await made()
    const auth = { type: 1, location: 1, key: 'X-Team-Key', serviceToken: 'theirs' }
    world.simulator.editPlugin(pluginId, { auth })
    world.simulator.publishPlugin(pluginId)
    expect(await sync()).toMatchObject({ action: 'unchanged' })
    expect(await sync({ authorization: 'Bearer tfg_second' })).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().online?.meta.auth).toMatchObject(auth)
  })

  it('with a tool that somebody has switched off is settled with it off', async () => {
    const { sync, plugin, pluginId } = await made()
    world.simulator.editPlugin(pluginId, { disabledTools: ['history'] })
    world.simulator.publishPlugin(pluginId)
    expect(await sync()).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().online?.tools.map(({ name, disabled }) => [name, disabled])).toEqual([
      ['forecast', false],
      ['history', true],
    ])
    world.simulator.resetCalls()
    expect(await sync()).toMatchObject({ action: 'unchanged' })
    expect(world.simulator.calls({ writes: true })).toEqual([])
  })

  it('is put right when its address or header was changed in COZE', async () => {
    const { sync, plugin, pluginId } = await made()
    world.simulator.editPlugin(pluginId, { url: 'https://elsewhere.example.com/mcp', headers: [] })
    world.simulator.publishPlugin(pluginId)
    const result = await sync()
    expect(result).toMatchObject({ action: 'update' })
    expect([...result.changes.map((change) => change.field)].sort()).toEqual(['authorization', 'url'])
    expect(plugin().online?.meta).toMatchObject({ url: gatewayUrl(instanceId(1)) })
    expect(plugin().agentHeaders).toEqual([{ name: 'Authorization', value: desiredObject().authorization }])
  })

  it('that COZE does not show is a failure of its own: it is not made again, and the others of the space go on', async () => {
    const { record, pluginId } = await made()
    world.simulator.faults.add({
      endpoint: 'get_plugin_info',
      times: Number.POSITIVE_INFINITY,
      when: (call) => call.pluginId === pluginId,
      fault: { kind: 'business-error', code: 109000001, msg: '没有权限执行该操作' },
    })
    const other = { record: new CellRecord('b'), desired: desiredObject({ instanceId: instanceId(2), name: 'Other' }) }
    const results = await syncCells(world.open(), space, [{ record, desired: desiredObject() }, other])
    expect(results).toMatchObject([
      { action: null, failure: { type: 'Forbidden', message: expect.stringContaining(pluginId) } },
      { action: 'create', drift: [] },
    ])
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(2)
  })

  it('is made again when it was deleted', async () => {
    const { sync, pluginId, record } = await made()
    world.simulator.deletePlugin(pluginId)
    expect(await sync()).toMatchObject({ action: 'create', drift: [] })
    expect(record.identity?.id).not.toBe(pluginId)
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(1)
  })

  it('that somebody is editing is waited for, then left, with that person’s name', async () => {
    const { sync, pluginId, plugin } = await made()
    const other = world.simulator.addAccount({ name: '李四' })
    world.simulator.setRole(space.remoteId, other.userId, 2)
    world.simulator.holdLock(pluginId, other.userId, 10_000)
    expect(await sync({ authorization: 'Bearer tfg_second' })).toMatchObject({ action: 'update', drift: [] })
    world.simulator.holdLock(pluginId, other.userId)
    await expect(sync({ authorization: 'Bearer tfg_third' })).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringContaining('李四'),
    })
    expect(plugin().agentHeaders).toEqual([{ name: 'Authorization', value: 'Bearer tfg_second' }])
  })

  it('whose MCP server refuses is not a lost login of COZE’s, whatever that server says', async () => {
    world.simulator.faults.add({
      endpoint: 'refresh_mcp_plugin_apis',
      fault: { kind: 'business-error', code: 720092061, msg: '获取MCP工具失败: HTTP 401: login required' },
    })
    const platform = world.open()
    const cells = [{ record: new CellRecord('a'), desired: desiredObject() }]
    await expect(syncCells(platform, space, cells)).rejects.toMatchObject({ type: 'UpstreamUnreachable' })
    expect((await syncCells(platform, space, cells))[0]).toMatchObject({ drift: [] })
  })

  it('whose MCP server COZE cannot read says so, and the next attempt makes no second one', async () => {
    const fault = world.simulator.faults.add({
      endpoint: 'refresh_mcp_plugin_apis',
      fault: { kind: 'mcp-unreachable' },
    })
    const platform = world.open()
    const cells = [{ record: new CellRecord('a'), desired: desiredObject() }]
    await expect(syncCells(platform, space, cells)).rejects.toMatchObject({
      type: 'UpstreamUnreachable',
      message: expect.stringMatching(/gateway at gateway\.example\.com.*code 720092061.*log id/s),
    })
    expect(fault.hits()).toBe(1)
    expect((await syncCells(platform, space, cells))[0]).toMatchObject({ drift: [] })
    expect(world.simulator.plugins(space.remoteId)).toMatchObject([{ published: true, status: false }])
  })
})

describe('names in the way', () => {
  it('a name that COZE gives once only gets a number', async () => {
    world.simulator.switches.duplicateNames = 'refused'
    world.simulator.addForeignPlugin({
      spaceId: space.remoteId,
      name: '天气',
      pluginType: 11,
      url: 'https://x.test/mcp',
    })
    const { plugin, sync } = await made()
    expect(plugin().draft.meta.name).toBe('天气_2')
    expect((await sync()).action).toBe('unchanged')
  })

  it('so does one that it is to be given later, and nothing else waits for that', async () => {
    world.simulator.switches.duplicateNames = 'refused'
    const taken = { spaceId: space.remoteId, name: '天气预报', pluginType: 11, url: 'https://x.test/mcp' }
    world.simulator.addForeignPlugin(taken)
    const { plugin, sync } = await made()
    const change = { name: '天气预报', authorization: 'Bearer tfg_second' }
    expect(await sync(change)).toMatchObject({ action: 'update', drift: [] })
    expect(plugin().online?.meta.name).toBe('天气预报_2')
    expect(plugin().agentHeaders).toEqual([{ name: 'Authorization', value: 'Bearer tfg_second' }])
    expect(await sync(change)).toMatchObject({ action: 'unchanged', kept: [] })
  })

  it('a plugin of ours that nobody recorded is a conflict that names it, whatever host it calls', async () => {
    const url = `https://former.example.com/mcp-gateway/${instanceId(1)}/mcp`
    const id = world.simulator.addForeignPlugin({ spaceId: space.remoteId, name: '天气', pluginType: 11, url })
    const cells = [{ record: new CellRecord('a'), desired: desiredObject() }]
    const [result] = await syncCells(world.open(), space, cells)
    expect(result).toMatchObject({ action: 'conflict', failure: { message: expect.stringContaining(id) } })
    expect(world.simulator.calls({ writes: true })).toEqual([])
  })
})

describe('removing', () => {
  const remove = async (platform: ReturnType<CozeWorld['open']>, pluginId: string, force = false) => {
    await using writer = await platform.openSpace(space, { signal: never(), fence: async () => {} })
    await writer.remove({ id: pluginId, key: null }, { force })
  }

  it('is refused while agents use it, unless forced', async () => {
    const { platform, pluginId } = await made()
    world.simulator.setBotQuote(pluginId, 2)
    await expect(remove(platform, pluginId)).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringMatching(/2 agents.*acceptWarnings/s),
    })
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(1)
    await remove(platform, pluginId, true)
    await remove(platform, pluginId, true)
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(0)
  })

  it.each(['lost-request', 'lost-response'] as const)('survives a %s', async (kind) => {
    const { platform, pluginId } = await made()
    world.simulator.faults.add({ endpoint: 'del_plugin', fault: { kind } })
    await remove(platform, pluginId)
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(0)
  })

  it.each([
    [109000005, 'record not found'],
    [702092031, 'the plugin is in use and cannot be deleted'],
  ])('is not done because COZE says %d “%s” of a plugin that stands there', async (code, msg) => {
    const { platform, pluginId } = await made()
    world.simulator.faults.add({
      endpoint: 'del_plugin',
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'business-error', code, msg },
    })
    await expect(remove(platform, pluginId)).rejects.toMatchObject({ code: String(code) })
  })

  it('takes what an attempt that died has made in the place of the recorded one', async () => {
    const { platform, pluginId, plugin } = await made()
    const { name, url } = plugin().draft.meta
    await remove(platform, pluginId)
    const again = world.open()
    const died = new AbortController()
    world.simulator.onCall(({ endpoint }, stage) => {
      if (endpoint === 'register_plugin_meta' && stage === 'applied') died.abort(new Error('killed'))
    })
    const record = new CellRecord('a')
    const cells = [{ record, desired: desiredObject() }]
    await expect(syncCells(again, space, cells, { signal: died.signal })).rejects.toThrow()
    expect(record).toMatchObject({ identity: null, checkpoint: { step: 'registering', data: { name, url } } })
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(1)

    const next = world.open()
    await using writer = await next.openSpace(space, { signal: never(), fence: async () => {} })
    await writer.remove({ id: pluginId, key: null }, { checkpoint: record.checkpoint })
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(0)
  })

  it('leaves what is listed in the store, and what somebody made into something else', async () => {
    const { platform, pluginId } = await made()
    world.simulator.setProductStatus(pluginId, 1)
    await expect(remove(platform, pluginId)).rejects.toMatchObject({ type: 'Conflict' })
    world.simulator.setProductStatus(pluginId, 0)
    world.simulator.editPlugin(pluginId, { url: 'https://elsewhere.example.com/mcp' })
    await expect(remove(platform, pluginId, true)).rejects.toMatchObject({ type: 'Conflict' })
    expect(world.simulator.plugins(space.remoteId)).toHaveLength(1)
  })
})

describe('how many calls', () => {
  it('20 instances × 5 spaces with 130 foreign plugins each', { timeout: 60_000 }, async () => {
    const { simulator, account } = world
    const spaces = Array.from({ length: 5 }, (_, index) => {
      const remoteId = simulator.addSpace({ ownerId: account.userId, name: `空间${index}` })
      for (let number = 0; number < 130; number++) {
        simulator.addForeignPlugin({
          spaceId: remoteId,
          name: `Other_${number}`,
          pluginType: 11,
          url: `https://o.test/${number}`,
        })
      }
      return { spaceId: `s${index}`, remoteId }
    })
    const cellsOf = new Map(
      spaces.map((place) => [
        place,
        Array.from({ length: 20 }, (_, number) => ({
          record: new CellRecord(`${place.spaceId}-${number}`),
          desired: desiredObject({ instanceId: instanceId(number), name: `Tool_${number}` }),
        })),
      ]),
    )
    const run = async (platform: ReturnType<CozeWorld['open']>) => {
      simulator.resetCalls()
      const results = []
      for (const [place, cells] of cellsOf) results.push(...(await syncCells(platform, place, cells)))
      return { results, counts: simulator.counts(), total: simulator.calls().length }
    }
    world.clock.advance(10 * 60_000)
    const platform = world.open()
    const first = await run(platform)
    expect(new Set(first.results.map(({ action, drift }) => `${action} ${drift}`))).toEqual(new Set(['create ']))
    expect(first.counts).toEqual({
      library_resource_list: 5 * 2,
      register_plugin_meta: 100,
      refresh_mcp_plugin_apis: 100,
      get_plugin_next_version: 100,
      publish_plugin: 100,
      get_playground_plugin_list: 5,
    })
    expect([...simulator.livePluginsByUrl().values()].filter((count) => count !== 1)).toEqual([])

    world.clock.advance(10 * 60_000)
    const second = await run(platform)
    expect(new Set(second.results.map(({ action }) => action))).toEqual(new Set(['unchanged']))
    expect(simulator.calls({ writes: true })).toEqual([])
    expect(second.counts).toEqual({ library_resource_list: 10, get_playground_plugin_list: 5, get_plugin_info: 100 })

    const third = await run(platform)
    expect(third.counts).toEqual({ library_resource_list: 10, get_playground_plugin_list: 5 })

    // The peer's: for every cell one list, details of every plugin until its own, register or update, refresh, publish.
    const peer = 20 * 5 * (1 + 130 + 3)
    console.info(
      `calls for 20 × 5 cells: ${first.total} to create, ${second.total} and ${third.total} unchanged; the peer's formula: ${peer}`,
    )
  })
})
