import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import {
  assertAgreement,
  expectSucceeded,
  type FaultWorld,
  pendingActivities,
  startFaultWorld,
  until,
  untilIn,
} from '../support/fault-world.ts'
import { finished } from '../support/product.ts'

/** Workers that die or stand still, on a real Temporal server, a MariaDB store and a PostgreSQL Dify. */

let cluster: Cluster
let world: FaultWorld

beforeAll(async () => {
  cluster = await startCluster({ apis: 1, workers: 2, gateways: 1, env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3' } })
}, 180_000)

afterAll(async () => {
  await world?.stop()
  await cluster?.stop()
}, 60_000)

/** Waits until a statement of the product that looks like this waits for somebody's lock in Dify's database. */
async function untilBlocked(like: string): Promise<void> {
  await until(`${like} waits for a lock`, async () => {
    const waiting = await world.dify.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'
         AND wait_event_type = 'Lock' AND query LIKE $1`,
      [`%${like}%`],
    )
    return waiting.length > 0
  })
}

/** Somebody else's transaction that keeps a table to itself; the answer lets go of it. */
async function lockTable(table: string, mode: string): Promise<() => Promise<void>> {
  const client = await world.dify.connect()
  await client.query('BEGIN')
  await client.query(`LOCK TABLE ${table} IN ${mode} MODE`)
  return async () => {
    await client.query('ROLLBACK')
    await client.end()
  }
}

/** Kills the one worker there is, and waits until its sessions are gone from Dify's database. */
async function kill(): Promise<void> {
  await cluster.workers[0]?.kill()
}

async function restart(): Promise<void> {
  await cluster.workers[0]?.start({ ready: false })
}

describe('SIGKILL of the worker', () => {
  it('at every checkpoint in turn, in one run: it ends succeeded, each thing done once', async () => {
    const { store } = cluster
    world = await startFaultWorld(cluster, { name: 'Kill', instances: 2, workspaces: 1 })
    await cluster.killWorkers()
    const syncId = await world.startSync()
    const kills: string[] = []

    // While the selection becomes targets.
    const run = await store.session()
    await run.query('SELECT id FROM Sync WHERE id = ? FOR UPDATE', [syncId])
    await restart()
    await untilIn(cluster, syncId, 'prepareSync')
    await kill()
    await run.close()
    kills.push('prepareSync')

    // While an MCP server is asked for its tools.
    const tools = world.hold('tools/list')
    await restart()
    await until('an MCP server is asked', () => tools.held() > 0)
    await untilIn(cluster, syncId, 'discoverTools')
    await kill()
    kills.push('discoverTools')

    // While the space is read.
    const unlockTenants = await lockTable('tenants', 'ACCESS EXCLUSIVE')
    tools.release()
    await restart()
    await untilBlocked('tenants')
    await untilIn(cluster, syncId, 'planSpace')
    await kill()
    kills.push('planSpace')

    // With tokens minted, none proven.
    const handshakes = world.holdProofs()
    await unlockTenants()
    await restart()
    await until('a token is being proven', () => handshakes.held() > 0)
    await untilIn(cluster, syncId, 'mintTokens')
    await kill()
    const minted = await store.query('SELECT provenAt FROM GatewayToken')
    expect(minted.map((token) => token.provenAt)).toEqual([null, null])
    kills.push('mintTokens')

    // In mid-transaction of the first write.
    let unlockProviders = await lockTable('tool_mcp_providers', 'SHARE')
    handshakes.release()
    await restart()
    await untilBlocked('INSERT INTO tool_mcp_providers')
    await kill()
    kills.push('writeDifyProviders, before the commit')

    // The provider is there, the store has not heard of it.
    await unlockProviders()
    await until('the dead worker’s session has ended', async () => {
      const sessions = await world.dify.query(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'`,
      )
      return sessions.length === 0
    })
    expect(await world.dify.rows()).toEqual([])
    unlockProviders = await lockTable('tool_mcp_providers', 'SHARE')
    await restart()
    await untilBlocked('INSERT INTO tool_mcp_providers')
    const deployments = await store.session()
    await deployments.query('SELECT bindingId FROM Deployment FOR UPDATE')
    await unlockProviders()
    await until('the first provider is there', async () => (await world.dify.rows()).length === 1)
    await kill()
    await deployments.close()
    kills.push('writeDifyProviders, after the commit')

    // While what was written is read back.
    unlockProviders = await lockTable('tool_mcp_providers', 'SHARE')
    await restart()
    // What the dead one wrote is written anew: nobody knows what it was.
    await untilBlocked('UPDATE tool_mcp_providers')
    world.network.stallNew()
    await unlockProviders()
    await untilIn(cluster, syncId, 'verifySpace')
    await until('it is being read back', () => world.network.stalled() > 0)
    await kill()
    await world.network.restore()
    kills.push('verifySpace')

    // The run is closed in the store, Temporal has not heard of it.
    const audit = await store.session()
    await audit.query('LOCK TABLES AuditEvent WRITE')
    await restart()
    await until('the run is closed', async () => {
      const [row] = await store.query('SELECT state FROM Sync WHERE id = ?', [syncId])
      return row?.state === 'succeeded'
    })
    await untilIn(cluster, syncId, 'recordOutcome')
    await kill()
    await audit.close()
    kills.push('recordOutcome')

    await restart()
    const handle = cluster.temporal.client.workflow.getHandle(`sync-${syncId}`)
    expect(await handle.result()).toMatchObject({ state: 'succeeded', counts: { total: 2, succeeded: 2 } })
    expect(kills).toHaveLength(8)
    await expectSucceeded(cluster, await finished(cluster, syncId))
    // One token a binding, whatever died in between.
    expect(await store.query('SELECT id FROM GatewayToken')).toHaveLength(2)
    await assertAgreement(cluster, world)
  }, 300_000)
})

describe('SIGSTOP of a worker past its lease', () => {
  it('another worker takes over; the sleeper, once awake, writes nothing and works on', async () => {
    const [sleeper, other] = cluster.workers
    await sleeper?.untilReady()
    await world.dify.query('DELETE FROM tool_mcp_providers')
    const unlockProviders = await lockTable('tool_mcp_providers', 'SHARE')
    const syncId = await world.startSync()
    await untilBlocked('INSERT INTO tool_mcp_providers')
    // It stops between two writes, with the workspace's lock in Dify's database and the lease in ours.
    const deployments = await cluster.store.session()
    await deployments.query('SELECT bindingId FROM Deployment FOR UPDATE')
    await unlockProviders()
    await until('the first provider is there', async () => (await world.dify.rows()).length === 1)
    sleeper?.freeze()
    await deployments.close()
    await other?.start()

    const run = await finished(cluster, syncId, 200_000)
    await expectSucceeded(cluster, run)
    await assertAgreement(cluster, world)
    const before = await world.dify.query('SELECT id, xmin::text FROM tool_mcp_providers ORDER BY id')

    await other?.stop()
    sleeper?.thaw()
    await sleeper?.untilReady()
    const again = await world.startSync()
    const { state, counts } = await finished(cluster, again)
    expect({ state, unchanged: counts.unchanged }).toEqual({ state: 'succeeded', unchanged: 2 })
    expect(await world.dify.query('SELECT id, xmin::text FROM tool_mcp_providers ORDER BY id')).toEqual(before)
    expect(await pendingActivities(cluster, syncId)).toEqual([])
    await assertAgreement(cluster, world)
  }, 300_000)
})
