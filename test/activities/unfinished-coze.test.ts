import { afterEach, beforeEach, expect, it } from 'vitest'
import { type ActivityDeps, DEFAULT_LIMITS } from '../../activities/deps.ts'
import { discoverTools } from '../../activities/discover-tools.ts'
import { planSpace } from '../../activities/plan-space.ts'
import { failSpace } from '../../activities/run-records.ts'
import { writeObjects } from '../../activities/write-objects.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { ensureBindings } from '../../src/store/bindings.ts'
import { getDeployment, recordFailure } from '../../src/store/deployments.ts'
import { mirroredAway } from '../../src/store/mirror.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import { createTargets } from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import { markTokensProven, mintTokensFor } from '../../src/store/tokens.ts'
import { type CozeWorld, GATEWAY, openCozeWorld } from '../platforms/coze/world.ts'
import { makeInstance, makePlatform, one, remoteSpace } from '../store/fixtures.ts'
import { openTestStore, type TestStore } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { mockActivity } from './activity-world.ts'

/**
 * COZE registers a plugin, and its answer is lost: the run fails without having heard of it. The store and the adapter are real,
 * COZE is the simulator.
 */

let opened: TestStore
let coze: CozeWorld
let deps: ActivityDeps
let cell: { instanceId: string; spaceId: string; bindingId: string }
let platformId = ''
let remoteId = ''

beforeEach(async () => {
  ;[opened, coze] = await Promise.all([openTestStore(), openCozeWorld()])
  const { store } = opened
  const platform = coze.open()
  deps = {
    store,
    logger: silentLogger,
    egress: createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() }),
    holdPlatform: async () => ({ platform, [Symbol.asyncDispose]: async () => undefined }),
    gatewayUrl: () => GATEWAY,
    publicUrl: () => GATEWAY,
    workerId: 'test',
    limits: { ...DEFAULT_LIMITS, targetAttempts: 1 },
  }
  platformId = (await makePlatform(store)).id
  remoteId = coze.simulator.addSpace({ ownerId: coze.account.userId, name: '研发' })
  await upsertSpaces(store, platformId, [remoteSpace(remoteId)])
  const { id: spaceId } = one(await allSpaces(store, platformId))
  const { id: instanceId } = await makeInstance(store, { url: coze.mcp.url })
  const { id: bindingId } = one(await ensureBindings(store, [{ instanceId, spaceId }]))
  const token = (await mintTokensFor(store, [bindingId])).get(bindingId)
  await markTokensProven(store, [token?.id ?? ''])
  cell = { instanceId, spaceId, bindingId }
})
afterEach(async () => {
  await coze?.close()
  await opened?.close()
})

const selection = () => ({ instanceIds: [cell.instanceId], spaceIds: [cell.spaceId] })

async function newRun(action: 'sync' | 'remove'): Promise<string> {
  const { store } = deps
  const { sync } = await createSync(store, {
    platformId,
    name: 'run',
    action,
    selection: selection(),
    requestedBy: 'ann',
  })
  await createTargets(store, sync.id, [cell])
  return sync.id
}

const run = <T>(work: () => Promise<T>) => mockActivity().run(work)
const plan = (syncId: string) => run(() => planSpace(deps, { syncId, spaceId: cell.spaceId }))
const write = (syncId: string) => run(() => writeObjects(deps, { syncId, spaceId: cell.spaceId }))
const plugins = () => coze.simulator.plugins(remoteId)

/** Fails for good, with the plugin registered: COZE lists it a moment after it was looked for, and takes no second one. */
async function failAfterRegistering(): Promise<void> {
  const { faults, switches } = coze.simulator
  switches.duplicateNames = 'refused'
  faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'lost-response' } })
  faults.add({ endpoint: 'register_plugin_meta', fault: { kind: 'index-lag', ms: 65_000 } })
  const syncId = await newRun('sync')
  await run(() => discoverTools(deps, { syncId, instanceId: cell.instanceId }))
  await plan(syncId)
  await expect(write(syncId)).rejects.toThrow()
  const failure = { type: 'UpstreamUnreachable', message: 'It is away.' }
  await run(() => failSpace(deps, { syncId, spaceId: cell.spaceId, ...failure }))
  // As the plan of a later run does, that could not ask the MCP server.
  await recordFailure(deps.store, cell.bindingId, { ...failure, syncId })
  expect(plugins()).toHaveLength(1)
  const deployment = await getDeployment(deps.store, cell.bindingId)
  expect(deployment).toMatchObject({ state: 'failed', identity: null, ownership: null })
}

it.each([
  ['is listed by now', 60_000],
  ['is not listed yet', 0],
])('a removal takes away what a failed run had registered, and what %s', async (_, laterMs) => {
  await failAfterRegistering()
  coze.clock.advance(laterMs)
  const away = await mirroredAway(deps.store, {
    platformId,
    profileId: null,
    selection: { instanceIds: [], spaceIds: [] },
  })
  expect(away.map(({ bindingId }) => bindingId)).toEqual([cell.bindingId])

  const syncId = await newRun('remove')
  expect(await plan(syncId)).toMatchObject({ toWrite: 1 })
  expect(await write(syncId)).toMatchObject({ counts: { succeeded: 1 } })
  expect(plugins()).toEqual([])
  expect(await getDeployment(deps.store, cell.bindingId)).toMatchObject({ state: 'removed', checkpoint: null })
})

it('what COZE does not show any more is neither written, nor taken for gone when it is to be removed', async () => {
  const write1 = await newRun('sync')
  await run(() => discoverTools(deps, { syncId: write1, instanceId: cell.instanceId }))
  await plan(write1)
  await write(write1)
  coze.simulator.faults.add({
    endpoint: 'get_plugin_info',
    times: Number.POSITIVE_INFINITY,
    fault: { kind: 'business-error', code: 109000001, msg: '没有权限执行该操作' },
  })
  // As in a later process, which has nothing in mind of the plugin.
  deps.holdPlatform = async () => ({ platform: coze.open(), [Symbol.asyncDispose]: async () => undefined })
  for (const action of ['sync', 'remove'] as const) {
    const syncId = await newRun(action)
    expect(await plan(syncId), action).toMatchObject({ toWrite: 0, counts: { failed: 1 } })
  }
  expect(await getDeployment(deps.store, cell.bindingId)).not.toMatchObject({ state: 'removed' })
  expect(plugins()).toHaveLength(1)
})
