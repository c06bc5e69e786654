import { ToolferryError } from '../../domain/errors.ts'
import type { ObservedObject } from '../../domain/object.ts'
import type { Neighbour, ProviderRow } from './database.ts'
import type { WorkspaceKey } from './encryption.ts'
import { encryptionFault } from './encryption.ts'
import type { DifyField } from './normalise.ts'
import { urlHash } from './normalise.ts'
import { isJson, readToolsColumn } from './tools.ts'

/** Reading one row of `tool_mcp_providers`: what it holds, and what of it would break Dify. Pure. */

/**
 * The row as the planner compares it. Besides the desired fields `stored` tells two things that make a rewrite due: `key`, the
 * workspace's encryption key, and `credentials`, whether Dify holds an OAuth credential that overrides our Authorization.
 * `desiredUrl` is shown as the URL when it is the one that stands there (the column itself cannot be read).
 */
export function observeProvider(row: ProviderRow, key: WorkspaceKey | null, desiredUrl: string | null): ObservedObject {
  const tools = readToolsColumn(row.tools)
  const headers = readHeaders(row.encryptedHeaders)
  const broken: DifyField[] = []
  if (isBrokenIcon(row.icon)) broken.push('icon')
  if (tools.broken) broken.push('tools')
  if (headers.broken) broken.push('authorization')

  const name = row.name
  const authed = String(row.authed)
  const icon = row.icon ?? ''
  const timeout = row.timeoutS === null ? '' : String(row.timeoutS)
  const sseReadTimeout = row.sseReadTimeoutS === null ? '' : String(row.sseReadTimeoutS)
  const stored: Record<DifyField, string> = {
    name,
    url: `${row.serverUrlHash} ${row.serverUrl}`,
    authorization: headers.broken ? `broken ${row.encryptedHeaders}` : storedAuthorization(headers.entries),
    tools: tools.text,
    authed,
    icon,
    timeout,
    sse_read_timeout: sseReadTimeout,
  }
  const showsUrl = desiredUrl !== null && urlHash(desiredUrl) === row.serverUrlHash
  return {
    identity: { id: row.id, key: row.serverIdentifier },
    stored: { ...stored, key: key?.digest ?? '', credentials: credentialsState(row.encryptedCredentials) },
    shown: { name, authed, icon, timeout, sse_read_timeout: sseReadTimeout, ...(showsUrl ? { url: desiredUrl } : {}) },
    tools: tools.digests,
    brokenFields: broken,
  }
}

/**
 * `encrypted_headers` with our Authorization in it: a users' other headers stay, an Authorization of any case is replaced.
 * `encrypted` null takes it out. Null when no header is left (dify.md §3.1).
 */
export function mergeAuthorization(encryptedHeaders: string | null, encrypted: string | null): string | null {
  const others = readHeaders(encryptedHeaders).entries.filter(([name]) => !isAuthorization(name))
  const entries = encrypted === null ? others : [['Authorization', encrypted], ...others]
  return entries.length === 0 ? null : JSON.stringify(Object.fromEntries(entries))
}

/**
 * Whether `encrypted_credentials` must be reset to '{}' when our header or URL is written (dify.md §3.2, §10.5): an OAuth token
 * overrides our Authorization on refresh, and up to 1.9.2 anything at all in it does on every call.
 */
export function mustResetCredentials(
  encryptedCredentials: string | null,
  options: { urlChanged: boolean; mayBe19: boolean },
): boolean {
  const state = credentialsState(encryptedCredentials)
  if (state === 'none') return false
  return state !== 'harmless' || options.urlChanged || options.mayBe19
}

/**
 * The post-write self-check of dify.md §10, without the private key: everything that can be told of a row just written.
 * Throws Bug; the transaction is then rolled back, so a faulty row never breaks a workspace's tools page.
 */
export function assertWellWritten(
  row: ProviderRow,
  key: WorkspaceKey,
  wanted: Record<string, string>,
  written: readonly string[],
): void {
  const faults: string[] = []
  const check = (holds: boolean, fault: string): void => {
    if (!holds) faults.push(fault)
  }
  if (written.includes('url')) {
    check(row.serverUrlHash === urlHash(wanted.url ?? ''), 'the URL’s hash differs')
    check(encryptionFault(row.serverUrl, key, wanted.url) === null, 'the URL is not encrypted as Dify reads it')
  }
  const headers = readHeaders(row.encryptedHeaders)
  if (written.includes('authorization')) {
    const own = headers.entries.filter(([name]) => isAuthorization(name)).map(([, value]) => value)
    check(!headers.broken, 'the headers are no JSON object of texts')
    check(own.length === (wanted.authorization === '' ? 0 : 1), 'there is not exactly one Authorization')
    check(
      own.every((value) => encryptionFault(value, key, wanted.authorization) === null),
      'Authorization is not encrypted as Dify reads it',
    )
  }
  if (written.includes('tools')) check(row.tools === wanted.tools, 'the tools differ')
  if (written.includes('authed')) check(row.authed, 'authed is not set')
  if (written.includes('icon')) check(!isBrokenIcon(row.icon), 'the icon is unusable')
  check(!readToolsColumn(row.tools).broken || !written.includes('tools'), 'the tools are no JSON list of objects')
  if (faults.length > 0) {
    throw new ToolferryError(
      'Bug',
      `The provider was not written as intended (${faults.join('; ')}); nothing was changed.`,
    )
  }
}

type Headers = { entries: [string, string][]; broken: boolean }

/** Broken is what fails Dify's whole list: JSON that is no object of texts. Text that is no JSON counts as no headers there. */
function readHeaders(column: string | null): Headers {
  if (column === null || column === '') return { entries: [], broken: false }
  let parsed: unknown
  try {
    parsed = JSON.parse(column)
  } catch {
    return { entries: [], broken: false }
  }
  if (!isJson(parsed)) return { entries: [], broken: true }
  const entries = Object.entries(parsed)
  const texts = entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return { entries: texts, broken: texts.length !== entries.length }
}

function storedAuthorization(entries: [string, string][]): string {
  const own = entries.filter(([name]) => isAuthorization(name))
  return own.length === 0 ? '' : JSON.stringify(own)
}

function isAuthorization(header: string): boolean {
  return header.trim().toLowerCase() === 'authorization'
}

/** What `encrypted_credentials` holds; client registrations without a token are harmless from 1.10 on. */
function credentialsState(column: string | null): 'none' | 'harmless' | 'overrides' | 'broken' {
  if (column === null || column === '') return 'none'
  let parsed: unknown
  try {
    parsed = JSON.parse(column)
  } catch {
    // From 1.10 on Dify takes it for none; older ones stumble.
    return 'broken'
  }
  if (!isJson(parsed)) return 'broken'
  if (Object.keys(parsed).length === 0) return 'none'
  return typeof parsed.access_token === 'string' && parsed.access_token !== '' ? 'overrides' : 'harmless'
}

/** NULL, empty, or JSON that is not {"content","background"}; other text is an uploaded image's id (dify.md §5.3). */
function isBrokenIcon(icon: string | null): boolean {
  if (icon === null || icon.trim() === '') return true
  let parsed: unknown
  try {
    parsed = JSON.parse(icon)
  } catch {
    return icon.trimStart().startsWith('{')
  }
  if (!isJson(parsed)) return true
  return [parsed.content, parsed.background].some((part) => typeof part !== 'string' || part === '')
}

/** Names a row for an error message. */
export function describeProvider(row: Neighbour): string {
  return `«${row.name}» (identifier “${row.serverIdentifier}”)`
}
