import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callAsDify } from '../support/call-as-dify.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import {
  assertAgreement,
  expectSucceeded,
  type FaultWorld,
  foreignProvider,
  startFaultWorld,
  until,
  untilBlocked,
  untilIn,
  untilTried,
} from '../support/fault-world.ts'
import { finished, targetsOf } from '../support/product.ts'

/** Faults between the product and Dify's database, and other people in it. Every scenario has a Dify of its own; all run at once. */

let cluster: Cluster
const worlds: FaultWorld[] = []

beforeAll(async () => {
  cluster = await startCluster({ apis: 2, workers: 2, gateways: 2 })
})

afterAll(async () => {
  await Promise.all(worlds.map((world) => world.stop()))
  await cluster?.stop()
})

async function worldOf(name: string, instances: number, workspaces: number): Promise<FaultWorld> {
  const world = await startFaultWorld(cluster, { name, instances, workspaces })
  worlds.push(world)
  return world
}

describe.concurrent('Dify’s database', () => {
  it('is away for a while: the run waits and then ends succeeded', async () => {
    const world = await worldOf('Away', 3, 2)
    await world.network.refuse()
    const syncId = await world.startSync()
    await untilTried(cluster, syncId, 'planSpace', 3)
    await world.network.restore()
    await expectSucceeded(cluster, await finished(cluster, syncId, 150_000))
    await assertAgreement(cluster, world)
  }, 240_000)

  it('stops answering in mid-run: nothing hangs, the run ends succeeded', async () => {
    const world = await worldOf('Silent', 3, 2)
    const inserted = world.network.cutAfter('INSERT INTO tool_mcp_providers')
    const syncId = await world.startSync()
    await inserted
    world.network.stall()
    await until('somebody waits in silence', () => world.network.stalled() > 0)
    // What was in flight when the silence began is cut by whoever notices first: our timeouts.
    await untilTried(cluster, syncId, 'writeDifyProviders', 1)
    await world.network.restore()
    await expectSucceeded(cluster, await finished(cluster, syncId, 150_000))
    await assertAgreement(cluster, world)
  }, 240_000)

  it('cuts the connection in mid-transaction: nothing half-written, each provider once', async () => {
    const world = await worldOf('Cut', 4, 1)
    const cuts = [
      world.network.cutAfter('INSERT INTO tool_mcp_providers'),
      world.network.cutAfter('INSERT INTO tool_mcp_providers'),
    ]
    const syncId = await world.startSync()
    await Promise.all(cuts)
    await expectSucceeded(cluster, await finished(cluster, syncId, 150_000))
    await assertAgreement(cluster, world)
  }, 240_000)

  it('commits, and the answer is lost: the provider is found, not made again', async () => {
    const world = await worldOf('Doubt', 4, 1)
    const lost = world.network.cutAfter('COMMIT')
    const syncId = await world.startSync()
    await lost
    // At the very least this one is there, and we were not told.
    await until('the commit has happened', async () => (await world.dify.rows()).length > 0)
    await expectSucceeded(cluster, await finished(cluster, syncId, 150_000), ['succeeded', 'unchanged'])
    await assertAgreement(cluster, world)
  }, 240_000)

  it('has our provider’s row locked by somebody: the run waits, tries again, and heals it', async () => {
    const world = await worldOf('Locked', 2, 1)
    await finished(cluster, await world.startSync())
    await world.dify.query(`UPDATE tool_mcp_providers SET tools = '[]'`)
    const [row] = await world.dify.rows()
    const somebody = await world.dify.connect()
    await somebody.query('BEGIN')
    await somebody.query('SELECT id FROM tool_mcp_providers WHERE id = $1 FOR UPDATE', [row?.id])
    const syncId = await world.startSync()
    // Longer than one attempt waits for the row.
    await untilTried(cluster, syncId, 'writeDifyProviders', 1)
    await somebody.query('ROLLBACK')
    await somebody.end()
    await expectSucceeded(cluster, await finished(cluster, syncId, 150_000))
    await assertAgreement(cluster, world)
    const tools = (await world.dify.rows()).map((one) => JSON.parse(one.tools).length)
    expect(tools.sort()).toEqual([1, 2])
  }, 240_000)

  it('gets the same identifier from somebody who rolls back: ours is written', async () => {
    const world = await worldOf('Rolled back', 2, 1)
    const foreign = foreignProvider(world, 0, 0)
    const somebody = await world.dify.connect()
    await somebody.query('BEGIN')
    await somebody.query(foreign.sql, foreign.values)
    const syncId = await world.startSync()
    await untilBlocked(world, 'INSERT INTO tool_mcp_providers')
    await somebody.query('ROLLBACK')
    await somebody.end()
    await expectSucceeded(cluster, await finished(cluster, syncId))
    await assertAgreement(cluster, world)
  }, 240_000)

  it('gets the same identifier from somebody who commits: a conflict that names it; once it is gone, ours is written', async () => {
    const world = await worldOf('Committed', 2, 1)
    const foreign = foreignProvider(world, 0, 0)
    const somebody = await world.dify.connect()
    await somebody.query('BEGIN')
    await somebody.query(foreign.sql, foreign.values)
    const syncId = await world.startSync()
    await untilBlocked(world, 'INSERT INTO tool_mcp_providers')
    await somebody.query('COMMIT')
    await somebody.end()
    const run = await finished(cluster, syncId)
    expect(run).toMatchObject({ state: 'partial', counts: { conflict: 1, succeeded: 1 } })
    const conflict = (await targetsOf(cluster, syncId)).find((target) => target.state === 'conflict')
    expect(conflict?.instanceId).toBe(world.instanceIds[0])
    expect(conflict?.error?.message).toContain('made by hand')
    const [untouched] = await world.dify.query('SELECT server_url FROM tool_mcp_providers WHERE id = $1', [foreign.id])
    expect(untouched?.server_url).toBe('x')

    await world.dify.query('DELETE FROM tool_mcp_providers WHERE id = $1', [foreign.id])
    await expectSucceeded(cluster, await finished(cluster, await world.startSync()), ['succeeded', 'unchanged'])
    await assertAgreement(cluster, world)
  }, 240_000)
})

