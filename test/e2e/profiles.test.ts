import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDifyDatabase, type DifyTestDatabase, type TestWorkspace } from '../support/dify-database.ts'
import { finished, type Product, type SyncBody, type TargetBody, targetsOf } from '../support/product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { SHAPES } from '../support/shapes.ts'

/** A platform that stays right: profiles run by real Temporal Schedules, drift is found and healed, plans are applied. */

const INTERVAL_MS = 5_000
const WAIT = { timeout: 60_000, interval: 200 }

type Run = SyncBody & { profileId: string | null; dryRun: boolean; createdAt: string }
type Profile = { id: string; nextRuns: string[] | null; lastRun: { id: string } | null }
type Binding = { spaceId: string; deployment: { state: string; driftFields: string[]; driftSince: string | null } }

describe.each(SHAPES)('%s', (_shape, start) => {
  /** What the second server offers; it changes. */
  const offered = manyTools(2)

  let product: Product
  let dify: DifyTestDatabase
  let servers: ScriptedServer[]
  let alpha: TestWorkspace
  let beta: TestWorkspace
  let platformId = ''
  let profileId = ''

  beforeAll(async () => {
    ;[dify, servers, product] = await Promise.all([
      createDifyDatabase(),
      Promise.all([startScriptedServer({ tools: manyTools(3) }), startScriptedServer({ tools: offered })]),
      start(),
    ])
    alpha = await dify.addWorkspace({ name: 'Alpha' })
    beta = await dify.addWorkspace({ name: 'Beta' })
    const platform = await product.must<{ id: string }>(201, 'POST', '/platforms', {
      kind: 'dify',
      name: 'Dify',
      edition: 'community',
      database: { ...dify.connection, password: 'unused', tls: 'disable' },
    })
    platformId = platform.id
    await product.must(200, 'GET', `/platforms/${platformId}/spaces?refresh=true`)
    await newInstance(0)
  })

  afterAll(async () => {
    await product?.stop()
    await Promise.all((servers ?? []).map((server) => server.stop()))
    await dify?.drop()
  })

  async function newInstance(index: number): Promise<string> {
    const body = { name: `Server ${index}`, transport: 'streamable-http', url: servers[index]?.url }
    return (await product.must<{ id: string }>(201, 'POST', '/instances', body)).id
  }

  /** The profile's runs, the newest first. */
  async function runs(): Promise<Run[]> {
    return (await product.must<{ items: Run[] }>(200, 'GET', `/syncs?profileId=${profileId}&limit=200`)).items
  }

  /** A closed run that began after `since` and is as wanted. */
  async function nextRun(since: string, wanted: (run: Run) => boolean): Promise<Run> {
    let found: Run | undefined
    await expect
      .poll(async () => {
        const later = (await runs()).filter((run) => run.createdAt > since && CLOSED.includes(run.state))
        found = later.find(wanted)
        return found !== undefined || later.map((run) => [run.state, run.error, run.counts])
      }, WAIT)
      .toBe(true)
    if (found === undefined) throw new Error('no such run')
    return found
  }
  const CLOSED = ['planned', 'succeeded', 'partial', 'failed', 'cancelled']

  async function wipe(workspace: TestWorkspace): Promise<void> {
    await dify.query(`UPDATE tool_mcp_providers SET authed = false, tools = '[]' WHERE tenant_id = $1`, [
      workspace.tenantId,
    ])
  }

  async function toolCounts(workspace: TestWorkspace): Promise<number[]> {
    return (await dify.checkRows(workspace)).map((row) => row.tools.length).sort()
  }

  const versions = () => dify.query('SELECT id, xmin::text FROM tool_mcp_providers ORDER BY id')
  const newest = async () => (await runs())[0]?.createdAt ?? ''
  const drifted = async () => (await product.must<{ items: Binding[] }>(200, 'GET', '/bindings?drift=true')).items

  async function pauseAndDrain(): Promise<void> {
    await product.must(200, 'POST', `/profiles/${profileId}/pause`, { reason: 'a test looks at it' })
    await expect.poll(async () => (await runs()).every((run) => CLOSED.includes(run.state)), WAIT).toBe(true)
  }

  describe('a profile with an interval', () => {
    it('runs by itself and brings everything', async () => {
      const profile = await product.must<Profile>(201, 'POST', '/profiles', {
        platformId,
        name: 'Everything everywhere',
        selection: { instanceIds: 'all', spaceIds: 'all' },
        driftPolicy: 'heal',
        schedule: { intervalMs: INTERVAL_MS },
        acceptWarnings: true,
      })
      profileId = profile.id
      expect(profile.nextRuns?.length).toBeGreaterThan(0)
      const first = await nextRun('', (run) => run.state === 'succeeded')
      expect(first.counts).toMatchObject({ total: 2, succeeded: 2 })
      expect(first.workflowId.startsWith(`profile-${profileId}-2`)).toBe(true)
      expect(first.temporalUrl).toContain(encodeURIComponent(first.workflowId))
      expect(await toolCounts(alpha)).toEqual([3])
    })

    it('the next run changes nothing, counts its targets and keeps no row of them', async () => {
      const before = await versions()
      const second = await nextRun(await newest(), () => true)
      expect(second).toMatchObject({ state: 'succeeded', counts: { total: 2, unchanged: 2 } })
      expect(await targetsOf(product, second.id)).toEqual([])
      expect(await versions()).toEqual(before)
    })

    it('heals a row that was wiped, and keeps just its target', async () => {
      const since = await newest()
      await wipe(alpha)
      const healing = await nextRun(since, (run) => run.counts.succeeded === 1)
      expect(await toolCounts(alpha)).toEqual([3])
      const targets = await targetsOf(product, healing.id)
      expect(targets.map((target) => [target.spaceName, target.action, target.state])).toEqual([
        ['Alpha', 'update', 'succeeded'],
      ])
      await expect.poll(drifted, WAIT).toEqual([])
    })

    it('takes in a new workspace and a new MCP server', async () => {
      const since = await newest()
      const gamma = await dify.addWorkspace({ name: 'Gamma' })
      await newInstance(1)
      await nextRun(since, (run) => run.counts.total === 6 && run.state === 'succeeded')
      for (const workspace of [alpha, beta, gamma]) expect(await toolCounts(workspace)).toEqual([2, 3])
    })

    it('paused, it has no next run; triggered, it runs all the same; nothing else has run meanwhile', async () => {
      await pauseAndDrain()
      const before = (await runs()).length
      expect(await product.must<Profile>(200, 'GET', `/profiles/${profileId}`)).toMatchObject({
        paused: true,
        pauseReason: 'a test looks at it',
        nextRuns: [],
      })
      const triggered = await product.must<{ id: string }>(202, 'POST', `/profiles/${profileId}/trigger`, {})
      expect(await finished(product, triggered.id)).toMatchObject({ state: 'succeeded', counts: { unchanged: 6 } })
      expect(await targetsOf(product, triggered.id)).toHaveLength(6)
      expect((await runs()).length).toBe(before + 1)
    })
  })

  describe('a drift check', () => {
    it('says what drifted and since when, and touches nothing', async () => {
      await product.must(200, 'PATCH', `/profiles/${profileId}`, {
        schedule: { action: 'check', intervalMs: INTERVAL_MS },
        driftPolicy: 'report',
      })
      await product.must(200, 'POST', `/profiles/${profileId}/resume`)
      await wipe(beta)
      const wiped = await versions()
      await expect.poll(async () => (await drifted()).length, WAIT).toBe(2)
      await pauseAndDrain()
      for (const { deployment } of await drifted()) {
        expect(deployment).toMatchObject({ state: 'drifted', driftSince: expect.stringMatching(/^20/) })
        expect(deployment.driftFields).toContain('tools')
      }
      const check = (await runs())[0]
      expect(check).toMatchObject({ state: 'planned', dryRun: true, counts: { total: 6, unchanged: 4, pending: 2 } })
      expect(await versions()).toEqual(wiped)
    })

    it('finds tools that the MCP server offers otherwise by now', async () => {
      offered.push(...manyTools(4).slice(2))
      const check = await product.must<{ id: string }>(202, 'POST', `/profiles/${profileId}/trigger`, {})
      await finished(product, check.id)
      const fields = (await drifted()).flatMap(({ deployment }) => deployment.driftFields)
      expect(fields.filter((field) => field === 'upstream-tools')).toHaveLength(2)
    })

    it('its plan can be applied as it stands', async () => {
      const plan = (await runs())[0]
      const run = await product.must<{ id: string }>(202, 'POST', `/syncs/${plan?.id}/apply`)
      const applied = await finished(product, run.id)
      expect(applied).toMatchObject({ state: 'succeeded', counts: { succeeded: 4 } })
      expect(await drifted()).toEqual([])
      expect(await toolCounts(beta)).toEqual([3, 4])
    })
  })

  describe('applying a plan', () => {
    async function plan(): Promise<string> {
      const spaces = await product.must<{ items: { id: string }[] }>(200, 'GET', `/platforms/${platformId}/spaces`)
      const instances = await product.must<{ items: { id: string }[] }>(200, 'GET', '/instances')
      const run = await product.must<{ id: string }>(202, 'POST', '/syncs', {
        platformId,
        instanceIds: instances.items.map((instance) => instance.id),
        spaceIds: spaces.items.map((space) => space.id),
        dryRun: true,
      })
      await finished(product, run.id)
      return run.id
    }
    const short = (targets: TargetBody[]) =>
      targets
        .filter((target) => target.state !== 'unchanged')
        .map((target) => [target.spaceName, target.instanceName, target.state])
        .sort()

    it('does what was agreed; where the world moved since, it says so and leaves it', async () => {
      await wipe(alpha)
      const planId = await plan()
      // Moved since the plan: one row is gone, and one that was right is not any more.
      const gone = (await dify.rows(alpha.tenantId)).find((row) => row.name === 'Server 1')
      await dify.query('DELETE FROM tool_mcp_providers WHERE id = $1', [gone?.id])
      await dify.query(`UPDATE tool_mcp_providers SET authed = false WHERE tenant_id = $1 AND name = 'Server 0'`, [
        beta.tenantId,
      ])
      const run = await product.must<{ id: string }>(202, 'POST', `/syncs/${planId}/apply`)
      expect(await finished(product, run.id)).toMatchObject({ planOf: planId })
      const targets = await targetsOf(product, run.id)
      expect(short(targets)).toEqual([
        ['Alpha', 'Server 0', 'succeeded'],
        ['Alpha', 'Server 1', 'skipped'],
        ['Beta', 'Server 0', 'skipped'],
      ])
      const skipped = targets.filter((target) => target.state === 'skipped')
      for (const target of skipped) expect(target.note).toMatch(/^Changed since the plan: /)
      expect(skipped.map((target) => (target.changes ?? []).length > 0)).toEqual([true, true])
      expect((await dify.rows(alpha.tenantId)).map((row) => row.name)).toEqual(['Server 0'])
    })
  })
})
