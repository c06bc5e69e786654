import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { type DifyRow, openRow } from '../../demo/dify/dify-side.ts'
import { createDifyDatabase, type DifyTestDatabase, footprint, type TestWorkspace } from '../support/dify-database.ts'
import { finished, type Product } from '../support/product.ts'
import { triggerSchedule } from '../support/schedules.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { connectSdkClient, type SdkClient } from '../support/sdk-clients.ts'
import { startSessionServer } from '../support/session-mcp-server.ts'
import { SHAPES } from '../support/shapes.ts'

/** An MCP server whose tools change: brought to Dify and COZE by one run each once the list has settled, or only shown. */

const WAIT = { timeout: 60_000, interval: 300 }

type Run = { id: string; platformId: string; requestedBy: string; name: string; state: string }
type Binding = {
  id: string
  platform: { id: string }
  deployment: { state: string; driftFields: string[]; driftReason: string | null; driftSince: string | null }
}
type Watched = { asked: number; changed: number; started: number; unsettledInstanceIds: string[] }

describe.each(SHAPES)('%s', (_shape, start) => {
  /** Changes; asked for by whoever lists. */
  let tools = manyTools(2)
  /** While it flaps, every listing gives another list. */
  let flaps = false
  let listings = 0

  let product: Product
  let dify: DifyTestDatabase
  let coze: CozeSimulator
  let server: ScriptedServer
  let workspace: TestWorkspace
  let cozeSpace = ''
  let instanceId = ''
  const platformIds: string[] = []
  const profileIds: string[] = []

  beforeAll(async () => {
    ;[dify, server, product] = await Promise.all([
      createDifyDatabase(),
      startScriptedServer({
        page: () => {
          listings += 1
          return { tools: flaps ? manyTools(2 + (listings % 2)) : tools }
        },
      }),
      // By hand, so that the test sees every look.
      start({ TOOLFERRY_WATCH_TOOLS_SECONDS: '86400', TOOLFERRY_TOOLS_SETTLE_SECONDS: '2' }),
    ])
    coze = await startCozeSimulator({ adminPort: null, allowInsecureOrigins: [product.origin] })
    const account = coze.addAccount({ name: '张三' })
    cozeSpace = coze.addSpace({ ownerId: account.userId, name: '研发' })
    workspace = await dify.addWorkspace({ name: 'Alpha' })
    const created = async (path: string, body: unknown) =>
      (await product.must<{ id: string }>(201, 'POST', path, body)).id
    instanceId = await created('/instances', { name: 'Server', transport: 'streamable-http', url: server.url })
    platformIds.push(
      await created('/platforms', {
        kind: 'dify',
        name: 'Dify',
        edition: 'community',
        database: { ...dify.connection, password: 'unused', tls: 'disable' },
      }),
      await created('/platforms', {
        kind: 'coze',
        name: 'COZE',
        baseUrl: coze.origin,
        accountType: 'personal',
        cookie: account.cookie,
      }),
    )
    for (const platformId of platformIds) {
      const path = `/platforms/${platformId}/spaces?refresh=true`
      const spaces = await product.must<{ items: { id: string; name: string }[] }>(200, 'GET', path)
      const spaceIds = spaces.items.filter(({ name }) => ['Alpha', '研发'].includes(name)).map(({ id }) => id)
      const profileId = await created('/profiles', {
        platformId,
        name: `Profile of ${platformId}`,
        selection: { instanceIds: [instanceId], spaceIds },
        acceptWarnings: true,
      })
      profileIds.push(profileId)
      const run = await product.must<{ id: string }>(202, 'POST', `/profiles/${profileId}/trigger`, {})
      expect(await finished(product, run.id)).toMatchObject({ state: 'succeeded', counts: { succeeded: 1 } })
    }
  })

  afterAll(async () => {
    await product?.stop()
    await coze?.stop()
    await server?.stop()
    await dify?.drop()
  })

  const watch = () => triggerSchedule<Watched>(product.temporalAddress, 'tool-watch-')
  const bindings = async () => (await product.must<{ items: Binding[] }>(200, 'GET', '/bindings')).items
  const watchRuns = async () =>
    (await product.must<{ items: Run[] }>(200, 'GET', '/syncs?limit=200')).items.filter(
      ({ requestedBy }) => requestedBy === 'tool watch',
    )
  const inDify = async () => (await dify.checkRows(workspace))[0]?.tools.length
  const inCoze = () => coze.plugins(cozeSpace)[0]?.online?.tools.length
  const policy = async (onToolsChanged: 'sync' | 'report') => {
    for (const id of profileIds) await product.must(200, 'PATCH', `/profiles/${id}`, { onToolsChanged })
  }

  describe('a changed tool list', () => {
    it('is nobody’s business while it stays the same', async () => {
      expect(await watch()).toMatchObject({ asked: 1, changed: 0, started: 0 })
      expect(await watchRuns()).toEqual([])
    }, 240_000)

    it('comes to Dify and to COZE by one run each, once it has settled, within one look', async () => {
      tools = manyTools(3)
      expect(await watch()).toMatchObject({ changed: 2, started: 2, unsettledInstanceIds: [] })
      await expect
        .poll(async () => (await watchRuns()).map(({ state }) => state), WAIT)
        .toEqual(['succeeded', 'succeeded'])
      expect(new Set((await watchRuns()).map(({ platformId }) => platformId))).toEqual(new Set(platformIds))
      expect([await inDify(), inCoze()]).toEqual([3, 3])
      expect((await bindings()).map(({ deployment }) => [deployment.state, deployment.driftReason])).toEqual([
        ['in_sync', null],
        ['in_sync', null],
      ])
      expect(await watch()).toMatchObject({ changed: 0, started: 0 })
      expect(await watchRuns()).toHaveLength(2)
    }, 240_000)

    it('that flaps starts no run, however often it is looked at, and is right again when it ends', async () => {
      const before = [await footprint(dify), coze.calls({ writes: true }).length]
      flaps = true
      for (let look = 0; look < 3; look++) expect(await watch()).toMatchObject({ started: 0 })
      flaps = false
      expect(await watch()).toMatchObject({ changed: 0, started: 0 })
      expect(await watchRuns()).toHaveLength(2)
      expect([await footprint(dify), coze.calls({ writes: true }).length]).toEqual(before)
      expect((await bindings()).map(({ deployment }) => deployment.driftFields)).toEqual([[], []])
    }, 240_000)

    it('is only shown where the policy says report: with the reason, and since when', async () => {
      await policy('report')
      tools = manyTools(4)
      await watch()
      await sleep(2_500)
      expect(await watch()).toMatchObject({ changed: 2, started: 0 })
      for (const { deployment } of await bindings()) {
        expect(deployment).toMatchObject({
          state: 'drifted',
          driftFields: ['upstream-tools'],
          driftReason: 'tools changed upstream',
          driftSince: expect.stringMatching(/^20/),
        })
      }
      const { attention } = await product.must<{ attention: { kind: string; count: number }[] }>(
        200,
        'GET',
        '/overview',
      )
      expect(attention.filter(({ kind }) => kind === 'tools_changed').map(({ count }) => count)).toEqual([1, 1])
      expect(await watchRuns()).toHaveLength(2)
      expect([await inDify(), inCoze()]).toEqual([3, 3])
    }, 240_000)

    it('that cannot be written is not tried again and again', async () => {
      await policy('sync')
      const key = await dify.query('SELECT encrypt_public_key AS key FROM tenants WHERE id = $1', [workspace.tenantId])
      await dify.query('UPDATE tenants SET encrypt_public_key = NULL WHERE id = $1', [workspace.tenantId])
      expect(await watch()).toMatchObject({ changed: 2, started: 2 })
      await expect.poll(async () => (await watchRuns()).filter(({ state }) => state === 'failed').length, WAIT).toBe(1)
      for (let look = 0; look < 3; look++) expect(await watch()).toMatchObject({ started: 0 })
      expect(await watchRuns()).toHaveLength(4)
      await dify.query('UPDATE tenants SET encrypt_public_key = $2 WHERE id = $1', [workspace.tenantId, key[0]?.key])
    }, 180_000)
  })

  it('a server that tells a client of changed tools is asked at once, long before the next look', async () => {
    const own = await startSessionServer()
    const created = async (path: string, body: unknown) =>
      (await product.must<{ id: string }>(201, 'POST', path, body)).id
    let client: SdkClient | null = null
    try {
      const id = await created('/instances', { name: 'Teller', transport: 'streamable-http', url: own.url })
      const [platformId] = platformIds
      const { items } = await product.must<{ items: { id: string; name: string }[] }>(
        200,
        'GET',
        `/platforms/${platformId}/spaces`,
      )
      const selection = { instanceIds: [id], spaceIds: items.map((space) => space.id) }
      const profileId = await created('/profiles', {
        platformId,
        name: 'Of the teller',
        selection,
        acceptWarnings: true,
      })
      const run = await product.must<{ id: string }>(202, 'POST', `/profiles/${profileId}/trigger`, {})
      expect(await finished(product, run.id)).toMatchObject({ state: 'succeeded' })
      const toolsInDify = async () =>
        (await dify.checkRows(workspace)).find(({ name }) => name === 'Teller')?.tools ?? []
      expect(await toolsInDify()).not.toContain('late')

      const [row] = await dify.query(
        'SELECT id, server_url, server_url_hash, encrypted_headers FROM tool_mcp_providers WHERE name = $1',
        ['Teller'],
      )
      const { url, headers } = openRow(row as DifyRow, workspace.privateKeyPem)
      const token = (headers.Authorization ?? '').replace('Bearer ', '')
      client = await connectSdkClient('1.x', 'streamable-http', url, token)
      await expect.poll(() => own.streams(''), WAIT).toBe(1)
      own.addTool('late')
      // Said again: the first time may come before the server has the client's stream in hand.
      await expect
        .poll(
          async () => {
            await own.announceTools()
            return await toolsInDify()
          },
          { timeout: 120_000, interval: 500 },
        )
        .toContain('late')
      const [last] = await watchRuns()
      expect(last).toMatchObject({ name: 'Changed tools of Teller', platformId })
    } finally {
      await client?.close()
      await own.stop()
    }
  }, 240_000)
})
