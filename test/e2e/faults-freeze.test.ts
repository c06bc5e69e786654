import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import {
  assertAgreement,
  expectSucceeded,
  type FaultWorld,
  lockTable,
  pendingActivities,
  startFaultWorld,
  until,
  untilBlocked,
} from '../support/fault-world.ts'
import { finished } from '../support/product.ts'

/** A worker that stands still, on a real Temporal server, a MariaDB store and a PostgreSQL Dify. */

let cluster: Cluster
let world: FaultWorld

beforeAll(async () => {
  cluster = await startCluster({ apis: 1, workers: 2, gateways: 1, env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3' } })
  world = await startFaultWorld(cluster, { name: 'Frozen', instances: 6, workspaces: 1 })
})

afterAll(async () => {
  await world?.stop()
  await cluster?.stop()
})

describe('SIGSTOP of a worker past its lease', () => {
  it('another worker takes over; the sleeper, once awake, writes nothing and works on', async () => {
    const [sleeper, other] = cluster.workers
    await other?.stop()
    const unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
    const syncId = await world.startSync()
    await untilBlocked(world, 'INSERT INTO tool_mcp_providers')
    // It stops between two writes (up to four are in flight), with the workspace's lock in Dify's database and the lease in ours.
    const deployments = await cluster.store.session()
    await deployments.query('SELECT bindingId FROM Deployment FOR UPDATE')
    await unlockProviders()
    await until('a provider is there', async () => (await world.dify.rows()).length > 0)
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
    expect({ state, unchanged: counts.unchanged }).toEqual({ state: 'succeeded', unchanged: 6 })
    expect(await world.dify.query('SELECT id, xmin::text FROM tool_mcp_providers ORDER BY id')).toEqual(before)
    expect(await pendingActivities(cluster, syncId)).toEqual([])
    await assertAgreement(cluster, world)
  }, 300_000)
})
