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

describe('headers upstream', () => {
  it('are the instance’s, the pass-through ones over them, both over the client’s', async () => {
    const instance = world.view.addInstance({
      url: `${upstream.url}?key=from-url`,
      headers: { 'X-Key': 'instance', Authorization: 'Bearer upstream-secret', 'X-Only': 'here' },
    })
    const { token } = world.view.addToken(instance, { passThroughHeaders: { 'x-key': 'binding', Cookie: 'a=b' } })
    await post(`${mcpUrl(world, instance)}?key=client`, token, ping(), { 'X-KEY': 'client', 'X-Only': 'client' })
    const [request] = upstream.requests
    expect(request?.target).toBe('/mcp?key=from-url')
    expect(request?.headers).toMatchObject({
      'x-key': 'binding',
      authorization: 'Bearer upstream-secret',
      'x-only': 'here',
      cookie: 'a=b',
      host: new URL(upstream.url).host,
    })
    expect(request?.rawHeaders.filter((name) => /^x-key$/i.test(name))).toHaveLength(1)
  })

  it('pass what the protocol may bring', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const sent = {
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': 'ping',
      'Mcp-Param-Region': '=?base64?ZXU=?=',
      'Last-Event-ID': '7',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'Accept-Language': 'zh',
      'User-Agent': 'python-httpx/0.27',
    }
    await post(mcpUrl(world, instance), token, ping(), sent)
    const headers = upstream.requests[0]?.headers
    for (const [name, value] of Object.entries(sent)) expect(headers?.[name.toLowerCase()]).toBe(value)
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry.traceId).toBe('0af7651916cd43dd8448eb211c80319c')
  })

  it('leave out everything of the hop, of the client’s own and of its credentials, however it is spelt', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const smuggled = [
      ...['Authorization', `Bearer ${token}`, 'AUTHORIZATION', `Bearer ${token}`, 'authorization', 'Basic second'],
      ...['X-Mcp-Authorization', token, 'API-Key', token, 'api-key', 'k2', 'X-API-Key', token, 'X_API_Key', token],
      ...['API_KEY', 'k3', 'X_Mcp_Authorization', 'k4', 'X-Custom-Copy', `prefix ${token} suffix`],
      ...['Cookie', 'session=1', 'Forwarded', 'for=1.2.3.4', 'X-Forwarded-For', '1.2.3.4', 'X-Forwarded-Host', 'evil'],
      ...['X_Forwarded_Proto', 'https', 'X-Real-IP', '1.2.3.4', 'Via', '1.1 x', 'Proxy-Authorization', 'Basic x'],
      ...['TE', 'trailers', 'Keep-Alive', 'timeout=9', 'X-Original-URL', '/admin', 'X-HTTP-Method-Override', 'DELETE'],
      ...['Connection', 'keep-alive, X-Listed, close', 'X-Listed', 'hop', 'X-Kept', 'kept'],
    ]
    const headers = [...smuggled, 'Content-Type', 'application/json']
    const answer = await send(mcpUrl(world, instance), { headers, body: JSON.stringify(ping()) })
    expect(answer.status).toBe(200)
    const arrived = upstream.requests[0]
    const names = arrived?.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
    expect(names?.sort()).toEqual(['connection', 'content-length', 'content-type', 'host', 'x-kept'])
    expect(arrived?.rawHeaders.join('\n')).not.toContain(token)
  })

  it('cannot be made to break the message by what an administrator configured', async () => {
    const instance = world.view.addInstance({
      url: upstream.url,
      headers: {
        Host: 'other',
        'Content-Length': '1',
        'Transfer-Encoding': 'chunked',
        Connection: 'close',
        'X-Ok': '1',
      },
    })
    const { token } = world.view.addToken(instance)
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
    const [request] = upstream.requests
    expect(request?.headers).toMatchObject({ 'x-ok': '1', host: new URL(upstream.url).host })
    expect(JSON.parse(request?.body ?? '')).toEqual(ping())
  })
})

