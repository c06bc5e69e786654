import type { BreakerLimits } from './breaker.ts'

/** The gateway's own bounds. Times in milliseconds, sizes in bytes. Tests shorten them. */
export type GatewayLimits = {
  /** One request body. */
  maxRequestBytes: number
  /** All request bodies held at one time. */
  requestBudgetBytes: number
  /** How much of a refused request's body is read, to answer with its own JSON-RPC id. */
  refusedBodyBytes: number
  /** How long a client may take to send its body. */
  bodyTimeoutMs: number
  connectTimeoutMs: number
  /** Until the upstream's response headers (HTTP+SSE: its endpoint event) come. GET streams of Streamable HTTP have none. */
  headersTimeoutMs: number
  /** A response, or one event of a stream, that has to be looked into (tool allow-list, endpoint event). */
  maxInspectedBytes: number
  /** How often the view is asked for changes. */
  pollIntervalMs: number
  /** How often open streams are checked for an expiry that has passed. */
  sweepIntervalMs: number
  /** How long an unknown token stays known as unknown. */
  unknownTtlMs: number
  maxUnknown: number
  /** How many revoked tokens are kept in memory. */
  maxRevoked: number
  /** Store look-ups of unknown tokens at one time. */
  maxLookups: number
  /** How long requests in flight may go on once the gateway drains. */
  drainMs: number
  /** How long the gateway serves what it knows while the store does not answer; after that it serves nobody. */
  maxStaleMs: number
  /** Away from the store for longer, it reads everything anew: what was revoked meanwhile may have been deleted, and no change tells of it. */
  rereadAfterMs: number
  /** One reading of the store. */
  readTimeoutMs: number
  /** Reading everything anew. */
  loadTimeoutMs: number
} & BreakerLimits

export const DEFAULT_LIMITS: GatewayLimits = {
  maxRequestBytes: 10 * 1024 * 1024,
  requestBudgetBytes: 256 * 1024 * 1024,
  refusedBodyBytes: 64 * 1024,
  bodyTimeoutMs: 60_000,
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 60_000,
  maxInspectedBytes: 16 * 1024 * 1024,
  pollIntervalMs: 200,
  sweepIntervalMs: 250,
  unknownTtlMs: 1_000,
  maxUnknown: 10_000,
  maxRevoked: 10_000,
  maxLookups: 16,
  drainMs: 8_000,
  maxStaleMs: 30_000,
  rereadAfterMs: 30_000,
  readTimeoutMs: 10_000,
  loadTimeoutMs: 60_000,
  breakerFailures: 5,
  breakerPauseMs: 1_000,
  breakerMaxPauseMs: 15_000,
}
