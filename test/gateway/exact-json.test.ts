import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ExactJson, hasAtMostValues } from '../../src/gateway/exact-json.ts'

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

function rewritten(text: string): string {
  const json = new ExactJson(text)
  return json.write(json.value)
}

/** A text, and its value with every number as it stands there. */
type Sample = { text: string; value: unknown }

const blank = fc.constantFrom('', '', '', ' ', '\n\t')
const number = fc
  .oneof(
    fc.constantFrom('0', '-0', '1.0', '1e5', '1E+2', '-1.50e-7', '1e400', '0.1', '1e21', '1e-7', '9007199254740993'),
    fc.stringMatching(/^-?(0|[1-9]\d{0,20})(\.\d{1,20})?([eE][+-]?\d{1,3})?$/),
  )
  .map((text): Sample => ({ text, value: rawJson(text) }))
const string = fc.oneof(
  fc
    .string({ unit: fc.constantFrom('a', '"', '\\', '1', '.', '0', '[', ',', ':', 'é', '\n', '\ud800') })
    .map((text) => JSON.stringify(text)),
  fc.constantFrom('"\\u0031.0"', '"\\\\"', '"1.0"', '"__proto__"', '"0"', '"\\u0022"', '"a"', '"b"'),
)
const word = fc
  .oneof(string, fc.constantFrom('true', 'false', 'null'))
  .map((text): Sample => ({ text, value: JSON.parse(text) }))

/** Without backslashes: once V8's JSON.parse has seen such a key, it takes others that are written with an escape for it. */
const key = string.filter((text) => !JSON.parse(text).includes('\\'))

function objectOf(members: [string, Sample][]): unknown {
  const object = {}
  for (const [key, { value }] of members) {
    Object.defineProperty(object, JSON.parse(key), { value, enumerable: true, writable: true, configurable: true })
  }
  return object
}

const { sample } = fc.letrec<{ sample: Sample }>((tie) => ({
  sample: fc.oneof(
    { maxDepth: 5 },
    number,
    word,
    fc.tuple(blank, fc.array(tie('sample'))).map(([gap, items]) => ({
      text: `[${items.map(({ text }) => `${gap}${text}${gap}`).join(',')}]`,
      value: items.map(({ value }) => value),
    })),
    fc.tuple(blank, fc.array(fc.tuple(key, tie('sample')))).map(([gap, members]) => ({
      text: `{${members.map(([key, { text }]) => `${gap}${key}${gap}:${gap}${text}${gap}`).join(',')}}`,
      value: objectOf(members),
    })),
  ),
}))

describe('JSON that is written again', () => {
  it('keeps every number as it stood, and is otherwise as JSON.stringify writes it', () => {
    fc.assert(
      fc.property(sample, ({ text, value }) => {
        expect(rewritten(text)).toBe(JSON.stringify(value))
      }),
      { numRuns: 2_000 },
    )
  })

  it('is refused when it is ill-formed, wherever', () => {
    const other = fc.constantFrom('', '1.0', '-', '"', ',', ':', '.', '\\', '0')
    let refused = 0
    fc.assert(
      fc.property(sample, fc.nat(), fc.nat({ max: 2 }), other, ({ text }, where, length, between) => {
        const at = where % (text.length + 1)
        const odd = text.slice(0, at) + between + text.slice(at + length)
        let isIllFormed = false
        try {
          JSON.parse(odd)
        } catch {
          isIllFormed = true
          refused += 1
        }
        if (isIllFormed) expect(() => rewritten(odd)).toThrow(SyntaxError)
        else expect(() => rewritten(odd)).not.toThrow()
      }),
      { numRuns: 2_000 },
    )
    // Otherwise nothing was ill-formed.
    expect(refused).toBeGreaterThan(200)
  })

  it('reveals a number where it is asked for, as it stood', () => {
    const exact = new ExactJson('{"id":1.0,"name":"1.0","other":2}')
    const value = exact.value as Record<string, unknown>
    exact.reveal(value, ['id', 'name', 'other', 'none'])
    expect(value).toEqual({ id: rawJson('1.0'), name: '1.0', other: 2 })
    expect(exact.write(value)).toBe('{"id":1.0,"name":"1.0","other":2}')
  })

  it.each([
    ['1', 1],
    ['"a,b[{\\",\\\\"', 1],
    ['[]', 2],
    ['[1,2,3]', 4],
    ['{"a":[1,{"b":","}],"c":null}', 6],
  ])('is known to hold no more values than it does: %s', (text, count) => {
    expect([hasAtMostValues(text, count - 1), hasAtMostValues(text, count)]).toEqual([false, true])
  })
})
