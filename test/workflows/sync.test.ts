import { WorkflowFailedError } from '@temporalio/client'
import { CancelledFailure } from '@temporalio/common'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inActivity } from '../../activities/in-activity.ts'
import { type ErrorType, ToolferryError } from '../../src/domain/errors.ts'
import {
  credentialReplaced,
  disableSpaceAuthorization,
  enableSpaceAuthorization,
  pauseSignal,
  resumeSignal,
  spaceStatusQuery,
  statusQuery,
  syncWorkflowId,
} from '../../workflows/messages.ts'
import { silentLogger } from '../support/logger.ts'
import { activityInputs, eventsOf, scheduled, summaries, unfinished } from './events.ts'
import { type Call, counts, gate, type Name, outcome, refuse, spaceIds } from './scripted-activities.ts'
import { startTemporalWorld, type TemporalWorld, type TestRun } from './temporal-world.ts'

/** The workflow's own logic, on a real Temporal server, with activities that only write down how they were called. */

let world: TemporalWorld

beforeAll(async () => {
  world = await startTemporalWorld()
})
afterAll(async () => {
  await world?.close()
})

const calledWith = (name: Name, input: object) => (calls: readonly Call[]) =>
  calls.some((call) => call.name === name && matches(call.input, input))
const called =
  (name: Name, times = 1) =>
  (calls: readonly Call[]) =>
    calls.filter((call) => call.name === name).length >= times
const ended =
  (name: Name, times = 1) =>
  (calls: readonly Call[]) =>
    calls.filter((call) => call.name === name && call.ended).length >= times

function matches(input: Record<string, unknown>, wanted: object): boolean {
  return Object.entries(wanted).every(([key, value]) => input[key] === value)
}

/** Sends a signal and waits until the workflow has handled it: a query is answered after all that came before. */
async function pause(run: TestRun): Promise<void> {
  await run.handle.signal(pauseSignal)
  await run.script.until(calledWith('recordState', { state: 'paused' }))
}

async function cancelledResult(run: TestRun): Promise<unknown> {
  const failure: unknown = await run.handle.result().catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(WorkflowFailedError)
  return (failure as WorkflowFailedError).cause
}

describe('the way of a run', () => {
  it('prepares, discovers, then plans, mints, writes and verifies space by space, and records', async () => {
    const run = await world.start('order', { concurrency: 1 })
    expect(await run.result()).toEqual({ syncId: 'order', state: 'succeeded', counts: counts({}) })
    const names = run.script.calls.map((call) => call.name)
    expect(names[0]).toBe('prepareSync')
    expect(names.slice(1, 3)).toEqual(['discoverTools', 'discoverTools'])
    expect(names.at(-1)).toBe('recordOutcome')
    expect(run.script.phases()).toEqual(
      spaceIds(3).flatMap((space) => [`plan ${space}`, `mint ${space}`, `write ${space}`, `verify ${space}`]),
    )
    expect(run.script.inputs('recordOutcome')).toEqual([{ syncId: 'order', outcome: 'finished' }])
    expect(run.script.inputs('recordState')).toEqual([])
  })

  it('writes with the activity that the platform’s kind names', async () => {
    const run = await world.start('coze', { platformKind: 'coze', spaceIds: spaceIds(1) })
    await run.result()
    expect(run.script.inputs('writeCozePlugins')).toEqual([{ syncId: 'coze', spaceId: 'space-1' }])
    expect(run.script.inputs('writeDifyProviders')).toEqual([])
  })

  it('ends a dry run after the plan', async () => {
    const run = await world.start('dry', { dryRun: true, concurrency: 1 })
    expect((await run.result()).state).toBe('planned')
    expect(run.script.phases()).toEqual(spaceIds(3).map((space) => `plan ${space}`))
  })

  it('leaves a space alone that has nothing to write, and one whose targets all fell out while minting', async () => {
    const run = await world.start(
      'nothing-to-do',
      { spaceIds: spaceIds(2), concurrency: 1 },
      {
        planSpace: ({ spaceId }) => (spaceId === 'space-1' ? outcome({ unchanged: 2 }) : outcome({ pending: 2 })),
        mintTokens: () => outcome({ failed: 2 }),
      },
    )
    await run.result()
    expect(run.script.phases()).toEqual(['plan space-1', 'plan space-2', 'mint space-2', 'verify space-2'])
  })

  it('a removal asks no MCP server and mints nothing', async () => {
    const run = await world.start('removal', { action: 'remove', spaceIds: spaceIds(1) })
    await run.result()
    expect(run.script.calls.map((call) => call.name)).toEqual([
      'prepareSync',
      'planSpace',
      'writeDifyProviders',
      'verifySpace',
      'recordOutcome',
    ])
  })

  it('a scheduled run gets its sync from prepareSync', async () => {
    const run = await world.start(
      'scheduled',
      { syncId: 'made-by-prepare' },
      {},
      { syncId: undefined, profileId: 'profile-1' },
    )
    expect((await run.result()).syncId).toBe('made-by-prepare')
    expect(run.script.inputs('prepareSync')).toEqual([{ profileId: 'profile-1' }])
    expect(run.script.inputs('recordOutcome')).toEqual([{ syncId: 'made-by-prepare', outcome: 'finished' }])
  })

  it('works on no more spaces at once than it may', async () => {
    const door = gate()
    const run = await world.start('pool', { spaceIds: spaceIds(9), concurrency: 3 }, { planSpace: () => door.pass() })
    await run.script.until(called('planSpace', 3))
    const planned = scheduled(await eventsOf(world.temporal.client, syncWorkflowId('pool'))).filter(
      (one) => one === 'planSpace',
    )
    expect(planned).toHaveLength(3)
    let most = 0
    door.open()
    await run.script.until((calls) => {
      const open = new Set(
        calls.filter((call) => !call.ended && 'spaceId' in call.input).map((call) => call.input.spaceId),
      )
      most = Math.max(most, open.size)
      return called('recordOutcome')(calls)
    })
    await run.result()
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(3)
    expect(run.script.phases().filter((phase) => phase.startsWith('verify'))).toHaveLength(9)
  })
})

