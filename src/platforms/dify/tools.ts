import { createHash } from 'node:crypto'

/**
 * Tools as Dify can take them. One tool that Dify's models refuse breaks its workspace's whole tools page or the tool's call
 * (dify.md §4), so what servers send is forced into a shape that every Dify since 1.6 accepts. Pure.
 */

export type DifyTool = {
  name: string
  title?: string
  description: string
  inputSchema: { type: 'object'; properties: Record<string, unknown>; required: string[]; [key: string]: unknown }
  outputSchema?: Record<string, unknown>
  annotations?: Record<string, unknown>
  _meta?: Record<string, unknown>
}

export type SanitisedTools = { tools: DifyTool[]; warnings: string[] }

type Json = Record<string, unknown>

/** Where a tool's local references are looked up, and how much may still be copied for them. */
type References = { root: Json; nodesLeft: number }

/** The names that language models' function calling takes. */
const TOOL_NAME = /^[A-Za-z0-9_-]{1,64}$/

/** Dify's parameter types, and the two it maps to `number`. Any other type fails the workspace's list (dify.md §4). */
const PARAMETER_TYPES = new Set([
  'string',
  'number',
  'boolean',
  'select',
  'secret-input',
  'file',
  'files',
  'checkbox',
  'app-selector',
  'model-selector',
  'any',
  'dynamic-select',
  'array',
  'object',
  'system-files',
  'integer',
  'float',
])

const MAX_DEPTH = 40
/** Values copied for the references of one tool: far more than real schemas need, far less than a hostile one could ask for. */
const MAX_COPIED_NODES = 5_000
const MAX_TYPE_DEPTH = 10

/** dify.md §4, "Sanitizer". Leaves out what has no usable name, and says so; everything else is kept in a form Dify takes. */
export function sanitiseTools(tools: unknown): SanitisedTools {
  const warnings: string[] = []
  const kept = new Map<string, DifyTool>()
  for (const raw of Array.isArray(tools) ? tools : []) {
    const tool = isJson(raw) ? raw : {}
    const name = tool.name
    if (typeof name !== 'string' || !TOOL_NAME.test(name)) {
      warnings.push(
        `tool ${shownName(name)} left out: its name must be 1 to 64 of A–Z, a–z, 0–9, _ and -, or language models refuse it`,
      )
    } else if (kept.has(name)) {
      warnings.push(`tool ${shownName(name)} left out: the server lists two tools of that name, the first one is used`)
    } else {
      kept.set(name, sanitiseTool(name, tool))
    }
  }
  return { tools: [...kept.values()], warnings }
}

/** Tool name → digest of its definition, whatever the order of its keys. */
export function toolDigests(tools: readonly unknown[]): Record<string, string> {
  const digests = tools.filter(isJson).map((tool) => [
    String(tool.name),
    createHash('sha256')
      .update(canonicalJson(plainTool(tool)))
      .digest('hex'),
  ])
  return Object.fromEntries(digests)
}

/**
 * The `tools` column in a comparable form: keys sorted, and without the nulls that Dify adds when it writes the same tools
 * itself. What is not a JSON array is answered as it stands.
 */
export function canonicalToolsColumn(column: string): { text: string; tools: Json[]; broken: boolean } {
  let parsed: unknown
  try {
    parsed = JSON.parse(column)
  } catch {
    return { text: column, tools: [], broken: true }
  }
  if (!Array.isArray(parsed) || !parsed.every(isJson)) return { text: column, tools: [], broken: true }
  return { text: canonicalJson(parsed.map(plainTool)), tools: parsed, broken: false }
}

/** What is to be known of a `tools` column: its comparable form, and its tools by name and digest. */
export type ToolsColumn = { text: string; digests: Record<string, string>; broken: boolean }

/** Columns read before, the least recently used first out: one instance's tools stand in many workspaces, the same text each time. */
const readColumns = new Map<string, ToolsColumn>()
const KEPT_COLUMNS = 300
const LONGEST_KEPT_CHARACTERS = 50_000

/** As canonicalToolsColumn and toolDigests, read once for many rows that hold the same. Nobody may change the answer. */
export function readToolsColumn(column: string): ToolsColumn {
  const known = readColumns.get(column)
  if (known !== undefined) {
    readColumns.delete(column)
    readColumns.set(column, known)
    return known
  }
  const { text, tools, broken } = canonicalToolsColumn(column)
  const made = { text, digests: toolDigests(tools), broken }
  if (column.length > LONGEST_KEPT_CHARACTERS) return made
  readColumns.set(column, made)
  const [oldest] = readColumns.keys()
  if (readColumns.size > KEPT_COLUMNS && oldest !== undefined) readColumns.delete(oldest)
  return made
}

