import {
  CREDENTIAL_WATCH_WORKFLOW,
  credentialReplaced,
  disableSpaceAuthorization,
  enableSpaceAuthorization,
  HOUSEKEEPING_WORKFLOW,
  NOTIFY_WORKFLOW,
  notifyWorkflowId,
  pauseSignal,
  resumeSignal,
  TOKEN_WATCH_WORKFLOW,
  TOOL_WATCH_WORKFLOW,
} from '../../workflows/messages.ts'
import { type Call, gate, type Name, outcome, refuse, spaceIds } from './scripted-activities.ts'
import type { OtherRun, TemporalWorld, TestRun } from './temporal-world.ts'

/** The ways a run can go, each as one recorded history in test/histories/ (scripts/capture-histories.ts). */

type GoldenRun = (world: TemporalWorld, name: string) => Promise<TestRun | OtherRun>

const seen =
  (name: Name, input: Record<string, unknown> = {}) =>
  (calls: readonly Call[]) =>
    calls.some((call) => call.name === name && Object.entries(input).every(([key, value]) => call.input[key] === value))

const looked = { asked: 2, unreachable: 0, changed: 1, started: 0, settleMs: 5 }
const toolLooks = [
  { ...looked, unsettledInstanceIds: ['instance-1', 'instance-2'] },
  { ...looked, asked: 2, started: 1, unsettledInstanceIds: ['instance-2'] },
  { ...looked, asked: 1, unsettledInstanceIds: ['instance-2'] },
]

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

  // Waited for once; what comes after that fails at once, in the history that follows, too.
  'credential-never-replaced': (world, name) =>
    world.start(
      name,
      { spaceIds: spaceIds(6), concurrency: 1, credentialWaitMs: 1 },
      { planSpace: () => refuse('CredentialExpired') },
      { continueAfterEvents: 40 },
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

  'credential-watch': (world, name) => world.startOther(CREDENTIAL_WATCH_WORKFLOW, name, []),

  'token-watch': (world, name) => world.startOther(TOKEN_WATCH_WORKFLOW, name, []),

  'tool-watch': (world, name) => world.startOther(TOOL_WATCH_WORKFLOW, name, []),

  // A server that changes its tools from look to look, and one that settles.
  'tool-watch-settling': (world, name) =>
    world.startOther(TOOL_WATCH_WORKFLOW, name, [], { watchTools: (_input, nth) => toolLooks[nth - 1] }),

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

  'notice-delivered': (world, name) =>
    world.startOther(NOTIFY_WORKFLOW, notifyWorkflowId(name), [{ deliveryId: name }]),

  'notice-given-up': (world, name) =>
    world.startOther(NOTIFY_WORKFLOW, notifyWorkflowId(name), [{ deliveryId: name }], {
      deliverNotice: () => refuse('InvalidDesiredState'),
    }),

  housekeeping: (world, name) => world.startOther(HOUSEKEEPING_WORKFLOW, name, []),
}
