import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity'
import { toToolferryError } from '../src/domain/errors.ts'
import type { Logger } from '../src/telemetry/logger.ts'

/** Well under the heartbeat timeout of 30 s (workflows/activity-options.ts). */
const HEARTBEAT_MS = 5_000

/**
 * Runs an activity's body: heartbeats while it works (which is also how a cancellation gets here), hands it the signal that
 * ends the call in flight, and turns what it throws into a typed failure of Temporal. Nothing of an unexpected error but its
 * type goes into the history: its text may hold anything, so it is logged here instead.
 */
export async function inActivity<T>(
  logger: Logger,
  fields: Record<string, string>,
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const context = Context.current()
  const log = logger.child({ activity: context.info.activityType, attempt: context.info.attempt, ...fields })
  const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS)
  context.heartbeat()
  try {
    return await body(context.cancellationSignal)
  } catch (thrown) {
    if (context.cancellationSignal.aborted) throw cancelled(context.cancellationSignal)
    throw asFailure(thrown, log)
  } finally {
    clearInterval(heartbeat)
  }
}

/** A thrown thing as Temporal shall see it. */
export function asFailure(thrown: unknown, log: Logger): ApplicationFailure {
  if (thrown instanceof ApplicationFailure) return thrown
  const error = toToolferryError(thrown)
  // An unexpected error may be a passing one (a store that is away): it gets its attempts, too.
  const retryable = error.facts.retryable || error.type === 'Bug'
  if (error.type === 'Bug') log.error({ err: thrown }, 'unexpected error in an activity')
  else log.warn({ type: error.type, reason: error.message }, 'activity failed')
  return ApplicationFailure.create({
    type: error.type,
    message: error.message,
    nonRetryable: !retryable,
    ...(error.retryAfterMs === undefined ? {} : { nextRetryDelay: error.retryAfterMs }),
  })
}

function cancelled(signal: AbortSignal): Error {
  return signal.reason instanceof CancelledFailure ? signal.reason : new CancelledFailure('CANCELLED')
}
