import { expect, test } from 'vitest'
import { parseMcpServers } from '../../src/domain/mcp-servers-json.ts'

test('reads what clients write', () => {
  const read = parseMcpServers({
    mcpServers: {
      weather: { url: 'https://weather.example/mcp', headers: { Authorization: 'Bearer x' }, description: 'Weather' },
      old: { url: 'https://old.example/sse' },
      'old with query': { url: 'https://old.example/a/SSE/?key=1' },
      typed: { type: 'http', url: 'https://typed.example/sse' },
      cased: { type: 'streamableHttp', serverUrl: 'https://cased.example/x' },
      dashed: { transport: 'streamable-http', url: ' https://dashed.example/x ' },
      stream: { transport: 'SSE', url: 'https://stream.example/mcp' },
      'not sse': { url: 'https://x.example/mcp?next=/sse' },
    },
  })
  expect(read.problems).toEqual([])
  expect(read.entries.map(({ name, transport }) => [name, transport])).toEqual([
    ['weather', 'streamable-http'],
    ['old', 'sse'],
    ['old with query', 'sse'],
    ['typed', 'streamable-http'],
    ['cased', 'streamable-http'],
    ['dashed', 'streamable-http'],
    ['stream', 'sse'],
    ['not sse', 'streamable-http'],
  ])
  expect(read.entries[0]).toEqual({
    name: 'weather',
    transport: 'streamable-http',
    url: 'https://weather.example/mcp',
    headers: { Authorization: 'Bearer x' },
    description: 'Weather',
  })
  expect(read.entries[5]?.url).toBe('https://dashed.example/x')
})

test('refuses one by one and keeps the rest', () => {
  const read = parseMcpServers({
    mcpServers: {
      good: { url: 'https://good.example/mcp' },
      local: { command: 'npx', args: ['-y', 'server'], env: { TOKEN: 'hush-1' } },
      stdio: { type: 'stdio' },
      empty: {},
      text: 'https://x.example',
      number: { url: 5 },
      socket: { url: 'wss://x.example', type: 'websocket' },
      proto: { url: 'https://x.example', type: 'constructor' },
      headers: { url: 'https://x.example', headers: ['a'] },
      value: { url: 'https://x.example', headers: { 'X-Key': 5 } },
      variable: { url: 'https://x.example', headers: { 'X-Key': 'Bearer $\u007binput:hush-1}' } },
      ' ': { url: 'https://x.example' },
    },
  })
  expect(read.entries.map(({ name }) => name)).toEqual(['good'])
  expect(read.problems.map(({ name, field }) => [name, field])).toEqual([
    ['local', 'mcpServers.local.command'],
    ['stdio', 'mcpServers.stdio.command'],
    ['empty', 'mcpServers.empty.url'],
    ['text', 'mcpServers.text'],
    ['number', 'mcpServers.number.url'],
    ['socket', 'mcpServers.socket.type'],
    ['proto', 'mcpServers.proto.type'],
    ['headers', 'mcpServers.headers.headers'],
    ['value', 'mcpServers.value.headers.X-Key'],
    ['variable', 'mcpServers.variable.headers.X-Key'],
    [' ', 'mcpServers. '],
  ])
  expect(read.problems[0]?.reason).toMatch(/stdio.*HTTP bridge/)
  expect(JSON.stringify(read.problems)).not.toContain('hush-1')
})

test('takes the shapes of other clients', () => {
  const server = { url: 'https://x.example/mcp' }
  expect(parseMcpServers({ servers: { a: server } }).entries).toHaveLength(1)
  expect(parseMcpServers({ a: server, b: server }).entries).toHaveLength(2)
  expect(parseMcpServers({ mcpServers: {} })).toEqual({ entries: [], problems: [] })
})

test.each([null, [], 'x', 5, {}, { mcpServers: [] }, { mcpServers: null }, { other: 1 }])(
  '%j is not such a document',
  (json) => {
    expect(parseMcpServers(json)).toEqual({
      entries: [],
      problems: [{ name: null, field: 'mcpServers', reason: expect.stringContaining('must be an object') }],
    })
  },
)

test('at most 500 at once', () => {
  const servers = Object.fromEntries(
    Array.from({ length: 501 }, (_, index) => [`s${index}`, { url: 'https://x.example' }]),
  )
  expect(parseMcpServers({ mcpServers: servers })).toMatchObject({ entries: [], problems: [{ name: null }] })
})
