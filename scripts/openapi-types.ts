/** OpenAPI 3.1 → the `paths` and `components` types that openapi-fetch reads. Only what our own document uses. */

export type Schema = {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: Schema | boolean
  items?: Schema
  prefixItems?: Schema[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  description?: string
}

type Parameter = { name: string; in: string; required?: boolean; schema?: Schema }
type Content = Record<string, { schema?: Schema }>
type Operation = {
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content?: Content }
  responses?: Record<string, { content?: Content }>
}
export type Document = {
  paths?: Record<string, Record<string, Operation>>
  components?: { schemas?: Record<string, Schema> }
}

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

/** The text of a TypeScript module. Same document, same text. */
export function openApiTypes(document: Document): string {
  const paths = Object.entries(document.paths ?? {}).map(([path, methods]) => `  ${quoted(path)}: ${pathItem(methods)}`)
  const schemas = Object.entries(document.components?.schemas ?? {}).map(
    ([name, schema]) => `    ${quoted(name)}: ${typeOf(schema)}`,
  )
  return [
    '// Made by scripts/console-types.ts from the API’s OpenAPI document. Not edited by hand.',
    `export interface paths {\n${paths.join('\n')}\n}`,
    `export interface components {\n  schemas: {\n${schemas.join('\n')}\n  }\n}`,
    '',
  ].join('\n\n')
}

/** The TypeScript type of one schema. */
export function typeOf(schema: Schema | boolean | undefined): string {
  if (schema === undefined || schema === true) return 'unknown'
  if (schema === false) return 'never'
  if (schema.$ref !== undefined) return `components['schemas'][${quoted(schema.$ref.split('/').at(-1) ?? '')}]`
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  const union = schema.anyOf ?? schema.oneOf
  if (union !== undefined) return union.map((branch) => `(${typeOf(branch)})`).join(' | ')
  if (schema.allOf !== undefined) return schema.allOf.map((branch) => `(${typeOf(branch)})`).join(' & ')
  if (Array.isArray(schema.type)) return schema.type.map((type) => `(${typeOf({ ...schema, type })})`).join(' | ')
  switch (schema.type) {
    case 'string':
      return 'string'
    case 'integer':
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'null':
      return 'null'
    case 'array':
      return schema.prefixItems === undefined
        ? `(${typeOf(schema.items)})[]`
        : `[${schema.prefixItems.map(typeOf).join(', ')}]`
    case 'object':
      return objectType(schema)
    default:
      return schema.properties === undefined ? 'unknown' : objectType(schema)
  }
}

function objectType(schema: Schema): string {
  const required = new Set(schema.required ?? [])
  const fields = Object.entries(schema.properties ?? {}).map(
    ([name, field]) => `${quoted(name)}${required.has(name) ? '' : '?'}: ${typeOf(field)}`,
  )
  const { additionalProperties } = schema
  const rest =
    additionalProperties === undefined || additionalProperties === false
      ? null
      : `{ [name: string]: ${typeOf(additionalProperties)} }`
  if (fields.length === 0) return rest ?? 'Record<string, never>'
  const known = `{ ${fields.join('; ')} }`
  return rest === null ? known : `${known} & ${rest}`
}

function pathItem(methods: Record<string, Operation>): string {
  const fields = METHODS.map((method) => {
    const operation = methods[method]
    return operation === undefined ? `    ${method}?: never` : `    ${method}: ${operationType(operation)}`
  })
  return `{\n    parameters: { query?: never; header?: never; path?: never; cookie?: never }\n${fields.join('\n')}\n  }`
}

function operationType(operation: Operation): string {
  const body = operation.requestBody
  const requestBody =
    body === undefined ? 'requestBody?: never' : `requestBody${body.required ? '' : '?'}: ${content(body.content)}`
  const responses = Object.entries(operation.responses ?? {}).map(
    ([status, answer]) =>
      `        ${/^\d+$/.test(status) ? status : quoted(status)}: { headers: { [name: string]: unknown }; ${content(answer.content).slice(2)}`,
  )
  return `{
      parameters: ${parameters(operation.parameters ?? [])}
      ${requestBody}
      responses: {
${responses.join('\n')}
      }
    }`
}

function content(types: Content | undefined): string {
  if (types === undefined) return '{ content?: never }'
  const fields = Object.entries(types).map(([type, { schema }]) => `${quoted(type)}: ${typeOf(schema)}`)
  return `{ content: { ${fields.join('; ')} } }`
}

function parameters(all: Parameter[]): string {
  const places = ['query', 'header', 'path', 'cookie'].map((place) => {
    const here = all.filter((parameter) => parameter.in === place)
    if (here.length === 0) return `${place}?: never`
    const fields = here.map(({ name, required, schema }) => `${quoted(name)}${required ? '' : '?'}: ${typeOf(schema)}`)
    return `${place}${here.some(({ required }) => required) ? '' : '?'}: { ${fields.join('; ')} }`
  })
  return `{ ${places.join('; ')} }`
}

function quoted(name: string): string {
  return JSON.stringify(name)
}
