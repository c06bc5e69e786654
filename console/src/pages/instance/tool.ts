import type { Schemas } from '../../api/client.ts'

export type Tool = Schemas['Tool']

/** The part of a JSON schema that can be shown as a table and filled in as a form. */
export type JsonSchema = {
  type?: string | string[]
  description?: string
  default?: unknown
  enum?: unknown[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
}

export type Parameter = { name: string; schema: JsonSchema; required: boolean }

export function descriptionOf(tool: Tool): string {
  return typeof tool.description === 'string' ? tool.description : ''
}

export function inputSchemaOf(tool: Tool): JsonSchema {
  const schema = tool.inputSchema
  return typeof schema === 'object' && schema !== null ? (schema as JsonSchema) : {}
}

export function parametersOf(schema: JsonSchema): Parameter[] {
  const required = new Set(schema.required ?? [])
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    schema: typeof property === 'object' && property !== null ? property : {},
    required: required.has(name),
  }))
}

/** string, number[], "a" | "b" … as a person reads it. */
export function typeName(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.type === 'array') return `${typeName(schema.items ?? {})}[]`
  if (Array.isArray(schema.type)) return schema.type.join(' | ')
  return schema.type ?? 'any'
}

/** An example to start from: what is required, with its default or an empty value. */
export function exampleOf(schema: JsonSchema): Record<string, unknown> {
  return Object.fromEntries(
    parametersOf(schema)
      .filter(({ required, schema: property }) => required || property.default !== undefined)
      .map(({ name, schema: property }) => [name, emptyValue(property)]),
  )
}

function emptyValue(schema: JsonSchema): unknown {
  if (schema.default !== undefined) return schema.default
  if (schema.enum !== undefined) return schema.enum[0]
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'string':
      return ''
    case 'number':
    case 'integer':
      return 0
    case 'boolean':
      return false
    case 'array':
      return []
    case 'object':
      return exampleOf(schema)
    default:
      return null
  }
}
