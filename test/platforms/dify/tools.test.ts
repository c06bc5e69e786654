import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalToolsColumn, sanitiseTools, toolDigests } from '../../../src/platforms/dify/tools.ts'
import { checkToolsColumns } from '../../support/dify-database.ts'
import { nastyTool, wildTool } from './nasty-tools.ts'

/** dify.md §4: what `convert_mcp_schema_to_parameter` and the Tool model take. */
const TYPES = new Set(
  'string number boolean select secret-input file files checkbox app-selector model-selector any dynamic-select array object system-files integer float'.split(
    ' ',
  ),
)

/** Judges like Dify's readers do, without looking at how the sanitiser works. */
function difyFault(column: string): string | null {
  const tools: unknown = JSON.parse(column)
  if (!Array.isArray(tools)) return 'no list'
  for (const tool of tools) {
    if (typeof tool !== 'object' || tool === null || Array.isArray(tool)) return 'a tool is no object'
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(tool.name)) return 'name'
    if (typeof tool.description !== 'string') return 'description'
    if ('title' in tool && typeof tool.title !== 'string') return 'title'
    for (const key of ['outputSchema', 'annotations', '_meta']) if (key in tool && !isObject(tool[key])) return key
    for (const [key, value] of Object.entries(tool.annotations ?? {})) {
      if (typeof value !== (key === 'title' ? 'string' : 'boolean')) return `annotation ${key}`
    }
    const schema = tool.inputSchema
    if (!isObject(schema) || schema.type !== 'object') return 'inputSchema'
    if (!isObject(schema.properties)) return 'properties'
    if (!Array.isArray(schema.required) || schema.required.some((entry) => typeof entry !== 'string')) return 'required'
    for (const property of Object.values(schema.properties)) {
      if (!isObject(property)) return 'a property is no object'
      if ('description' in property && typeof property.description !== 'string') return 'property description'
      if (typeof property.type !== 'string' || !TYPES.has(property.type)) return 'property type'
    }
  }
  const inputs = JSON.stringify(tools.map((tool) => tool.inputSchema))
  if (/"\$ref":"#/.test(inputs)) return 'a local reference is left'
  if (/\\u0000/.test(column) || /\\ud[89a-f]/i.test(column)) return 'a text that cannot be stored'
  if (new Set(tools.map((tool) => tool.name)).size !== tools.length) return 'a name twice'
  if (depthOf(tools) > 100) return 'nested too deeply'
  return null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  let deepest = 0
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner))
  return deepest + 1
}

/** The one property `p` of a tool with this schema. */
function property(schema: unknown, more: Record<string, unknown> = {}): Record<string, unknown> | undefined {
  const { tools } = sanitiseTools([{ name: 't', inputSchema: { type: 'object', properties: { p: schema }, ...more } }])
  return tools[0]?.inputSchema.properties.p as Record<string, unknown> | undefined
}