describe('failures', () => {
  it('of an MCP server fail its targets only', async () => {
    const run = await world.start(
      'server-away',
      {},
      { discoverTools: ({ instanceId }) => (instanceId === 'instance-1' ? refuse('UpstreamUnauthorized') : undefined) },
    )
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('failInstance')).toEqual([
      {
        syncId: 'server-away',
        instanceId: 'instance-1',
        type: 'UpstreamUnauthorized',
        message: 'refused with UpstreamUnauthorized',
      },
    ])
    expect(run.script.inputs('planSpace')).toHaveLength(3)
  })

  it('of the store while an MCP server is asked are outlasted as in every other step', async () => {
    const run = await world.start(
      'store-away',
      { instanceIds: ['instance-1'] },
      {
        discoverTools: (_, nth) => {
          if (nth <= 10) throw new ToolferryError('Bug', 'The store is away.', { retryAfterMs: 10 })
          return undefined
        },
      },
    )
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('failInstance')).toEqual([])
  })

  it('of an MCP server are counted through all attempts, whatever else fails in between', async () => {
    const counted: number[] = []
    const run = await world.start(
      'counted',
      { instanceIds: ['instance-1'] },
      {
        discoverTools: (_, nth) =>
          inActivity(silentLogger, {}, async (_signal, known) => {
            const again = (type: ErrorType) => new ToolferryError(type, 'Again.', { retryAfterMs: 10 })
            if (nth % 2 === 0) throw again('Bug')
            counted.push(Number(known.value ?? 0) + 1)
            known.keep(counted.at(-1))
            if (nth < 7) throw again('UpstreamUnreachable')
            return { headerSets: 1, tools: 1 }
          }),
      },
    )
    await run.result()
    expect(counted).toEqual([1, 2, 3, 4])
  })

  it('of a space end that space, the others go on', async () => {
    const run = await world.start(
      'space-fails',
      { concurrency: 1 },
      {
        writeDifyProviders: ({ spaceId }) =>
          spaceId === 'space-2' ? refuse('Forbidden', 'no right to write') : undefined,
      },
    )
    await run.result()
    expect(run.script.inputs('failSpace')).toEqual([
      { syncId: 'space-fails', spaceId: 'space-2', type: 'Forbidden', message: 'no right to write' },
    ])
    expect(run.script.phases()).toContain('verify space-1')
    expect(run.script.phases()).not.toContain('verify space-2')
    expect(run.script.phases()).toContain('verify space-3')
    expect(await run.handle.query(spaceStatusQuery, 'space-2')).toMatchObject({ phase: 'done', errorType: 'Forbidden' })
  })

  it('that may pass are tried again, for a typed error and for an unexpected one', async () => {
    const run = await world.start(
      'retry',
      { spaceIds: spaceIds(2) },
      {
        planSpace: ({ spaceId }, nth) => {
          if (nth === 1) throw spaceId === 'space-1' ? new TypeError('secret-detail') : refuse('Unavailable')
          return undefined
        },
      },
    )
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('planSpace')).toHaveLength(4)
    expect(run.script.inputs('failSpace')).toEqual([])
  })

  it('of the whole run are recorded with their type, and end it', async () => {
    const run = await world.start(
      'run-fails',
      {},
      { prepareSync: () => refuse('TargetGone', 'The platform was deleted.') },
    )
    expect((await run.result()).state).toBe('failed')
    expect(run.script.inputs('recordOutcome')).toEqual([
      { syncId: 'run-fails', outcome: 'failed', type: 'TargetGone', message: 'The platform was deleted.' },
    ])
  })

  it('of the record itself end the workflow as failed, so that the reconciler closes the run', async () => {
    const run = await world.start('no-record', {}, { recordOutcome: () => refuse('TargetGone') })
    await expect(run.result()).rejects.toBeInstanceOf(WorkflowFailedError)
  })
})