describe('headers back', () => {
  it('are an allow-list, with our own safety', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    upstream.answer = (_req, res, body) =>
      answerJson(res, resultFor(body), {
        'Set-Cookie': 'sid=1',
        Server: 'secret/1.0',
        'X-Powered-By': 'x',
        'Access-Control-Allow-Origin': '*',
        'WWW-Authenticate': 'Bearer',
        Location: '/x',
        'Strict-Transport-Security': 'max-age=1',
        'Content-Security-Policy': 'script-src *',
        'Cache-Control': 'no-store',
        'Retry-After': '3',
        'MCP-Protocol-Version': '2025-06-18',
        'X-Accel-Buffering': 'no',
      })
    const answer = await post(mcpUrl(world, instance), token, ping())
    const { date: _date, connection: _connection, 'keep-alive': _keepAlive, ...headers } = answer.headers
    expect(headers).toEqual({
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(answer.body)),
      'cache-control': 'no-store',
      'retry-after': '3',
      'mcp-protocol-version': '2025-06-18',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    })
  })

  it.each([
    ['text/html', '<script>alert(1)</script>'],
    ['application/octet-stream', 'MZ'],
    ['image/svg+xml', '<svg/>'],
    ['application/jsonp', 'x'],
    ['', 'no type'],
  ])('of a body of type «%s» are 502', async (type, body) => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    upstream.answer = (_req, res) => res.writeHead(200, type === '' ? {} : { 'content-type': type }).end(body)
    const answer = await post(mcpUrl(world, instance), token, ping(5))
    expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_content'])
    expect(answer.json()).toMatchObject({ id: 5 })
    expect(answer.body).not.toContain(body)
  })

  it.each([301, 302, 303, 307, 308])('of a redirect (%i) are 502, and it is not followed', async (status) => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    upstream.answer = (_req, res) => res.writeHead(status, { location: `${upstream.origin}/elsewhere` }).end()
    const answer = await post(mcpUrl(world, instance), token, ping())
    expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_redirect'])
    expect(answer.headers.location).toBeUndefined()
    expect(upstream.requests).toHaveLength(1)
  })

  it('keep an upstream’s own refusal: JSON as it is, anything else as ours with its status', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const url = mcpUrl(world, instance)
    upstream.answer = (_req, res) => res.writeHead(404, { 'content-type': 'application/json' }).end('{"gone":true}')
    expect(await post(url, token, ping())).toMatchObject({ status: 404, body: '{"gone":true}' })
    upstream.answer = (_req, res) => res.writeHead(404, { 'content-type': 'text/plain' }).end('Session not found')
    const replaced = await post(url, token, ping(9))
    expect(replaced.status).toBe(404)
    expect(replaced.json()).toMatchObject({ id: 9, error: { data: { code: 'upstream_error' } } })
    upstream.answer = (_req, res) => res.writeHead(500, { 'content-type': 'text/html' }).end('<h1>Traceback')
    const failed = await post(url, token, ping(10))
    expect([failed.status, codeOf(failed)]).toEqual([502, 'upstream_error'])
    expect(failed.body).not.toContain('Traceback')
  })

  it('of a note and of an ended session carry no body', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    upstream.answer = (_req, res) => res.writeHead(202).end('Accepted')
    const noted = await post(mcpUrl(world, instance), token, { jsonrpc: '2.0', method: 'notifications/initialized' })
    expect(noted).toMatchObject({ status: 202, body: '' })
    upstream.answer = (_req, res) => res.writeHead(200, { 'content-type': 'text/plain' }).end('OK')
    const ended = await send(mcpUrl(world, instance), { method: 'DELETE', headers: { Authorization: token } })
    expect(ended).toMatchObject({ status: 200, body: '' })
    expect(ended.headers['content-type']).toBeUndefined()
  })
})
