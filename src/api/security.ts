import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { newId } from '../domain/ids.ts'
import type { ApiEnv } from './context.ts'
import { ApiProblem } from './problem.ts'

export const MAX_BODY_BYTES = 1024 * 1024

const REQUEST_ID = /^[\w.:-]{1,64}$/

/** Takes the caller's X-Request-Id when it is short and harmless, else makes one; it stands in answers, audit and log. */
export function requestIds(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const given = c.req.header('x-request-id')
    const id = given !== undefined && REQUEST_ID.test(given) ? given : newId()
    c.set('requestId', id)
    c.set('principal', null)
    c.set('limitedSeconds', null)
    c.set('auditId', null)
    c.header('x-request-id', id)
    await next()
  }
}

/** No sniffing, no framing, no referrer, nothing to load: answers are data. The docs page loosens its own policy. */
export function securityHeaders(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    await next()
    const headers = c.res.headers
    headers.set('x-content-type-options', 'nosniff')
    headers.set('x-frame-options', 'DENY')
    headers.set('referrer-policy', 'no-referrer')
    headers.set('cross-origin-resource-policy', 'same-origin')
    headers.set('cross-origin-opener-policy', 'same-origin')
    if (!headers.has('content-security-policy')) {
      headers.set('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    }
    if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  }
}

/** 413 before anything is parsed. */
export function limitedBodies(maxBytes: number = MAX_BODY_BYTES): MiddlewareHandler<ApiEnv> {
  return bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new ApiProblem(413, 'body_too_large', `The body is larger than ${maxBytes} bytes.`, {
        hint: 'Send less at once: split the import or the batch.',
      })
    },
  })
}

/** A sliding window a key: at most `max` calls in `windowMs`. Kept in memory, so a limit is per process. */
export function createRateLimit(options: { max: number; windowMs: number; now?: () => number }): (key: string) => void {
  const now = options.now ?? Date.now
  const calls = new Map<string, number[]>()
  return (key) => {
    const at = now()
    const recent = (calls.get(key) ?? []).filter((time) => time > at - options.windowMs)
    const oldest = recent[0]
    if (oldest !== undefined && recent.length >= options.max) {
      const waitSeconds = Math.ceil((oldest + options.windowMs - at) / 1000)
      throw new ApiProblem(429, 'rate_limited', `At most ${options.max} such calls in ${options.windowMs / 1000} s.`, {
        hint: `Wait ${waitSeconds} s.`,
        headers: { 'retry-after': String(waitSeconds) },
      })
    }
    calls.set(key, [...recent, at])
  }
}
