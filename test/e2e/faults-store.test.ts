import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callAsDify } from '../support/call-as-dify.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import {
  assertAgreement,
  expectSucceeded,
  type FaultWorld,
  lockTable,
  startFaultWorld,
  until,
  untilBlocked,
} from '../support/fault-world.ts'
import { finished } from '../support/product.ts'

/** Faults between every role and the store, a MariaDB, while a run writes to a PostgreSQL Dify. */

let cluster: Cluster
const worlds: FaultWorld[] = []

beforeAll(async () => {
  cluster = await startCluster({
    apis: 1,
    workers: 1,
    gateways: 1,
    faultyStoreNetwork: true,
    // However long it takes here.
    env: { TOOLFERRY_GATEWAY_STALE_SECONDS: '3600' },
  })
})

afterAll(async () => {
  await Promise.all(worlds.map((world) => world.stop()))
  await cluster?.stop()
})

describe('the store', () => {
  it.each([
    ['stops answering', async () => cluster.storeNetwork.stall()],
    ['is gone, connections and all,', () => cluster.storeNetwork.refuse()],
  ])(
    '%s in mid-run: the gateway serves what it knows; once it is back the run ends succeeded, nothing half-written',
    async (how, goAway) => {
      const world = await startFaultWorld(cluster, { name: how, instances: 3, workspaces: 2 })
      worlds.push(world)
      await expectSucceeded(cluster, await finished(cluster, await world.startSync(), 150_000))
      await world.dify.query(`UPDATE tool_mcp_providers SET tools = '[]'`)
      const unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
      const syncId = await world.startSync()
      await untilBlocked(world, 'UPDATE tool_mcp_providers')

      await goAway()
      await unlockProviders()
      // It lands (or has waited too long for the lock), and the store cannot be told.
      const healed = () => world.dify.query(`SELECT id FROM tool_mcp_providers WHERE tools <> '[]'`)
      const writing = () =>
        world.dify.query(
          `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'
             AND xact_start IS NOT NULL`,
        )
      const isOver = async () => (await healed()).length > 0 || (await writing()).length === 0
      await until('what was being written is written', isOver)
      const readiness = (origin = '') => fetch(`${origin}/readyz`).then(({ status }) => status)
      await until('the API says so', async () => (await readiness(cluster.apis[0]?.origin)) === 503)
      const callOf = async () => {
        const [row] = await Promise.all(world.workspaces.slice(0, 1).map((one) => world.dify.checkRows(one)))
        const [first] = row ?? []
        return (await callAsDify(first?.url ?? '', first?.headers ?? {}, 'tool-1', { text: 'x' })).status
      }
      expect(await callOf()).toBe(200)
      const stateOf = async () => (await cluster.store.query('SELECT state FROM Sync WHERE id = ?', [syncId]))[0]?.state
      expect(await stateOf()).toBe('running')

      await cluster.storeNetwork.restore()
      await until('the run is over', async () => (await stateOf()) !== 'running')
      await cluster.apis[0]?.untilReady()
      await expectSucceeded(cluster, await finished(cluster, syncId, 200_000), ['succeeded', 'unchanged'])
      expect(await healed()).toHaveLength(6)
      await assertAgreement(cluster, world)
      // It follows again.
      await cluster.must(200, 'POST', `/spaces/${world.spaceIds[0]}/disable`, {})
      await until('the gateway obeys', async () => (await callOf()) === 403)
    },
    400_000,
  )
})
