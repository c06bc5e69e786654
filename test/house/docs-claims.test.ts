import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createApi } from '../../src/api/app.ts'
import { openApiDocument } from '../../src/api/docs.ts'
import { ENVIRONMENT_VARIABLES, SECRET_VARIABLES } from '../../src/config.ts'

/** What the documentation names is there: calls of the API, settings, npm scripts, files. */

const root = resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const DOCUMENTS = [
  'README.md',
  '.env.example',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

/** Every match of the pattern's first group, with the document that has it. */
function named(pattern: RegExp): { file: string; name: string }[] {
  return DOCUMENTS.flatMap((file) => [...read(file).matchAll(pattern)].map(([, name = '']) => ({ file, name })))
}

type Schema = {
  $ref?: string
  properties?: Record<string, Schema>
  oneOf?: Schema[]
  anyOf?: Schema[]
  allOf?: Schema[]
}
type Operation = { requestBody?: { content: Record<string, { schema: Schema }> } }
type OpenApi = { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } }

/** Registering routes calls none of what they need. */
const { paths, components } = openApiDocument(
  createApi({ facts: { version: '' }, consoleDirectory: null, trustedProxies: [] } as never),
  '',
) as unknown as OpenApi

/** The fields that a schema knows, those of every one that it may be; null: it is no object. */
function fieldsOf(schema: Schema): Record<string, Schema> | null {
  if (schema.$ref !== undefined) return fieldsOf(components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  const parts = [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])].map(fieldsOf)
  const all = [schema.properties ?? null, ...parts].filter((fields) => fields !== null)
  return all.length === 0 ? null : Object.assign({}, ...all)
}

/** The paths of fields that the schema does not know. */
function unknownFields(value: object, schema: Schema, at = ''): string[] {
  const fields = fieldsOf(schema)
  if (fields === null) return []
  return Object.entries(value).flatMap(([name, inner]) => {
    const known = fields[name]
    if (known === undefined) return [`${at}${name}`]
    return typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? unknownFields(inner, known, `${at}${name}.`)
      : []
  })
}

const placeless = (text: string) => text.replaceAll(/\{[^}]+\}|<[a-z][\w ]*>/g, '{}')

/** The calls of a shell script: path of the API, and the body if it has one. */
function callsOf(script: string): { path: string; body: object | null }[] {
  const plain = script
    .replaceAll(/<[a-z][\w ]*>|\$\(jq [^()]*\)/g, '{}')
    .replaceAll(/"'\$[A-Z]+'"/g, '"id"')
    .replaceAll(/\/\$[A-Z]+/g, '/{}')
  // The rest of the line, up to a body, which may go on over several.
  const calls = plain.matchAll(/\$API((?:\/[\w{}-]+)+)(?:[^\n]*? -d '(\{[\s\S]*?\})'(?=[\s)|]))?/g)
  return [...calls].map(([, path = '', body]) => ({ path, body: body === undefined ? null : JSON.parse(body) }))
}

describe('what the documentation names is there', () => {
  it('calls by curl, with the fields that they send', () => {
    const calls = named(/^ *```sh\n([\s\S]*?)^ *```/gm).flatMap(({ file, name }) =>
      callsOf(name).map((call) => ({ file, ...call })),
    )
    expect(calls.filter(({ body }) => body !== null).length).toBeGreaterThan(12)
    const wrong = calls.flatMap(({ file, path, body }) => {
      const known = Object.keys(paths).find((each) => placeless(each) === `/api/v1${path}`)
      if (known === undefined) return { file, path, why: 'there is no such path' }
      if (body === null) return []
      const schema = paths[known]?.post?.requestBody?.content['application/json']?.schema
      if (schema === undefined) return { file, path, why: 'it takes no body' }
      return unknownFields(body, schema).map((field) => ({ file, path, why: `it knows no ${field}` }))
    })
    expect(wrong).toEqual([])
  })

  it('calls of the API', () => {
    const known = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${placeless(path)}`),
    )
    const calls = named(/\b((?:GET|POST|PUT|PATCH|DELETE) \/(?:[\w/-]|\{[\w ]+\}|<[\w ]+>)+)/g)
    expect(calls.length).toBeGreaterThan(20)
    const unknown = calls.filter(({ name }) => {
      const [method, path = ''] = placeless(name).split(' ')
      const short = path.replace(/^\/api\/v1/, '')
      return !known.includes(`${method} /api/v1${short}`) && !known.includes(`${method} ${short}`)
    })
    expect(unknown).toEqual([])
  })

  it('settings', () => {
    const compose = read('docker-compose.yml')
    const settings = named(/\b((?:TOOLFERRY|TEMPORAL)_[A-Z][A-Z_]*[A-Z])\b/g)
    expect(settings.length).toBeGreaterThan(50)
    const variables = [...ENVIRONMENT_VARIABLES, ...SECRET_VARIABLES.map((name) => `${name}_FILE`)]
    const unknown = settings.filter(({ name }) => !variables.includes(name) && !compose.includes(name))
    expect(unknown).toEqual([])
  })

  it('npm scripts', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const runs = named(/\bnpm (?:run )?((?:(?<=run )[\w:-]+)|start|test)\b/g)
    expect(runs.length).toBeGreaterThan(20)
    expect(runs.filter(({ name }) => scripts[name] === undefined)).toEqual([])
  })

  it('files of the source and tests', () => {
    const files = named(/`((?:src|test|workflows|activities|scripts|demo|bench|prisma)\/[\w./*-]+)`/g)
    expect(files.length).toBeGreaterThan(5)
    const missing = files.filter(({ name }) => !name.includes('*') && !existsSync(join(root, name)))
    expect(missing).toEqual([])
  })
})
