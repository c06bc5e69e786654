import { fileURLToPath } from 'node:url'
import { Worker } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  disableSpaceAuthorization,
  pauseSignal,
  resumeSignal,
  SYNC_WORKFLOW,
  type SyncInput,
  spaceStatusQuery,
  statusQuery,
  syncWorkflowId,
} from '../../workflows/messages.ts'
import type { SyncWorkflow } from '../../workflows/sync.ts'
import { eventsOf, startInput, unfinished } from './events.ts'
import { counts, createScript, gate, outcome, refuse, scriptedActivities, spaceIds } from './scripted-activities.ts'
import { startTemporalWorld, type TemporalWorld, type TestRun } from './temporal-world.ts'

/** A run that outlives one history, and one that outlives its worker. */

let world: TemporalWorld

beforeAll(async () => {
  world = await startTemporalWorld()
})
afterAll(async () => {
  await world?.close()
})

/** Run ids of the whole chain, the first one first. */
async function chainOf(run: TestRun): Promise<string[]> {
  const ids: string[] = []
  let runId: string | null | undefined = run.firstRunId
  while (runId) {
    ids.push(runId)
    const events = await eventsOf(world.temporal.client, run.handle.workflowId, runId)
    runId = events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId
  }
  return ids
}

describe('continue as new', () => {
  it('walks every space exactly once, asks each server once, and adds up the counts', async () => {
    const run = await world.start(
      'chain',
      { spaceIds: spaceIds(7), concurrency: 2 },
      { planSpace: ({ spaceId }) => (spaceId === 'space-2' ? refuse('Forbidden') : undefined) },
      { continueAfterEvents: 40 },
    )
    expect((await run.result()).state).toBe('succeeded')
    const chain = await chainOf(run)
    expect(chain.length).toBeGreaterThan(2)
    // Two at a time, so neighbours may swap.
    expect(
      run.script
        .inputs('planSpace')
        .map((input) => input.spaceId)
        .sort(),
    ).toEqual(spaceIds(7))
    expect(run.script.inputs('verifySpace')).toHaveLength(6)
    expect(run.script.inputs('discoverTools')).toHaveLength(2)
    expect(run.script.inputs('prepareSync')).toHaveLength(1)
    expect(run.script.inputs('recordOutcome')).toHaveLength(1)
    expect(await run.handle.query(statusQuery)).toEqual({
      syncId: 'chain',
      state: 'succeeded',
      phase: 'done',
      counts: counts({ succeeded: 12, failed: 2 }),
      spacesTotal: 7,
      spacesDone: 7,
      spacesInFlight: [],
      disabledSpaceIds: [],
    })
    expect((await run.handle.describe()).searchAttributes.Outcome).toEqual(['succeeded'])
    // Of a space that an earlier history has walked.
    expect(await run.handle.query(spaceStatusQuery, 'space-2')).toEqual({
      spaceId: 'space-2',
      phase: 'done',
      counts: counts({ failed: 2 }),
      errorType: 'Forbidden',
    })
  })

  it('carries of the spaces that are done only the newest ones, and those that failed', async () => {
    const run = await world.start(
      'chain-many',
      { spaceIds: spaceIds(9), concurrency: 1 },
      { planSpace: ({ spaceId }) => (spaceId === 'space-1' ? refuse('Forbidden') : undefined) },
      { continueAfterEvents: 25, closedSpacesKept: 2 },
    )
    await run.result()
    const chain = await chainOf(run)
    expect(chain.length).toBeGreaterThan(3)
    const events = await eventsOf(world.temporal.client, run.handle.workflowId, chain.at(-1) ?? '')
    const carried = startInput<SyncInput>(events)?.carried
    const done = 9 - (carried?.remainingSpaceIds.length ?? 0)
    expect(carried?.spacesDone).toBe(done)
    expect(carried?.closedSpaces.map(({ spaceId }) => spaceId)).toEqual([
      'space-1',
      `space-${done - 1}`,
      `space-${done}`,
    ])
    expect(await run.handle.query(statusQuery)).toMatchObject({
      spacesDone: 9,
      counts: counts({ succeeded: 16, failed: 2 }),
    })
    // Done long ago: without its counts, which the store has.
    expect(await run.handle.query(spaceStatusQuery, 'space-2')).toEqual({
      spaceId: 'space-2',
      phase: 'done',
      counts: null,
      errorType: null,
    })
    expect(await run.handle.query(spaceStatusQuery, 'space-1')).toMatchObject({ phase: 'done', errorType: 'Forbidden' })
  })

  it('does not wait again for a credential that nobody gave in time', async () => {
    const run = await world.start(
      'chain-credential',
      { spaceIds: spaceIds(6), concurrency: 1, credentialWaitMs: 1 },
      { planSpace: () => refuse('CredentialExpired') },
      { continueAfterEvents: 40 },
    )
    await run.result()
    const chain = await chainOf(run)
    expect(chain.length).toBeGreaterThan(1)
    const events = await Promise.all(
      chain.map((runId) => eventsOf(world.temporal.client, run.handle.workflowId, runId)),
    )
    expect(events.flat().filter((event) => event.timerStartedEventAttributes != null)).toHaveLength(1)
  })

  it('keeps the pause and what was disabled, and drops nothing that was under way', async () => {
    const [verifying, switching] = [gate(), gate()]
    const run = await world.start(
      'chain-paused',
      { spaceIds: spaceIds(3), concurrency: 1 },
      {
        verifySpace: ({ spaceId }) => (spaceId === 'space-1' ? verifying.pass() : undefined),
        setSpaceAuthorization: () => switching.pass() as never,
      },
      { continueAfterEvents: 25 },
    )
    await run.script.until((calls) => calls.some((call) => call.name === 'verifySpace'))
    await run.handle.signal(disableSpaceAuthorization, { spaceId: 'space-3' })
    await run.script.until((calls) => calls.some((call) => call.name === 'setSpaceAuthorization'))
    await run.handle.signal(pauseSignal)
    verifying.open()
    // The pool is drained and the history long enough, but a signal is still being carried out.
    await expect.poll(async () => (await run.handle.query(statusQuery)).spacesDone).toBe(1)
    expect(await chainOf(run)).toHaveLength(1)
    switching.open()

    await expect.poll(async () => (await chainOf(run)).length).toBe(2)
    expect(await run.handle.query(statusQuery)).toMatchObject({
      state: 'paused',
      spacesTotal: 3,
      spacesDone: 1,
      spacesInFlight: ['space-2'],
      disabledSpaceIds: ['space-3'],
    })
    expect(run.script.inputs('planSpace')).toHaveLength(1)
    await run.handle.signal(resumeSignal)
    expect((await run.result()).state).toBe('succeeded')
    expect(run.script.inputs('planSpace').map((input) => input.spaceId)).toEqual(spaceIds(3))
    expect(run.script.inputs('recordState').map((input) => input.state)).toEqual(['paused', 'running'])
    for (const runId of await chainOf(run)) {
      expect(unfinished(await eventsOf(world.temporal.client, run.handle.workflowId, runId))).toEqual([])
    }
  })
})

