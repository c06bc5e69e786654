/** The words of the product for "how is it going". API, console, database, logs and the Temporal Web UI use these and no others. */

export const SYNC_STATES = [
  'queued',
  'running',
  'paused',
  'waiting_for_credential',
  'planned',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
] as const
export type SyncState = (typeof SYNC_STATES)[number]

/** A closed run is never signalled and never changes again. */
export const CLOSED_SYNC_STATES = [
  'planned',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
] as const satisfies SyncState[]
export const OPEN_SYNC_STATES = ['queued', 'running', 'paused', 'waiting_for_credential'] as const satisfies SyncState[]

export function isClosed(state: SyncState): boolean {
  return (CLOSED_SYNC_STATES as readonly SyncState[]).includes(state)
}

export const TARGET_STATES = [
  'pending',
  'running',
  'succeeded',
  'unchanged',
  'skipped',
  'conflict',
  'failed',
  'cancelled',
] as const
export type TargetState = (typeof TARGET_STATES)[number]

export const DEPLOYMENT_STATES = ['absent', 'pending', 'in_sync', 'drifted', 'failed', 'conflict', 'removed'] as const
export type DeploymentState = (typeof DEPLOYMENT_STATES)[number]

/** Where a run is; shown beside its state. */
export const SYNC_PHASES = ['prepare', 'discover', 'plan', 'mint', 'write', 'verify', 'record', 'done'] as const
export type SyncPhase = (typeof SYNC_PHASES)[number]

export type TargetAction = 'create' | 'update' | 'unchanged' | 'remove' | 'conflict' | 'skip'

export type TargetCounts = Record<TargetState, number> & { total: number }

export function emptyCounts(): TargetCounts {
  return {
    total: 0,
    pending: 0,
    running: 0,
    succeeded: 0,
    unchanged: 0,
    skipped: 0,
    conflict: 0,
    failed: 0,
    cancelled: 0,
  }
}

/**
 * The final state of a run from its targets' states.
 *
 * | failed or conflict | succeeded or unchanged | result    |
 * | ------------------ | ---------------------- | --------- |
 * | 0                  | any                    | succeeded |
 * | some               | some                   | partial   |
 * | some               | 0                      | failed    |
 *
 * A skipped target is what the admin decided, so it never makes a run partial.
 */
export function finalState(counts: TargetCounts): 'succeeded' | 'partial' | 'failed' {
  const bad = counts.failed + counts.conflict
  if (bad === 0) return 'succeeded'
  return counts.succeeded + counts.unchanged > 0 ? 'partial' : 'failed'
}
