import type { SyncPhase, SyncState, TargetCounts } from '../domain/states.ts'

/** A run and its workflow: `sync-<id>`, or what a schedule has named it. */
export type RunRef = { id: string; workflowId: string }

/** The API's port to Temporal. No method throws because Temporal is away: the store holds what is wanted, the reconciler follows up. */
export type SyncRuns = {
  /** Starts the workflow of a run; one that was started before counts as started. */
  start(run: RunRef, summary: SyncSummary): Promise<'started' | 'unavailable'>
  /** A run that is not there (any more) answers `gone`. */
  signal(run: RunRef, signal: SyncSignal): Promise<SignalOutcome>
  cancel(run: RunRef): Promise<SignalOutcome>
  /** Live status of an open run; null when Temporal is away or knows no such run. */
  query(run: RunRef): Promise<LiveStatus | null>
  /** Where ops look at the run; null when there is no Web UI. */
  uiUrl(workflowId: string, runId?: string | null): string | null
}

export type SignalOutcome = 'sent' | 'unavailable' | 'gone'

/** What the Web UI shows of a run: words and counts only. */
export type SyncSummary = {
  /** For the search attribute by which ops filter runs. */
  platformId: string
  platformKind: string
  action: 'sync' | 'remove'
  dryRun: boolean
  instances: number
  spaces: number | 'all'
}

export type SyncSignal =
  | { type: 'pause' | 'resume' | 'credentialReplaced' }
  | {
      type: 'disableSpaceAuthorization' | 'enableSpaceAuthorization'
      spaceId: string
      actor: string
      /** Meant for these only; absent: for the space, and what comes there later. */
      instanceIds?: string[]
      /** Of the store's change that it tells of. */
      revision: number
    }

export type LiveStatus = {
  state: SyncState
  phase: SyncPhase
  counts: TargetCounts
  spacesTotal: number
  spacesDone: number
  spacesInFlight: string[]
}