describe('pause and resume', () => {
  it('lets what is going on finish, begins nothing, and goes on after the resume', async () => {
    const door = gate()
    const run = await world.start('pause', { concurrency: 1 }, { planSpace: () => door.pass() })
    await run.script.until(called('planSpace'))
    await pause(run)
    door.open()
    // The workflow has heard of the plan's end: what it would begin next is in the history.
    await expect
      .poll(() => run.handle.query(spaceStatusQuery, 'space-1'))
      .toMatchObject({ counts: counts({ pending: 2 }) })
    expect((await run.handle.query(statusQuery)).state).toBe('paused')
    const events = await eventsOf(world.temporal.client, run.handle.workflowId)
    expect(scheduled(events)).not.toContain('mintTokens')
    await run.handle.signal(resumeSignal)
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('recordState').map((input) => input.state)).toEqual(['paused', 'running'])
    expect(run.script.inputs('planSpace')).toHaveLength(3)
  })

  it('asks no further MCP server while paused', async () => {
    const door = gate()
    const instanceIds = Array.from({ length: 30 }, (_, index) => `instance-${index + 1}`)
    const run = await world.start('pause-discovery', { instanceIds }, { discoverTools: () => door.pass() })
    const asked = async () => {
      const names = scheduled(await eventsOf(world.temporal.client, run.handle.workflowId))
      return names.filter((name) => name === 'discoverTools').length
    }
    await run.script.until(called('discoverTools'))
    await pause(run)
    // However many it asks at once.
    const atOnce = await asked()
    expect(atOnce).toBeLessThan(30)
    door.open()
    await expect
      .poll(async () => unfinished(await eventsOf(world.temporal.client, run.handle.workflowId)))
      .not.toContain('discoverTools')
    await run.handle.query(statusQuery)
    expect(await asked()).toBe(atOnce)
    await run.handle.signal(resumeSignal)
    await run.result()
    expect(run.script.inputs('discoverTools')).toHaveLength(30)
  })

  it('before the run was prepared is recorded once it is', async () => {
    const door = gate()
    const run = await world.start('pause-early', {}, { prepareSync: () => door.pass() })
    await run.script.until(called('prepareSync'))
    await run.handle.signal(pauseSignal)
    door.open()
    await run.script.until(calledWith('recordState', { state: 'paused' }))
    await run.handle.query(statusQuery)
    expect(run.script.inputs('planSpace')).toEqual([])
    await run.handle.signal(resumeSignal)
    expect((await run.result()).state).toBe('succeeded')
  })

  it('a phase that broke off for it is called again after the resume', async () => {
    const run = await world.start(
      'interrupted',
      { spaceIds: spaceIds(1) },
      { writeDifyProviders: (_, nth) => (nth === 1 ? outcome({ succeeded: 1, pending: 1 }, 'paused') : undefined) },
    )
    await run.script.until(ended('writeDifyProviders'))
    await pause(run)
    await run.handle.signal(resumeSignal)
    await run.result()
    expect(run.script.phases()).toEqual([
      'plan space-1',
      'mint space-1',
      'write space-1',
      'write space-1',
      'verify space-1',
    ])
  })

  it('a pause that was taken back before its phase noticed costs no waiting', async () => {
    const door = gate()
    const run = await world.start(
      'short-pause',
      { spaceIds: spaceIds(1) },
      {
        async writeDifyProviders(_, nth) {
          if (nth > 1) return undefined
          await door.pass()
          return outcome({ succeeded: 1, pending: 1 }, 'paused')
        },
      },
    )
    await run.script.until(called('writeDifyProviders'))
    await run.handle.signal(pauseSignal)
    await run.handle.signal(resumeSignal)
    await run.script.until(calledWith('recordState', { state: 'running' }))
    door.open()
    await run.result()
    expect(run.script.inputs('writeDifyProviders')).toHaveLength(2)
    const timers = (await eventsOf(world.temporal.client, run.handle.workflowId)).filter(
      (event) => event.timerFiredEventAttributes != null,
    )
    expect(timers).toEqual([])
  })

  it('goes on, too, when the pause cannot be recorded', async () => {
    const door = gate()
    const run = await world.start(
      'unrecorded',
      { spaceIds: spaceIds(1) },
      { planSpace: () => door.pass(), recordState: () => refuse('TargetGone') },
    )
    await run.script.until(called('planSpace'))
    await run.handle.signal(pauseSignal)
    await run.script.until(ended('recordState'))
    await run.handle.signal(resumeSignal)
    door.open()
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('recordOutcome')).toEqual([{ syncId: 'unrecorded', outcome: 'finished' }])
  })
})

