/**
 * The pace of calls to one COZE host for one user, kept by the whole installation: about two starts a second, two calls at a
 * time, and nobody starts while COZE asked to wait (coze.md §3.5).
 */
export type CozeBudget = {
  /** Waits for a turn and answers how to give the slot back. `key` names host and user; rejects when the signal aborts. */
  take(key: string, signal: AbortSignal): Promise<() => Promise<void>>
  /** Nobody starts a call before that time (Unix ms): Retry-After. */
  holdUntil(key: string, atMs: number): Promise<void>
}
