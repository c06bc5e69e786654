import {
  credentialReplaced,
  disableSpaceAuthorization,
  enableSpaceAuthorization,
  pauseSignal,
  resumeSignal,
} from '../../workflows/messages.ts'
import { type Call, gate, type Name, outcome, refuse, spaceIds } from './scripted-activities.ts'
import type { TemporalWorld, TestRun } from './temporal-world.ts'

/** The ways a run can go, each as one recorded history in test/histories/ (scripts/capture-histories.ts). */

type GoldenRun = (world: TemporalWorld, name: string) => Promise<TestRun>

const seen =
  (name: Name, input: Record<string, unknown> = {}) =>
  (calls: readonly Call[]) =>
    calls.some((call) => call.name === name && Object.entries(input).every(([key, value]) => call.input[key] === value))

export const GOLDEN_RUNS: Record<string, GoldenRun> = {
  succeeded: (world, name) => world.start(name, { spaceIds: spaceIds(3), concurrency: 2 }),

  // More servers and spaces than are worked on at once: a change of how many those are breaks runs under way.
  'many-at-once': (world, name) =>
    world.start(name, {
      dryRun: true,
      instanceIds: Array.from({ length: 12 }, (_, index) => `instance-${index + 1}`),
      spaceIds: spaceIds(6),
      concurrency: 3,
    }),

  'dry-run': (world, name) => world.start(name, { dryRun: true }),

  removal: (world, name) => world.start(name, { action: 'remove', spaceIds: spaceIds(2) }),

  partial: (world, name) =>
    world.start(
      name,
      { spaceIds: spaceIds(3) },
      {
        discoverTools: ({ instanceId }) => (instanceId === 'instance-2' ? refuse('UpstreamUnauthorized') : undefined),
        planSpace: ({ spaceId }) => (spaceId === 'space-1' ? outcome({ unchanged: 2 }) : undefined),
        writeDifyProviders: ({ spaceId }) => (spaceId === 'space-2' ? refuse('Forbidden') : undefined),
      },
    ),

  failed: (world, name) => world.start(name, {}, { prepareSync: () => refuse('TargetGone') }),

  async 'paused-and-resumed'(world, name) {
    const run = await world.start(
      name,
      { spaceIds: spaceIds(2), concurrency: 1 },
      {
        async writeDifyProviders({ spaceId }, nth) {
          if (spaceId !== 'space-1' || nth > 1) return undefined
          await run.script.until(seen('recordState', { state: 'paused' }))
          return outcome({ succeeded: 1, pending: 1 }, 'paused')
        },
      },
    )
    await run.script.until(seen('writeDifyProviders'))
    await run.handle.signal(pauseSignal)
    await run.script.until((calls) => calls.some((call) => call.name === 'writeDifyProviders' && call.ended))
    await run.handle.signal(resumeSignal)
    return run
  },

  async 'credential-replaced'(world, name) {
    const run = await world.start(
      name,
      { spaceIds: spaceIds(2), concurrency: 1 },
      {
        writeDifyProviders: ({ spaceId }, nth) =>
          spaceId === 'space-1' && nth === 1 ? refuse('CredentialRefused') : undefined,
      },
    )
    await run.script.until(seen('recordState', { state: 'waiting_for_credential' }))
    await run.handle.signal(credentialReplaced)
    return run
  },

  'credential-not-replaced': (world, name) =>
    world.start(
      name,
      { spaceIds: spaceIds(2), credentialWaitMs: 1 },
      { planSpace: ({ spaceId }) => (spaceId === 'space-1' ? refuse('CredentialExpired') : undefined) },
    ),

  async cancelled(world, name) {
    const door = gate()
    const run = await world.start(
      name,
      { spaceIds: spaceIds(2), concurrency: 1 },
      { writeDifyProviders: () => door.pass() },
    )
    await run.script.until(seen('writeDifyProviders'))
    await run.handle.cancel()
    return run
  },

  async 'disabled-by-signal'(world, name) {
    const door = gate()
    const run = await world.start(name, { spaceIds: spaceIds(2) }, { prepareSync: () => door.pass() })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-2', actor: 'ann' })
    await run.handle.signal(enableSpaceAuthorization, { spaceId: 'space-2', actor: 'ann' })
    await run.handle.signal('disableSpaceAuthorization', 'not an object')
    door.open()
    return run
  },

  async 'continued-as-new'(world, name) {
    const door = gate()
    const run = await world.start(
      name,
      { spaceIds: spaceIds(4), concurrency: 2 },
      { verifySpace: ({ spaceId }) => (spaceId === 'space-1' ? door.pass() : undefined) },
      { continueAfterEvents: 30 },
    )
    await run.script.until(seen('verifySpace', { spaceId: 'space-1' }))
    await run.handle.signal(pauseSignal)
    await run.script.until(seen('recordState', { state: 'paused' }))
    door.open()
    await run.script.until((calls) => calls.some((call) => call.name === 'verifySpace' && call.ended))
    await run.handle.signal(resumeSignal)
    return run
  },
}
