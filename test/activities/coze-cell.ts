import { type ActivityDeps, DEFAULT_LIMITS } from '../../activities/deps.ts'
import { planSpace } from '../../activities/plan-space.ts'
import { writeObjects } from '../../activities/write-objects.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { ensureBindings } from '../../src/store/bindings.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import { createTargets } from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import { markTokensProven, mintTokensFor } from '../../src/store/tokens.ts'
import { type CozeWorld, GATEWAY, openCozeWorld } from '../platforms/coze/world.ts'
import { makeInstance, makePlatform, one, remoteSpace } from '../store/fixtures.ts'
import { openTestStore } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { mockActivity } from './activity-world.ts'

/** One instance in one space of COZE, its token proven: the store and the adapter are real, COZE is the simulator. */
export type CozeCell = {
  coze: CozeWorld
  deps: ActivityDeps
  platformId: string
  remoteId: string
  cell: { instanceId: string; spaceId: string; bindingId: string }
  /** A run of the cell, its target made. */
  newRun(action?: 'sync' | 'remove'): Promise<string>
  run<T>(work: () => Promise<T>): Promise<T>
  plan(syncId: string): ReturnType<typeof planSpace>
  write(syncId: string): ReturnType<typeof writeObjects>
  close(): Promise<void>
}

export async function openCozeCell(): Promise<CozeCell> {
  const [opened, coze] = await Promise.all([openTestStore(), openCozeWorld()])
  const { store } = opened
  const platform = coze.open()
  const deps: ActivityDeps = {
    store,
    logger: silentLogger,
    egress: createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() }),
    holdPlatform: async () => ({ platform, [Symbol.asyncDispose]: async () => undefined }),
    gatewayUrl: () => GATEWAY,
    publicUrl: () => GATEWAY,
    workerId: 'test',
    limits: { ...DEFAULT_LIMITS, targetAttempts: 1 },
  }
  const platformId = (await makePlatform(store)).id
  const remoteId = coze.simulator.addSpace({ ownerId: coze.account.userId, name: '研发' })
  await upsertSpaces(store, platformId, [remoteSpace(remoteId)])
  const { id: spaceId } = one(await allSpaces(store, platformId))
  const { id: instanceId } = await makeInstance(store, { url: coze.mcp.url })
  const { id: bindingId } = one(await ensureBindings(store, [{ instanceId, spaceId }]))
  const token = (await mintTokensFor(store, [bindingId])).get(bindingId)
  await markTokensProven(store, [token?.id ?? ''])
  const cell = { instanceId, spaceId, bindingId }
  const run = <T>(work: () => Promise<T>): Promise<T> => mockActivity().run(work)
  return {
    coze,
    deps,
    platformId,
    remoteId,
    cell,
    async newRun(action = 'sync') {
      const selection = { instanceIds: [instanceId], spaceIds: [spaceId] }
      const { sync } = await createSync(store, { platformId, name: 'run', action, selection, requestedBy: 'ann' })
      await createTargets(store, sync.id, [cell])
      return sync.id
    },
    run,
    plan: (syncId) => run(() => planSpace(deps, { syncId, spaceId })),
    write: (syncId) => run(() => writeObjects(deps, { syncId, spaceId })),
    async close() {
      await coze.close()
      await opened.close()
    },
  }
}