describe('sanitiseTools', () => {
  it('keeps a good tool as it is', () => {
    const tool = {
      name: 'search',
      title: 'Search',
      description: 'Finds things.',
      inputSchema: {
        type: 'object',
        properties: { query: { type: 'string', description: 'What for' }, limit: { type: 'integer', minimum: 1 } },
        required: ['query'],
        additionalProperties: false,
      },
      outputSchema: { type: 'object', properties: { hits: { type: 'array', items: { type: 'string' } } } },
      annotations: { readOnlyHint: true },
    }
    const { tools, warnings } = sanitiseTools([tool])
    expect(tools).toEqual([tool])
    expect(Object.keys(tools[0]?.inputSchema.properties ?? {})).toEqual(['query', 'limit'])
    expect(warnings).toEqual([])
  })

  it.each([
    ['null', null],
    ['undefined', undefined],
    ['an object', { name: 'x' }],
    ['an empty list', []],
  ])('answers an empty list for %s, never null', (_name, tools) => {
    expect(sanitiseTools(tools)).toEqual({ tools: [], warnings: [] })
  })

  it.each([
    ['a space', 'x y', '«x y»'],
    ['nothing', '', '«»'],
    ['65 characters', 'a'.repeat(65), '«aaaa'],
    ['Chinese', '搜索', '«搜索»'],
    ['a number', 7, 'without a name'],
    ['a line break', 'a\nb', '«a b»'],
  ])('leaves out a tool whose name is %s, and says so', (_name, name, shown) => {
    const { tools, warnings } = sanitiseTools([
      { name, inputSchema: {} },
      { name: 'fine', inputSchema: {} },
    ])
    expect(tools.map((tool) => tool.name)).toEqual(['fine'])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(shown)
  })

  it('keeps the first of two tools of one name', () => {
    const { tools, warnings } = sanitiseTools([
      { name: 'a', description: '1', inputSchema: {} },
      { name: 'a', description: '2', inputSchema: {} },
    ])
    expect(tools.map(({ description }) => description)).toEqual(['1'])
    expect(warnings).toHaveLength(1)
  })

  it.each([
    ['none', undefined],
    ['null', null],
    ['an array', []],
    ['a text', 'object'],
    ['type array', { type: 'array' }],
    ['properties null', { type: 'object', properties: null, required: null }],
    ['required with other things', { type: 'object', required: [1, null, {}] }],
  ])('makes an object of an input schema that is %s', (_name, inputSchema) => {
    expect(sanitiseTools([{ name: 't', description: null, inputSchema }]).tools).toEqual([
      { name: 't', description: '', inputSchema: { type: 'object', properties: {}, required: [] } },
    ])
  })

  it.each([
    ['true', true, 'string'],
    ['null', null, 'string'],
    ['a text', 'string', 'string'],
    ['no type', {}, 'string'],
    ['an unknown type', { type: 'date' }, 'string'],
    ['type null', { type: 'null' }, 'string'],
    ['a list of types', { type: ['null', 'integer'] }, 'integer'],
    ['a list without a usable one', { type: ['null', 'tuple'] }, 'string'],
    ['type a number', { type: 3 }, 'string'],
    ['anyOf', { anyOf: [{ type: 'null' }, { type: 'array', items: { type: 'string' } }] }, 'array'],
    ['nested oneOf', { oneOf: [{ allOf: [{ type: 'number' }] }] }, 'number'],
    ['anyOf that is no list', { anyOf: { type: 'number' } }, 'string'],
  ])('gives a property that is %s the type it can have', (_name, schema, type) => {
    expect(property(schema)?.type).toBe(type)
  })

  it('drops a description that is no text', () => {
    expect(property({ type: 'string', description: null })).toEqual({ type: 'string' })
    expect(property({ type: 'string', description: { en: 'x' } })).toEqual({ type: 'string' })
  })

  it('puts local references in place', () => {
    const $defs = {
      Place: { type: 'object', properties: { city: { $ref: '#/$defs/City' } } },
      City: { type: 'string' },
    }
    expect(property({ $ref: '#/$defs/Place', description: 'where' }, { $defs })).toEqual({
      type: 'object',
      properties: { city: { type: 'string' } },
      description: 'where',
    })
  })

  it('cuts references that lead back to themselves, outside or nowhere', () => {
    const $defs = {
      Node: { type: 'object', properties: { next: { $ref: '#/$defs/Node' } } },
      A: { $ref: '#/$defs/B' },
      B: { $ref: '#/$defs/A' },
    }
    expect(property({ $ref: '#/$defs/Node' }, { $defs })).toEqual({ type: 'object', properties: { next: {} } })
    expect(property({ $ref: '#/$defs/A' }, { $defs })).toEqual({ type: 'string' })
    expect(property({ $ref: 'https://example.com/schema.json' })).toEqual({ type: 'string' })
    expect(property({ $ref: '#/$defs/Missing' }, { $defs })).toEqual({ type: 'string' })
  })

  it('does not let references multiply without end', () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 30 }, (_, i) => [
        `L${i}`,
        { type: 'object', properties: { a: { $ref: `#/$defs/L${i + 1}` }, b: { $ref: `#/$defs/L${i + 1}` } } },
      ]),
    )
    const text = JSON.stringify(property({ $ref: '#/$defs/L0' }, { $defs }))
    expect(text.length).toBeLessThan(200_000)
  })

  it('keeps a property called __proto__ a property', () => {
    const inputSchema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"number"}}}')
    const { tools } = sanitiseTools([{ name: 't', inputSchema }])
    expect(JSON.stringify(tools)).toContain('"__proto__":{"type":"number"}')
  })

  it('drops title, outputSchema, annotations and _meta of the wrong shape', () => {
    const { tools } = sanitiseTools([
      {
        name: 't',
        title: 1,
        description: 'd',
        inputSchema: {},
        outputSchema: [],
        annotations: { readOnlyHint: 'yes' },
        _meta: 'x',
        icons: 3,
      },
    ])
    expect(Object.keys(tools[0] ?? {})).toEqual(['name', 'description', 'inputSchema'])
  })

  it('survives nesting that Python’s JSON reader would not', () => {
    let schema: Record<string, unknown> = { type: 'string' }
    for (let i = 0; i < 3000; i += 1) schema = { type: 'array', items: schema }
    const { tools } = sanitiseTools([
      { name: 't', inputSchema: { type: 'object', properties: { p: schema } }, outputSchema: schema },
    ])
    expect(difyFault(JSON.stringify(tools))).toBeNull()
  })

  it('makes of anything a list that Dify takes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(nastyTool(), wildTool())), (tools) => {
        expect(difyFault(JSON.stringify(sanitiseTools(tools).tools))).toBeNull()
      }),
      { numRuns: 500 },
    )
  })

  it('makes of hostile schemas what an independent reader takes, too', async () => {
    const columns = fc
      .sample(fc.array(fc.oneof(nastyTool(), wildTool()), { maxLength: 4 }), 800)
      .map((tools) => JSON.stringify(sanitiseTools(tools).tools))
    for (const column of columns) expect(difyFault(column)).toBeNull()
    expect(await checkToolsColumns(columns)).toHaveLength(columns.length)
    const bad = '[{"name":"t","description":"","inputSchema":{"type":"object","properties":{"p":true},"required":[]}}]'
    await expect(checkToolsColumns([bad])).rejects.toThrow('AssertionError')
  })

  it.each([
    [
      '20 000 properties',
      { properties: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`p${i}`, { type: i }])) },
    ],
    ['20 000 alternatives', { properties: { p: { anyOf: Array.from({ length: 20_000 }, () => ({ type: 'null' })) } } }],
    ['a ladder of alternatives', { properties: { p: ladder(400) } }],
    ['references that double at every step', doubling(40)],
    ['a reference into itself by an index', { properties: { p: { anyOf: [{ $ref: '#/properties/p/anyOf/0' }] } } }],
    ['a reference to the whole', { properties: { p: { $ref: '#' }, q: { items: { $ref: '#' } } } }],
    ['a text of two megabytes', { properties: { p: { type: 'string', description: 'x'.repeat(2_000_000) } } }],
    [
      'names that are no names',
      { properties: { '': {}, ' ': true, '\u0000': null, constructor: 1, toString: [], __class__: {} } },
    ],
    [
      'numbers that JSON has not',
      { properties: { p: { type: 'number', maximum: Number.POSITIVE_INFINITY, default: Number.NaN } } },
    ],
  ])('takes %s, bounded', async (_what, schema) => {
    const { tools } = sanitiseTools([{ name: 't', inputSchema: { type: 'object', ...schema } }])
    const column = JSON.stringify(tools)
    expect(difyFault(column)).toBeNull()
    expect(column.length).toBeLessThan(3_000_000)
    expect(await checkToolsColumns([column])).toEqual([['t']])
  })

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(nastyTool(), wildTool())), (tools) => {
        const once = sanitiseTools(tools).tools
        expect(sanitiseTools(once).tools).toEqual(once)
      }),
      { numRuns: 200 },
    )
  })
})

