/** Which headers an admin may give for an MCP server (upstream or pass-through). Pure. */

export type HeaderProblem = {
  /** Path of the input field: `headers.X-Key`, or the field itself. */
  field: string
  /** What is wrong and what to do; never the value. */
  reason: string
}

export const MAX_HEADERS = 64
export const MAX_HEADER_NAME_CHARS = 128
export const MAX_HEADER_VALUE_BYTES = 8 * 1024

/** RFC 9110 §5.6.2 token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Visible ASCII with spaces and tabs inside (RFC 9110 §5.5 without obs-text). */
const VALUE = /^[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?$/

const BY_CONNECTION = 'belongs to the connection and is set by Toolferry itself'
const BY_PROTOCOL = 'belongs to the MCP protocol and is set by Toolferry itself'

const FORBIDDEN: Readonly<Record<string, string>> = {
  host: BY_CONNECTION,
  'content-length': BY_CONNECTION,
  'content-type': BY_CONNECTION,
  'content-encoding': BY_CONNECTION,
  accept: BY_PROTOCOL,
  'accept-encoding': BY_CONNECTION,
  connection: BY_CONNECTION,
  'keep-alive': BY_CONNECTION,
  'proxy-connection': BY_CONNECTION,
  'proxy-authenticate': BY_CONNECTION,
  'proxy-authorization': BY_CONNECTION,
  te: BY_CONNECTION,
  trailer: BY_CONNECTION,
  'transfer-encoding': BY_CONNECTION,
  upgrade: BY_CONNECTION,
  expect: BY_CONNECTION,
  cookie:
    'is never sent by the gateway (a cookie of one client must not reach another); give the credential as Authorization or a header of its own',
  'set-cookie': 'is a response header',
  origin: 'says where a browser comes from, and there is none',
  forwarded: 'says who called, which only a proxy may state',
  'x-real-ip': 'says who called, which only a proxy may state',
  via: 'says who called, which only a proxy may state',
  'mcp-session-id': BY_PROTOCOL,
  'mcp-protocol-version': BY_PROTOCOL,
  'mcp-method': BY_PROTOCOL,
  'mcp-name': BY_PROTOCOL,
  'last-event-id': BY_PROTOCOL,
}

/**
 * Everything wrong with `headers` (name → value), in order; empty = all right. `field` is the input's path ("headers",
 * "passThroughHeaders"). Takes unknown input: values that are not strings are problems.
 */
export function judgeHeaders(headers: unknown, field: string): HeaderProblem[] {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    return [{ field, reason: 'must be an object of header names and values' }]
  }
  const problems: HeaderProblem[] = []
  const entries = Object.entries(headers)
  if (entries.length > MAX_HEADERS)
    problems.push({ field, reason: `has ${entries.length} headers; at most ${MAX_HEADERS} can be given` })
  const seen = new Map<string, string>()
  for (const [name, value] of entries.slice(0, MAX_HEADERS)) {
    const path = `${field}.${showName(name)}`
    const lower = name.toLowerCase()
    const twin = seen.get(lower)
    seen.set(lower, name)
    const reason =
      judgeHeaderName(name) ??
      (twin === undefined ? null : `is the same header as ${twin}; names do not differ by case. Remove one`) ??
      judgeHeaderValue(value)
    if (reason !== null) problems.push({ field: path, reason })
  }
  return problems
}

/** Why a header of this name cannot be given, or null. */
export function judgeHeaderName(name: string): string | null {
  if (name === '') return 'has an empty name'
  if (name.length > MAX_HEADER_NAME_CHARS) return `has a name of more than ${MAX_HEADER_NAME_CHARS} characters`
  if (!TOKEN.test(name)) return "is not a header name: only letters, digits and -_.!#$%&'*+^`|~ can stand in one"
  const lower = name.toLowerCase()
  if (lower.startsWith('x-forwarded-')) return 'cannot be given: it says who called, which only a proxy may state'
  if (lower.startsWith('mcp-param-')) return `cannot be given: it ${BY_PROTOCOL}`
  const why = Object.hasOwn(FORBIDDEN, lower) ? FORBIDDEN[lower] : undefined
  return why === undefined ? null : `cannot be given: it ${why}`
}

/** Why this value cannot be sent, or null. Never quotes it. */
export function judgeHeaderValue(value: unknown): string | null {
  if (typeof value !== 'string') return 'must be a text'
  if (value === '') return 'has an empty value'
  if (value.length > MAX_HEADER_VALUE_BYTES) return `has a value of more than ${MAX_HEADER_VALUE_BYTES / 1024} KiB`
  if (/[\r\n]/.test(value)) return 'has a line break in its value; remove it (a pasted secret often ends with one)'
  if (/^[\t ]|[\t ]$/.test(value)) return 'has a space before or after its value; remove it'
  if (!VALUE.test(value)) return 'has characters in its value that headers cannot carry; only visible ASCII is sent'
  return null
}

/** A name in a field path: what cannot be a name is shown without what could disturb a message. */
function showName(name: string): string {
  const shown = name.replace(/[^\x21-\x7e]/g, '?')
  return shown.length > 60 ? `${shown.slice(0, 59)}…` : shown
}
