import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow'
import { ERROR_FACTS, type ErrorType } from '../src/domain/errors.ts'

/** The product's error type and message inside whatever an activity threw. */
export function describe(failure: unknown): { type: ErrorType; message: string } {
  const inner = failure instanceof ActivityFailure ? failure.cause : failure
  if (inner instanceof ApplicationFailure && inner.type != null && inner.type in ERROR_FACTS) {
    return { type: inner.type as ErrorType, message: inner.message }
  }
  const timedOut = inner instanceof Error && inner.name === 'TimeoutFailure'
  if (timedOut) return { type: 'Timeout', message: 'The step took longer than it may, or its worker went away.' }
  return { type: 'Bug', message: 'The step failed in a way that was not expected; the worker’s log has the details.' }
}
