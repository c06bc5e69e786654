import { wholeNumber } from './http-fields.ts'

/** Belong to one hop of HTTP/1.1, or are written anew for the next one. */
const HOP_HEADERS = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'host',
  'content-length',
  'expect',
]

/** Of the client: its credentials, what it says about itself or about hops before it, and what would steer an upstream's router. */
const CLIENT_ONLY_HEADERS = new Set([
  ...HOP_HEADERS,
  'authorization',
  'x-mcp-authorization',
  'api-key',
  'x-api-key',
  'cookie',
  'cookie2',
  'origin',
  'referer',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'x-original-url',
  'x-original-host',
  'x-rewrite-url',
  'x-http-method-override',
  'x-internal-request',
  'x-mcp-instance-id',
  // Written anew, unsealed.
  'mcp-session-id',
])
const CLIENT_ONLY_PREFIXES = ['x-forwarded-', 'proxy-', 'sec-']

/** What an administrator's headers cannot be either: they would break the message or the session. */
const NEVER_CONFIGURED = new Set([...HOP_HEADERS, 'mcp-session-id'])

/** Of the upstream's headers; with `mcp-…` and, where it is right, content-length. */
const RESPONSE_HEADERS = new Set([
  'content-type',
  'content-encoding',
  'content-language',
  'cache-control',
  'x-accel-buffering',
  'retry-after',
  'allow',
])
const SAFETY_HEADERS = ['x-content-type-options', 'nosniff', 'content-security-policy', "default-src 'none'; sandbox"]

/** Headers that are set on every request of a caller: flat (name, value, …), and the lower-case names that they replace. */
export type ConfiguredHeaders = { flat: string[]; names: ReadonlySet<string> }

/** What an administrator configured, without what cannot be. Names compare without case. */
export function configuredHeaders(headers: Record<string, string>): ConfiguredHeaders {
  const entries = Object.entries(headers).filter(([name]) => !NEVER_CONFIGURED.has(name.toLowerCase()))
  return { flat: entries.flat(), names: new Set(entries.map(([name]) => name.toLowerCase())) }
}

export type RequestHeadersInput = {
  /** The client's, as node:http gives them. */
  rawHeaders: string[]
  configured: ConfiguredHeaders
  /** The client's own `Authorization`, where the instance forwards it; null = none goes upstream. */
  forwardedAuthorization: string | null
  /** The gateway token of this request: no header that contains it goes upstream, whatever its name. */
  token: string | null
  /** The upstream's own session id. */
  sessionId: string | null
  /** The answer has to be looked into, so it must not be compressed. */
  inspected: boolean
  /** The body was written anew by us: it is UTF-8 JSON, whatever the client called it. */
  rewrittenBody: boolean
}

/**
 * The headers that go upstream, flat. What the client sent passes (the protocol grows: `Mcp-Param-*`), but for what is named
 * above and what its `Connection` lists; configured headers replace the client's. Names with `_` are read like `-`, as
 * many servers do.
 */
export function requestHeaders(input: RequestHeadersInput): string[] {
  const { rawHeaders, configured, token } = input
  const result = configured.flat.slice()
  const listed = connectionListed(rawHeaders)
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const value = rawHeaders[i + 1] ?? ''
    const { key, clientOnly } = kindOf(name)
    if (clientOnly && !(name.toLowerCase() === 'authorization' && value === input.forwardedAuthorization)) continue
    if (configured.names.has(key) || listed?.has(key) === true) continue
    if (token !== null && value.includes(token)) continue
    if (input.inspected && key === 'accept-encoding') continue
    if (input.rewrittenBody && key === 'content-type') continue
    result.push(name, value)
  }
  if (input.inspected) result.push('accept-encoding', 'identity')
  if (input.rewrittenBody) result.push('content-type', 'application/json')
  if (input.sessionId !== null) result.push('mcp-session-id', input.sessionId)
  return result
}

