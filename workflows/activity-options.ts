import { ActivityCancellationType, type ActivityOptions, proxyActivities } from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import { ERROR_FACTS } from '../src/domain/errors.ts'

/**
 * Types that another attempt cannot help: the activity says so itself, this is the belt to its braces. An unexpected error
 * (Bug) may be a passing one and gets its attempts.
 */
const nonRetryableErrorTypes = Object.entries(ERROR_FACTS)
  .filter(([type, facts]) => !facts.retryable && type !== 'Bug')
  .map(([type]) => type)

const waitForCancelled = { cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED } as const

/** Short work on our own store: tried for more than an hour, since nothing is true until it is recorded. */
const recording: ActivityOptions = {
  ...waitForCancelled,
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '30 seconds',
  retry: {
    initialInterval: '500 ms',
    backoffCoefficient: 2,
    maximumInterval: '30 seconds',
    maximumAttempts: 200,
    nonRetryableErrorTypes,
  },
}

/** The same about all targets of a run at once: of a hundred thousand that takes minutes. Alive by its heartbeat. */
const recordingAll: ActivityOptions = { ...recording, startToCloseTimeout: '2 hours' }

/** One conversation with an MCP server, which the activity gives up by itself; the attempts are for our own store. */
const discovering: ActivityOptions = {
  ...waitForCancelled,
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '30 seconds',
  retry: {
    initialInterval: '1 second',
    backoffCoefficient: 2,
    maximumInterval: '1 minute',
    maximumAttempts: 30,
    nonRetryableErrorTypes,
  },
}

/** A whole space: long, alive by its heartbeat, resumed where the last attempt ended. */
const spaceWide: ActivityOptions = {
  ...waitForCancelled,
  startToCloseTimeout: '12 hours',
  heartbeatTimeout: '30 seconds',
  retry: {
    initialInterval: '1 second',
    backoffCoefficient: 2,
    maximumInterval: '1 minute',
    maximumAttempts: 30,
    nonRetryableErrorTypes,
  },
}

/** All platforms, one after the other, at COZE's pace; or the store, piece by piece. What fails for good is asked again by the schedule. */
const watchingOptions: ActivityOptions = {
  ...waitForCancelled,
  startToCloseTimeout: '1 hour',
  heartbeatTimeout: '30 seconds',
  retry: {
    initialInterval: '5 seconds',
    backoffCoefficient: 2,
    maximumInterval: '1 minute',
    maximumAttempts: 5,
    nonRetryableErrorTypes,
  },
}

/**
 * One message to a webhook, ten seconds at the most: a worker that dies over it is noticed by the timeout alone. Thirteen attempts,
 * 2 s, 6 s, 18 s … 6 h apart: about a day.
 */
const deliveringOptions: ActivityOptions = {
  ...waitForCancelled,
  startToCloseTimeout: '30 seconds',
  heartbeatTimeout: '15 seconds',
  retry: {
    initialInterval: '2 seconds',
    backoffCoefficient: 3,
    maximumInterval: '6 hours',
    maximumAttempts: 13,
    nonRetryableErrorTypes,
  },
}

export const record = proxyActivities<Activities>(recording)
export const recordAll = proxyActivities<Activities>(recordingAll)
export const discover = proxyActivities<Activities>(discovering)
export const space = proxyActivities<Activities>(spaceWide)
export const watching = proxyActivities<Activities>(watchingOptions)
export const delivering = proxyActivities<Activities>(deliveringOptions)
export const spaceOptions = spaceWide
export const discoverOptions = discovering
