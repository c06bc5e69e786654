import { expect, test } from 'vitest'
import { judgeHeaders } from '../../src/domain/header-rules.ts'

test('ordinary headers are all right', () => {
  const headers = {
    Authorization: 'Bearer abc',
    'X-Api-Key': 'k',
    'x_trace!': 'a b\tc',
    'X-Length': 'v'.repeat(8 * 1024),
  }
  expect(judgeHeaders(headers, 'headers')).toEqual([])
  expect(judgeHeaders({}, 'headers')).toEqual([])
})

test.each([
  'Host',
  'host',
  'Content-Length',
  'Connection',
  'Keep-Alive',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
  'Proxy-Authorization',
  'Proxy-Connection',
  'Cookie',
  'Mcp-Session-Id',
  'MCP-Protocol-Version',
  'Mcp-Param-X',
  'Last-Event-ID',
  'X-Forwarded-For',
  'x-forwarded-anything',
  'Forwarded',
  'Origin',
  'Content-Type',
  'Accept',
])('%s cannot be given', (name) => {
  expect(judgeHeaders({ [name]: 'x' }, 'headers')).toEqual([
    { field: `headers.${name}`, reason: expect.stringContaining('cannot be given') },
  ])
})

test.each(['', 'a b', 'a:b', 'a\r\nb', 'ä', 'a(b)', 'x'.repeat(129)])('%j is not a header name', (name) => {
  const [problem] = judgeHeaders({ [name]: 'x' }, 'headers')
  expect(problem?.reason).toMatch(/name/)
  expect(problem?.field).toMatch(/^headers\.[\x21-\x7e…]*$/)
})

test.each([
  ['line feed', 'hush\nX: 1', /line break/],
  ['trailing line break', 'hush\r\n', /line break/],
  ['NUL', 'hu\u0000sh', /characters/],
  ['delete', 'hu\u007fsh', /characters/],
  ['obs-text', 'hüsh', /characters/],
  ['Chinese', '令牌hush', /characters/],
  ['space before', ' hush', /space/],
  ['space after', 'hush ', /space/],
  ['empty', '', /empty/],
  ['too long', 'v'.repeat(8 * 1024 + 1), /8 KiB/],
  ['a number', 5, /text/],
  ['null', null, /text/],
])('a value with %s is refused and not quoted', (_name, value, reason) => {
  const problems = judgeHeaders({ 'X-Key': value }, 'passThroughHeaders')
  expect(problems).toEqual([{ field: 'passThroughHeaders.X-Key', reason: expect.stringMatching(reason) }])
  expect(JSON.stringify(problems)).not.toContain('hush')
})

test('names that differ by case only are one header', () => {
  expect(judgeHeaders({ 'X-Key': 'a', 'x-key': 'b' }, 'headers')).toEqual([
    { field: 'headers.x-key', reason: expect.stringContaining('same header as X-Key') },
  ])
})

test('at most 64', () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`X-${index}`, 'v']))
  expect(judgeHeaders(many(64), 'headers')).toEqual([])
  expect(judgeHeaders(many(65), 'headers')).toEqual([
    { field: 'headers', reason: expect.stringContaining('at most 64') },
  ])
})

test.each([null, 'x', 5, []])('%j is not a set of headers', (headers) => {
  expect(judgeHeaders(headers, 'headers')).toHaveLength(1)
})
