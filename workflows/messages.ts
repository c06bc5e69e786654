import { defineQuery, defineSignal } from '@temporalio/workflow'
import type { SyncPhase, SyncState, TargetCounts } from '../src/domain/states.ts'

/** What goes in and out of the workflows: ids, counts and state names only. Temporal keeps every byte of it for 30 days. */

export const SYNC_WORKFLOW = 'SyncWorkflow'

export const CREDENTIAL_WATCH_WORKFLOW = 'CredentialWatchWorkflow'

export const HOUSEKEEPING_WORKFLOW = 'HousekeepingWorkflow'

/** Tokens that end soon, told now; rows that were deleted. */
export type HousekeepingResult = { expiring: number; purged: number }

export const NOTIFY_WORKFLOW = 'NotifyWorkflow'

export function notifyWorkflowId(deliveryId: string): string {
  return `notify-${deliveryId}`
}

export type NotifyInput = { deliveryId: string }

/** `gone`: the delivery was deleted with its webhook. */
export type NotifyResult = { state: 'delivered' | 'failed' | 'cancelled' | 'gone' }

export const TOKEN_WATCH_WORKFLOW = 'TokenWatchWorkflow'

export const TOOL_WATCH_WORKFLOW = 'ToolWatchWorkflow'

/** Of a look at one server that said that its tools have changed. */
export function toolHintWorkflowId(instanceId: string): string {
  return `tool-hint-${instanceId}`
}

/** Without it: all servers that are deployed. */
export type ToolWatchInput = { instanceIds: string[] }

export function syncWorkflowId(syncId: string): string {
  return `sync-${syncId}`
}

export type SyncInput = {
  /** A run that the API created. */
  syncId?: string
  /** A run that a schedule started: it gets its Sync in prepareSync. */
  profileId?: string
  /** False on a cluster that refused our search attributes. */
  searchAttributes: boolean
  /** Continue as new after this many history events; tests set it low. Default: when the server suggests it. */
  continueAfterEvents?: number
  /** How many spaces that are done, and as many that failed, the next history knows; tests set it low. */
  closedSpacesKept?: number
  /** Set by continue-as-new only. */
  carried?: Carried
}

export type Carried = {
  prepared: PreparedSync
  remainingSpaceIds: string[]
  spacesDone: number
  counts: TargetCounts
  paused: boolean
  discovered: boolean
  /** Nobody gave a new credential in time. */
  waitedInVain?: boolean
  /** For the query spaceStatus: the newest ones. Of older ones it says that they are done, and the store says the rest. */
  closedSpaces: ClosedSpace[]
  disabledSpaceIds: string[]
}

/** Counts that are 0 are left out: a run of thousands of spaces carries thousands of these. */
export type ClosedSpace = { spaceId: string; counts: Partial<TargetCounts>; errorType: string | null }

export type PreparedSync = {
  syncId: string
  platformKind: 'dify' | 'coze'
  action: 'sync' | 'remove'
  dryRun: boolean
  instanceIds: string[]
  spaceIds: string[]
  /** Spaces worked on at the same time. */
  concurrency: number
  /** How long a run waits for a new credential, ms. */
  credentialWaitMs: number
  /** How long an activity may be silent, ms. Absent in runs that began before it was asked for. */
  heartbeatTimeoutMs?: number
}

/** What a phase found in its space. */
export type SpaceOutcome = {
  counts: TargetCounts
  /** Targets that still need this run's later phases. */
  toWrite: number
  /** 'paused': the admin asked to pause in mid-space; call again after the resume. */
  interrupted: 'paused' | null
}

export type SyncResult = { syncId: string; state: SyncState; counts: TargetCounts }

/** Counts of platforms. */
export type CredentialWatchResult = {
  /** Their credential was accepted. */
  valid: number
  /** It has ended, or is refused. */
  ended: number
  /** They could not be asked, or said something else; what was known of them stands. */
  unknown: number
  /** Warnings given now for the first time. */
  warned: number
}

/** Counts of tokens. */
export type TokenWatchResult = {
  /** Former ones that had gone unused and were ended. */
  ended: number
  /** Former ones that are used although their grace period is over. */
  stillUsed: number
  /** Warnings of an expiry, given now for the first time. */
  warned: number
  /** Rotations by age that were started, one a platform. */
  rotations: number
}

/** Counts of MCP servers, and which of them have to be asked once more. */
export type ToolWatchResult = {
  asked: number
  unreachable: number
  /** Deployments whose MCP server offers other tools than they were given. */
  changed: number
  /** Runs that were started. */
  started: number
  /** Their tools changed a moment ago: to be looked at again after `settleMs`. */
  unsettledInstanceIds: string[]
  settleMs: number
}

export type SyncStatus = {
  syncId: string | null
  state: SyncState
  phase: SyncPhase
  counts: TargetCounts
  spacesTotal: number
  spacesDone: number
  spacesInFlight: string[]
  disabledSpaceIds: string[]
}

export type SpaceStatus = {
  spaceId: string
  phase: 'waiting' | SyncPhase
  counts: TargetCounts | null
  errorType: string | null
}

export type SpaceAuthorization = {
  spaceId: string
  actor?: string
  /** It was meant for these only, which this run's instances are among. Absent: for the space, and what comes there later. */
  instanceIds?: string[]
  /** Set by who has written the store already: as of this revision. What was changed since stays. Absent: the signal decides. */
  revision?: number
}

export const statusQuery = defineQuery<SyncStatus>('status')
export const spaceStatusQuery = defineQuery<SpaceStatus, [string]>('spaceStatus')

export const disableSpaceAuthorization = defineSignal<[SpaceAuthorization]>('disableSpaceAuthorization')
export const enableSpaceAuthorization = defineSignal<[SpaceAuthorization]>('enableSpaceAuthorization')
export const pauseSignal = defineSignal('pause')
export const resumeSignal = defineSignal('resume')
export const credentialReplaced = defineSignal('credentialReplaced')
