import { createHash, randomUUID } from 'node:crypto'
import { ToolferryError } from '../../domain/errors.ts'
import type { NormalisedObject, RemoteIdentity } from '../../domain/object.ts'
import type { McpTool } from '../../domain/tool.ts'
import type { DesiredObject } from '../platform.ts'
import { sanitiseTools, storableText, toolDigests } from './tools.ts'

/** varchar(40) of `tool_mcp_providers.name`, counted in code points (dify.md §5.1). */
export const MAX_NAME_CODE_POINTS = 40

/** An emoji icon that every version takes; NULL and "" break the list or the calls (dify.md §5.3). */
export const DEFAULT_ICON = '{"content":"🔗","background":"#6366F1"}'

/** Dify's own defaults in seconds (dify.md §1.1); users may change them in Dify's dialog, and then they stay. */
const DEFAULT_TIMEOUT_S = '30'
const DEFAULT_SSE_READ_TIMEOUT_S = '300'

/** The fields of a Dify provider. `fields.tools` is the JSON that goes into the column. */
export const DIFY_FIELDS = [
  'name',
  'url',
  'authorization',
  'tools',
  'authed',
  'icon',
  'timeout',
  'sse_read_timeout',
] as const
export type DifyField = (typeof DIFY_FIELDS)[number]

/**
 * What a provider will be. An empty `authorization` stands for "no Authorization header" (an anonymous instance, or a plan
 * before the token exists). Throws InvalidDesiredState naming the field: name, url or authorization.
 */
export function normaliseForDify(desired: DesiredObject): NormalisedObject {
  const name = normaliseName(desired.name)
  const { json, digests, warnings } = normalisedTools(desired.tools)
  const fields: Record<DifyField, string> = {
    name: name.text,
    url: checkedUrl(desired.url),
    authorization: checkedHeaderValue(desired.authorization),
    tools: json,
    authed: 'true',
    icon: DEFAULT_ICON,
    timeout: DEFAULT_TIMEOUT_S,
    sse_read_timeout: DEFAULT_SSE_READ_TIMEOUT_S,
  }
  return {
    fields,
    secretFields: ['authorization'],
    keptFields: ['name', 'icon', 'timeout', 'sse_read_timeout'],
    tools: digests,
    warnings: [...name.warnings, ...warnings],
  }
}

type NormalisedTools = { json: string; digests: Record<string, string>; warnings: string[] }

/** One instance's tools go into many workspaces: the same array, which nobody changes, is sanitised once. */
const normalised = new WeakMap<readonly McpTool[], NormalisedTools>()

function normalisedTools(raw: readonly McpTool[]): NormalisedTools {
  const known = normalised.get(raw)
  if (known !== undefined) return known
  const { tools, warnings } = sanitiseTools(raw)
  const made = { json: JSON.stringify(tools), digests: toolDigests(tools), warnings }
  normalised.set(raw, made)
  return made
}

/**
 * A provider's identity before it is first written. The id is random, since one instance goes into many workspaces of one
 * table; the identifier is the instance's alone, since apps refer to it and it must come back the same (dify.md §5.2, §6).
 */
export function proposeDifyIdentity(instanceId: string): RemoteIdentity {
  const hash = createHash('sha256').update(instanceId).digest('hex')
  return { id: randomUUID(), key: `mcp-${hash.slice(0, 20)}` }
}

/** `name` with ` (2)`, ` (3)` … inside the 40 code points; 1 gives the name itself. */
export function numberedName(name: string, number: number): string {
  if (number === 1) return name
  const suffix = ` (${number})`
  return clampName(name, MAX_NAME_CODE_POINTS - suffix.length) + suffix
}

export function urlHash(url: string): string {
  return createHash('sha256').update(url, 'utf8').digest('hex')
}

function normaliseName(wanted: string): { text: string; warnings: string[] } {
  const cleaned = storableText(wanted)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
  const text = clampName(cleaned, MAX_NAME_CODE_POINTS)
  if (text === '') {
    throw new ToolferryError('InvalidDesiredState', 'The instance needs a name that is not empty.', { field: 'name' })
  }
  const cut = text === cleaned ? [] : [`name cut to ${MAX_NAME_CODE_POINTS} characters, the most Dify takes: «${text}»`]
  return { text, warnings: cut }
}

function clampName(name: string, codePoints: number): string {
  // A cut inside an emoji sequence would leave its joiner at the end.
  return [...name]
    .slice(0, codePoints)
    .join('')
    .replace(/[\s\u200d]+$/u, '')
}

function checkedUrl(url: string): string {
  const refuse = (why: string): ToolferryError =>
    new ToolferryError('InvalidDesiredState', `The URL for Dify ${why}.`, { field: 'url' })
  if (/[\s\p{Cc}]/u.test(url) || url !== url.toWellFormed()) throw refuse('holds a space or a control character')
  if (url.includes('[__HIDDEN__]')) throw refuse('holds [__HIDDEN__], which Dify takes for its own mask')
  if (!URL.canParse(url)) throw refuse('is not a URL')
  const { protocol, pathname } = new URL(url)
  if (protocol !== 'http:' && protocol !== 'https:') throw refuse('must start with http:// or https://')
  // Dify chooses the transport by the path's last segment; anything else takes a slow and faulty detour (dify.md §5.4).
  if (!/\/(mcp|sse)$/.test(pathname)) throw refuse('must have a path that ends in /mcp or /sse')
  return url
}

/** Header values pass through Python's HTTP client and, since 1.16, a template engine (dify.md §3.1). */
function checkedHeaderValue(value: string): string {
  const refuse = (why: string): ToolferryError =>
    new ToolferryError('InvalidDesiredState', `The Authorization value ${why}.`, { field: 'authorization' })
  if (!/^[\x20-\x7e]*$/.test(value)) throw refuse('may hold printable ASCII only, no line breaks')
  if (value !== value.trim()) throw refuse('may not start or end with a space')
  if (value.includes('{{')) throw refuse('may not hold {{, which Dify takes for a template')
  return value
}
