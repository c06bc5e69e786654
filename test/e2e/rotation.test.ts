import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { type DifyRow, openRow } from '../../demo/dify/dify-side.ts'
import { callAsDify } from '../support/call-as-dify.ts'
import { type Credential, callConstantly } from '../support/constant-callers.ts'
import { createDifyDatabase, type DifyTestDatabase, footprint, type TestWorkspace } from '../support/dify-database.ts'
import { captureHistories, textOf } from '../support/histories.ts'
import { finished, type Product, targetsOf } from '../support/product.ts'
import { triggerSchedule } from '../support/schedules.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { SHAPES } from '../support/shapes.ts'
import { type Receiver, startReceiver, verifies } from '../support/webhook-receiver.ts'

/** Tokens are replaced while agents call: in Dify and in COZE, over HTTP only, with not one call refused. */

const GRACE_SECONDS = 2
const OWN_TOKEN = 'canary-Rotated-Token-5521-qwxzjk'
const WAIT = { timeout: 60_000, interval: 250 }

type Binding = {
  id: string
  instance: { id: string }
  space: { id: string }
  platform: { id: string; kind: string }
  rowVersion: number
  token: { id: string; start: string; origin: string; createdAt: string }
  formerTokens: { id: string; stage: string; stillUsed: boolean; endsAt: string | null }[]
  deployment: { state: string }
}
type Rotated = { syncs: { id: string }[]; bindings: number; ended: number }
type Attention = { attention: { kind: string; count: number; message: string }[] }