describe('a refused credential', () => {
  it('makes the run wait, and a new one repeats just that phase', async () => {
    const run = await world.start(
      'credential',
      { spaceIds: spaceIds(2), concurrency: 1 },
      {
        writeDifyProviders: ({ spaceId }, nth) =>
          spaceId === 'space-1' && nth === 1 ? refuse('CredentialRefused') : undefined,
      },
    )
    await run.script.until(calledWith('recordState', { state: 'waiting_for_credential' }))
    expect(await run.handle.query(statusQuery)).toMatchObject({
      state: 'waiting_for_credential',
      spacesInFlight: ['space-1'],
    })
    await run.handle.signal(credentialReplaced)
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('recordState').map((input) => input.state)).toEqual(['waiting_for_credential', 'running'])
    expect(run.script.phases().slice(0, 5)).toEqual([
      'plan space-1',
      'mint space-1',
      'write space-1',
      'write space-1',
      'verify space-1',
    ])
  })

  it('fails the space when none comes in time', async () => {
    const run = await world.start(
      'credential-late',
      { spaceIds: spaceIds(2), credentialWaitMs: 1 },
      { planSpace: ({ spaceId }) => (spaceId === 'space-1' ? refuse('CredentialExpired') : undefined) },
    )
    await run.result()
    expect(run.script.inputs('failSpace')).toEqual([
      {
        syncId: 'credential-late',
        spaceId: 'space-1',
        type: 'CredentialExpired',
        message: 'refused with CredentialExpired',
      },
    ])
    expect(run.script.phases()).toContain('verify space-2')
    expect(run.script.inputs('recordState').map((input) => input.state)).toEqual(['waiting_for_credential', 'running'])
  })

  it('that never comes is waited for once, not once a space', async () => {
    const run = await world.start(
      'credential-never',
      { spaceIds: spaceIds(4), concurrency: 1, credentialWaitMs: 1 },
      { planSpace: () => refuse('CredentialExpired') },
    )
    await run.result()
    expect(run.script.inputs('failSpace').map((input) => [input.spaceId, input.type])).toEqual(
      spaceIds(4).map((spaceId) => [spaceId, 'CredentialExpired']),
    )
    const events = await eventsOf(world.temporal.client, run.handle.workflowId)
    expect(events.filter((event) => event.timerStartedEventAttributes != null)).toHaveLength(1)
  })

  it('that was replaced while another space was still using the old one is not waited for again', async () => {
    const door = gate()
    const run = await world.start(
      'credential-two',
      { spaceIds: spaceIds(2), concurrency: 2 },
      {
        async planSpace({ spaceId }, nth) {
          if (nth > 1) return undefined
          if (spaceId === 'space-2') await door.pass()
          return refuse('CredentialRefused')
        },
      },
    )
    await run.script.until(calledWith('recordState', { state: 'waiting_for_credential' }))
    await run.handle.signal(credentialReplaced)
    await run.script.until(calledWith('recordState', { state: 'running' }))
    door.open()
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('failSpace')).toEqual([])
  })

  it('one space giving up does not hide that another still waits', async () => {
    const run = await world.start(
      'credential-one-gives-up',
      { spaceIds: spaceIds(2), concurrency: 2, credentialWaitMs: 3_000 },
      {
        async planSpace({ spaceId }, nth) {
          if (nth > 1) return undefined
          // Its wait begins, and so ends, after the other's.
          if (spaceId === 'space-2')
            await run.script.until(calledWith('recordState', { state: 'waiting_for_credential' }))
          return refuse('CredentialRefused')
        },
        async failSpace({ spaceId }) {
          if (spaceId === 'space-1') states.push((await run.handle.query(statusQuery)).state)
          return undefined
        },
      },
    )
    const states: string[] = []
    await run.script.until(called('failSpace'))
    await run.result()
    expect(states).toEqual(['waiting_for_credential'])
  })

  it('replaced while the run is paused: it goes on after the resume', async () => {
    const run = await world.start(
      'credential-paused',
      { spaceIds: spaceIds(1) },
      { planSpace: (_, nth) => (nth === 1 ? refuse('CredentialRefused') : undefined) },
    )
    await run.script.until(calledWith('recordState', { state: 'waiting_for_credential' }))
    await pause(run)
    await run.handle.signal(credentialReplaced)
    expect((await run.handle.query(statusQuery)).state).toBe('paused')
    expect(
      scheduled(await eventsOf(world.temporal.client, run.handle.workflowId)).filter((name) => name === 'planSpace'),
    ).toHaveLength(1)
    await run.handle.signal(resumeSignal)
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('recordState').map((input) => input.state)).toEqual([
      'waiting_for_credential',
      'paused',
      'running',
    ])
  })
})

