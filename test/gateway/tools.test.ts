import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Upstream, World } from './world.ts'
import { answerJson, codeOf, createUpstream, createWorld, mcpUrl, ping, post, resultFor, send } from './world.ts'

let world: World
let upstream: Upstream

beforeAll(async () => {
  ;[world, upstream] = await Promise.all([createWorld(), createUpstream()])
})
afterAll(() => Promise.all([world?.close(), upstream?.close()]))
beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (_req, res, body) => answerJson(res, resultFor(body))
})

function limitedTo(...tools: string[]) {
  const instance = world.view.addInstance({ url: upstream.url })
  return { url: mcpUrl(world, instance), token: world.view.addToken(instance, { toolAllowList: tools }).token }
}

const call = (name: unknown, id = 1) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } })
const list = { jsonrpc: '2.0', id: 7, method: 'tools/list' }
const TOOLS = { jsonrpc: '2.0', id: 7, result: { tools: [{ name: 'a', n: 1 }, { name: 'b' }, 5], nextCursor: 'c' } }

describe('a tool allow-list', () => {
  it('lets its tools be called and no other', async () => {
    const { url, token } = limitedTo('a', 'ä')
    expect((await post(url, token, call('a'))).status).toBe(200)
    expect((await post(url, token, call('ä'))).status).toBe(200)
    upstream.requests.length = 0
    for (const name of ['b', 'A', 'a ', '', null, undefined, ['a'], { toString: 'a' }]) {
      const answer = await post(url, token, call(name, 9))
      expect([answer.status, codeOf(answer)]).toEqual([403, 'tool_not_allowed'])
      expect(answer.json()).toMatchObject({ id: 9 })
    }
    const batch = await post(url, token, [call('a', 1), call('b', 2)])
    expect(batch.status).toBe(403)
    expect(batch.json()).toMatchObject([{ id: 1 }, { id: 2 }])
    expect(upstream.requests).toHaveLength(0)
  })

  it('cannot be passed by what another parser reads differently', async () => {
    const { url, token } = limitedTo('a')
    const headers = { Authorization: token, 'Content-Type': 'application/json; charset=utf-7' }
    const twice =
      '{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"b","x":1.50,"name":"a"}}'
    expect((await send(url, { headers, body: twice })).status).toBe(200)
    // What goes on is what was judged: one name, the numbers as they stood, and no strange charset.
    expect(upstream.requests[0]?.body).toBe(
      '{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"a","x":1.50}}',
    )
    expect(upstream.requests[0]?.headers['content-type']).toBe('application/json')
    upstream.requests.length = 0
    for (const body of [
      '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"b"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"Params":{"name":"b"}}',
      // To a reader that folds case as Unicode does (Go's encoding/json), the long s is an s.
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"paramſ":{"name":"b"}}',
    ]) {
      const answer = await send(url, { headers, body })
      expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_request'])
    }
    const sneaky = '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools\\u002fcall","params":{"name":"b"}}'
    expect((await send(url, { headers, body: sneaky })).status).toBe(403)
    expect(upstream.requests).toHaveLength(0)
  })

  it('cuts lists down in a JSON answer', async () => {
    const { url, token } = limitedTo('a')
    upstream.answer = (_req, res) => answerJson(res, TOOLS)
    const answer = await post(url, token, list, { 'Accept-Encoding': 'gzip' })
    expect(answer.json()).toEqual({ jsonrpc: '2.0', id: 7, result: { tools: [{ name: 'a', n: 1 }], nextCursor: 'c' } })
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(answer.body)))
    expect(upstream.requests[0]?.headers['accept-encoding']).toBe('identity')
  })

  it('cuts lists down in a stream of events, whatever the pieces, and leaves the rest as it is', async () => {
    const { url, token } = limitedTo('a')
    const note = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0}}'
    const stream = `: hi\r\n\r\nid: 1\nevent: message\ndata: ${note}\n\nid: 2\ndata: ${JSON.stringify(TOOLS)}\n\ndata: end\n\n`
    upstream.answer = async (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
      for (const byte of Buffer.from(stream)) res.write(Buffer.of(byte))
      res.end()
    }
    const answer = await post(url, token, list)
    const cut = '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","n":1}],"nextCursor":"c"}}'
    expect(answer.body).toBe(`: hi\r\n\r\nid: 1\nevent: message\ndata: ${note}\n\nid: 2\ndata: ${cut}\n\ndata: end\n\n`)
  })

  it('refuses answers that it cannot look into', async () => {
    const { url, token } = limitedTo('a')
    // It would read well, but it says that it is compressed.
    upstream.answer = (_req, res) => answerJson(res, TOOLS, { 'content-encoding': 'gzip' })
    expect(codeOf(await post(url, token, list))).toBe('upstream_content')
    upstream.answer = (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end('{"result":')
    expect(codeOf(await post(url, token, list))).toBe('upstream_content')
  })

  it('is bounded in what it looks into', async () => {
    const tight = await createWorld({ view: world.view, limits: { maxInspectedBytes: 1000 } })
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['a'] })
    upstream.answer = (_req, res) => answerJson(res, { big: 'x'.repeat(1001) })
    expect(codeOf(await post(mcpUrl(tight, instance), token, list))).toBe('upstream_too_large')
    upstream.answer = (_req, res) =>
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: 1\n\ndata: ${'x'.repeat(1001)}`)
    expect((await post(mcpUrl(tight, instance), token, list)).body).toBe('data: 1\n\n')
    await tight.close()
  })

  it('cuts down a list however deep it is nested', async () => {
    const { url, token } = limitedTo('a')
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
    const listOf = (tools: string) => `{"jsonrpc":"2.0","id":7,"result":{"tools":[${tools}]}}`
    const whole = listOf(`{"name":"hidden"},{"name":"a","deep":${deep}}`)
    const cut = listOf(`{"name":"a","deep":${deep}}`)
    upstream.answer = (_req, res) =>
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${whole}\n\n`)
    expect((await post(url, token, list)).body === `data: ${cut}\n\n`).toBe(true)
    upstream.answer = (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(whole)
    expect((await post(url, token, list)).body === cut).toBe(true)
  })

  it('refuses a body of more values than are made at one time; nobody else’s is parsed', async () => {
    const { url, token } = limitedTo('a')
    const large = { ...call('a'), params: { name: 'a', arguments: { rows: Array(200_000).fill(1) } } }
    const refused = await post(url, token, large)
    expect([refused.status, codeOf(refused)]).toEqual([413, 'body_too_large'])
    const instance = world.view.addInstance({ url: upstream.url })
    const unlimited = world.view.addToken(instance).token
    expect((await post(mcpUrl(world, instance), unlimited, large)).status).toBe(200)
    // A batch has to be parsed, whosoever sends it.
    const batch = await post(mcpUrl(world, instance), unlimited, Array(200_000).fill({}))
    expect([batch.status, codeOf(batch)]).toEqual([413, 'body_too_large'])
    expect(upstream.requests).toHaveLength(1)
  })

  it('answers the id of a refused call as it stood, and no object in its place', async () => {
    const { url, token } = limitedTo('a')
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
    const refused = (id: string) =>
      send(url, { headers, body: `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":1.0}}` })
    expect((await refused('9007199254740993')).body).toContain('"id":9007199254740993,')
    expect((await refused('{"rawJSON":"1"}')).body).toContain('"id":null,')
  })

  it('that is not there changes nothing', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const odd = '{"jsonrpc":"2.0","id":7,"result":{"tools":[ {"name":"z"} ]}}'
    upstream.answer = (_req, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(odd)
    expect((await post(mcpUrl(world, instance), token, list)).body).toBe(odd)
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
  })
})
