import { defineQuery, defineSignal } from '@temporalio/workflow'
import type { SyncPhase, SyncState, TargetCounts } from '../src/domain/states.ts'

/** What goes in and out of the workflows: ids, counts and state names only. Temporal keeps every byte of it for 30 days. */

export const SYNC_WORKFLOW = 'SyncWorkflow'

export const CREDENTIAL_WATCH_WORKFLOW = 'CredentialWatchWorkflow'

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
  /** For the query spaceStatus. */
  closedSpaces: ClosedSpace[]
  disabledSpaceIds: string[]
}

/** Counts that are 0 are left out: a run of thousands of spaces carries one of these for each. */
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

export type SpaceAuthorization = { spaceId: string; actor?: string }

export const statusQuery = defineQuery<SyncStatus>('status')
export const spaceStatusQuery = defineQuery<SpaceStatus, [string]>('spaceStatus')

export const disableSpaceAuthorization = defineSignal<[SpaceAuthorization]>('disableSpaceAuthorization')
export const enableSpaceAuthorization = defineSignal<[SpaceAuthorization]>('enableSpaceAuthorization')
export const pauseSignal = defineSignal('pause')
export const resumeSignal = defineSignal('resume')
export const credentialReplaced = defineSignal('credentialReplaced')