describe('disable and enable', () => {
  it('reach the store by an activity, signed or as temporal', async () => {
    const door = gate()
    const run = await world.start('switch', { spaceIds: spaceIds(2) }, { planSpace: () => door.pass() })
    await run.script.until(called('planSpace'))
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-2', actor: 'ann' })
    await run.handle.signal(enableSpaceAuthorization, { spaceId: 'space-2', actor: 'ann' })
    await run.script.until(ended('setSpaceAuthorization', 3))
    expect((await run.handle.query(statusQuery)).disabledSpaceIds).toEqual(['space-1'])
    door.open()
    await run.result()
    expect(run.script.inputs('setSpaceAuthorization')).toEqual([
      { syncId: 'switch', spaceId: 'space-1', enabled: false, actor: 'temporal' },
      { syncId: 'switch', spaceId: 'space-2', enabled: false, actor: 'ann' },
      { syncId: 'switch', spaceId: 'space-2', enabled: true, actor: 'ann' },
    ])
  })

  it('count when they come before the run is prepared', async () => {
    const door = gate()
    const run = await world.start('switch-early', {}, { prepareSync: () => door.pass() })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-2', instanceIds: ['instance-1'] })
    await run.handle.signal('disableSpaceAuthorization', { spaceId: 'space-3', instanceIds: 'instance-1' })
    await run.script.until(called('prepareSync'))
    door.open()
    await run.result()
    expect(run.script.inputs('setSpaceAuthorization')).toEqual([
      { syncId: 'switch-early', spaceId: 'space-1', enabled: false, actor: 'temporal' },
      { syncId: 'switch-early', spaceId: 'space-2', enabled: false, actor: 'temporal', instanceIds: ['instance-1'] },
    ])
  })

  it('are carried out in the order in which they came, however long one takes', async () => {
    const door = gate()
    const run = await world.start(
      'switch-order',
      { spaceIds: spaceIds(1) },
      { setSpaceAuthorization: ({ enabled }) => (enabled ? undefined : door.pass()) as never },
    )
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await run.handle.signal(enableSpaceAuthorization, { spaceId: 'space-1' })
    await run.script.until(called('setSpaceAuthorization'))
    await run.handle.query(statusQuery)
    const names = scheduled(await eventsOf(world.temporal.client, run.handle.workflowId))
    expect(names.filter((name) => name === 'setSpaceAuthorization')).toHaveLength(1)
    door.open()
    await run.result()
    expect(run.script.inputs('setSpaceAuthorization').map((input) => input.enabled)).toEqual([false, true])
  })

  it('hold the end of the workflow until they are done', async () => {
    const door = gate()
    const run = await world.start(
      'switch-late',
      { spaceIds: spaceIds(1) },
      { setSpaceAuthorization: () => door.pass() as never },
    )
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await expect.poll(async () => (await run.handle.query(statusQuery)).phase).toBe('done')
    expect((await run.handle.describe()).status.name).toBe('RUNNING')
    door.open()
    await run.result()
    expect(unfinished(await eventsOf(world.temporal.client, run.handle.workflowId))).toEqual([])
  })

  it('that make no sense, or cannot be done, end nothing', async () => {
    const door = gate()
    const run = await world.start(
      'switch-nonsense',
      { spaceIds: spaceIds(1) },
      { planSpace: () => door.pass(), setSpaceAuthorization: () => refuse('TargetGone') },
    )
    await run.handle.signal('disableSpaceAuthorization')
    await run.handle.signal('disableSpaceAuthorization', 'space-1')
    await run.handle.signal('enableSpaceAuthorization', { spaceId: 7 })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await run.script.until(ended('setSpaceAuthorization'))
    door.open()
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('setSpaceAuthorization')).toHaveLength(1)
  })
})

