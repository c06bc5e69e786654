import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { createSync } from '../../src/store/syncs.ts'
import type { SyncInput, SyncStatus } from '../../workflows/messages.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import {
  assertAgreement,
  expectSucceeded,
  type FaultWorld,
  startFaultWorld,
  until,
  untilIn,
} from '../support/fault-world.ts'
import { silentLogger } from '../support/logger.ts'
import { finished, syncWhen, targetsOf } from '../support/product.ts'

/** What may happen to the API and to Temporal between a request and its run's end. One after the other: they share one Temporal. */

let cluster: Cluster
const worlds: FaultWorld[] = []

beforeAll(async () => {
  cluster = await startCluster({ apis: 1, workers: 1, gateways: 1, env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3' } })
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

describe('the API is killed', () => {
  it('right after the 202: the run goes on without it', async () => {
    const world = await worldOf('After the answer', 2, 2)
    const syncId = await world.startSync()
    await cluster.apis[0]?.kill()
    const handle = cluster.temporal.client.workflow.getHandle(`sync-${syncId}`)
    expect(await handle.result()).toMatchObject({ state: 'succeeded', counts: { total: 4, succeeded: 4 } })
    await cluster.apis[0]?.start()
    await expectSucceeded(cluster, await finished(cluster, syncId))
    await assertAgreement(cluster, world)
  }, 240_000)

  it('between the store and Temporal, which is away: the run stays queued, and is started once Temporal is back', async () => {
    const world = await worldOf('Before the start', 2, 2)
    await cluster.temporal.down()
    const syncId = await world.startSync()
    await cluster.apis[0]?.kill()
    const [row] = await cluster.store.query('SELECT state FROM Sync WHERE id = ?', [syncId])
    expect(row?.state).toBe('queued')
    await cluster.temporal.up()
    // By the worker's reconciler: there is no API.
    const handle = cluster.temporal.client.workflow.getHandle(`sync-${syncId}`)
    await until('the run is started', () =>
      handle.describe().then(
        () => true,
        () => false,
      ),
    )
    expect(await handle.result()).toMatchObject({ state: 'succeeded', counts: { total: 4, succeeded: 4 } })
    await cluster.apis[0]?.start()
    await expectSucceeded(cluster, await finished(cluster, syncId))
    await assertAgreement(cluster, world)
  }, 180_000)
})

describe('the Temporal server', () => {
  it('is killed in mid-run and comes back: the run ends succeeded', async () => {
    const world = await worldOf('Temporal killed', 3, 3)
    const handshakes = world.holdProofs()
    const syncId = await world.startSync()
    await untilIn(cluster, syncId, 'mintTokens')
    await until('a token is being proven', () => handshakes.held() > 0)
    await cluster.temporal.crash()
    handshakes.release()
    await expectSucceeded(cluster, await finished(cluster, syncId, 150_000))
    await assertAgreement(cluster, world)
  }, 240_000)

  it('loses its database: the open run is closed as RunLost, and new runs work', async () => {
    const world = await worldOf('Temporal lost', 2, 2)
    const handshakes = world.holdProofs()
    const syncId = await world.startSync()
    await untilIn(cluster, syncId, 'mintTokens')
    await until('a token is being proven', () => handshakes.held() > 0)
    await cluster.temporal.down()
    handshakes.release()
    await cluster.temporal.up({ lose: true })
    const lost = await finished(cluster, syncId)
    expect(lost).toMatchObject({ state: 'failed', error: { type: 'RunLost' } })
    const again = await world.startSync()
    await expectSucceeded(cluster, await finished(cluster, again, 150_000))
    await assertAgreement(cluster, world)
  }, 240_000)
})

describe('a run that continues as new', () => {
  it('keeps its counts, what is paused and what is disabled', async () => {
    const world = await worldOf('Long', 2, 20)
    // No worker, so that nobody but this test starts the run.
    await cluster.killWorkers()
    const store = await openStore({
      config: { databaseUrl: cluster.store.url, dataDir: '' },
      secrets: cluster.secrets,
      logger: silentLogger,
    })
    const { sync } = await createSync(store, {
      platformId: world.platformId,
      name: 'Long',
      selection: { instanceIds: world.instanceIds, spaceIds: world.spaceIds },
      acceptWarnings: true,
      requestedBy: 'the test',
    })
    await store.close()
    const input: SyncInput = { syncId: sync.id, searchAttributes: false, continueAfterEvents: 40 }
    const handle = await cluster.temporal.client.workflow.start('SyncWorkflow', {
      workflowId: sync.workflowId,
      taskQueue: 'toolferry',
      args: [input],
    })
    const disabledSpace = world.spaceIds.at(-1) ?? ''
    await handle.signal('disableSpaceAuthorization', { spaceId: disabledSpace })
    await cluster.startWorkers()

    const first = handle.firstExecutionRunId
    const current = async () => (await cluster.temporal.client.workflow.getHandle(sync.workflowId).describe()).runId
    await until('it has continued as new', async () => (await current()) !== first)
    await cluster.must(202, 'POST', `/syncs/${sync.id}/pause`, {})
    await syncWhen(cluster, sync.id, (one) => one.state === 'paused')
    const status = await cluster.temporal.client.workflow.getHandle(sync.workflowId).query<SyncStatus>('status')
    expect(status).toMatchObject({ state: 'paused', spacesTotal: 20, disabledSpaceIds: [disabledSpace] })
    expect(status.counts.succeeded).toBeGreaterThan(0)
    const rows = (await world.dify.rows()).length
    expect(rows).toBeLessThan(38)

    await cluster.must(202, 'POST', `/syncs/${sync.id}/resume`, {})
    const run = await finished(cluster, sync.id, 150_000)
    expect(run).toMatchObject({ state: 'succeeded', counts: { total: 40, succeeded: 38, skipped: 2, failed: 0 } })
    const skipped = (await targetsOf(cluster, sync.id)).filter((target) => target.state === 'skipped')
    expect(skipped.map((target) => target.spaceId)).toEqual([disabledSpace, disabledSpace])
    expect(await handle.result()).toMatchObject({
      state: 'succeeded',
      counts: { total: 40, succeeded: 38, skipped: 2 },
    })
    await assertAgreement(cluster, world)
  }, 240_000)
})
