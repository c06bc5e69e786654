import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { parseRequest } from '../../src/gateway/rpc.ts'
import { readRequest, scanRequest } from '../../src/gateway/scan.ts'

/** What JSON.parse makes of it: the scan says the same, or nothing. */
function parsed(text: string) {
  const request = parseRequest(Buffer.from(text), false)
  if (typeof request === 'string') return request
  const { messages: _, rewritten: __, ...summary } = request
  return summary
}
const scanned = (text: string) => scanRequest(Buffer.from(text))

describe('a scan of a message', () => {
  it.each([
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"name":"other","id":2}}}',
    ' {\n"method" : "tools/call" ,\t"params":{ "arguments":[1,-2.5e+3,0,[],{}],"name":"é\\u0041\\"x" } , "id":"a\\\\" }\r\n',
    '{"params":{"name":"a"},"method":"tools/list","id":null}',
    '{"id":1,"result":{"tools":[{"name":"x"}]}}',
    '{"id":{"deep":[1]},"method":7}',
    '{"method":"tools/call","params":["name"],"id":1.50}',
    '{"method":"tools/call","params":{"name":"a"},"params":{"other":1}}',
    '{"id":1,"id":2,"method":"a","method":"tools/call","params":{"name":"a","name":"b"}}',
    '{"method":"tools/call","params":{"name":5}}',
    '{"method":"not a method!","id":true}',
    '{}',
    `{"method":"tools/call","params":{"arguments":{"text":"${'x'.repeat(500)}"},"name":"${'n'.repeat(500)}"},"id":3}`,
    `{"method":"m","params":{"text":"${'x\\"y\\\\'.repeat(200)}"},"id":4}`,
    `{"method":"m","params":{"text":"${'x'.repeat(200)}\\\\"},"id":5}`,
    `{"method":"m","params":{"text":"${'x'.repeat(46)}\\""},"id":6}`,
    `{"method":"m","params":{"text":"${'x'.repeat(47)}\\\\"},"id":7}`,
  ])('says what JSON.parse says of %s', (text) => {
    const summary = scanned(text)
    expect(summary).not.toBeNull()
    expect(summary).toEqual(parsed(text))
  })

  it('makes nothing of what stands where a number or a string belongs', () => {
    const parse = vi.spyOn(JSON, 'parse')
    const summary = scanned('{"id":[[],[]],"method":"tools/call","params":{"name":{"rawJSON":"1"}}}')
    const texts = parse.mock.calls.map(([text]) => text)
    parse.mockRestore()
    expect(summary).toMatchObject({ ids: [null], method: 'tools/call', toolName: null })
    expect(texts).toEqual([])
  })

  it.each([
    '',
    ' ',
    '[]',
    '[{"id":1,"method":"ping"}]',
    '"text"',
    '7',
    '{',
    '{"id"}',
    '{"id":}',
    '{"id":1,}',
    '{"id":1}}',
    '{"id":1} x',
    '{id:1}',
    "{'id':1}",
    '{"id":01}',
    '{"id":1.}',
    '{"id":.5}',
    '{"id":1e}',
    '{"id":+1}',
    '{"id":tru}',
    '{"id":"a}',
    '{"id":"\\x"}',
    '{"id":1 "method":"a"}',
    '{"a":[1,]}',
    '{"a":[1 2]}',
    '\ufeff{"id":1}',
    '{"i\\u0064":1,"method":"ping"}',
    '{"method":"tools/call","params":{"n\\u0061me":"hidden"}}',
    `{"a":${'['.repeat(100)}${']'.repeat(100)}}`,
  ])('leaves %s to JSON.parse', (text) => {
    expect(scanned(text)).toBeNull()
    expect(readRequest(Buffer.from(text))).toEqual(
      typeof parsed(text) === 'string' ? parsed(text) : expect.objectContaining(parsed(text) as object),
    )
  })

  const key = fc.oneof(fc.constantFrom('id', 'method', 'params', 'name', 'jsonrpc', 'arguments'), fc.string())
  const value = fc.oneof(
    fc.constantFrom('tools/call', 'tools/list', 1, 'a"b\\'),
    fc.jsonValue(),
    fc.dictionary(key, fc.jsonValue()),
    fc.string({ minLength: 40, maxLength: 120, unit: fc.constantFrom('x', '"', '\\', 'é', '工') }),
  )
  const message = fc.dictionary(key, value)

  it('of any object says what JSON.parse says', () => {
    fc.assert(
      fc.property(message, fc.constantFrom(undefined, 1, '\t'), (object, space) => {
        const text = JSON.stringify(object, null, space)
        const summary = scanned(text)
        if (summary !== null) expect(summary).toEqual(parsed(text))
        expect(readRequest(Buffer.from(text))).toMatchObject(parsed(text) as object)
      }),
      { numRuns: 300 },
    )
  })

  it('of any text takes none for JSON that is not, but for what stands inside of strings', () => {
    const cut = fc.tuple(
      message,
      fc.nat(),
      fc.nat({ max: 3 }),
      fc.constantFrom('', '"', '{', '}', ',', ':', '0', 'e', ' '),
    )
    fc.assert(
      fc.property(cut, ([object, at, drop, put]) => {
        const whole = JSON.stringify(object)
        const from = at % whole.length
        const text = whole.slice(0, from) + put + whole.slice(from + drop)
        // An escape that lost its letter, say: that is the upstream's to refuse.
        if (text.includes('\\')) return
        const summary = scanned(text)
        if (summary !== null) expect(summary).toEqual(parsed(text))
      }),
      { numRuns: 1_000 },
    )
  })
})
