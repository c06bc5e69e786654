import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity'
import { toToolferryError } from '../src/domain/errors.ts'
import type { Logger } from '../src/telemetry/logger.ts'

/** Also how soon a cancellation gets here. */
const LONGEST_HEARTBEAT_MS = 5_000
/** Most activities have ended by then: a heartbeat of each would cost the server as much as their results. */
const FIRST_HEARTBEAT_MS = 1_000
const HEARTBEATS_A_TIMEOUT = 6

/** What the attempts of an activity let each other know: a number or a word, which the Web UI shows. */
export type Known = {
  readonly value: unknown
  /** Told with the heartbeats from now on, and with the failure. */
  keep(value: unknown): void
}

/** Thrown by a body that another attempt shall not follow, whatever the type of `why` says of one. */
export class GivenUp extends Error {
  readonly why: unknown

  constructor(why: unknown) {
    super('given up')
    this.why = why
  }
}

/**
 * Runs an activity's body: heartbeats while it works (which is also how a cancellation gets here), hands it the signal that
 * ends the call in flight, and turns what it throws into a typed failure of Temporal. Nothing of an unexpected error but its
 * type goes into the history: its text may hold anything, so it is logged here instead.
 */
export async function inActivity<T>(
  logger: Logger,
  fields: Record<string, string>,
  body: (signal: AbortSignal, known: Known) => Promise<T>,
): Promise<T> {
  const context = Context.current()
  const log = logger.child({ activity: context.info.activityType, attempt: context.info.attempt, ...fields })
  const timeoutMs = context.info.heartbeatTimeoutMs ?? Number.POSITIVE_INFINITY
  const everyMs = Math.min(LONGEST_HEARTBEAT_MS, timeoutMs / HEARTBEATS_A_TIMEOUT)
  // Every heartbeat replaces what the one before has told.
  let value: unknown = context.info.heartbeatDetails
  const tell = () => context.heartbeat(value)
  const known: Known = {
    get value() {
      return value
    },
    keep(next) {
      value = next
      tell()
    },
  }
  let heartbeat = setTimeout(
    () => {
      tell()
      heartbeat = setInterval(tell, everyMs)
    },
    Math.min(FIRST_HEARTBEAT_MS, everyMs),
  )
  try {
    return await body(context.cancellationSignal, known)
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
  const hasGivenUp = thrown instanceof GivenUp
  const cause = hasGivenUp ? thrown.why : thrown
  const error = toToolferryError(cause)
  // An unexpected error may be a passing one (a store that is away): it gets its attempts, too.
  const retryable = !hasGivenUp && (error.facts.retryable || error.type === 'Bug')
  if (error.type === 'Bug') log.error({ err: cause }, 'unexpected error in an activity')
  else log.warn({ type: error.type, reason: error.message }, 'activity failed')
  const failure = ApplicationFailure.create({
    type: error.type,
    message: error.message,
    nonRetryable: !retryable,
    ...(error.retryAfterMs === undefined ? {} : { nextRetryDelay: error.retryAfterMs }),
  })
  // It would only show this function, and where the product is installed.
  failure.stack = ''
  return failure
}

function cancelled(signal: AbortSignal): Error {
  return signal.reason instanceof CancelledFailure ? signal.reason : new CancelledFailure('CANCELLED')
}