describe('canonicalToolsColumn', () => {
  it('is the same for what Dify writes of the same tools', () => {
    const { tools } = sanitiseTools([
      {
        name: 't',
        description: 'd',
        inputSchema: { type: 'object' },
        _meta: { a: 1 },
        annotations: { readOnlyHint: true },
      },
    ])
    const asDify = JSON.stringify(
      tools.map(({ _meta, annotations, ...tool }) => ({
        outputSchema: null,
        title: null,
        meta: _meta,
        annotations: { ...annotations, title: null, idempotentHint: null },
        ...tool,
      })),
    )
    expect(canonicalToolsColumn(asDify).text).toBe(canonicalToolsColumn(JSON.stringify(tools)).text)
    expect(toolDigests(canonicalToolsColumn(asDify).tools)).toEqual(toolDigests(tools))
  })

  it.each(['null', '{}', '[1]', 'not json', ''])('calls %j broken', (column) => {
    expect(canonicalToolsColumn(column)).toEqual({ text: column, tools: [], broken: true })
  })
})

/** anyOf in anyOf, with the only usable type at the bottom. */
function ladder(steps: number): unknown {
  let schema: unknown = { type: 'number' }
  for (let i = 0; i < steps; i += 1) schema = { anyOf: [{ type: 'null' }, schema] }
  return schema
}

/** Each definition names the next one twice. */
function doubling(steps: number): Record<string, unknown> {
  const $defs = Object.fromEntries(
    Array.from({ length: steps }, (_, i) => [
      `D${i}`,
      { allOf: [{ $ref: `#/$defs/D${i + 1}` }, { $ref: `#/$defs/D${i + 1}` }] },
    ]),
  )
  return { $defs, properties: { p: { $ref: '#/$defs/D0' } } }
}
