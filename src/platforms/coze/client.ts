import { type Agent, type Dispatcher, request } from 'undici'
import type { z } from 'zod'
import type { Clock } from '../../domain/clock.ts'
import { ToolferryError } from '../../domain/errors.ts'
import { retryAfterMs } from '../../domain/retry-after.ts'
import { createEgressAgent } from '../../egress/connector.ts'
import type { EgressPolicy } from '../../egress/policy.ts'
import { envelope } from './answers.ts'
import type { CozeBudget } from './budget.ts'
import type { CozeCookie } from './cookie.ts'
import { openSourceRefused } from './cookie.ts'
import {
  type CozeError,
  forbidden,
  humanCheck,
  isFault,
  loginLost,
  noAnswer,
  rateLimited,
  refusedByCode,
  unusable,
} from './errors.ts'

/** `read` and `repeatable` are tried again when no answer came; a `write` never is: its caller looks what became of it. */
export type CallKind = 'read' | 'repeatable' | 'write'

export type CozeCall<T> = {
  method?: 'GET' | 'POST'
  path: string
  kind: CallKind
  body?: Record<string, unknown>
  answer: z.ZodType<T>
  signal: AbortSignal
  timeoutMs?: number
  /** COZE's words may be another server's, which it has called for this: they are shown, but hardly judge (see refusedByCode). */
  quotesOthers?: boolean
  /** Called right before every attempt of a write, in its turn: nothing may come between it and the call. */
  fence?: () => Promise<void>
}

export type CozeClient = {
  call<T>(call: CozeCall<T>): Promise<T>
  /** From now on the pace is counted for this user, not for this login only. */
  setUser(userId: string): void
  close(): Promise<void>
}

export type CozeClientOptions = {
  /** Origin; the cookie goes there and nowhere else. */
  baseUrl: string
  cookie: CozeCookie
  /** The cookie's user, when known: all logins of one user share one budget. */
  userId: string | null
  egress: EgressPolicy
  budget: CozeBudget
  clock: Clock
  timeouts?: Partial<CozeTimeouts>
}

/** coze.md §5. Reading tools takes as long as the MCP server does. */
export type CozeTimeouts = { connectMs: number; readMs: number; writeMs: number }
const DEFAULT_TIMEOUTS: CozeTimeouts = { connectMs: 10_000, readMs: 20_000, writeMs: 30_000 }

const ATTEMPTS = 3
const FIRST_BACKOFF_MS = 1_000
const LONGEST_BACKOFF_MS = 30_000
/** A longer wish ends the activity's attempt instead; Temporal then waits for as long. */
const LONGEST_RETRY_AFTER_MS = 60_000
const MAX_BYTES = 16 * 1024 * 1024
/** After a lost login or a human check nothing is sent for a while: every further call makes it worse. */
const REST_AFTER_REFUSAL_MS = 60_000
const MAX_WORDS = 200

const USER_AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'

/** Calls of COZE's web interface (coze.md §3): with the cookie, at the pace of the budget, no redirect followed. */
export function createCozeClient(options: CozeClientOptions): CozeClient {
  const { cookie, budget, clock } = options
  const origin = new URL(options.baseUrl).origin
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts }
  const agent = createEgressAgent(options.egress, { connect: { timeout: timeouts.connectMs }, connections: 4 })
  const redact = redactor(cookie)
  const host = new URL(origin).host
  let budgetKey = keyOf(host, options.userId === null ? `session:${cookie.sessionDigest}` : `user:${options.userId}`)
  let refusal: { error: CozeError; untilMs: number } | null = null

  async function attempt<T>(call: CozeCall<T>): Promise<T> {
    const release = await budget.take(budgetKey, call.signal)
    try {
      if (refusal !== null && clock.now() < refusal.untilMs) throw refusal.error
      await call.fence?.()
      return await exchange({ ...call, agent, origin, cookie: cookie.header, redact, timeouts })
    } catch (error) {
      if (isFault(error, 'login', 'risk')) refusal = { error, untilMs: clock.now() + REST_AFTER_REFUSAL_MS }
      if (isFault(error, 'rateLimited')) {
        await budget.holdUntil(budgetKey, clock.now() + (error.retryAfterMs ?? FIRST_BACKOFF_MS))
      }
      throw error
    } finally {
      await release()
    }
  }

  return {
    async call(call) {
      for (let number = 1; ; number++) {
        try {
          return await attempt(call)
        } catch (error) {
          call.signal.throwIfAborted()
          if (number >= ATTEMPTS || !mayRepeat(call.kind, error)) throw error
        }
        await clock.sleep(backoffMs(number), call.signal)
      }
    },
    setUser(userId) {
      budgetKey = keyOf(host, `user:${userId}`)
    },
    close: () => agent.destroy(),
  }
}

function keyOf(host: string, who: string): string {
  return `${host}|${who}`.slice(0, 180)
}

function mayRepeat(kind: CallKind, error: unknown): boolean {
  if (isFault(error, 'rateLimited')) return (error.retryAfterMs ?? 0) <= LONGEST_RETRY_AFTER_MS
  if (isFault(error, 'notSent')) return true
  return kind !== 'write' && isFault(error, 'lost', 'busy')
}

function backoffMs(failures: number): number {
  const longest = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1))
  return longest * (0.5 + Math.random() / 2)
}

type Exchange<T> = CozeCall<T> & {
  agent: Agent
  origin: string
  cookie: string
  redact: (text: string) => string
  timeouts: CozeTimeouts
}

