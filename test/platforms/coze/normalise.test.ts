import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normaliseForCoze, numberedName, textRulesFor } from '../../../src/platforms/coze/normalise.ts'
import { desiredObject, instanceId } from './world.ts'

const CN = textRulesFor('https://www.coze.cn')
const COM = textRulesFor('https://www.coze.com')
const LOCAL = textRulesFor('http://127.0.0.1:9000')

function fieldsOf(change: Parameters<typeof desiredObject>[0], rules = CN) {
  return normaliseForCoze(desiredObject(change), rules).fields
}

describe('names (coze.md §7.1)', () => {
  it.each([
    ['get-weather.v2', 'get_weather_v2'],
    ['天气 – 预报', '天气 _ 预报'],
    ['  weather \t  now ', 'weather now'],
    ['emoji 🌦 here', 'emoji _ here'],
    ['café', 'caf'],
    ['天'.repeat(40), '天'.repeat(30)],
  ])('%s becomes %s', (name, expected) => {
    expect(fieldsOf({ name }).name).toBe(expected)
  })

  it('one of which nothing is left gets a name of its own', () => {
    expect(fieldsOf({ name: '🌦🌦', instanceId: instanceId(42) }).name).toBe('MCP_00000042')
  })

  it('whatever the name, COZE takes it, numbered or not', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 99 }),
        (name, n) => {
          for (const rules of [CN, COM]) {
            const made = numberedName(fieldsOf({ name }, rules).name ?? '', n)
            expect(made).toMatch(rules.asciiOnly ? /^[\w\s]+$/ : /^[\w\s\u4e00-\u9fa5]+$/u)
            expect([...made].length).toBeLessThanOrEqual(30)
            expect(made).toBe(made.trim())
          }
        },
      ),
    )
  })

  it('a change is told', () => {
    expect(normaliseForCoze(desiredObject({ name: 'a-b' }), CN).warnings.join()).toContain('«a_b»')
    expect(normaliseForCoze(desiredObject({ name: '天气' }), CN).warnings).toEqual([])
  })
})

describe('descriptions', () => {
  it('are cut at 600 code points, not bytes, and fall back to the name', () => {
    expect([...(fieldsOf({ description: '🌦'.repeat(700) }).description ?? '')].length).toBe(600)
    expect(fieldsOf({ description: '  ', name: 'x' }).description).toBe('x')
    expect(fieldsOf({ description: 'Wetter für 天气' }, COM).description).toBe('Wetter f r')
  })
})

describe('the gateway’s address (coze.md §7.2)', () => {
  const path = `/mcp-gateway/${instanceId(1)}/mcp`

  it.each([
    ['http://gateway.example.com', 'not https'],
    ['https://10.0.0.5', 'an IP address'],
    ['https://[2001:db8::1]', 'an IP address'],
    ['http://127.0.0.1:8080', 'not https'],
    ['https://localhost', 'no public domain name'],
    ['https://gateway', 'no public domain name'],
  ])('%s is refused with what to do', (origin, words) => {
    const refused = () => fieldsOf({ url: `${origin}${path}` })
    expect(refused).toThrow(expect.objectContaining({ type: 'InvalidDesiredState', field: 'gatewayUrl' }))
    expect(refused).toThrow(words)
    expect(refused).toThrow('TOOLFERRY_PUBLIC_URL')
  })

  it('may be this machine only while COZE is, too', () => {
    const url = `http://127.0.0.1:8080${path}`
    expect(fieldsOf({ url }, LOCAL).url).toBe(url)
    expect(() => fieldsOf({ url: `http://10.0.0.5${path}` }, LOCAL)).toThrow('not https')
  })
})

it('tools: at least one, and the same whatever the order of keys', () => {
  expect(() => fieldsOf({ tools: [] })).toThrow(
    expect.objectContaining({ type: 'InvalidDesiredState', field: 'tools' }),
  )
  const one = { name: 'a', description: 'd', inputSchema: { type: 'object', properties: {} } }
  const same = { inputSchema: { properties: {}, type: 'object' }, description: 'd', name: 'a' }
  const other = { ...one, description: 'e' }
  const first = fieldsOf({ tools: [one, { ...one, name: 'b' }] }).tools
  expect(fieldsOf({ tools: [{ ...one, name: 'b' }, same] }).tools).toBe(first)
  expect(fieldsOf({ tools: [other, { ...one, name: 'b' }] }).tools).not.toBe(first)
})

it('a header value that no header can carry is refused', () => {
  for (const authorization of ['Bearer a\r\nb', 'Bearer ä', `Bearer ${'x'.repeat(2000)}`]) {
    expect(() => fieldsOf({ authorization })).toThrow(expect.objectContaining({ field: 'authorization' }))
  }
})
