import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callAsDify } from '../support/call-as-dify.ts'
import {
  createDifyDatabase,
  type DifyTestDatabase,
  footprint,
  type StoredRow,
  type TestWorkspace,
} from '../support/dify-database.ts'
import type { Engine } from '../support/dify-shapes.ts'
import { captureHistories, textOf } from '../support/histories.ts'
import { type RunningServer, startEverything } from '../support/mcp-servers.ts'
import { finished, type Product, type SyncBody, type TargetBody, targetsOf } from '../support/product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'

/** The main job as a user does it, over HTTP only: MCP servers into Dify workspaces, on real parts. */

/** Planted everywhere a secret goes in; none may come out. */
const CANARY = {
  databasePassword: 'canary-db p\'ass "word" 5f2e',
  upstreamHeader: 'canary-upstream-9d41',
  defaultPassThrough: 'canary-default-passthrough-77ab',
  ownPassThrough: 'canary-own-passthrough-c3d8',
  customToken: 'canary-Custom-Token-8842-qwertz',
  secondToken: 'canary-Second-Token-5150-asdfgh',
}

/** The main job in one shape of the product, for a Dify on either engine. `start` makes the product; it is stopped here. */
export function describeMainJob(shape: string, start: () => Promise<Product>, difyEngine: Engine = 'postgresql'): void {
  describe(shape, () => {
    let product: Product
    let dify: DifyTestDatabase
    let streaming: RunningServer
    let sse: RunningServer
    let tenant: ScriptedServer
    const workspaces: Record<string, TestWorkspace> = {}
    const spaces: Record<string, string> = {}
    const instances: Record<string, string> = {}
    let platformId = ''

    beforeAll(async () => {
      ;[dify, streaming, sse, tenant] = await Promise.all([
        createDifyDatabase({ engine: difyEngine, password: CANARY.databasePassword }),
        startEverything('streamableHttp'),
        startEverything('sse'),
        startScriptedServer({
          tools: manyTools(7),
          pageSize: 3,
          requiredHeader: { name: 'X-Upstream-Key', value: CANARY.upstreamHeader },
        }),
      ])
      for (const name of ['Alpha', 'Beta', 'Gamma']) {
        workspaces[name] = await dify.addWorkspace({
          name,
          owner: { name: `${name} owner`, email: `${name}@example.com` },
        })
      }
      workspaces.Keyless = await dify.addWorkspace({ name: 'Keyless', withKey: false })
      product = await start()
    }, 180_000)

    afterAll(async () => {
      await product?.stop()
      await Promise.all([streaming?.stop(), sse?.stop(), tenant?.stop()])
      await dify?.drop()
    })

    async function sync(body: Record<string, unknown>): Promise<{ run: SyncBody; targets: TargetBody[] }> {
      const started = await product.must<{ id: string }>(202, 'POST', '/syncs', {
        platformId,
        acceptWarnings: true,
        ...body,
      })
      const run = await finished(product, started.id)
      return { run, targets: await targetsOf(product, started.id) }
    }

    function workspace(name: string): TestWorkspace {
      const found = workspaces[name]
      if (found === undefined) throw new Error(`no workspace ${name}`)
      return found
    }

    const good = () => [spaces.Alpha, spaces.Beta, spaces.Gamma]
    const everyInstance = () => [instances.streaming, instances.sse, instances.tenant]

    describe('M1: a Dify platform', () => {
      const database = () => ({ ...dify.connection, password: CANARY.databasePassword, tls: 'disable' })

      it('is refused with the field and the reason when its database cannot be used', async () => {
        const answer = await product.call<{ code: string; errors: { field: string }[] }>('POST', '/platforms', {
          kind: 'dify',
          name: 'Wrong',
          edition: 'community',
          database: { ...database(), database: 'postgres' },
        })
        expect(answer.status).toBe(422)
        expect(answer.body.errors.map((error) => error.field)).toContain('database.database')
      })

      it('is checked when it is saved', async () => {
        const created = await product.must<{ id: string }>(201, 'POST', '/platforms', {
          kind: 'dify',
          name: 'Our Dify',
          edition: 'community',
          database: database(),
        })
        platformId = created.id
        const check = await product.must<{ ok: boolean; version: string }>(
          200,
          'POST',
          `/platforms/${platformId}/check`,
          {},
        )
        expect(check.ok).toBe(true)
        expect(check.version).toMatch(/^Dify 1\.16.*(PostgreSQL|MariaDB|MySQL)/)
      })

      it('is registered once', async () => {
        const answer = await product.call('POST', '/platforms', {
          kind: 'dify',
          name: 'The same',
          edition: 'community',
          database: { ...database(), user: 'somebody-else' },
        })
        expect(answer.status).toBe(409)
        expect(answer.text).toContain('Our Dify')
      })

      it('is registered once, also under another name of its host', async () => {
        const answer = await product.call('POST', '/platforms', {
          kind: 'dify',
          name: 'The same by name',
          edition: 'community',
          database: { ...database(), host: 'localhost' },
        })
        expect(answer.status).toBe(409)
        expect(answer.text).toContain('Our Dify')
      })
    })

    describe('M6: its workspaces', () => {
      it('are listed with their owner, and one that cannot be used with the reason', async () => {
        const page = await product.must<{
          items: { id: string; name: string; ownerName: string; problem: string | null }[]
        }>(200, 'GET', `/platforms/${platformId}/spaces?refresh=true`)
        for (const space of page.items) spaces[space.name] = space.id
        expect(page.items.map((space) => space.name).sort()).toEqual(['Alpha', 'Beta', 'Gamma', 'Keyless'])
        expect(page.items.find((space) => space.name === 'Alpha')?.ownerName).toBe('Alpha owner')
        expect(page.items.find((space) => space.name === 'Keyless')?.problem).toMatch(/key/i)
      })
    })

    describe('M3: MCP servers', () => {
      it('are registered, one by one and by an mcpServers JSON', async () => {
        const one = await product.must<{ id: string }>(201, 'POST', '/instances', {
          name: 'Everything',
          transport: 'streamable-http',
          url: streaming.url,
        })
        instances.streaming = one.id
        const tenantServer = await product.must<{ id: string }>(201, 'POST', '/instances', {
          name: 'Tenant search',
          transport: 'streamable-http',
          url: tenant.url,
          headers: { 'X-Upstream-Key': CANARY.upstreamHeader },
          defaultPassThroughHeaders: { 'X-Tenant': CANARY.defaultPassThrough },
        })
        instances.tenant = tenantServer.id
        const imported = await product.must<{ items: { id: string }[] }>(201, 'POST', '/instances/import', {
          mcpServers: { 'Everything by SSE': { url: sse.url, type: 'sse' } },
        })
        instances.sse = imported.items[0]?.id ?? ''
      })

      it('are probed by a real handshake', async () => {
        for (const id of everyInstance()) {
          const probe = await product.must<{ ok: boolean; toolCount: number }>(
            200,
            'POST',
            `/instances/${id}/probe`,
            {},
          )
          expect(probe).toMatchObject({ ok: true })
          expect(probe.toolCount).toBeGreaterThan(5)
        }
      })
    })

    describe('a plan', () => {
      it('says what would be done, and has minted and written nothing', async () => {
        const { run, targets } = await sync({ instanceIds: everyInstance(), spaceIds: good(), dryRun: true })
        expect(run.state).toBe('planned')
        expect(targets.map((target) => target.action)).toEqual(Array(9).fill('create'))
        expect(targets[0]?.changes?.map((change) => change.field)).toContain('authorization')
        expect(await dify.rows()).toEqual([])
        const bindings = await product.must<{ items: unknown[] }>(200, 'GET', '/bindings')
        expect(bindings.items).toEqual([])
      })
    })

    describe('M7 to M12: a sync', () => {
      let first: { run: SyncBody; targets: TargetBody[] }

      it('refuses a weak token of the admin, saying why', async () => {
        const answer = await product.call('POST', '/syncs', {
          platformId,
          acceptWarnings: true,
          instanceIds: [instances.tenant],
          spaceIds: [spaces.Alpha],
          authorizations: [{ instanceId: instances.tenant, spaceId: spaces.Alpha, token: 'aaaaaaaaaaaaaaaaaaaaaaaa' }],
        })
        expect(answer.status).toBe(422)
        expect(answer.text).toMatch(/token/)
      })

      it('asks for consent to a gateway address that only this machine can reach', async () => {
        const answer = await product.call<{ code: string }>('POST', '/syncs', {
          platformId,
          instanceIds: [instances.streaming],
          spaceIds: good(),
        })
        expect(answer.status).toBe(409)
        expect(answer.body.code).toBe('warnings_not_accepted')
      })

      it('brings every instance into every workspace, and says so per target', async () => {
        first = await sync({
          instanceIds: everyInstance(),
          spaceIds: good(),
          authorizations: [
            { instanceId: instances.tenant, spaceId: spaces.Alpha, token: CANARY.customToken },
            {
              instanceId: instances.tenant,
              spaceId: spaces.Beta,
              passThroughHeaders: { 'X-Tenant': CANARY.ownPassThrough },
            },
          ],
        })
        expect(first.run).toMatchObject({ state: 'succeeded', error: null })
        expect(first.targets.map((target) => [target.state, target.action, target.attempts])).toEqual(
          Array(9).fill(['succeeded', 'create', 1]),
        )
      })

      it('wrote rows that Dify can read, each workspace with a token of its own', async () => {
        const tokens = new Set<string>()
        for (const name of ['Alpha', 'Beta', 'Gamma']) {
          const rows = await dify.checkRows(workspace(name))
          expect(rows.map((row) => row.name).sort()).toEqual(['Everything', 'Everything by SSE', 'Tenant search'])
          for (const row of rows) {
            expect(Object.keys(row.headers)).toEqual(['Authorization'])
            tokens.add(row.headers.Authorization ?? '')
            expect(row.url).toMatch(/\/mcp-gateway\/[0-9a-f-]{36}\/(mcp|sse)$/)
          }
          expect(rows.find((row) => row.name === 'Tenant search')?.tools).toHaveLength(7)
        }
        expect(tokens.size).toBe(9)
        expect(tokens).toContain(`Bearer ${CANARY.customToken}`)
      })

      it('M10: every token was proven through the gateway before', async () => {
        const bindings = await product.must<{ items: { token: { provenAt: string | null } | null }[] }>(
          200,
          'GET',
          '/bindings',
        )
        expect(bindings.items).toHaveLength(9)
        for (const binding of bindings.items) expect(binding.token?.provenAt).toMatch(/^20/)
      })

      it('M12: the tools can be called the way Dify calls them, over both transports', async () => {
        for (const name of ['Alpha', 'Beta', 'Gamma']) {
          const rows = await dify.checkRows(workspace(name))
          for (const row of rows.filter((one) => one.name.startsWith('Everything'))) {
            const answer = await callAsDify(row.url, row.headers, 'echo', { message: `hello from ${name}` })
            expect(answer).toMatchObject({ status: 200, text: expect.stringContaining(`hello from ${name}`) })
          }
        }
      })

      it('M9: pass-through headers reach the MCP server per workspace, and the gateway token does not', async () => {
        const seen = async (name: string) => {
          const rows = await dify.checkRows(workspace(name))
          const row = rows.find((one) => one.name === 'Tenant search')
          tenant.requests.length = 0
          await callAsDify(row?.url ?? '', row?.headers ?? {}, 'tool-1', { text: 'x' })
          return tenant.requests.find((request) => request.message?.method === 'tools/call')?.headers
        }
        expect(await seen('Alpha')).toMatchObject({ 'x-tenant': CANARY.defaultPassThrough })
        const beta = await seen('Beta')
        expect(beta).toMatchObject({ 'x-tenant': CANARY.ownPassThrough, 'x-upstream-key': CANARY.upstreamHeader })
        expect(beta?.authorization).toBeUndefined()
      })

      it('M13: the same again writes nothing', async () => {
        const before = await footprint(dify)
        const again = await sync({ instanceIds: everyInstance(), spaceIds: good() })
        expect(again.run.state).toBe('succeeded')
        expect(again.targets.map((target) => target.state)).toEqual(Array(9).fill('unchanged'))
        expect(await footprint(dify)).toEqual(before)
      })

      it('M13: what changed is updated in place, nothing is made twice', async () => {
        const identity = (rows: StoredRow[]) => rows.map((row) => `${row.id} ${row.server_identifier}`).sort()
        const before = identity(await dify.rows())
        await dify.query(
          `UPDATE tool_mcp_providers SET authed = false, tools = '[]' WHERE tenant_id = $1 AND name = 'Everything'`,
          [workspace('Gamma').tenantId],
        )
        const healed = await sync({ instanceIds: everyInstance(), spaceIds: good() })
        const changed = healed.targets.filter((target) => target.state !== 'unchanged')
        expect(changed.map((target) => [target.spaceName, target.instanceName, target.state, target.action])).toEqual([
          ['Gamma', 'Everything', 'succeeded', 'update'],
        ])
        expect(identity(await dify.rows())).toEqual(before)
        await dify.checkRows(workspace('Gamma'))
      })

      it('M8: a token that the admin replaces is written into Dify; the former one stays good until it is unused or ended', async () => {
        const row = async () =>
          (await dify.checkRows(workspace('Alpha'))).find((one) => one.name === 'Tenant search') ?? {
            url: '',
            headers: {},
          }
        const before = await row()
        const replaced = await sync({
          instanceIds: [instances.tenant],
          spaceIds: [spaces.Alpha],
          authorizations: [{ instanceId: instances.tenant, spaceId: spaces.Alpha, token: CANARY.secondToken }],
        })
        expect(replaced.targets.map((target) => [target.state, target.action])).toEqual([['succeeded', 'update']])
        expect(replaced.targets[0]?.changes?.map((change) => change.field)).toEqual(['authorization'])
        const after = await row()
        expect(after.headers).toEqual({ Authorization: `Bearer ${CANARY.secondToken}` })
        expect((await callAsDify(after.url, after.headers, 'tool-1', { text: 'x' })).status).toBe(200)
        // A call of Dify's that had read the row before is not cut off.
        expect((await callAsDify(before.url, before.headers, 'tool-1', { text: 'x' })).status).toBe(200)
        type Bindings = { items: { id: string; formerTokens: { id: string; stage: string }[] }[] }
        const query = `instanceId=${instances.tenant}&spaceId=${spaces.Alpha}`
        const [binding] = (await product.must<Bindings>(200, 'GET', `/bindings?${query}`)).items
        expect(binding?.formerTokens).toMatchObject([{ stage: 'grace' }])
        const former = `/bindings/${binding?.id}/tokens/${binding?.formerTokens[0]?.id}`
        expect(await product.must(200, 'DELETE', former)).toEqual({ effective: true })
        expect((await callAsDify(before.url, before.headers, 'tool-1', { text: 'x' })).status).toBe(401)
        expect((await callAsDify(after.url, after.headers, 'tool-1', { text: 'x' })).status).toBe(200)
      })

      it('a token that another binding has is refused', async () => {
        const answer = await product.call<{ code: string }>('POST', '/syncs', {
          platformId,
          acceptWarnings: true,
          instanceIds: [instances.tenant],
          spaceIds: [spaces.Beta],
          authorizations: [{ instanceId: instances.tenant, spaceId: spaces.Beta, token: CANARY.secondToken }],
        })
        expect(answer).toMatchObject({ status: 409, body: { code: 'token_in_use' } })
      })

      it('M11: what happened can be read as live events, and resumed after the last one seen', async () => {
        const list = await product.must<{ items: SyncBody[] }>(200, 'GET', '/syncs?limit=200')
        const run = list.items.find((one) => one.counts.succeeded === 9)
        const read = async (headers: Record<string, string> = {}) => {
          const { status, text } = await product.call('GET', `/syncs/${run?.id}/events`, undefined, headers)
          return {
            status,
            ids: [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1])),
            text,
          }
        }
        const all = await read()
        expect(all.ids).toEqual(all.ids.map((_, index) => index + 1))
        expect(all.text.match(/event: target/g)).toHaveLength(9)
        const half = Math.floor(all.ids.length / 2)
        expect((await read({ 'last-event-id': String(half) })).ids).toEqual(all.ids.slice(half))
        expect((await read({ 'last-event-id': String(all.ids.length) })).status).toBe(204)
      })

      it('Idempotency-Key: the same call twice is one run', async () => {
        const body = { platformId, acceptWarnings: true, instanceIds: [instances.streaming], spaceIds: [spaces.Alpha] }
        const headers = { 'idempotency-key': 'one-run' }
        const one = await product.call<{ id: string }>('POST', '/syncs', body, headers)
        const two = await product.call<{ id: string }>('POST', '/syncs', body, headers)
        expect([one.status, two.status]).toEqual([202, 202])
        expect(two.body.id).toBe(one.body.id)
        await finished(product, one.body.id)
        const other = await product.call<{ code: string }>(
          'POST',
          '/syncs',
          { ...body, spaceIds: [spaces.Beta] },
          headers,
        )
        expect(other).toMatchObject({ status: 409, body: { code: 'idempotency_key_reused' } })
      })
    })

    describe('a workspace that is broken', () => {
      it('does not keep the others back; its target says why and what to do; retry does just that one', async () => {
        const { run, targets } = await sync({
          instanceIds: [instances.streaming],
          spaceIds: [spaces.Alpha, spaces.Keyless],
        })
        expect(run.state).toBe('partial')
        const failed = targets.filter((target) => target.state === 'failed')
        expect(failed).toHaveLength(1)
        expect(failed[0]).toMatchObject({ spaceName: 'Keyless', error: { type: 'InvalidDesiredState' } })
        expect(failed[0]?.error?.message).toMatch(/key/i)
        expect(failed[0]?.error?.hint).not.toBe('')

        await dify.query(
          `UPDATE tenants SET encrypt_public_key =
             (SELECT k.encrypt_public_key FROM (SELECT encrypt_public_key FROM tenants WHERE id = $1) k) WHERE id = $2`,
          [workspace('Alpha').tenantId, workspace('Keyless').tenantId],
        )
        const retry = await product.must<{ id: string }>(202, 'POST', `/syncs/${run.id}/retry`, {})
        expect(await finished(product, retry.id)).toMatchObject({
          state: 'succeeded',
          counts: { total: 1, succeeded: 1 },
        })
        const rows = await dify.checkRows({ ...workspace('Keyless'), privateKeyPem: workspace('Alpha').privateKeyPem })
        expect(rows.map((row) => row.name)).toEqual(['Everything'])
        expect((await product.call('POST', `/syncs/${run.id}/cancel`, {})).status).toBe(409)
      })
    })

    describe('M14: access', () => {
      it('a disabled workspace is refused at once, the others are not, and it comes back', async () => {
        const row = async (name: string) => {
          const rows = await dify.checkRows(workspace(name))
          return rows.find((one) => one.name === 'Everything') ?? { url: '', headers: {} }
        }
        const [alpha, beta] = [await row('Alpha'), await row('Beta')]
        const disabled = await product.must<{ effective: boolean }>(200, 'POST', `/spaces/${spaces.Alpha}/disable`, {})
        expect(disabled.effective).toBe(true)
        // On every gateway, whichever a call reaches.
        for (const origin of product.gatewayOrigins) {
          const url = `${origin}${new URL(alpha.url).pathname}`
          expect((await callAsDify(url, alpha.headers, 'echo', { message: 'x' })).status).toBe(403)
        }
        expect((await callAsDify(beta.url, beta.headers, 'echo', { message: 'x' })).status).toBe(200)
        const skipped = await sync({ instanceIds: [instances.streaming], spaceIds: [spaces.Alpha] })
        expect(skipped.targets.map((target) => target.state)).toEqual(['skipped'])
        await product.must(200, 'POST', `/spaces/${spaces.Alpha}/enable`, {})
        expect((await callAsDify(alpha.url, alpha.headers, 'echo', { message: 'x' })).status).toBe(200)
      })

      it('a binding’s pass-through headers change without touching Dify; a stale write changes nothing', async () => {
        const page = await product.must<{ items: { id: string; rowVersion: number }[] }>(
          200,
          'GET',
          `/bindings?instanceId=${instances.tenant}&spaceId=${spaces.Gamma}`,
        )
        const binding = page.items[0]
        const before = await footprint(dify)
        const patch = { passThroughHeaders: { 'X-Tenant': 'gamma' } }
        const match = { 'if-match': `"${binding?.rowVersion}"` }
        expect((await product.call('PATCH', `/bindings/${binding?.id}`, patch, match)).status).toBe(200)
        expect((await product.call('PATCH', `/bindings/${binding?.id}`, patch, match)).status).toBe(409)
        expect((await product.call('PATCH', `/bindings/${binding?.id}`, patch)).status).toBe(428)
        expect(await footprint(dify)).toEqual(before)
      })
    })

    describe('M15: permission', () => {
      it('is checked on the server', async () => {
        const viewer = await product.must<{ key: string }>(201, 'POST', '/api-keys', {
          name: 'watcher',
          role: 'viewer',
        })
        const as = { authorization: `Bearer ${viewer.key}` }
        expect((await product.call('GET', '/syncs', undefined, as)).status).toBe(200)
        expect((await product.call('POST', `/spaces/${spaces.Alpha}/disable`, {}, as)).status).toBe(403)
        expect((await product.call('GET', '/syncs', undefined, { authorization: 'Bearer nobody' })).status).toBe(401)
      })
    })

    describe('M17: what ops see, and what nobody sees', () => {
      it('the run’s page in the Temporal Web UI exists, and its history is readable: one activity a phase', async () => {
        const list = await product.must<{ items: SyncBody[] }>(200, 'GET', '/syncs?limit=200')
        const url = list.items[0]?.temporalUrl ?? ''
        expect(url.startsWith(product.temporalUi)).toBe(true)
        expect((await fetch(url)).status).toBe(200)
        const histories = await captureHistories(product.temporalAddress)
        const texts = histories.map((one) => textOf(one.history))
        const phases = [
          'prepareSync',
          'discoverTools',
          'planSpace',
          'mintTokens',
          'writeDifyProviders',
          'verifySpace',
          'recordOutcome',
        ]
        const readable = texts.filter((text) => phases.every((name) => text.includes(name)))
        expect(readable.some((text) => text.includes('space 2 of 3: write'))).toBe(true)
        expect(readable.some((text) => text.includes('Dify sync: 3 MCP servers × 3 spaces'))).toBe(true)
      })

      it('no secret and no URL is in any history, API answer or log line', async () => {
        const histories = await captureHistories(product.temporalAddress)
        expect(histories.length).toBeGreaterThan(6)
        const tokens = []
        for (const name of ['Alpha', 'Beta', 'Gamma']) {
          for (const row of await dify.checkRows(workspace(name)))
            tokens.push((row.headers.Authorization ?? '').slice(7))
        }
        expect(tokens).toHaveLength(9)
        const secrets = [...Object.values(CANARY), ...tokens]
        const inHistories = histories.map((one) => textOf(one.history)).join('\n')
        for (const secret of [...secrets, streaming.url, sse.url, tenant.url, 'mcp-gateway', product.adminKey]) {
          expect(inHistories.includes(secret), `«${secret}» in a history`).toBe(false)
        }
        const shown = [...product.answers(), product.output()].join('\n')
        for (const secret of [...secrets, product.adminKey])
          expect(shown.includes(secret), `«${secret}» in an answer or a log`).toBe(false)
      })

      it('the scan finds what is there: a planted word in a payload is seen', async () => {
        const histories = await captureHistories(product.temporalAddress)
        expect(histories.some((one) => textOf(one.history).includes(spaces.Alpha ?? '-'))).toBe(true)
      })
    })
  })
}