async function exchange<T>(call: Exchange<T>): Promise<T> {
  const { origin, path } = call
  const limitMs = call.timeoutMs ?? (call.kind === 'write' ? call.timeouts.writeMs : call.timeouts.readMs)
  const timeout = AbortSignal.timeout(limitMs)
  const signal = AbortSignal.any([call.signal, timeout])
  let answer: { response: Dispatcher.ResponseData; text: string }
  try {
    const method = call.method ?? 'POST'
    const response = await request(`${origin}${path}`, {
      method,
      dispatcher: call.agent,
      signal,
      headers: {
        // Also on GET: coze.md §3.1.
        'content-type': 'application/json',
        accept: 'application/json, text/plain, */*',
        'accept-language': 'zh-CN,zh;q=0.9',
        'x-requested-with': 'XMLHttpRequest',
        'agw-js-conv': 'str',
        'user-agent': USER_AGENT,
        origin,
        referer: `${origin}/`,
        cookie: call.cookie,
      },
      ...(method === 'POST' ? { body: JSON.stringify(call.body ?? {}) } : {}),
    })
    answer = { response, text: await readText(response) }
  } catch (error) {
    call.signal.throwIfAborted()
    throw networkFailure(path, error, timeout.aborted ? limitMs : null)
  }
  return readAnswer(call, answer.response, answer.text)
}

/** All shapes of an answer that is not what was asked for (coze.md §3.4); `code` alone would miss three of four lost logins. */
function readAnswer<T>(call: Exchange<T>, response: Dispatcher.ResponseData, text: string): T {
  const { statusCode: httpStatus, headers } = response
  const place = { endpoint: call.path, httpStatus, logId: logIdOf(headers) }
  if (httpStatus >= 300 && httpStatus < 400) throw loginLost(place, 'it leads to the login page')
  if (httpStatus === 429) throw rateLimited(place, retryAfterMs(headers['retry-after'], Date.now()))
  if (httpStatus >= 500) throw unusable(place, `HTTP ${httpStatus}`)

  const json = parseJson(text)
  const head = envelope.safeParse(json)
  const code = head.success ? head.data.code : undefined
  const said = head.success ? (head.data.message ?? head.data.msg) : null
  const words = call.redact(typeof said === 'string' ? said : '')
  const quotesOthers = call.quotesOthers === true
  const refusal = code === undefined || code === '0' ? null : refusedByCode({ ...place, code, words, quotesOthers })

  if (httpStatus === 401) {
    if (words.includes('session_key')) throw openSourceRefused()
    throw loginLost(place, 'HTTP 401')
  }
  if (httpStatus === 403) throw refusal !== null && refusal.fault !== 'refused' ? refusal : humanCheck(place)
  if (refusal !== null) throw refusal
  if (httpStatus >= 400) throw forbidden(place, `COZE does not offer this call (any more)`)
  if (json === undefined) {
    const html = /html/i.test(String(headers['content-type'] ?? '')) || text.trimStart().startsWith('<')
    throw html ? loginLost(place, 'it answered with a page') : unusable(place, 'the JSON is not whole')
  }
  // Everything has one but the passport's answers, which are read only; without it nobody knows what became of a write.
  if (!head.success || (code === undefined && call.kind !== 'read')) throw unusable(place, 'unexpected code')
  const parsed = call.answer.safeParse(json)
  // The path of the fault only: values may be secrets.
  if (!parsed.success) throw unusable(place, `unexpected ${parsed.error.issues[0]?.path.join('.') || 'form'}`)
  return parsed.data
}

async function readText(response: Dispatcher.ResponseData): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of response.body) {
    sizeBytes += chunk.length
    if (sizeBytes > MAX_BYTES) throw new Error('the answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** undefined when it is none. Integers beyond 2^53 become strings of all their digits: they are ids. */
function parseJson(text: string): unknown {
  const reviver = (_key: string, value: unknown, context: { source?: string }): unknown =>
    typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
      ? (context.source ?? value)
      : value
  try {
    const value: unknown = JSON.parse(text, reviver as Parameters<typeof JSON.parse>[1])
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** What never left this machine did not happen; of the rest nobody knows. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

function networkFailure(path: string, error: unknown, timedOutAfterMs: number | null): ToolferryError {
  if (error instanceof ToolferryError) return error
  if (timedOutAfterMs !== null) {
    const says = `COZE did not answer within ${timedOutAfterMs / 1000} s`
    return noAnswer(path, { fault: 'lost', type: 'Timeout', says }, error)
  }
  const code = codeOf(error)
  if (NOT_SENT.has(code)) {
    return noAnswer(path, { fault: 'notSent', type: 'Unavailable', says: `COZE cannot be reached: ${code}` }, error)
  }
  const says = `the connection to COZE broke off${code === '' ? '' : `: ${code}`}`
  return noAnswer(path, { fault: 'lost', type: 'Unavailable', says }, error)
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : ''
  return typeof code === 'string' ? code : ''
}

function logIdOf(headers: Dispatcher.ResponseData['headers']): string | null {
  const value = headers['x-tt-logid']
  return typeof value === 'string' && /^[\w-]{1,80}$/.test(value) ? value : null
}

/** COZE's words may repeat what it was given. */
function redactor(cookie: CozeCookie): (text: string) => string {
  const values = cookie.header
    .split('; ')
    .map((pair) => pair.slice(pair.indexOf('=') + 1))
    .filter((value) => value.length >= 8)
  return (text) => {
    let safe = text
    for (const value of values) safe = safe.replaceAll(value, '…')
    return safe
      .replace(/bearer\s+\S+/gi, '…')
      .replace(/tf[ga]_\w+/g, '…')
      .replace(/\?\S*/g, '')
      .replace(/[\s\p{Cc}]+/gu, ' ')
      .trim()
      .slice(0, MAX_WORDS)
  }
}
