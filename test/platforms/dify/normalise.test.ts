import { describe, expect, it } from 'vitest'
import { normaliseForDify, numberedName, proposeDifyIdentity } from '../../../src/platforms/dify/normalise.ts'
import type { DesiredObject } from '../../../src/platforms/platform.ts'

const DESIRED: DesiredObject = {
  bindingId: 'b1',
  instanceId: '01890000-0000-7000-8000-000000000001',
  name: 'Everything',
  description: '',
  url: 'https://gateway.example.com/mcp-gateway/i1/mcp',
  transport: 'streamable-http',
  authorization: 'Bearer tfg_abc',
  tools: [],
}

describe('normaliseForDify', () => {
  it('has all fields, the Authorization as a secret, and what Dify’s users may edit as kept', () => {
    expect(normaliseForDify(DESIRED)).toEqual({
      fields: {
        name: 'Everything',
        url: DESIRED.url,
        authorization: 'Bearer tfg_abc',
        tools: '[]',
        authed: 'true',
        icon: '{"content":"🔗","background":"#6366F1"}',
        timeout: '30',
        sse_read_timeout: '300',
      },
      secretFields: ['authorization'],
      keptFields: ['name', 'icon', 'timeout', 'sse_read_timeout'],
      tools: {},
      warnings: [],
    })
  })

  it.each([
    ['trims', '  a  ', 'a'],
    ['makes one space of line breaks', 'a\r\n\tb', 'a b'],
    ['cuts 41 Chinese characters', '工'.repeat(41), '工'.repeat(40)],
    ['cuts 41 emoji by code point', '🔗'.repeat(41), '🔗'.repeat(40)],
    ['leaves no space at the cut', `${'a'.repeat(39)} bcd`, 'a'.repeat(39)],
    ['leaves no joiner at the cut', `${'a'.repeat(38)}👩\u200d👩`, `${'a'.repeat(38)}👩`],
    ['drops a lone surrogate', 'a\ud800', 'a\ufffd'],
    ['keeps 40', 'x'.repeat(40), 'x'.repeat(40)],
  ])('%s in a name', (_what, name, expected) => {
    const { fields, warnings } = normaliseForDify({ ...DESIRED, name })
    expect(fields.name).toBe(expected)
    expect([...(fields.name ?? '')].length).toBeLessThanOrEqual(40)
    expect(warnings).toHaveLength([...name.trim()].length > 40 ? 1 : 0)
  })

  it.each([
    ['an empty name', { name: ' \n ' }, 'name'],
    ['a URL with another end', { url: 'https://g.example.com/mcp-gateway/i1' }, 'url'],
    ['a URL that ends so in its query only', { url: 'https://g.example.com/x?y=/mcp' }, 'url'],
    ['an ftp URL', { url: 'ftp://g.example.com/mcp' }, 'url'],
    ['no URL', { url: 'gateway/mcp' }, 'url'],
    ['a URL with a space', { url: 'https://g.example.com/a b/mcp' }, 'url'],
    ['Dify’s mask in the URL', { url: 'https://g.example.com/[__HIDDEN__]/mcp' }, 'url'],
    ['a line break in the header', { authorization: 'Bearer a\r\nX-Evil: 1' }, 'authorization'],
    ['non-ASCII in the header', { authorization: 'Bearer тoken' }, 'authorization'],
    ['a template in the header', { authorization: 'Bearer {{ x }}' }, 'authorization'],
    ['a space after the header', { authorization: 'Bearer a ' }, 'authorization'],
  ])('refuses %s', (_what, change, field) => {
    expect(() => normaliseForDify({ ...DESIRED, ...change })).toThrow(
      expect.objectContaining({ type: 'InvalidDesiredState', field }),
    )
  })

  it('never says the header’s value', () => {
    expect(() => normaliseForDify({ ...DESIRED, authorization: 'Bearer SECRETé' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('SECRET') }),
    )
  })

  it('takes a URL with a query, and one that ends in /sse', () => {
    for (const url of ['http://10.0.0.1:8080/a/sse', 'https://g.example.com/mcp?x=1']) {
      expect(normaliseForDify({ ...DESIRED, url }).fields.url).toBe(url)
    }
  })
})

describe('numberedName', () => {
  it('keeps the number inside 40 code points', () => {
    expect(numberedName('Everything', 1)).toBe('Everything')
    expect(numberedName('Everything', 2)).toBe('Everything (2)')
    expect(numberedName('🔗'.repeat(40), 12)).toBe(`${'🔗'.repeat(35)} (12)`)
  })
})

describe('proposeDifyIdentity', () => {
  it('has an identifier of the instance’s own, in the form of Dify’s dialog, and a new id each time', () => {
    const [first, second] = [proposeDifyIdentity('i1'), proposeDifyIdentity('i1')]
    expect(first.key).toMatch(/^mcp-[0-9a-f]{20}$/)
    expect(second.key).toBe(first.key)
    expect(proposeDifyIdentity('i2').key).not.toBe(first.key)
    expect(second.id).not.toBe(first.id)
  })
})