describe.each(SHAPES)('%s', (_shape, start) => {
  let product: Product
  let dify: DifyTestDatabase
  let coze: CozeSimulator
  let receiver: Receiver
  let servers: ScriptedServer[] = []
  let difyId = ''
  let cozeId = ''
  let cozeSpace = ''
  const workspaces: TestWorkspace[] = []
  const instanceIds: string[] = []
  /** Every token that was ever read from a platform. */
  const seenTokens = new Set<string>()

  beforeAll(async () => {
    receiver = await startReceiver()
    ;[dify, servers, product] = await Promise.all([
      createDifyDatabase(),
      Promise.all([1, 2].map(() => startScriptedServer({ tools: manyTools(3) }))),
      start({
        TOOLFERRY_TOKEN_GRACE_SECONDS: String(GRACE_SECONDS),
        TOOLFERRY_WATCH_TOOLS_SECONDS: '0',
        TOOLFERRY_WORKER_TIMEOUT_SECONDS: '5',
      }),
    ])
    coze = await startCozeSimulator({ adminPort: null, allowInsecureOrigins: [product.origin] })
    const account = coze.addAccount({ name: '张三' })
    cozeSpace = coze.addSpace({ ownerId: account.userId, name: '研发' })
    for (const name of ['Alpha', 'Beta']) workspaces.push(await dify.addWorkspace({ name }))
    const created = async (path: string, body: unknown) =>
      (await product.must<{ id: string }>(201, 'POST', path, body)).id
    difyId = await created('/platforms', {
      kind: 'dify',
      name: 'Dify',
      edition: 'community',
      database: { ...dify.connection, password: 'unused', tls: 'disable' },
    })
    cozeId = await created('/platforms', {
      kind: 'coze',
      name: 'COZE',
      baseUrl: coze.origin,
      accountType: 'personal',
      cookie: account.cookie,
    })
    for (const [index, server] of servers.entries()) {
      const body = { name: `Server ${index + 1}`, transport: 'streamable-http', url: server.url }
      instanceIds.push(await created('/instances', body))
    }
    await product.must(200, 'GET', `/platforms/${difyId}/spaces?refresh=true`)
    const spaces = await product.must<{ items: { id: string; remoteId: string }[] }>(
      200,
      'GET',
      `/platforms/${cozeId}/spaces?refresh=true`,
    )
    const cozeSpaceIds = spaces.items.filter(({ remoteId }) => remoteId === cozeSpace).map(({ id }) => id)
    await sync({ platformId: difyId, spaceIds: 'all' })
    await sync({ platformId: cozeId, spaceIds: cozeSpaceIds })
  })

  afterAll(async () => {
    await product?.stop()
    await coze?.stop()
    await receiver?.close()
    await Promise.all(servers.map((server) => server.stop()))
    await dify?.drop()
  })

  async function sync(body: Record<string, unknown>): Promise<Record<string, number>> {
    const run = await product.must<{ id: string }>(202, 'POST', '/syncs', {
      instanceIds,
      acceptWarnings: true,
      ...body,
    })
    const { state, counts, error } = await finished(product, run.id)
    expect([state, error]).toEqual(['succeeded', null])
    return counts
  }

  async function bindings(query = ''): Promise<Binding[]> {
    return (await product.must<{ items: Binding[] }>(200, 'GET', `/bindings?limit=100${query}`)).items
  }
  const binding = (id: string) => product.must<Binding>(200, 'GET', `/bindings/${id}`)
  const inDify = () => bindings(`&platformId=${difyId}`)
  const inCoze = () => bindings(`&platformId=${cozeId}`)

  /** What Dify would send: from the row as it stands. */
  async function ofRow(workspace: TestWorkspace, name: string): Promise<Credential> {
    const rows = await dify.query(
      'SELECT id, server_url, server_url_hash, encrypted_headers FROM tool_mcp_providers WHERE tenant_id = $1 AND name = $2',
      [workspace.tenantId, name],
    )
    return note(openRow(rows[0] as DifyRow, workspace.privateKeyPem))
  }

  /** What an agent of COZE would send. */
  async function ofPlugin(name: string): Promise<Credential> {
    const plugin = coze.plugins(cozeSpace).find(({ online }) => online?.meta.name === name)
    const headers = plugin?.agentHeaders?.filter((header) => header.name === 'Authorization') ?? []
    return note({
      url: plugin?.online?.meta.url ?? '',
      headers: Object.fromEntries(headers.map((header) => [header.name, header.value])),
    })
  }

  function note(credential: Credential): Credential {
    for (const value of Object.values(credential.headers)) seenTokens.add(value.replace(/^Bearer /, ''))
    return credential
  }

  const everybody = (): (() => Promise<Credential>)[] => [
    ...workspaces.flatMap((workspace) => [1, 2].map((n) => () => ofRow(workspace, `Server ${n}`))),
    ...[1, 2].map((n) => () => ofPlugin(`Server ${n}`)),
  ]

  async function ended(runs: { id: string }[]): Promise<Record<string, number>[]> {
    const all = await Promise.all(runs.map((run) => finished(product, run.id)))
    for (const run of all) expect([run.state, run.error]).toEqual(['succeeded', null])
    return all.map((run) => run.counts)
  }

  const call = (credential: Credential) => callAsDify(credential.url, credential.headers, 'tool-1', { text: 'x' })

  describe('while agents call all the time', () => {
    it('one binding, an instance, a space and everything are rotated, and not one call is refused', async () => {
      const before = await bindings()
      expect(before).toHaveLength(6)
      const callers = callConstantly(everybody(), 'tool-1')
      try {
        await callers.more(2)
        const [one] = await inDify()
        const single = await product.must<{ id: string }>(202, 'POST', `/bindings/${one?.id}/rotate`)
        expect((await ended([single]))[0]).toMatchObject({ total: 1, succeeded: 1 })
        await callers.more(2)

        const [instanceId] = instanceIds
        const ofInstance = await product.must<Rotated>(202, 'POST', '/bindings/rotate', { instanceIds: [instanceId] })
        expect(ofInstance).toMatchObject({ bindings: 3, ended: 0 })
        expect((await ended(ofInstance.syncs)).map(({ succeeded }) => succeeded).sort()).toEqual([1, 2])
        await callers.more(2)

        const [cozeBinding] = await inCoze()
        const ofSpace = await product.must<Rotated>(202, 'POST', '/bindings/rotate', {
          spaceIds: [cozeBinding?.space.id],
        })
        expect((await ended(ofSpace.syncs))[0]).toMatchObject({ total: 2, succeeded: 2 })
        await callers.more(2)

        const all = await product.must<Rotated>(202, 'POST', '/bindings/rotate', { all: true })
        expect(all).toMatchObject({ bindings: 6, syncs: [{}, {}] })
        expect((await ended(all.syncs)).map(({ succeeded }) => succeeded).sort()).toEqual([2, 4])
        await callers.more(3)
      } finally {
        await callers.stop()
      }
      expect(callers.refused()).toEqual([])
      expect(callers.answered()).toBeGreaterThan(6 * 11)

      const after = await bindings()
      for (const { id, token } of before) {
        const now = after.find((other) => other.id === id)
        expect(now?.token.id).not.toBe(token.id)
        expect(now).toMatchObject({ deployment: { state: 'in_sync' }, token: { origin: 'minted' } })
      }
    }, 300_000)

    it('a rotation writes the authorization and nothing else', async () => {
      const [one] = await inDify()
      const run = await product.must<{ id: string }>(202, 'POST', `/bindings/${one?.id}/rotate`, {})
      await ended([run])
      const [target] = await targetsOf(product, run.id)
      expect(target?.changes?.map(({ field }) => field)).toEqual(['authorization'])
      expect(target?.changes?.[0]).toMatchObject({ before: null, after: null })
    }, 240_000)
  })

  describe('a former token', () => {
    it('that nobody uses any more is ended by the watch, which Temporal starts', async () => {
      await expect
        .poll(async () => {
          await triggerSchedule(product.temporalAddress, 'token-watch-')
          return (await bindings()).flatMap(({ formerTokens }) => formerTokens).length
        }, WAIT)
        .toBe(0)
      for (const current of everybody()) expect((await call(await current())).status).toBe(200)
    }, 240_000)

    it('that is still used stays good, is shown, and ends when an admin says so', async () => {
      const [workspace] = workspaces
      if (workspace === undefined) throw new Error('no workspace')
      const old = await ofRow(workspace, 'Server 1')
      const events = ['token.still_used']
      const webhook = { name: 'ops', url: `${receiver.origin}/hook`, events }
      const { secret } = await product.must<{ secret: string }>(201, 'POST', '/webhooks', webhook)
      const own = (await inDify()).filter(({ instance }) => instance.id === instanceIds[0])
      const rotated = await product.must<Rotated>(202, 'POST', '/bindings/rotate', {
        bindingIds: own.map(({ id }) => id),
      })
      await ended(rotated.syncs)
      const mine = async () => {
        expect((await call(old)).status).toBe(200)
        await triggerSchedule(product.temporalAddress, 'token-watch-')
        const found = await Promise.all(own.map(({ id }) => binding(id)))
        return found.flatMap(({ id, formerTokens }) => formerTokens.map((former) => ({ bindingId: id, ...former })))
      }
      let used: Awaited<ReturnType<typeof mine>> = []
      await expect
        .poll(async () => {
          used = await mine()
          // The stage follows from the clock; the watch says so once it has looked.
          const told = product.output().includes('still_used')
          return [...used.map(({ stage, stillUsed }) => [stage, stillUsed]), told]
        }, WAIT)
        .toEqual([['still_used', true], true])
      const overview = await product.must<Attention>(200, 'GET', '/overview')
      expect(overview.attention.find(({ kind }) => kind === 'still_used')).toMatchObject({ count: 1 })
      await receiver.until(1)
      const [message] = receiver.received
      if (message === undefined) throw new Error('no message')
      expect(verifies(message, secret)).toBe(true)
      expect(JSON.parse(message.body)).toMatchObject({
        type: 'token.still_used',
        data: {
          count: 1,
          tokens: [{ bindingId: used[0]?.bindingId, instanceName: 'Server 1', spaceName: 'Alpha' }],
        },
      })

      const active = await product.call('DELETE', `/bindings/${used[0]?.bindingId}/tokens/${own[0]?.token.id}x`)
      expect(active.status).toBe(404)
      const forced = await product.must<{ id: string; ended: number }>(
        202,
        'POST',
        `/bindings/${used[0]?.bindingId}/rotate`,
        { force: true },
      )
      expect(forced.ended).toBe(1)
      expect((await call(old)).status).toBe(401)
      await ended([forced])
      // Forced: neither has the one before any grace.
      expect((await binding(used[0]?.bindingId ?? '')).formerTokens).toEqual([])
      expect((await call(await ofRow(workspace, 'Server 1'))).status).toBe(200)
    }, 180_000)
  })

  describe('a token that the admin gives', () => {
    it('is refused when it is weak, taken, or the one in use; else it takes the place of the one before', async () => {
      const [one, other] = await inDify()
      const rotate = (id: string | undefined, token: string) =>
        product.call<{ code: string; id: string }>('POST', `/bindings/${id}/rotate`, { token })
      expect((await rotate(one?.id, 'aaaaaaaaaaaaaaaaaaaa')).body.code).toBe('weak_token')
      const run = await rotate(one?.id, OWN_TOKEN)
      expect(run.status).toBe(202)
      await ended([run.body])
      const after = await binding(one?.id ?? '')
      expect(after.token.origin).toBe('custom')
      expect(after.formerTokens.map(({ id }) => id)).toContain(one?.token.id)
      expect((await rotate(other?.id, OWN_TOKEN)).body.code).toBe('token_in_use')
      expect((await rotate(one?.id, OWN_TOKEN)).body.code).toBe('same_token')
      const held = await Promise.all(everybody().map((current) => current()))
      expect(held.filter(({ headers }) => headers.Authorization === `Bearer ${OWN_TOKEN}`)).toHaveLength(1)
      for (const credential of held) expect((await call(credential)).status).toBe(200)
    }, 240_000)

    it('and what was never deployed, or may not be used, is not rotated', async () => {
      const code = async (path: string, body: unknown) =>
        (await product.call<{ code: string }>('POST', path, body)).body.code
      const [one] = await inDify()
      const before = await binding(one?.id ?? '')
      await product.call('PATCH', `/bindings/${one?.id}`, { enabled: false }, { 'if-match': `"${before.rowVersion}"` })
      expect(await code(`/bindings/${one?.id}/rotate`, {})).toBe('not_granted')
      expect(await code('/bindings/rotate', { bindingIds: [one?.id] })).toBe('not_deployed')
      expect(await code('/bindings/rotate', {})).toBe('invalid_field')
      expect(await code('/bindings/nobody/rotate', {})).toBe('not_found')
      const disabled = await binding(one?.id ?? '')
      await product.call('PATCH', `/bindings/${one?.id}`, { enabled: true }, { 'if-match': `"${disabled.rowVersion}"` })
    }, 240_000)
  })

  it('changed pass-through headers reach the MCP server, and no platform is written', async () => {
    const [workspace] = workspaces
    if (workspace === undefined) throw new Error('no workspace')
    const rows = await footprint(dify)
    const writes = coze.calls({ writes: true }).length
    for (const { id, rowVersion } of await bindings()) {
      const changed = await product.call(
        'PATCH',
        `/bindings/${id}`,
        { passThroughHeaders: { 'X-Tenant': `tenant of ${id}` } },
        { 'if-match': `"${rowVersion}"` },
      )
      expect(changed.status).toBe(200)
    }
    const mine = (await inDify()).find(({ instance }) => instance.id === instanceIds[0])
    const seen = () =>
      new Set(servers.flatMap(({ requests }) => requests.flatMap(({ headers }) => headers['x-tenant'] ?? [])))
    // Gateways that are processes of their own hear of it a moment later.
    await expect
      .poll(async () => {
        for (const current of everybody()) await call(await current())
        return seen().size
      })
      .toBe(6)
    expect(seen()).toContain(`tenant of ${mine?.id}`)
    expect(await sync({ platformId: difyId, spaceIds: 'all' })).toMatchObject({ total: 4, unchanged: 4 })
    const [cozeBinding] = await inCoze()
    expect(await sync({ platformId: cozeId, spaceIds: [cozeBinding?.space.id] })).toMatchObject({ unchanged: 2 })
    expect(await footprint(dify)).toEqual(rows)
    expect(coze.calls({ writes: true })).toHaveLength(writes)
  }, 240_000)

  /** Kills the product when COZE has done what this call asked for, and has not answered yet. Resolves when it is dead. */
  function killedAfter(endpoint: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const off = coze.onCall(async (cozeCall, stage) => {
        if (stage !== 'applied' || cozeCall.endpoint !== endpoint || !cozeCall.changed) return
        off()
        await product.kill().then(resolve, reject)
      })
    })
  }

  it('SIGKILL after each of a rotation’s calls to COZE leaves agents a token that works', async () => {
    const asAgents = async () => {
      const statuses: number[] = []
      for (const n of [1, 2]) statuses.push((await call(await ofPlugin(`Server ${n}`))).status)
      return statuses
    }
    const before = await Promise.all([1, 2].map((n) => ofPlugin(`Server ${n}`)))
    let dead = killedAfter('update_plugin_meta')
    const { syncs } = await product.must<Rotated>(202, 'POST', '/bindings/rotate', { platformId: cozeId })
    for (const next of ['publish_plugin', null]) {
      await dead
      if (next !== null) dead = killedAfter(next)
      await product.restart()
      expect(await asAgents()).toEqual([200, 200])
    }
    expect((await ended(syncs))[0]).toMatchObject({ total: 2, succeeded: 2 })
    expect(await asAgents()).toEqual([200, 200])
    const after = await Promise.all([1, 2].map((n) => ofPlugin(`Server ${n}`)))
    expect(after.filter((one, index) => one.headers.Authorization === before[index]?.headers.Authorization)).toEqual([])
  }, 240_000)

  it('no token is in any answer, log, history or in the store in the clear', async () => {
    // What the journal still holds.
    await sleep(1_500)
    const tokens = [...seenTokens, OWN_TOKEN]
    expect(tokens.length).toBeGreaterThan(12)
    const texts = [
      product.answers().join('\n'),
      product.output(),
      textOf(await captureHistories(product.temporalAddress)),
      await product.storeText(),
    ]
    for (const token of tokens) expect(texts.map((text) => text.includes(token))).toEqual(texts.map(() => false))
  }, 240_000)
})
