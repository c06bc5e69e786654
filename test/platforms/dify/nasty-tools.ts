import fc from 'fast-check'

/** Tools as no sane server sends them, for property tests of the sanitiser. */

export function nastyTool(): fc.Arbitrary<unknown> {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ud800', 'a\u0000b', '{{ x }}', '🔗'))
  const type = fc.constantFrom<unknown>(
    'string',
    'null',
    'object',
    'array',
    'integer',
    'date',
    null,
    3,
    ['null'],
    ['null', 'number'],
    {},
    [],
  )
  const reference = fc.constantFrom('#', '#/$defs/A', '#/$defs/B', '#/properties/p', '#/nowhere', 'http://x', '#/~1', 5)
  const { schema } = fc.letrec((tie) => ({
    schema: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.constantFrom<unknown>(true, false, null, 'string', 7, []),
      fc.record(
        {
          type,
          description: fc.oneof(text, fc.constantFrom<unknown>(null, 1, {})),
          $ref: reference,
          anyOf: fc.oneof(fc.array(tie('schema'), { maxLength: 3 }), fc.constantFrom<unknown>(null, {})),
          oneOf: fc.array(tie('schema'), { maxLength: 3 }),
          items: tie('schema'),
          enum: fc.array(fc.oneof(text, fc.integer(), fc.constant(null))),
          default: fc.jsonValue(),
          properties: fc.oneof(
            fc.dictionary(text, tie('schema'), { maxKeys: 3 }),
            fc.constantFrom<unknown>(null, [], 'x'),
          ),
        },
        { requiredKeys: [] },
      ),
    ),
  }))
  return fc.oneof(
    { weight: 1, arbitrary: fc.jsonValue() },
    {
      weight: 9,
      arbitrary: fc.record(
        {
          name: fc.oneof(fc.constantFrom('a', 'b', 'tool_1'), text, fc.constant(null)),
          title: fc.oneof(text, fc.constant(null)),
          description: fc.oneof(text, fc.constantFrom<unknown>(null, 3)),
          inputSchema: fc.oneof(
            fc.record(
              {
                type,
                properties: fc.oneof(
                  fc.dictionary(text, schema, { maxKeys: 4 }),
                  fc.record({ p: schema }),
                  fc.constantFrom<unknown>(null, []),
                ),
                required: fc.oneof(fc.array(fc.oneof(text, fc.constant(null))), fc.constantFrom<unknown>(null, 'x')),
                $defs: fc.record({ A: schema, B: schema }),
                $ref: reference,
              },
              { requiredKeys: [] },
            ),
            fc.jsonValue(),
          ),
          outputSchema: fc.jsonValue(),
          annotations: fc.oneof(fc.jsonValue(), fc.record({ title: fc.jsonValue(), readOnlyHint: fc.jsonValue() })),
          _meta: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
    },
  )
}

/**
 * Worse: every JSON Schema keyword with values of every kind, references to anywhere (escaped, into arrays, in circles), whole
 * documents where a text belongs, keys that are names of JavaScript's and Python's own.
 */
export function wildTool(): fc.Arbitrary<unknown> {
  const key = fc.constantFrom(
    'p',
    'q',
    '$ref',
    'type',
    'properties',
    'required',
    '__proto__',
    'constructor',
    '__class__',
    'a/b',
    'a~b',
    '',
    'ключ',
    '🔗',
    'x\u0000y',
    '\udc00',
  )
  const pointer = fc
    .array(
      fc.constantFrom(
        '$defs',
        'definitions',
        'properties',
        'p',
        'q',
        'A',
        'items',
        'anyOf',
        '0',
        '1',
        'a~1b',
        'a~0b',
        '',
        '%24defs',
        '__proto__',
      ),
      { maxLength: 6 },
    )
    .map((parts) => `#/${parts.join('/')}`)
  const keyword = fc.constantFrom(
    'type',
    'description',
    'title',
    '$ref',
    '$dynamicRef',
    '$id',
    '$anchor',
    '$comment',
    '$defs',
    'definitions',
    'properties',
    'required',
    'items',
    'prefixItems',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'anyOf',
    'oneOf',
    'allOf',
    'not',
    'if',
    'then',
    'else',
    'enum',
    'const',
    'default',
    'examples',
    'format',
    'pattern',
    'minimum',
    'maximum',
    'dependentSchemas',
    'nullable',
    'discriminator',
  )
  const type = fc.constantFrom(
    'string',
    'null',
    'object',
    'array',
    'integer',
    'float',
    'number',
    'boolean',
    'date',
    'any',
    'file',
    'tuple',
    'String',
    '',
  )
  const { wild } = fc.letrec((tie) => ({
    wild: fc.oneof(
      { maxDepth: 6, depthSize: 'medium' },
      type,
      pointer,
      fc.constantFrom<unknown>(null, true, false, 0, -1, 1e308, Number.NaN, [], {}, 'x'.repeat(300)),
      fc.array(tie('wild'), { maxLength: 3 }),
      fc.dictionary(key, tie('wild'), { maxKeys: 3 }),
      fc.dictionary(keyword, tie('wild'), { maxKeys: 5 }),
      fc.record({ $ref: pointer, description: tie('wild') }),
      fc.record({
        type: fc.oneof(type, fc.array(fc.oneof(type, tie('wild')), { maxLength: 4 })),
        properties: tie('wild'),
      }),
      fc.record({ properties: fc.dictionary(key, tie('wild'), { maxKeys: 4 }), required: tie('wild') }),
    ),
  }))
  return fc.record(
    {
      name: fc.constantFrom('a', 'b', 'c'),
      title: wild,
      description: wild,
      inputSchema: fc.oneof(
        wild,
        fc.record(
          {
            type: wild,
            properties: fc.dictionary(key, wild, { maxKeys: 4 }),
            required: wild,
            $defs: fc.dictionary(fc.constantFrom('A', 'B', 'a/b'), wild),
            definitions: wild,
            $ref: pointer,
          },
          { requiredKeys: ['properties'] },
        ),
      ),
      outputSchema: wild,
      annotations: wild,
      _meta: wild,
      icons: wild,
    },
    { requiredKeys: ['name', 'inputSchema'] },
  )
}
