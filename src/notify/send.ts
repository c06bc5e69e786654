import { request } from 'undici'
import { type Clock, systemClock } from '../domain/clock.ts'
import { ToolferryError } from '../domain/errors.ts'
import type { Notice } from '../domain/notices.ts'
import { retryAfterMs } from '../domain/retry-after.ts'
import { createEgressAgent } from '../egress/connector.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import { signatureHeaders } from './signature.ts'
import { readsAnswers, refusalIn, render, type WebhookTemplate } from './templates.ts'
import type { Language } from './texts.ts'

/** Where a message goes, with everything in the clear. */
export type WebhookAddress = {
  url: string
  template: WebhookTemplate
  language: Language
  /** The newest first; each signs. */
  signingSecrets: readonly string[]
  botSecret: string | null
}

/** `error`: for people; it names no path, no query and nothing that the receiver wrote. */
export type Sent =
  | { ok: true; status: number }
  | { ok: false; status: number | null; error: string; retry: boolean; retryAfterMs?: number }

export type SendOptions = {
  egress: EgressPolicy
  signal: AbortSignal
  /** For all of it: DNS, connecting, the answer with its body. */
  timeoutMs?: number
  clock?: Clock
}

const DEFAULT_TIMEOUT_MS = 10_000
/** Of an answer that has to be read at all; the bots' are some hundred bytes. */
const MAX_ANSWER_BYTES = 64 * 1024
/** Nothing else waits for a notice. */
const LONGEST_RETRY_AFTER_MS = 6 * 3_600_000

/**
 * One attempt. The address is checked by the egress rules at this very connection, redirects are not followed, and an
 * answer is read up to a limit. Rejects only with the signal's reason.
 */
export async function sendWebhook(
  to: WebhookAddress,
  message: { id: string; notice: Notice },
  options: SendOptions,
): Promise<Sent> {
  const { egress, signal, timeoutMs = DEFAULT_TIMEOUT_MS, clock = systemClock } = options
  const nowMs = clock.now()
  const { body, query } = render(message.notice, { ...to, nowMs })
  const time = AbortSignal.timeout(timeoutMs)
  const agent = createEgressAgent(egress, { connect: { timeout: timeoutMs } })
  try {
    // What was checked when it was saved is checked again: the rules may have changed.
    const url = egress.checkUrl(to.url)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    const response = await request(url, {
      dispatcher: agent,
      method: 'POST',
      signal: AbortSignal.any([signal, time]),
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'user-agent': 'Toolferry',
        ...signatureHeaders(to.signingSecrets, { id: message.id, timestampS: Math.floor(nowMs / 1000), body }),
      },
      body,
    })
    // Where the status says it all nobody waits for the rest, which ends with the agent.
    response.body.on('error', () => undefined)
    const answer = readsAnswers(to.template) ? await readAnswer(response.body) : ''
    return judge(to.template, response.statusCode, response.headers['retry-after'], answer)
  } catch (thrown) {
    signal.throwIfAborted()
    if (time.aborted) return failed(null, `There was no answer within ${timeoutMs / 1000} s.`)
    return unreachable(thrown)
  } finally {
    await agent.destroy()
  }
}

function judge(
  template: WebhookTemplate,
  status: number,
  retryAfter: string | string[] | undefined,
  answer: string,
): Sent {
  if (status >= 200 && status < 300) {
    const refusal = refusalIn(template, answer)
    return refusal === null ? { ok: true, status } : failed(status, refusal)
  }
  if (status >= 300 && status < 400) {
    return failed(status, `The answer is a redirect (${status}), and none is followed. Give the address it leads to.`)
  }
  // As Standard Webhooks has it: 410 says that nobody wants these messages any more.
  if (status === 410) return { ...failed(status, 'The receiver says that it is gone for good (410).'), retry: false }
  const waitMs = retryAfterMs(retryAfter, Date.now(), LONGEST_RETRY_AFTER_MS)
  const wish = waitMs === undefined ? {} : { retryAfterMs: waitMs }
  return { ...failed(status, `The receiver answered ${status}.`), ...wish }
}

function failed(status: number | null, error: string): Extract<Sent, { ok: false }> {
  return { ok: false, status, error, retry: true }
}

/** Never the error's own text, which may quote the address. */
function unreachable(thrown: unknown): Sent {
  const chain = thrown instanceof Error ? [thrown, thrown.cause] : [thrown]
  const refusal = chain.find((error) => error instanceof ToolferryError)
  if (refusal instanceof ToolferryError) return { ...failed(null, refusal.message), retry: false }
  const code = chain.map((error) => (error instanceof Error && 'code' in error ? error.code : null)).find(isPlainCode)
  return failed(null, `The receiver could not be reached (${code ?? 'no connection'}).`)
}

function isPlainCode(code: unknown): code is string {
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,40}$/.test(code)
}

async function readAnswer(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  // Leaving the loop early ends the connection.
  for await (const part of body) {
    bytes += part.length
    if (bytes > MAX_ANSWER_BYTES) break
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
