import { afterAll, beforeAll, expect, it } from 'vitest'
import { callAsDify } from '../support/call-as-dify.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import type { CheckedRow } from '../support/dify-database.ts'
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
import { triggerSchedule } from '../support/schedules.ts'

/** A worker that dies while tokens are replaced, on a real Temporal server, a MariaDB store and a PostgreSQL Dify. */

let cluster: Cluster
let world: FaultWorld

beforeAll(async () => {
  const env = { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3', TOOLFERRY_TOKEN_GRACE_SECONDS: '1' }
  cluster = await startCluster({ apis: 1, workers: 1, gateways: 1, env })
  world = await startFaultWorld(cluster, { name: 'Rotate', instances: 2, workspaces: 1 })
  await expectSucceeded(cluster, await finished(cluster, await world.startSync()))
})

afterAll(async () => {
  await world?.stop()
  await cluster?.stop()
})

const kill = async () => await cluster.workers[0]?.kill()
const restart = async () => await cluster.workers[0]?.start({ ready: false })

/** What Dify holds now, by the name of the provider. */
async function held(): Promise<Map<string, CheckedRow>> {
  const [workspace] = world.workspaces
  if (workspace === undefined) throw new Error('no workspace')
  return new Map((await world.dify.checkRows(workspace)).map((row) => [row.name, row]))
}

const answered = async (row: CheckedRow) => (await callAsDify(row.url, row.headers, 'tool-1', { text: 'x' })).status

/** Whatever died: each provider's credential opens the gateway. */
async function expectAllServed(): Promise<void> {
  const rows = [...(await held()).values()]
  expect(await Promise.all(rows.map(answered))).toEqual([200, 200])
}

async function sessionsEnded(): Promise<void> {
  await until('the dead worker’s session has ended', async () => {
    const sessions = await world.dify.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'`,
    )
    return sessions.length === 0
  })
}

it('SIGKILL at every step of a rotation leaves credentials that work, and the rotation is finished', async () => {
  const { store } = cluster
  const before = await held()

  // While the space is read.
  const unlockTenants = await lockTable(world, 'tenants', 'ACCESS EXCLUSIVE')
  const { syncs } = await cluster.must<{ syncs: { id: string }[] }>(202, 'POST', '/bindings/rotate', { all: true })
  const syncId = syncs[0]?.id ?? ''
  await untilBlocked(world, 'tenants')
  await kill()
  await expectAllServed()

  // With second tokens minted, none proven.
  const handshakes = world.holdProofs()
  await unlockTenants()
  await restart()
  await until('a token is being proven', () => handshakes.held() > 0)
  await untilIn(cluster, syncId, 'mintTokens')
  await kill()
  let unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
  handshakes.release()
  await expectAllServed()

  // In mid-transaction of the first write.
  await restart()
  await untilBlocked(world, 'UPDATE tool_mcp_providers')
  await kill()
  await unlockProviders()
  await sessionsEnded()
  expect(await held()).toEqual(before)
  await expectAllServed()

  // What was written is there, the store has not heard of it.
  unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
  await restart()
  await untilBlocked(world, 'UPDATE tool_mcp_providers')
  const deployments = await store.session()
  await deployments.query('SELECT bindingId FROM Deployment FOR UPDATE')
  await unlockProviders()
  await until('a provider holds its second token', async () => {
    const now = await held()
    return [...now].some(([name, row]) => row.headers.Authorization !== before.get(name)?.headers.Authorization)
  })
  await kill()
  await deployments.close()
  await expectAllServed()

  // While what was written is read back.
  unlockProviders = await lockTable(world, 'tool_mcp_providers', 'SHARE')
  await restart()
  await untilBlocked(world, 'UPDATE tool_mcp_providers')
  world.network.stallNew()
  await unlockProviders()
  await untilIn(cluster, syncId, 'verifySpace')
  await until('it is being read back', () => world.network.stalled() > 0)
  await kill()
  await world.network.restore()
  await expectAllServed()

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
  await restart()
  await expectSucceeded(cluster, await finished(cluster, syncId))
  await expectAllServed()

  // One second token a binding, whatever died in between; the first ones end, and nothing else does.
  expect(await store.query('SELECT id FROM GatewayToken')).toHaveLength(4)
  await until('the former tokens have ended', async () => {
    await triggerSchedule(cluster.temporal.address, 'token-watch-')
    const tokens = await store.query('SELECT state FROM GatewayToken ORDER BY state')
    return tokens.map(({ state }) => state).join() === 'active,active,revoked,revoked'
  })
  await expect.poll(() => Promise.all([...before.values()].map(answered))).toEqual([401, 401])
  await assertAgreement(cluster, world)
}, 300_000)