/** JSON with sorted keys. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner) =>
    isJson(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) : inner,
  )
}

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text that PostgreSQL and Python's UTF-8 take: no lone surrogates, no NUL. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '')
}

function sanitiseTool(name: string, tool: Json): DifyTool {
  const schema = isJson(tool.inputSchema) ? tool.inputSchema : {}
  const annotations = sanitiseAnnotations(tool.annotations)
  return {
    name,
    ...(typeof tool.title === 'string' ? { title: storableText(tool.title) } : {}),
    description: typeof tool.description === 'string' ? storableText(tool.description) : '',
    inputSchema: sanitiseInputSchema(schema),
    ...(isJson(tool.outputSchema) ? { outputSchema: cleanObject(tool.outputSchema) } : {}),
    ...(annotations === null ? {} : { annotations }),
    ...(isJson(tool._meta) ? { _meta: cleanObject(tool._meta) } : {}),
  }
}

function sanitiseInputSchema(schema: Json): DifyTool['inputSchema'] {
  const references: References = { root: schema, nodesLeft: MAX_COPIED_NODES }
  const { type: _type, properties, required, $defs: _defs, definitions: _definitions, ...rest } = schema
  return {
    ...cleanWithoutReferences(rest, references),
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(isJson(properties) ? properties : {}).map(([key, property]) => [
        storableText(key),
        sanitiseProperty(property, references),
      ]),
    ),
    required: Array.isArray(required)
      ? [...new Set(required.filter((entry) => typeof entry === 'string').map(storableText))]
      : [],
  }
}

function sanitiseProperty(property: unknown, references: References): Json {
  const resolved = inlineReferences(property, references, [], 0)
  const schema = isJson(resolved) ? resolved : {}
  const { description, ...rest } = schema
  return {
    ...rest,
    ...(typeof description === 'string' ? { description } : {}),
    type: parameterType(schema, 0) ?? 'string',
  }
}

/** The first type that Dify supports: of `type` itself, else of anyOf, oneOf, allOf. */
function parameterType(schema: unknown, depth: number): string | null {
  if (!isJson(schema) || depth > MAX_TYPE_DEPTH) return null
  for (const type of Array.isArray(schema.type) ? schema.type : [schema.type]) {
    if (typeof type === 'string' && PARAMETER_TYPES.has(type)) return type
  }
  for (const alternatives of [schema.anyOf, schema.oneOf, schema.allOf]) {
    for (const alternative of Array.isArray(alternatives) ? alternatives : []) {
      const type = parameterType(alternative, depth + 1)
      if (type !== null) return type
    }
  }
  return null
}

/**
 * Copies a schema with its local references (`#/$defs/…`) put in place, as Dify does not follow them. A reference to a schema
 * that it is part of, one that leads outside, and one too many become an open schema.
 */
function inlineReferences(value: unknown, references: References, open: readonly string[], depth: number): unknown {
  const isCopy = open.length > 0
  if (isCopy) references.nodesLeft -= typeof value === 'string' ? 1 + value.length / 100 : 1
  if (typeof value === 'string') return storableText(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth > MAX_DEPTH || (isCopy && references.nodesLeft < 0)) return Array.isArray(value) ? [] : {}
  if (Array.isArray(value)) return value.map((item) => inlineReferences(item, references, open, depth + 1))
  const object = value as Json
  if (typeof object.$ref !== 'string') {
    return mapObject(object, (inner) => inlineReferences(inner, references, open, depth + 1))
  }

  const { $ref: reference, ...siblings } = object
  const own = mapObject(siblings, (inner) => inlineReferences(inner, references, open, depth + 1))
  const target = open.includes(reference as string) ? undefined : lookUp(references.root, reference as string)
  if (!isJson(target)) return own
  const copy = inlineReferences(target, references, [...open, reference as string], depth + 1)
  return { ...(isJson(copy) ? copy : {}), ...own }
}

function lookUp(root: Json, reference: string): unknown {
  if (!reference.startsWith('#/')) return reference === '#' ? root : undefined
  let at: unknown = root
  for (const part of reference.slice(2).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as Json)[key]
  }
  return at
}

function cleanWithoutReferences(value: Json, references: References): Json {
  const { $ref: _ref, ...rest } = value
  const cleaned = inlineReferences(rest, references, [], 0)
  return isJson(cleaned) ? cleaned : {}
}

/** The known hints of an MCP tool, each only with the type that Dify's model wants. */
function sanitiseAnnotations(annotations: unknown): Json | null {
  if (!isJson(annotations)) return null
  const entries: [string, unknown][] = []
  if (typeof annotations.title === 'string') entries.push(['title', storableText(annotations.title)])
  for (const hint of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint']) {
    if (typeof annotations[hint] === 'boolean') entries.push([hint, annotations[hint]])
  }
  return entries.length === 0 ? null : Object.fromEntries(entries)
}

/** A copy with storable texts and bounded depth: Python's JSON reader gives up on deep nesting. */
function cleanObject(value: Json, depth = 0): Json {
  return mapObject(value, (inner) => cleanValue(inner, depth + 1))
}

function cleanValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return storableText(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth > MAX_DEPTH) return Array.isArray(value) ? [] : {}
  if (Array.isArray(value)) return value.map((item) => cleanValue(item, depth + 1))
  return cleanObject(value as Json, depth)
}

function mapObject(object: Json, map: (value: unknown) => unknown): Json {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [storableText(key), map(value)]))
}

/** A tool without members that are null: Dify's own writing spells out every absent member as null, and `_meta` as `meta`. */
function plainTool(tool: Json): Json {
  const { meta, ...rest } = withoutNulls(tool)
  const annotations = isJson(rest.annotations) ? withoutNulls(rest.annotations) : rest.annotations
  return {
    ...rest,
    ...(annotations === undefined ? {} : { annotations }),
    ...(isJson(meta) && rest._meta === undefined ? { _meta: meta } : {}),
  }
}

function withoutNulls(object: Json): Json {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null))
}

function shownName(name: unknown): string {
  if (typeof name !== 'string') return '(without a name)'
  const cleaned = [...storableText(name).replace(/\p{Cc}/gu, ' ')]
  return `«${cleaned.length > 80 ? `${cleaned.slice(0, 80).join('')}…` : cleaned.join('')}»`
}