describe.concurrent('people', () => {
  it('start two syncs of the same spaces at once: both succeed, each provider is there once', async () => {
    const world = await worldOf('Twice', 4, 3)
    const syncIds = await Promise.all([world.startSync(), world.startSync(), world.startSync()])
    for (const syncId of syncIds) {
      await expectSucceeded(cluster, await finished(cluster, syncId, 150_000), ['succeeded', 'unchanged'])
    }
    expect(await world.dify.rows()).toHaveLength(12)
    await assertAgreement(cluster, world)
  }, 240_000)

  it('terminate a run in Temporal’s Web UI: it is closed as RunLost, and the next one completes the work', async () => {
    const world = await worldOf('Terminated', 3, 2)
    const handshakes = world.holdProofs()
    const syncId = await world.startSync()
    await untilIn(cluster, syncId, 'mintTokens')
    await until('a token is being proven', () => handshakes.held() > 0)
    await cluster.temporal.client.workflow.getHandle(`sync-${syncId}`).terminate('by hand')
    const lost = await finished(cluster, syncId)
    expect(lost).toMatchObject({ state: 'failed', error: { type: 'RunLost' }, counts: { failed: 6 } })
    handshakes.release()
    await expectSucceeded(cluster, await finished(cluster, await world.startSync(), 150_000))
    await assertAgreement(cluster, world)
  }, 240_000)

  it.each([
    [
      'the API',
      async (_: string, spaceId: string) => {
        const disabled = await cluster.must<{ effective: boolean }>(200, 'POST', `/spaces/${spaceId}/disable`, {})
        expect(disabled.effective).toBe(true)
      },
    ],
    [
      'a signal in Temporal',
      async (syncId: string, spaceId: string) => {
        const handle = cluster.temporal.client.workflow.getHandle(`sync-${syncId}`)
        await handle.signal('disableSpaceAuthorization', { spaceId })
        await until('the signal was carried out', async () => {
          const audit = await cluster.store.query(
            `SELECT id FROM AuditEvent WHERE action = 'disable' AND resourceId = ? AND actor = 'temporal'`,
            [spaceId],
          )
          return audit.length === 1
        })
      },
    ],
  ])(
    'disable a space in mid-run by %s: its pending targets are skipped, its tokens refused, the others go on',
    async (how, disable) => {
      const world = await worldOf(`Disabled by ${how}`, 7, 2)
      const [first = '', second = ''] = world.spaceIds
      const somebody = await world.dify.connect()
      await somebody.query('BEGIN')
      await somebody.query('LOCK TABLE tool_mcp_providers IN SHARE MODE')
      const syncId = await world.startSync()
      await untilBlocked(world, 'INSERT INTO tool_mcp_providers')
      await disable(syncId, first)
      await somebody.query('ROLLBACK')
      await somebody.end()

      const run = await finished(cluster, syncId)
      expect(run.state).toBe('succeeded')
      const targets = await targetsOf(cluster, syncId)
      const statesIn = (spaceId: string) => targets.filter((one) => one.spaceId === spaceId).map((one) => one.state)
      expect(statesIn(second)).toEqual(Array(7).fill('succeeded'))
      // The four in flight may have landed; the others were not begun.
      const skipped = statesIn(first).filter((state) => state === 'skipped')
      expect(skipped.length).toBeGreaterThanOrEqual(3)
      expect(new Set(statesIn(first))).not.toContain('failed')
      const [disabled] = world.workspaces
      for (const row of disabled === undefined ? [] : await world.dify.checkRows(disabled)) {
        expect((await callAsDify(row.url, row.headers, 'tool-1', { text: 'x' })).status).toBe(403)
      }
      await cluster.must(200, 'POST', `/spaces/${first}/enable`, {})
      await expectSucceeded(cluster, await finished(cluster, await world.startSync()), ['succeeded', 'unchanged'])
      await assertAgreement(cluster, world)
    },
    240_000,
  )
})
