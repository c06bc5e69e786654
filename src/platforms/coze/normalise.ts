import { isIP } from 'node:net'
import { ToolferryError } from '../../domain/errors.ts'
import type { NormalisedObject } from '../../domain/object.ts'
import type { McpTool } from '../../domain/tool.ts'
import type { DesiredObject } from '../platform.ts'

/** The limits of COZE's own form, in code points (coze.md §7.1). */
export const MAX_NAME_CODE_POINTS = 30
export const MAX_DESCRIPTION_CODE_POINTS = 600
const MAX_HEADER_VALUE = 2_000

/** How many numbers are tried for a name that others have. */
export const NAME_ATTEMPTS = 20

export const COZE_FIELDS = ['name', 'description', 'url', 'authorization', 'tools', 'published'] as const
export type CozeField = (typeof COZE_FIELDS)[number]

export type CozeTextRules = {
  /** coze.com takes ASCII only (coze.md §7.1). */
  asciiOnly: boolean
  /** COZE runs on this machine (a simulator): then so may the gateway, without https. */
  localGateway: boolean
}

export function textRulesFor(baseUrl: string): CozeTextRules {
  const { hostname } = new URL(baseUrl)
  return {
    asciiOnly: hostname === 'coze.com' || hostname.endsWith('.coze.com'),
    localGateway: isLoopbackHost(hostname),
  }
}

/**
 * What a plugin will be. Throws InvalidDesiredState naming the field (url, authorization, tools). `fields.tools` is what
 * COZE is to read from the MCP server; COZE itself shows names only, so a plugin's stored tools are names.
 */
export function normaliseForCoze(desired: DesiredObject, rules: CozeTextRules): NormalisedObject {
  const name = normaliseName(desired, rules)
  const description = normaliseDescription(desired.description, name.text, rules)
  if (desired.tools.length === 0) {
    throw new ToolferryError(
      'InvalidDesiredState',
      'The MCP server offers no tools, and COZE publishes no plugin without one. Give it a tool, then sync again.',
      { field: 'tools' },
    )
  }
  const fields: Record<CozeField, string> = {
    name: name.text,
    description: description.text,
    url: checkedGatewayUrl(desired.url, rules),
    authorization: checkedHeaderValue(desired.authorization),
    tools: JSON.stringify(sorted(desired.tools).map(canonicalTool)),
    published: 'true',
  }
  return {
    fields,
    secretFields: ['authorization'],
    keptFields: ['name', 'description'],
    tools: toolsByName(desired.tools.map((tool) => tool.name)),
    warnings: [...name.warnings, ...description.warnings],
  }
}

/** Tools are compared by name: that is all that COZE tells of them. */
export function toolsByName(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, name]))
}

/** A plugin's tools as one comparable text. */
export function storedTools(names: readonly string[]): string {
  return JSON.stringify([...new Set(names)].sort())
}

/** `name_2`, `name_3` … inside the 30 code points; 1 gives the name itself. */
export function numberedName(name: string, number: number): string {
  if (number === 1) return name
  const suffix = `_${number}`
  return clamp(name, MAX_NAME_CODE_POINTS - suffix.length) + suffix
}

/**
 * COZE calls MCP servers from its own cloud, by https and name only (coze.md §7.2). Throws InvalidDesiredState with what to
 * do; a COZE on this machine takes this machine's addresses.
 */
export function checkedGatewayUrl(text: string, rules: CozeTextRules): string {
  const refuse = (why: string): ToolferryError =>
    new ToolferryError(
      'InvalidDesiredState',
      `COZE cannot call the gateway: ${why}. Put the gateway behind an https address with a domain name, and give it as the platform's gateway URL or as TOOLFERRY_PUBLIC_URL.`,
      { field: 'gatewayUrl' },
    )
  if (!URL.canParse(text)) throw refuse('its address is not a URL')
  const { protocol, hostname } = new URL(text)
  if (rules.localGateway && isLoopbackHost(hostname)) return text
  if (protocol !== 'https:') throw refuse(`${protocol}//${hostname} is not https`)
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) throw refuse(`${hostname} is an IP address, not a domain name`)
  if (isLoopbackHost(hostname) || !hostname.includes('.')) throw refuse(`${hostname} is no public domain name`)
  return text
}

export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127\./.test(hostname)
}

function normaliseName(desired: DesiredObject, rules: CozeTextRules): { text: string; warnings: string[] } {
  const wanted = desired.name.normalize('NFC')
  const foreign = rules.asciiOnly ? /[^A-Za-z0-9_\s]+/gu : /[^A-Za-z0-9_\s\u4e00-\u9fa5]+/gu
  const cleaned = wanted
    .replace(foreign, '_')
    .replace(/\s+/g, ' ')
    .replace(/_{2,}/g, '_')
    .replace(/^[\s_]+|[\s_]+$/g, '')
  const text = clamp(cleaned, MAX_NAME_CODE_POINTS) || `MCP_${desired.instanceId.replaceAll('-', '').slice(-8)}`
  if (text === wanted) return { text, warnings: [] }
  const may = rules.asciiOnly ? 'letters, digits, _ and spaces' : 'Chinese, letters, digits, _ and spaces'
  return { text, warnings: [`named «${text}» in COZE, which takes ${MAX_NAME_CODE_POINTS} characters of ${may}`] }
}

function normaliseDescription(
  wanted: string,
  name: string,
  rules: CozeTextRules,
): { text: string; warnings: string[] } {
  const cleaned = wanted
    .normalize('NFC')
    .toWellFormed()
    .replace(rules.asciiOnly ? /[^\x20-\x7e]+/g : /\p{Cc}+/gu, ' ')
    .trim()
  const text = clamp(cleaned, MAX_DESCRIPTION_CODE_POINTS)
  if (text === '') return { text: name, warnings: [] }
  const cut =
    text === cleaned ? [] : [`description cut to ${MAX_DESCRIPTION_CODE_POINTS} characters, the most COZE takes`]
  return { text, warnings: cut }
}

function clamp(text: string, codePoints: number): string {
  return [...text].slice(0, codePoints).join('').trimEnd()
}

function checkedHeaderValue(value: string): string {
  const refuse = (why: string): ToolferryError =>
    new ToolferryError('InvalidDesiredState', `The Authorization value ${why}.`, { field: 'authorization' })
  if (!/^[\x20-\x7e]+$/.test(value)) throw refuse('must be printable ASCII, without line breaks')
  if (value.length > MAX_HEADER_VALUE) throw refuse(`is longer than the ${MAX_HEADER_VALUE} characters that COZE takes`)
  return value
}

function sorted(tools: readonly McpTool[]): McpTool[] {
  return [...tools].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** What COZE reads of a tool; the same whatever the order of its keys. */
function canonicalTool(tool: McpTool): unknown {
  const { name, description, inputSchema, outputSchema } = tool
  return canonical({ name, description: description ?? '', inputSchema, outputSchema: outputSchema ?? null })
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, inner]) => [key, canonical(inner)]))
}
