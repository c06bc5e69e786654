import type { Info } from '@temporalio/activity'
import { MockActivityEnvironment } from '@temporalio/testing'
import { type ActivityDeps, DEFAULT_LIMITS } from '../../activities/deps.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { createTargets } from '../../src/store/sync-targets.ts'
import { createSync, type SyncRecord } from '../../src/store/syncs.ts'
import { makeWorld, type World } from '../store/fixtures.ts'
import { openTestStore } from '../store/test-store.ts'
import { recordingLogger } from '../support/logger.ts'

/** An activity's surroundings without a server, and without the SDK's own lines in the test's output. */
export function mockActivity(info: Partial<Info> = {}): MockActivityEnvironment {
  const quiet = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} }
  return new MockActivityEnvironment(info, { logger: quiet })
}

export type ActivityWorld = World & {
  deps: ActivityDeps
  lines: ReturnType<typeof recordingLogger>['lines']
  /** A sync of all cells, with its targets. */
  newSync(): Promise<SyncRecord>
  /** Runs as an activity does, without a server. */
  run<T>(work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** What activities need, on a real store; no platform is held. */
export async function openActivityWorld(size: { spaces: number; instances: number }): Promise<ActivityWorld> {
  const { store, close } = await openTestStore()
  const { logger, lines } = recordingLogger()
  const world = await makeWorld(store, size)
  const deps: ActivityDeps = {
    store,
    logger,
    egress: createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() }),
    holdPlatform: () => Promise.reject(new Error('no platform in this test')),
    gatewayUrl: () => 'http://127.0.0.1:8080',
    publicUrl: () => 'https://toolferry.test',
    workerId: 'test',
    limits: { ...DEFAULT_LIMITS, targetAttempts: 3 },
  }
  return {
    ...world,
    deps,
    lines,
    async newSync() {
      const { sync } = await createSync(store, {
        platformId: world.platform.id,
        name: 'run',
        selection: { instanceIds: world.instances.map(({ id }) => id), spaceIds: 'all' },
        requestedBy: 'ann',
      })
      await createTargets(
        store,
        sync.id,
        world.bindings.map(({ id, instanceId, spaceId }) => ({ instanceId, spaceId, bindingId: id })),
      )
      return sync
    },
    run: (work) => mockActivity().run(work),
    close,
  }
}
