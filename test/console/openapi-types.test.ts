import { expect, it } from 'vitest'
import { openApiTypes, typeOf } from '../../scripts/openapi-types.ts'

it.each([
  [{ type: 'string' }, 'string'],
  [{ type: ['string', 'null'] }, '(string) | (null)'],
  [{ type: 'string', enum: ['a', 'b'] }, '"a" | "b"'],
  [{ type: ['string', 'null'], enum: ['a', null] }, '"a" | null'],
  [{ type: 'array', items: { type: 'integer' } }, '(number)[]'],
  [{ $ref: '#/components/schemas/Platform' }, `components['schemas']["Platform"]`],
  [{ anyOf: [{ type: 'string' }, { const: 1 }] }, '(string) | (1)'],
  [
    { allOf: [{ $ref: '#/components/schemas/A' }, { type: 'object', additionalProperties: true }] },
    `(components['schemas']["A"]) & ({ [name: string]: unknown })`,
  ],
  [
    { type: 'object', properties: { a: { type: 'boolean' }, b: {} }, required: ['a'] },
    '{ "a": boolean; "b"?: unknown }',
  ],
  [{ type: 'object', additionalProperties: { type: 'string' } }, '{ [name: string]: string }'],
])('%j is %s', (schema, type) => {
  expect(typeOf(schema)).toBe(type)
})

it('a path has its parameters by place, its body and its answers', () => {
  const text = openApiTypes({
    paths: {
      '/things/{id}': {
        put: {
          parameters: [
            { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
            { name: 'force', in: 'query', schema: { type: 'boolean' } },
          ],
          requestBody: { required: true, content: { 'application/json': { schema: { type: 'string' } } } },
          responses: { 200: { content: { 'application/json': { schema: { type: 'number' } } } }, 204: {} },
        },
      },
    },
  })
  expect(text).toContain(
    'parameters: { query?: { "force"?: boolean }; header?: never; path: { "id": string }; cookie?: never }',
  )
  expect(text).toContain('requestBody: { content: { "application/json": string } }')
  expect(text).toContain('200: { headers: { [name: string]: unknown }; content: { "application/json": number } }')
  expect(text).toContain('204: { headers: { [name: string]: unknown }; content?: never }')
  expect(text).toContain('get?: never')
})