describe('cancellation', () => {
  it('reaches the call in flight, is recorded, and ends the workflow as cancelled', async () => {
    const door = gate()
    let seen: unknown
    const run = await world.start(
      'cancel',
      { spaceIds: spaceIds(2), concurrency: 1 },
      {
        writeDifyProviders: () =>
          door.pass().catch((error: unknown) => {
            seen = error
            throw error
          }),
      },
    )
    await run.script.until(called('writeDifyProviders'))
    await run.handle.cancel()
    expect(await cancelledResult(run)).toBeInstanceOf(CancelledFailure)
    expect((await run.handle.describe()).status.name).toBe('CANCELLED')
    expect(seen).toBeInstanceOf(CancelledFailure)
    expect(run.script.inputs('recordOutcome')).toEqual([{ syncId: 'cancel', outcome: 'cancelled' }])
    expect(run.script.inputs('failSpace')).toEqual([])
    expect(run.script.phases()).not.toContain('plan space-2')
  })

  it.each([
    ['while paused', 'paused'],
    ['while waiting for a credential', 'waiting_for_credential'],
  ] as const)('%s', async (_, state) => {
    const name = `cancel-${state}`
    const run = await world.start(name, {}, { planSpace: () => refuse('CredentialRefused') })
    if (state === 'paused') await run.handle.signal(pauseSignal)
    await run.script.until(calledWith('recordState', { state }))
    await run.handle.cancel()
    await cancelledResult(run)
    expect(run.script.inputs('recordOutcome')).toEqual([{ syncId: name, outcome: 'cancelled' }])
    // Nothing is shown as running again on the way out.
    expect(run.script.inputs('recordState').at(-1)).toMatchObject({ state })
  })

  it('before the run was prepared; a signal that waits for that is let go', async () => {
    const door = gate()
    const run = await world.start('cancel-early', {}, { prepareSync: () => door.pass() })
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-1' })
    await run.script.until(called('prepareSync'))
    await run.handle.cancel()
    await cancelledResult(run)
    expect(run.script.inputs('recordOutcome')).toEqual([{ syncId: 'cancel-early', outcome: 'cancelled' }])
    expect(run.script.inputs('setSpaceAuthorization')).toEqual([])
  })

  it('that comes while the outcome is being recorded does not keep a failure from being recorded', async () => {
    const door = gate()
    const run = await world.start(
      'cancel-late',
      {},
      { prepareSync: () => refuse('TargetGone'), recordOutcome: () => door.pass() as never },
    )
    await run.script.until(called('recordOutcome'))
    await run.handle.cancel()
    door.open()
    expect((await run.result()).state).toBe('failed')
    expect(run.script.inputs('recordOutcome')).toHaveLength(1)
  })
})