describe('a worker that is shut down in mid-phase', () => {
  it('leaves the phase to the next one; the run is neither cancelled nor failed', async () => {
    const door = gate()
    const script = createScript('handed-over', { spaceIds: spaceIds(1) }, { planSpace: () => door.pass() })
    const scripts = new Map([[syncWorkflowId('handed-over'), script]])
    const work = async () =>
      await Worker.create({
        connection: world.connection,
        namespace: world.temporal.namespace,
        taskQueue: 'handed-over',
        workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
        activities: scriptedActivities(scripts),
        shutdownGraceTime: 1,
      })
    const first = await work()
    const firstRun = first.run()
    const handle = await world.temporal.client.workflow.start<typeof SyncWorkflow>(SYNC_WORKFLOW, {
      workflowId: syncWorkflowId('handed-over'),
      taskQueue: 'handed-over',
      args: [{ syncId: 'handed-over', searchAttributes: true }],
    })
    await script.until((calls) => calls.some((call) => call.name === 'planSpace'))
    first.shutdown()
    await firstRun
    expect(script.calls.every((call) => call.ended)).toBe(true)

    script.replies.planSpace = () => outcome({ unchanged: 1 })
    const second = await work()
    const result = await second.runUntil(handle.result())
    expect(result.state).toBe('succeeded')
    expect(script.calls.filter((call) => call.name === 'planSpace').map((call) => call.attempt)).toEqual([1, 2])
    expect(script.inputs('failSpace')).toEqual([])
    expect(script.inputs('recordOutcome')).toEqual([{ syncId: 'handed-over', outcome: 'finished' }])
  })
})
