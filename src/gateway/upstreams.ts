import type { EgressPolicy } from '../egress/policy.ts'
import type { UpstreamCall, UpstreamHandler, UpstreamRequest } from './upstream-call.ts'
import { UpstreamsClosedError } from './upstream-call.ts'
import { READING } from './upstream-connection.ts'
import { UpstreamPool } from './upstream-pool.ts'

/**
 * The gateway's connections to MCP servers: HTTP/1.1, kept alive, where the egress policy allows. Connections are shared by
 * all that call one origin (scheme, host and port) with one connect timeout; nothing of a caller stays on them.
 *
 * Nothing is ever sent twice. Where a kept-alive connection ends while a request is on its way, nobody can tell whether the
 * server has begun to work on it, and most of MCP is POST with effects (RFC 9110 §9.2.2): the caller gets 502 and decides.
 * That it seldom comes to this is the doing of UPSTREAM_KEEP_ALIVE_MS: connections are given up before servers usually do so.
 */
export type Upstreams = {
  /**
   * Sends a request to an origin (`https://host[:port]`). Throws TypeError, with nothing sent, when it cannot be written as
   * HTTP, and UpstreamsClosedError after `close`. `connectTimeoutMs`: until a connection stands, TLS included.
   */
  dispatch(
    target: { origin: string; connectTimeoutMs: number },
    request: UpstreamRequest,
    handler: UpstreamHandler,
  ): UpstreamCall
  /** Fails what is under way and lets go of all connections. */
  close(): void
}

/** How late a time limit may be noticed: one look at all connections instead of a timer for each request. */
const SWEEP_MS = 100

export function createUpstreams(policy: EgressPolicy): Upstreams {
  const poolsByTimeout = new Map<number, Map<string, UpstreamPool>>()
  let sweeper: NodeJS.Timeout | null = null
  let closed = false

  const sweep = (): void => {
    const nowMs = performance.now()
    for (const [connectTimeoutMs, pools] of poolsByTimeout) {
      for (const [origin, pool] of pools) {
        pool.expire(nowMs)
        if (pool.isEmpty()) pools.delete(origin)
      }
      if (pools.size === 0) poolsByTimeout.delete(connectTimeoutMs)
    }
    if (poolsByTimeout.size > 0 || sweeper === null) return
    clearInterval(sweeper)
    sweeper = null
  }

  const poolOf = (origin: string, connectTimeoutMs: number): UpstreamPool => {
    const pools = poolsByTimeout.get(connectTimeoutMs) ?? new Map<string, UpstreamPool>()
    poolsByTimeout.set(connectTimeoutMs, pools)
    const known = pools.get(origin)
    if (known !== undefined) return known
    const connector = policy.connector({ timeout: connectTimeoutMs, allowH2: false, onread: READING })
    const made = new UpstreamPool(origin, connector)
    pools.set(origin, made)
    sweeper ??= setInterval(sweep, SWEEP_MS).unref()
    return made
  }

  return {
    dispatch({ origin, connectTimeoutMs }, request, handler) {
      if (closed) throw new UpstreamsClosedError()
      return poolOf(origin, connectTimeoutMs).dispatch(request, handler)
    },
    close() {
      closed = true
      for (const pools of poolsByTimeout.values()) for (const pool of pools.values()) pool.close()
    },
  }
}
