import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import {
  assertAgreement,
  expectSucceeded,
  type FaultWorld,
  lockTable,
  startFaultWorld,
  until,
  untilBlocked,
  untilIn,
} from '../support/fault-world.ts'
import { finished } from '../support/product.ts'

/** A worker that dies, on a real Temporal server, a MariaDB store and a PostgreSQL Dify. */

let cluster: Cluster
let world: FaultWorld

beforeAll(async () => {
  cluster = await startCluster({ apis: 1, workers: 1, gateways: 1, env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3' } })
})

afterAll(async () => {
  await world?.stop()
  await cluster?.stop()
})

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
    const unlockTenants = await lockTable(world, 'tenants', 'ACCESS EXCLUSIVE')
    tools.release()
    await restart()
    await untilBlocked(world, 'tenants')
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
    let unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
    handshakes.release()
    await restart()
    await untilBlocked(world, 'INSERT INTO tool_mcp_providers')
    await kill()
    kills.push('writeDifyProviders, before the commit')

    // What was written is there, the store has not heard of it.
    await unlockProviders()
    await until('the dead worker’s session has ended', async () => {
      const sessions = await world.dify.query(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'`,
      )
      return sessions.length === 0
    })
    expect(await world.dify.rows()).toEqual([])
    unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
    await restart()
    await untilBlocked(world, 'INSERT INTO tool_mcp_providers')
    const deployments = await store.session()
    await deployments.query('SELECT bindingId FROM Deployment FOR UPDATE')
    await unlockProviders()
    await until('a provider is there', async () => (await world.dify.rows()).length > 0)
    await kill()
    await deployments.close()
    kills.push('writeDifyProviders, after the commit')

    // While what was written is read back.
    unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
    await restart()
    // What the dead one wrote is written anew: nobody knows what it was.
    await untilBlocked(world, 'UPDATE tool_mcp_providers')
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
