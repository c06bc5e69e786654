import { createHash } from 'node:crypto'
import { ToolferryError } from '../../domain/errors.ts'

/** A COZE user's login as a browser keeps it (coze.md §3.2). */
export type CozeCookie = {
  /** The header value: `name=value; name=value`. */
  header: string
  /** When the login is expected to end. A hint only: signing out ends it sooner, renewal later. */
  expiresAt: Date | null
  /** Tells two logins apart without telling either: a plain digest of the session id, which nobody can guess. */
  sessionDigest: string
}

/** Any of these is the login itself; the other cookies an anonymous visitor has, too (coze.md §3.2). */
const LOGIN_NAMES = ['sessionid', 'sessionid_ss', 'sid_tt'] as const
const OPEN_SOURCE_NAME = 'session_key'
const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const MAX_BYTES = 16_384

/**
 * The pasted text as a cookie: with or without `Cookie:`, quotes and line breaks, as browsers and their tools copy it. Throws
 * InvalidDesiredState (field `cookie`) when it is none, UnsupportedVersion when it is one of the open-source edition.
 */
export function parseCozeCookie(pasted: string): CozeCookie {
  const header = clean(pasted)
  if (header.length > MAX_BYTES) throw refuse('is longer than a browser would ever send; paste the Cookie header only')
  if (/[^\x20-\x7e]/.test(header)) throw refuse('has characters that no cookie has; copy it again from the browser')
  const pairs = readPairs(header)
  const values = new Map(pairs)
  const session = LOGIN_NAMES.map((name) => values.get(name)).find((value) => value !== undefined && value !== '')
  if (session === undefined) {
    if (values.has(OPEN_SOURCE_NAME)) throw openSourceRefused()
    throw refuse(
      'has no login in it (sessionid). Sign in to COZE in the browser, open its developer tools, and copy the whole Cookie header of a request to COZE',
    )
  }
  return {
    header: pairs.map(([name, value]) => `${name}=${value}`).join('; '),
    expiresAt: expiryOf(values.get('sid_guard')),
    sessionDigest: createHash('sha256').update(`coze-session\u0000${session}`).digest('hex').slice(0, 32),
  }
}

/** Why open-source COZE cannot be a platform (coze.md §7.3). */
export function openSourceRefused(): ToolferryError {
  return new ToolferryError(
    'UnsupportedVersion',
    'This is the open-source edition of COZE (Coze Studio), which has no MCP plugins. Toolferry works with the COZE business platform, www.coze.cn.',
    { field: 'kind' },
  )
}

function clean(pasted: string): string {
  let text = pasted.replace(/[\r\n\t]+/g, ' ').trim()
  text = unquote(text)
  // As `curl -H 'Cookie: …'` shows it.
  text = text.replace(/^(?:-H|--header|-b|--cookie)\s+/, '')
  text = unquote(text.trim())
  text = text.replace(/^cookie\s*:\s*/i, '')
  return unquote(text.trim()).replace(/;+\s*$/, '')
}

function unquote(text: string): string {
  return /^(["'`]).*\1$/s.test(text) ? text.slice(1, -1).trim() : text
}

/** In their order; of a name given twice the first counts, as servers read it. */
function readPairs(header: string): [string, string][] {
  const pairs = new Map<string, string>()
  for (const part of header.split(';')) {
    const at = part.indexOf('=')
    const name = part.slice(0, at).trim()
    if (at < 1 || !COOKIE_NAME.test(name) || pairs.has(name)) continue
    pairs.set(name, part.slice(at + 1).trim())
  }
  return [...pairs]
}

/** `sid_guard` is `<sid>|<issued, unix s>|<ttl, s>|<date>`, URL-encoded (coze.md §3.2). */
function expiryOf(sidGuard: string | undefined): Date | null {
  if (sidGuard === undefined) return null
  const [, issuedS, ttlS] = decode(sidGuard).split('|')
  const atMs = (Number(issuedS) + Number(ttlS)) * 1000
  const date = new Date(atMs)
  return issuedS === undefined || ttlS === undefined || Number.isNaN(date.getTime()) || atMs <= 0 ? null : date
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function refuse(why: string): ToolferryError {
  return new ToolferryError('InvalidDesiredState', `The cookie ${why}.`, { field: 'cookie' })
}
