import {
  allHandlersFinished,
  CancellationScope,
  ContinueAsNew,
  condition,
  continueAsNew,
  isCancellation,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow'
import { recordAll } from './activity-options.ts'
import { describe } from './failure.ts'
import {
  credentialReplaced,
  disableSpaceAuthorization,
  enableSpaceAuthorization,
  pauseSignal,
  resumeSignal,
  type SyncInput,
  type SyncResult,
  spaceStatusQuery,
  statusQuery,
} from './messages.ts'
import { SyncRun } from './sync-run.ts'

/**
 * One run: prepare → discover → space by space (plan → mint → write → verify) → record. Only ids travel through it; what
 * it decides is in the store. It ends with the run's final state; cancelled in Temporal, it records that and ends as cancelled.
 */
export async function SyncWorkflow(input: SyncInput): Promise<SyncResult> {
  const run = new SyncRun(input)
  setHandler(statusQuery, () => run.status())
  setHandler(spaceStatusQuery, (spaceId) => run.spaceStatus(spaceId))
  setHandler(pauseSignal, () => run.setPaused(true))
  setHandler(resumeSignal, () => run.setPaused(false))
  setHandler(credentialReplaced, () => run.credentialWasReplaced())
  setHandler(disableSpaceAuthorization, (request) => run.setAuthorization(request, false))
  setHandler(enableSpaceAuthorization, (request) => run.setAuthorization(request, true))

  let syncId = input.carried?.prepared.syncId ?? input.syncId
  try {
    const prepared = await run.prepare()
    syncId = prepared.syncId
    await run.discoverAll(prepared)
    const remaining = await run.walkSpaces(prepared)
    // What an activity still has to record would be lost with this run of the workflow.
    await condition(() => run.isSettled() && (remaining.length === 0 || allHandlersFinished()))
    if (remaining.length > 0) {
      await continueAsNew<typeof SyncWorkflow>(run.carry(prepared, remaining))
    }
    return await finish(input, run, { syncId, outcome: 'finished' })
  } catch (failure) {
    run.end()
    if (failure instanceof ContinueAsNew || syncId === undefined) throw failure
    const id = syncId
    // Also a cancellation that comes now must not keep the outcome from being recorded.
    const result = await CancellationScope.nonCancellable(async () => {
      await condition(() => run.isSettled())
      const ending = isCancellation(failure)
        ? ({ outcome: 'cancelled' } as const)
        : ({ outcome: 'failed', ...describe(failure) } as const)
      return await finish(input, run, { syncId: id, ...ending })
    })
    if (isCancellation(failure)) throw failure
    return result
  }
}

type Ending =
  | { syncId: string; outcome: 'finished' | 'cancelled' }
  | { syncId: string; outcome: 'failed'; type: string; message: string }

async function finish(input: SyncInput, run: SyncRun, ending: Ending): Promise<SyncResult> {
  run.end()
  const { state, counts } = await recordAll.recordOutcome(ending)
  run.finish(state)
  if (input.searchAttributes) upsertSearchAttributes({ Outcome: [state] })
  await condition(allHandlersFinished)
  return { syncId: ending.syncId, state, counts }
}