/** What counts of an upstream's headers. A header that is repeated is as good as none, but for its type: that is then not one of ours. */
export type ResponseFacts = {
  /** In lower case, without parameters; null = there is no such header. */
  type: string | null
  /** null: identity. */
  encoding: string | null
  /** Of the body; null = not said. */
  lengthBytes: number | null
  sessionId: string | null
  /** What of them goes back to the client as it is, flat. */
  passed: string[]
}

/** `headers`: the upstream's, flat, names in lower case. */
export function responseFacts(headers: readonly string[]): ResponseFacts {
  const facts: ResponseFacts = { type: null, encoding: null, lengthBytes: null, sessionId: null, passed: [] }
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const value = headers[i + 1] ?? ''
    const isOwn = name.startsWith('mcp-')
    if (!isOwn && name !== 'content-length' && !RESPONSE_HEADERS.has(name)) continue
    const single = isSingle(headers, i)
    if (name === 'content-type') facts.type = single ? mediaType(value) : ''
    else if (name === 'content-encoding' && value !== '' && value !== 'identity') facts.encoding = value
    if (!single) continue
    if (name === 'content-length') facts.lengthBytes = wholeNumber(value)
    else if (name === 'mcp-session-id') facts.sessionId = value
    else facts.passed.push(name, value)
  }
  return facts
}

/**
 * The headers that go back to the client, flat. `sessionId` is the sealed one. `lengthBytes`: of the body as it will be
 * sent, null when it is not known.
 */
export function responseHeaders(
  passed: readonly string[],
  options: { sessionId: string | null; lengthBytes: number | null },
): string[] {
  const result = SAFETY_HEADERS.slice()
  result.push(...passed)
  if (options.sessionId !== null) result.push('mcp-session-id', options.sessionId)
  if (options.lengthBytes !== null) result.push('content-length', String(options.lengthBytes))
  return result
}

/** A flat list of headers without those of these names. */
export function without(headers: readonly string[], names: ReadonlySet<string>): string[] {
  return headers.filter((_, index) => !names.has(headers[index - (index % 2)] ?? ''))
}

/** Whether the name at `index` of a flat list stands there only. */
function isSingle(headers: readonly string[], index: number): boolean {
  for (let i = 0; i < headers.length; i += 2) if (i !== index && headers[i] === headers[index]) return false
  return true
}

function mediaType(value: string): string {
  if (value === 'application/json' || value === 'text/event-stream') return value
  const end = value.indexOf(';')
  return (end === -1 ? value : value.slice(0, end)).trim().toLowerCase()
}

type HeaderKind = { key: string; clientOnly: boolean }

const kinds = new Map<string, HeaderKind>()
const MAX_KINDS = 1_024
const MAX_KIND_LENGTH = 64

/** What a client's header is by its name, as it is spelt. Clients use few; one that makes up many does not fill our memory. */
function kindOf(name: string): HeaderKind {
  const known = kinds.get(name)
  if (known !== undefined) return known
  const key = name.toLowerCase().replaceAll('_', '-')
  const kind = { key, clientOnly: isClientOnly(key) }
  if (kinds.size < MAX_KINDS && name.length <= MAX_KIND_LENGTH) kinds.set(name, kind)
  return kind
}

function isClientOnly(key: string): boolean {
  return CLIENT_ONLY_HEADERS.has(key) || CLIENT_ONLY_PREFIXES.some((prefix) => key.startsWith(prefix))
}

function connectionListed(rawHeaders: string[]): Set<string> | null {
  let listed: Set<string> | null = null
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length !== 10 || rawHeaders[i]?.toLowerCase() !== 'connection') continue
    const value = rawHeaders[i + 1] ?? ''
    if (value === 'keep-alive' || value === 'close') continue
    listed ??= new Set()
    for (const part of value.split(',')) listed.add(part.trim().toLowerCase())
  }
  return listed
}
