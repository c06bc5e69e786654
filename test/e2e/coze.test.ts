import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { captureHistories, textOf } from '../support/histories.ts'
import { finished, type Product, type SyncBody, syncWhen, targetsOf } from '../support/product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { SHAPES } from '../support/shapes.ts'

/** The main job with COZE as a user does it, over HTTP only; the simulator really calls the gateway. */

const NEW_TOKEN = 'canary-Custom-Token-7713-zxcvbn'

describe.each(SHAPES)('%s', (_shape, start) => {
  let product: Product
  let coze: CozeSimulator
  let zhang: CozeAccount
  let mcp: ScriptedServer
  let platformId = ''
  let instanceId = ''
  let remoteSpaceId = ''
  const cookies: string[] = []

  beforeAll(async () => {
    mcp = await startScriptedServer({ tools: manyTools(3) })
    product = await start()
    coze = await startCozeSimulator({ adminPort: null, allowInsecureOrigins: [product.origin] })
    zhang = coze.addAccount({ name: '张三' })
    remoteSpaceId = coze.addSpace({ ownerId: zhang.userId, name: '研发' })
  })
  afterAll(async () => {
    await product?.stop()
    await coze?.stop()
    await mcp?.stop()
  })

  async function spaceIds(): Promise<string[]> {
    const spaces = await product.must<{ items: { id: string; remoteId: string }[] }>(
      200,
      'GET',
      `/platforms/${platformId}/spaces`,
    )
    return spaces.items.filter((space) => space.remoteId === remoteSpaceId).map((space) => space.id)
  }

  async function sync(body: Record<string, unknown> = {}): Promise<string> {
    const started = await product.must<{ id: string }>(202, 'POST', '/syncs', {
      platformId,
      instanceIds: [instanceId],
      spaceIds: await spaceIds(),
      acceptWarnings: true,
      ...body,
    })
    return started.id
  }

  const plugins = () => coze.plugins(remoteSpaceId)
  const sentToken = () => plugins()[0]?.agentHeaders?.find(({ name }) => name === 'Authorization')?.value ?? ''

  /** As an agent of COZE calls the plugin: with its headers, at its address. */
  async function initialize(): Promise<number> {
    const url = plugins()[0]?.online?.meta.url ?? ''
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        authorization: sentToken(),
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'agent', version: '1' } },
      }),
    })
    await response.text()
    return response.status
  }

  it('a COZE account is registered by its cookie, a server comes into its space as a published plugin', async () => {
    cookies.push(zhang.cookie)
    const platform = await product.must<{ id: string; settings: unknown }>(201, 'POST', '/platforms', {
      kind: 'coze',
      name: 'Our COZE',
      baseUrl: coze.origin,
      accountType: 'personal',
      cookie: zhang.cookie,
    })
    platformId = platform.id
    instanceId = (
      await product.must<{ id: string }>(201, 'POST', '/instances', {
        name: '天气-Weather',
        transport: 'streamable-http',
        url: mcp.url,
      })
    ).id
    const run = await finished(product, await sync())
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 1, total: 1 } })
    expect(plugins()).toMatchObject([{ published: true, status: false, online: { meta: { name: '天气_Weather' } } }])
    expect(plugins()[0]?.online?.tools).toHaveLength(3)
    expect(await initialize()).toBe(200)
  }, 240_000)

  it('the end of its cookie is in the metrics', async () => {
    const response = await fetch(`${product.origin}/metrics`, {
      headers: { authorization: `Bearer ${product.adminKey}` },
    })
    expect(await response.text()).toMatch(
      /toolferry_platform_credential_expiry_timestamp_seconds\{[^}]*platform="Our COZE"\} \d{10}/,
    )
  })

  it('a second run writes nothing', async () => {
    const before = coze.calls({ writes: true }).length
    expect(await finished(product, await sync())).toMatchObject({ state: 'succeeded', counts: { unchanged: 1 } })
    expect(coze.calls({ writes: true })).toHaveLength(before)
  }, 240_000)

  it('a cookie that dies in mid-run lets the run wait; a new one lets it end, and then the old token may end, too', async () => {
    const before = sentToken()
    coze.faults.add({ endpoint: 'update_plugin_meta', fault: { kind: 'session-lost' } })
    const [spaceId] = await spaceIds()
    const id = await sync({ authorizations: [{ instanceId, spaceId, token: NEW_TOKEN }] })
    await syncWhen(product, id, (run) => run.state === 'waiting_for_credential')
    expect(
      (await product.must<{ credentialState: string }>(200, 'GET', `/platforms/${platformId}`)).credentialState,
    ).toBe('expired')
    expect(await initialize()).toBe(200)
    const cookie = coze.login(zhang.userId)
    cookies.push(cookie)
    await product.must(200, 'PUT', `/platforms/${platformId}/credential`, { cookie: `Cookie: ${cookie}` })
    expect(await finished(product, id)).toMatchObject({ state: 'succeeded' })
    expect(sentToken()).toBe(`Bearer ${NEW_TOKEN}`)
    type Bindings = { items: { id: string; formerTokens: { id: string; stage: string }[] }[] }
    const [binding] = (await product.must<Bindings>(200, 'GET', '/bindings')).items
    expect(binding?.formerTokens).toMatchObject([{ stage: 'grace' }])
    await product.must(200, 'DELETE', `/bindings/${binding?.id}/tokens/${binding?.formerTokens[0]?.id}`)
    const old = await fetch(plugins()[0]?.online?.meta.url ?? '', {
      method: 'POST',
      headers: { authorization: before },
    })
    expect(old.status).toBe(401)
    expect(await initialize()).toBe(200)
    expect(plugins()).toHaveLength(1)
  }, 240_000)

  it('a run that a schedule started waits for a cookie, too', async () => {
    const profile = await product.must<{ id: string }>(201, 'POST', '/profiles', {
      platformId,
      name: 'Every day',
      selection: { instanceIds: [instanceId], spaceIds: await spaceIds() },
      schedule: { intervalMs: 24 * 3_600_000 },
      acceptWarnings: true,
    })
    coze.faults.add({ endpoint: 'library_resource_list', fault: { kind: 'session-lost', shape: 'redirect' } })
    await product.must(202, 'POST', `/profiles/${profile.id}/trigger`)
    const runs = async () =>
      (await product.must<{ items: SyncBody[] }>(200, 'GET', `/syncs?profileId=${profile.id}`)).items
    await expect
      .poll(async () => (await runs()).map(({ state }) => state), { timeout: 60_000 })
      .toEqual(['waiting_for_credential'])
    const cookie = coze.login(zhang.userId)
    cookies.push(cookie)
    await product.must(200, 'PUT', `/platforms/${platformId}/credential`, { cookie })
    const [run] = await runs()
    expect(await finished(product, run?.id ?? '')).toMatchObject({ state: 'succeeded', counts: { unchanged: 1 } })
    await product.must(204, 'DELETE', `/profiles/${profile.id}`)
  }, 240_000)

  it('a plugin that agents use is removed only when that is meant; its token ends after it', async () => {
    coze.setBotQuote(plugins()[0]?.pluginId ?? '', 1)
    const refused = await sync({ action: 'remove', acceptWarnings: false })
    expect(await finished(product, refused)).toMatchObject({ state: 'failed', counts: { conflict: 1 } })
    expect((await targetsOf(product, refused))[0]?.error?.message).toContain('used by 1 agent')
    expect(await initialize()).toBe(200)

    const url = plugins()[0]?.online?.meta.url ?? ''
    const token = sentToken()
    expect(await finished(product, await sync({ action: 'remove' }))).toMatchObject({ state: 'succeeded' })
    expect(plugins()).toEqual([])
    const after = await fetch(url, { method: 'POST', headers: { authorization: token } })
    expect(after.status).toBe(401)
  }, 240_000)

  it('a session that ends between the runs is found by the watch, which Temporal starts by itself', async () => {
    const state = async () =>
      (await product.must<{ credentialState: string }>(200, 'GET', `/platforms/${platformId}`)).credentialState
    expect(await state()).toBe('valid')
    coze.loseSession({ userId: zhang.userId })
    const connection = await Connection.connect({ address: product.temporalAddress })
    try {
      const { schedule } = new Client({ connection })
      const watches: string[] = []
      await expect
        .poll(
          async () => {
            for await (const { scheduleId } of schedule.list()) {
              if (scheduleId.startsWith('credential-watch-')) watches.push(scheduleId)
            }
            return watches.length
          },
          { timeout: 60_000 },
        )
        .toBe(1)
      await schedule.getHandle(watches[0] ?? '').trigger()
    } finally {
      await connection.close()
    }
    await expect.poll(state, { timeout: 60_000 }).toBe('expired')
  }, 240_000)

  it('COZE was never called faster than agreed, by whichever part of the product', () => {
    expect(coze.load().maxInFlightOfOneUser).toBeLessThanOrEqual(2)
    expect(coze.load().maxWritesInFlightInOneSpace).toBe(1)
    // Two a second are reserved; on the way here two may come closer together.
    expect(coze.load().maxStartsPerSecondOfOneUser).toBeLessThanOrEqual(3)
  })

  it('no cookie and no token is in any answer, log, history or in the store in the clear', async () => {
    const secrets = cookies.flatMap((cookie) => /sessionid=([^;]+)/.exec(cookie)?.[1] ?? [])
    const tokens = coze.calls().flatMap(({ body }) => JSON.stringify(body ?? '').match(/tfg_\w+/g) ?? [])
    const all = [...new Set([...secrets, ...tokens, NEW_TOKEN])]
    expect(secrets).toHaveLength(3)
    expect(tokens.length).toBeGreaterThan(0)
    const histories = textOf(await captureHistories(product.temporalAddress))
    const store = await product.storeText()
    for (const secret of all) {
      expect(product.answers().join('\n').includes(secret)).toBe(false)
      expect(product.output().includes(secret)).toBe(false)
      expect(histories.includes(secret)).toBe(false)
      expect(store.includes(secret)).toBe(false)
    }
  }, 240_000)
})
