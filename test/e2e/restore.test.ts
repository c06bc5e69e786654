import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callAsDify } from '../support/call-as-dify.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { runMysqlClient } from '../support/database-servers.ts'
import { type FaultWorld, startFaultWorld } from '../support/fault-world.ts'
import { finished, type Product, startProduct, type TargetBody, targetsOf } from '../support/product.ts'

/** Backup and restore as docs/production.md tells: what is right after it, what shows up, and how it is put right. */

type Keeper = {
  product: Product
  stopRoles: () => Promise<void>
  startRoles: () => Promise<void>
  /** With the roles as they are: running in production, stopped in the embedded shape. */
  backUp: () => Promise<void>
  /** The roles are stopped. */
  restore: () => Promise<void>
  end: () => Promise<void>
}

/** One process: its data folder is copied while it is stopped. */
async function embedded(): Promise<Keeper> {
  const product = await startProduct()
  const folder = await mkdtemp(join(tmpdir(), 'toolferry-backup-'))
  const backup = join(folder, 'data')
  return {
    product,
    stopRoles: product.shutDown,
    startRoles: product.restart,
    backUp: async () => {
      await product.shutDown()
      await cp(product.dataDir, backup, { recursive: true })
      await product.restart()
    },
    restore: async () => {
      await rm(product.dataDir, { recursive: true })
      await cp(backup, product.dataDir, { recursive: true })
    },
    end: async () => {
      await product.stop()
      await rm(folder, { recursive: true })
    },
  }
}

/** Several processes of every role on MariaDB: its dump is taken while they run. Temporal keeps what it has. */
async function cluster(): Promise<Keeper> {
  const product: Cluster = await startCluster()
  const folder = await mkdtemp(join(tmpdir(), 'toolferry-backup-'))
  const dump = join(folder, 'toolferry.sql')
  const database = new URL(product.store.url).pathname.slice(1)
  const roles = [...product.apis, ...product.workers, ...product.gateways]
  return {
    product,
    stopRoles: async () => void (await Promise.all(roles.map((role) => role.stop()))),
    startRoles: async () => void (await Promise.all(roles.map((role) => role.start()))),
    backUp: async () =>
      writeFile(dump, await runMysqlClient('mysqldump', ['--single-transaction', '--routines', database])),
    restore: async () => {
      await product.store.query(`DROP DATABASE ${database}`)
      await product.store.query(`CREATE DATABASE ${database}`)
      await runMysqlClient('mysql', [database, `--execute=source ${dump}`])
      await product.store.query(`USE ${database}`)
    },
    end: async () => {
      await product.stop()
      await rm(folder, { recursive: true })
    },
  }
}

describe.each([
  ['everything in one process', embedded],
  ['two api, two worker and two gateway processes on one MariaDB', cluster],
])('%s', (_name, start) => {
  let keeper: Keeper
  let world: FaultWorld
  beforeAll(async () => {
    keeper = await start()
    world = await startFaultWorld(keeper.product, { name: 'Kept', instances: 2, workspaces: 2 })
  }, 180_000)
  afterAll(async () => {
    await world?.stop()
    await keeper?.end()
  })

  const TOKEN_OF_LATER = 'a-token-that-was-set-after-the-backup-2718281828'
  const cell = (targets: TargetBody[], instance: number, space: number) =>
    targets.find(
      ({ instanceId, spaceId }) => instanceId === world.instanceIds[instance] && spaceId === world.spaceIds[space],
    )
  /** The status of a call with just what Dify has stored in that workspace. */
  const callFrom = async (workspace: number, row: number): Promise<number> => {
    const given = world.workspaces[workspace]
    if (given === undefined) throw new Error('there is no such workspace')
    const provider = (await world.dify.checkRows(given))[row]
    if (provider === undefined) throw new Error('there is no such provider')
    return (await callAsDify(provider.url, provider.headers, 'tool-1', { text: 'x' })).status
  }

  it('is as it was, and says what Dify has beyond that', async () => {
    const { product } = keeper
    const [first = '', second = ''] = world.instanceIds
    expect((await finished(product, await world.startSync({ instanceIds: [first] }))).state).toBe('succeeded')
    await keeper.backUp()

    // What the backup does not know: one token replaced, one MCP server brought to both workspaces.
    const authorizations = [{ instanceId: first, spaceId: world.spaceIds[0], token: TOKEN_OF_LATER }]
    const replaced = await world.startSync({ instanceIds: [first], authorizations })
    expect((await finished(product, replaced)).state).toBe('succeeded')
    expect((await finished(product, await world.startSync({ instanceIds: [second] }))).state).toBe('succeeded')
    expect([await callFrom(0, 0), await callFrom(1, 0), await callFrom(0, 1)]).toEqual([200, 200, 200])

    await keeper.stopRoles()
    await keeper.restore()
    await keeper.startRoles()

    // What was there at the backup works at once; what came after it is not known to the gateway.
    expect([await callFrom(0, 0), await callFrom(1, 0), await callFrom(0, 1)]).toEqual([401, 200, 401])
    const plan = await finished(product, await world.startSync({ dryRun: true }))
    expect(plan.state).toBe('planned')
    const planned = await targetsOf(product, plan.id)
    expect(cell(planned, 0, 0)?.action).toBe('update')
    expect(cell(planned, 0, 0)?.changes?.map(({ field }) => field)).toContain('authorization')
    expect(cell(planned, 0, 1)?.action).toBe('unchanged')
    for (const space of [0, 1]) expect(cell(planned, 1, space)?.action).toBe('conflict')
  }, 240_000)

  it('a sync puts right what is known; what is not is made anew once it is out of the way in Dify', async () => {
    const { product } = keeper
    const [first = '', second = ''] = world.instanceIds
    expect((await finished(product, await world.startSync({ instanceIds: [first] }))).state).toBe('succeeded')
    expect([await callFrom(0, 0), await callFrom(1, 0)]).toEqual([200, 200])
    const [foreign] = await world.dify.query('SELECT count(*)::int AS rows FROM tool_mcp_providers')
    expect(foreign?.rows).toBe(4)

    const stranger = await world.startSync({ instanceIds: [second] })
    expect((await finished(product, stranger)).state).toBe('failed')
    await world.dify.query(`DELETE FROM tool_mcp_providers WHERE name LIKE '%server 2'`)
    expect((await finished(product, await world.startSync({ instanceIds: [second] }))).state).toBe('succeeded')
    expect([await callFrom(0, 1), await callFrom(1, 1)]).toEqual([200, 200])
  }, 240_000)
})
