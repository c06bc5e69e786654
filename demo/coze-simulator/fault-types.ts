import type { SessionLoss } from './options.ts'
import type { CozeCall } from './simulator-types.ts'

/** Where and when a fault strikes. */
export type FaultRule = {
  /** The last part of the path (`register_plugin_meta`), `space/list`, or `*`. */
  endpoint: string
  /** Which matching call is the first to be hit; default 1 = the next one. */
  from?: number
  /** How many calls are hit; default 1, `Infinity` = all from there on. */
  times?: number
  /** Narrows the calls that match (and are counted). */
  when?: (call: CozeCall) => boolean
  fault: Fault
}

/** `applied` and `at`: whether the call does its work before it goes wrong. */
export type Fault =
  /** The connection is reset; nothing was processed. */
  | { kind: 'lost-request' }
  /** The connection is reset after the call took effect. */
  | { kind: 'lost-response' }
  /** Waits for the clock, `ms` of it, before processing or before answering. */
  | { kind: 'latency'; ms: number; at?: 'before' | 'after' }
  /** Waits for `release()` of the handle. */
  | { kind: 'hold'; at?: 'before' | 'after' }
  /** 429; `retryAfter` in seconds or as an HTTP date; null = no such header. Never processed. */
  | { kind: 'rate-limited'; retryAfter?: number | string | null }
  /** 5xx; default 500 with COZE's JSON `{"code":500,…}`, not applied. */
  | { kind: 'server-error'; status?: 500 | 502 | 503 | 504; body?: 'json' | 'html' | 'empty'; applied?: boolean }
  /** A page in place of JSON, which is not the login page; default status 200, not applied. */
  | { kind: 'html'; status?: number; applied?: boolean }
  | { kind: 'invalid-json'; applied?: boolean }
  /** The right answer, cut in the middle, with the length of what was sent; applied. */
  | { kind: 'truncated-json' }
  /** The caller's session ends at this call, for good (until `login`); `lasting: false` = for this call only. */
  | { kind: 'session-lost'; shape?: SessionLoss; lasting?: boolean }
  /** HTTP 200 with this code; not applied unless said so. */
  | { kind: 'business-error'; code: number; msg: string; applied?: boolean }
  /** Somebody else holds the plugin's edit lock from this call on (by default for the switch lockTtlMs). */
  | { kind: 'lock-held'; userId?: string; forMs?: number }
  /** Somebody else edits the plugin right before this call is processed, so that its edit_version is stale. */
  | { kind: 'version-conflict' }
  /** What this call changes reaches the list only after `ms` of the clock. */
  | { kind: 'index-lag'; ms: number }
  /** A page of library_resource_list begins with the last items of the page before (default 5). */
  | { kind: 'duplicate-pages'; items?: number }
  /** has_more with the cursor that was asked with, for ever. */
  | { kind: 'stuck-cursor' }
  /** refresh_mcp_plugin_apis succeeds with no tools. */
  | { kind: 'no-tools' }
  /** refresh_mcp_plugin_apis: the MCP server cannot be reached from COZE's cloud. */
  | { kind: 'mcp-unreachable' }
  /** Publish is accepted, but get_plugin_info goes on answering the state before for so many reads. */
  | { kind: 'publish-unseen'; reads: number }
  /** Shapes of right answers: `message` for `msg`; ids as bare numbers; `auth_type: []`; no `meta_info`. */
  | { kind: 'message-field' }
  | { kind: 'numeric-ids' }
  | { kind: 'empty-auth-type' }
  | { kind: 'no-meta-info' }

export type FaultHandle = {
  /** How many calls it has hit. */
  hits(): number
  /** Resolves when it has hit a call for the first time. */
  hit: Promise<void>
  /** Lets go those that a `hold` keeps, and holds no more. */
  release(): void
  remove(): void
}