describe('queries', () => {
  it('tell the state, the counts and the spaces in flight in mid-run, and afterwards', async () => {
    const door = gate()
    const run = await world.start(
      'status',
      { concurrency: 1 },
      { writeDifyProviders: ({ spaceId }) => (spaceId === 'space-2' ? door.pass() : undefined) },
    )
    await run.script.until(calledWith('writeDifyProviders', { spaceId: 'space-2' }))
    expect(await run.handle.query(statusQuery)).toEqual({
      syncId: 'status',
      state: 'running',
      phase: 'write',
      counts: counts({ succeeded: 2, pending: 2 }),
      spacesTotal: 3,
      spacesDone: 1,
      spacesInFlight: ['space-2'],
      disabledSpaceIds: [],
    })
    const ofSpace = (spaceId: string) => run.handle.query(spaceStatusQuery, spaceId)
    expect(await ofSpace('space-1')).toEqual({
      spaceId: 'space-1',
      phase: 'done',
      counts: counts({ succeeded: 2 }),
      errorType: null,
    })
    expect(await ofSpace('space-2')).toEqual({
      spaceId: 'space-2',
      phase: 'write',
      counts: counts({ pending: 2 }),
      errorType: null,
    })
    expect(await ofSpace('space-3')).toEqual({ spaceId: 'space-3', phase: 'waiting', counts: null, errorType: null })
    door.open()
    await run.result()
    expect(await run.handle.query(statusQuery)).toMatchObject({
      state: 'succeeded',
      phase: 'done',
      spacesDone: 3,
      spacesInFlight: [],
    })
  })
})

describe('what ops read in the Web UI', () => {
  it('a summary of the run and of each activity, the outcome, and ids, counts and state names only', async () => {
    const run = await world.start(
      'readable',
      { concurrency: 1 },
      { planSpace: ({ spaceId }) => (spaceId === 'space-3' ? refuse('Forbidden') : undefined) },
    )
    await run.result()
    const description = await run.handle.describe()
    expect(await description.staticSummary()).toBe('Dify sync: 2 MCP servers × 3 spaces')
    expect(description.searchAttributes.Outcome).toEqual(['succeeded'])
    const events = await eventsOf(world.temporal.client, run.handle.workflowId)
    expect(summaries(events)).toEqual([
      'MCP server 1 of 2: handshake and tools',
      'MCP server 2 of 2: handshake and tools',
      ...['plan', 'mint', 'write', 'verify'].map((phase) => `space 1 of 3: ${phase}`),
      ...['plan', 'mint', 'write', 'verify'].map((phase) => `space 2 of 3: ${phase}`),
      'space 3 of 3: plan',
    ])
    const inputs = activityInputs(events)
    expect(inputs.length).toBe(scheduled(events).length)
    const keys = new Set(inputs.flatMap((input) => Object.keys(input)))
    expect([...keys].sort()).toEqual(['instanceId', 'message', 'outcome', 'spaceId', 'syncId', 'type'])
  })

  it('a failed activity shows its type and message, and no path of this machine', async () => {
    const run = await world.start(
      'failure-shown',
      { spaceIds: spaceIds(1) },
      { planSpace: () => refuse('Forbidden', 'Not allowed.') },
    )
    await run.result()
    const events = await eventsOf(world.temporal.client, run.handle.workflowId)
    const failure = events.find((event) => event.activityTaskFailedEventAttributes != null)
      ?.activityTaskFailedEventAttributes?.failure
    expect(failure?.message).toBe('Not allowed.')
    expect(failure?.applicationFailureInfo?.type).toBe('Forbidden')
    expect(failure?.stackTrace ?? '').toBe('')
  })
})
