import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkTokenFormat, judgeCustomToken, mintToken, normaliseToken, visibleStart } from '../../src/domain/token.ts'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

function reasonOf(text: string): string {
  const verdict = judgeCustomToken(text)
  return verdict.ok ? 'fine' : verdict.reason
}

describe('a minted token', () => {
  it('has its format, is never the same, and can be sent', () => {
    const tokens = Array.from({ length: 2000 }, () => mintToken('tfg'))
    for (const token of tokens) {
      expect(token).toMatch(/^tfg_[0-9A-Za-z]{38}$/)
      expect(checkTokenFormat(token)).toBe('tfg')
      expect(judgeCustomToken(token)).toEqual({ ok: true })
    }
    expect(new Set(tokens).size).toBe(tokens.length)
    expect(checkTokenFormat(mintToken('tfa'))).toBe('tfa')
  })

  it('uses all 62 characters about equally', () => {
    const counts = new Map<string, number>()
    const tokens = 4000
    for (let index = 0; index < tokens; index++) {
      for (const character of mintToken('tfg').slice(4, 36)) counts.set(character, (counts.get(character) ?? 0) + 1)
    }
    expect(counts.size).toBe(62)
    const expected = (tokens * 32) / 62
    // Chi-square with 61 degrees of freedom: above 130 happens by chance once in a million runs.
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(chiSquare).toBeLessThan(130)
  })

  it('with one character mistyped, or two neighbours swapped, is no token', () => {
    fc.assert(
      fc.property(fc.nat(37), fc.nat(61), (offset, letter) => {
        const token = mintToken('tfg')
        const index = 4 + offset
        const typed = token.slice(0, index) + BASE62[letter] + token.slice(index + 1)
        expect(checkTokenFormat(typed)).toBe(typed === token ? 'tfg' : null)
        const swapped = token.slice(0, index - 1) + token[index] + token[index - 1] + token.slice(index + 1)
        if (index > 4) expect(checkTokenFormat(swapped)).toBe(swapped === token ? 'tfg' : null)
      }),
    )
  })

  it('its kind is part of the check', () => {
    const token = mintToken('tfg')
    expect(checkTokenFormat(token.replace('tfg_', 'tfa_'))).toBeNull()
  })

  it('the check characters are the CRC-32 in base62, padded', () => {
    // crc32("tfg_" + 32 zeros) = 0x51f67d50, computed with Python's binascii.
    const body = `tfg_${'0'.repeat(32)}`
    expect(checkTokenFormat(`${body}1V3oWG`)).toBe('tfg')
  })

  it.each(['', 'tfg_', 'hello', `tfx_${'a'.repeat(38)}`, `tfg_${'-'.repeat(38)}`])('%j is none', (text) => {
    expect(checkTokenFormat(text)).toBeNull()
  })
})

describe('a custom token', () => {
  it.each([
    ['short', /too short/],
    ['aaaaaaaaaaaaaaaaaaaaaaaa', /one character repeated/],
    ['AaAaAaAaAaAaAaAaAaAa', /one character repeated/],
    ['abcdabcdabcdabcdabcd', /piece repeated/],
    ['1234567890123456', /sequence/],
    ['abcdefghijklmnopqrstuvwxyz', /sequence/],
    ['zyxwvutsrqponmlkjihg', /sequence/],
    ['qwertyuiopasdfghjkl', /sequence/],
    ['aabbaabaabbabaabb', /2 different characters/],
    [' k3j5h2k4j6h8g7f9d1', /begins or ends/],
    ['k3j5h2k4j6h8g7f9d1 ', /begins or ends/],
    ['k3j5h2k4\nj6h8g7f9d1', /visible ASCII/],
    ['k3j5h2k4\u0000j6h8g7f9d1', /visible ASCII/],
    ['k3j5h2k4é6h8g7f9d1', /visible ASCII/],
    ['令牌令牌令牌令牌令牌令牌令牌令牌', /visible ASCII/],
    ['k3j5h2k4{{x}}j6h8g7f9', /\{\{/],
    ['Bearer k3j5h2k4j6h8g7f9', /word Bearer/],
    [`tfg_${'k3j5h2k4j6h8g7f9d1s2a3p4o5i6u7y8t9r0e1'}`, /typo/],
    [mintToken('tfa'), /API key/],
  ])('%j is refused with its reason', (text, reason) => {
    expect(reasonOf(text)).toMatch(reason)
  })

  it('may be 1,900 characters and no more', () => {
    const long = mintToken('tfg').slice(4).repeat(60)
    expect(reasonOf(long.slice(0, 1900))).toBe('fine')
    expect(reasonOf(long.slice(0, 1901))).toMatch(/too long/)
  })

  it.each([
    'correct horse battery staple',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVm',
    '9f86d081884c7d659a2feaa0c55ad015',
  ])('%j is fine', (text) => {
    expect(reasonOf(text)).toBe('fine')
  })

  it('that is accepted can always be a header value and survives being normalised', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 10, maxLength: 60, unit: 'binary' }), (text) => {
        if (!judgeCustomToken(text).ok) return
        expect(new Headers({ Authorization: `Bearer ${text}` }).get('authorization')).toBe(`Bearer ${text}`)
        expect(normaliseToken(text)).toBe(text)
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(fc.string({ minLength: 24, maxLength: 200, unit: 'grapheme-ascii' }), (text) => {
        if (!judgeCustomToken(text).ok) return
        expect(new Headers({ Authorization: `Bearer ${text}` }).get('authorization')).toBe(`Bearer ${text}`)
        expect(normaliseToken(text)).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })

  it('the reason never repeats it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 6, maxLength: 40, unit: 'grapheme-ascii' }), (text) => {
        const reason = reasonOf(text)
        expect(reason.includes(text)).toBe(false)
      }),
    )
  })
})

describe('what was pasted', () => {
  it.each([
    ['Bearer abc', 'abc'],
    ['bearer   abc', 'abc'],
    ['  BEARER abc \n', 'abc'],
    ['abc', 'abc'],
    ['Bearerabc', 'Bearerabc'],
  ])('%j is %j', (text, token) => {
    expect(normaliseToken(text)).toBe(token)
  })

  it('the visible start is short, and of a short token shorter', () => {
    expect(visibleStart(mintToken('tfg'))).toHaveLength(8)
    expect(visibleStart('0123456789abcdef')).toBe('01234')
    expect(visibleStart('ab')).toBe('')
  })
})
