import type { Agent } from 'undici'
import { judgeHeaders } from '../domain/header-rules.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import { type ShortAnswer, shortExchange } from './short-exchange.ts'

export type ShortHandshake = {
  /** Of a Streamable HTTP endpoint. */
  url: string
  headers: Readonly<Record<string, string>>
  /** The revision to ask for: one that this server is known to have agreed to. */
  protocolVersion: string
  egress: EgressPolicy
  /** Made with the same egress policy. */
  agent: Agent
  signal: AbortSignal
  /** For each of the answers. */
  timeoutMs: number
}

const ACCEPT = 'application/json, text/event-stream'
const MAX_ANSWER_CHARACTERS = 256 * 1024
const REQUEST_ID = 1

/**
 * The handshake of the revisions before 2026-07-28, with nothing around it: initialize, its answer read, initialized, and
 * DELETE when there is a session. For proving many tokens: the SDK's client takes several times as long. True when the server
 * agreed; false for whatever else happened, since `handshake` finds out and says what. After an abort it throws the signal's reason.
 */
export async function shortHandshake(target: ShortHandshake): Promise<boolean> {
  target.signal.throwIfAborted()
  const url = target.egress.checkUrl(target.url)
  if (judgeHeaders(target.headers, 'headers').length > 0) return false
  try {
    const { statusCode, headers, text } = await send(target, url, 'POST', {}, initialize(target.protocolVersion))
    const sessionId = headers['mcp-session-id']
    const agreed = statusCode === 200 && versionOf(text, headers) === target.protocolVersion
    const session: Record<string, string> = {
      'mcp-protocol-version': target.protocolVersion,
      ...(typeof sessionId === 'string' ? { 'mcp-session-id': sessionId } : {}),
    }
    try {
      if (!agreed) return false
      const noted = await send(target, url, 'POST', session, INITIALIZED)
      return noted.statusCode >= 200 && noted.statusCode < 300
    } finally {
      if (typeof sessionId === 'string') await send(target, url, 'DELETE', session, null)
    }
  } catch {
    target.signal.throwIfAborted()
    return false
  }
}

const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' }

function initialize(protocolVersion: string): object {
  return {
    jsonrpc: '2.0',
    id: REQUEST_ID,
    method: 'initialize',
    params: { protocolVersion, capabilities: {}, clientInfo: { name: 'toolferry', version: '0.1.0' } },
  }
}

async function send(
  target: ShortHandshake,
  url: URL,
  method: 'POST' | 'DELETE',
  headers: Record<string, string>,
  message: object | null,
): Promise<ShortAnswer> {
  const { agent, signal, timeoutMs } = target
  return await shortExchange({
    ...{ agent, url, method, signal, timeoutMs },
    headers: {
      ...target.headers,
      accept: ACCEPT,
      ...(message === null ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: message === null ? null : JSON.stringify(message),
    maxCharacters: MAX_ANSWER_CHARACTERS,
    isEnough: (text, answered) => isStream(answered) && versionInStream(text) !== null,
  })
}

/** The revision that the server agreed to; null when this is no answer to our request. */
function versionOf(text: string, headers: ShortAnswer['headers']): string | null {
  return isStream(headers) ? versionInStream(`${text}\n\n`) : versionIn(text)
}

function isStream(headers: ShortAnswer['headers']): boolean {
  return String(headers['content-type']).startsWith('text/event-stream')
}

/** Of whole events only. */
function versionInStream(text: string): string | null {
  for (const event of text.split(/\r?\n\r?\n/).slice(0, -1)) {
    const data = event
      .split(/\r?\n/)
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice('data:'.length).trimStart())
    const version = versionIn(data.join('\n'))
    if (version !== null) return version
  }
  return null
}

function versionIn(json: string): string | null {
  let message: unknown
  try {
    message = JSON.parse(json)
  } catch {
    return null
  }
  if (!isObject(message) || message.id !== REQUEST_ID || !isObject(message.result)) return null
  const { protocolVersion } = message.result
  return typeof protocolVersion === 'string' ? protocolVersion : null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
