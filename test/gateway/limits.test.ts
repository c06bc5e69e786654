import { once } from 'node:events'
import { connect, createServer as createNetServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createBreaker } from '../../src/gateway/breaker.ts'
import { createThrottle } from '../../src/gateway/throttle.ts'
import { freePort } from '../support/mcp-servers.ts'
import type { Upstream, World } from './world.ts'
import {
  answerJson,
  codeOf,
  createUpstream,
  createWorld,
  mcpUrl,
  openStream,
  ping,
  post,
  send,
  sseUrl,
} from './world.ts'

let upstream: Upstream
let world: World
const clock = { ms: 1_000 }

beforeAll(async () => {
  upstream = await createUpstream()
  world = await createWorld({ monotonicMs: () => clock.ms })
})
afterAll(async () => {
  await world.close()
  await upstream.close()
})

describe('requests per second', () => {
  test('beyond a second’s worth a binding gets 429 with Retry-After and its own id; another binding does not', async () => {
    const instance = world.view.addInstance({ url: upstream.url, limits: { requestsPerSecond: 3 } })
    const { token } = world.view.addToken(instance)
    const other = world.view.addToken(instance)
    const url = mcpUrl(world, instance)
    for (let id = 1; id <= 3; id++) expect((await post(url, token, ping(id))).status).toBe(200)
    const before = upstream.requests.length
    const refused = await post(url, token, ping('mine'))
    expect(refused.status).toBe(429)
    expect(codeOf(refused)).toBe('rate_limited')
    expect(refused.json()).toMatchObject({ id: 'mine' })
    expect(refused.headers['retry-after']).toBe('1')
    expect(upstream.requests.length).toBe(before)
    expect((await post(url, other.token, ping())).status).toBe(200)
    clock.ms += 400
    expect((await post(url, token, ping())).status).toBe(200)
    expect((await post(url, token, ping())).status).toBe(429)
  })

  test('a refused credential takes nothing from the limit', async () => {
    const instance = world.view.addInstance({ url: upstream.url, limits: { requestsPerSecond: 1 } })
    const { token, credential } = world.view.addToken(instance, { enabled: false })
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(403)
    await world.gateway.waitFor(world.view.changeToken(credential.hash, { enabled: true }), 5_000)
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
  })

  test('what is idle and full is forgotten', () => {
    let nowMs = 0
    const throttle = createThrottle(() => nowMs)
    const limits = { requestsPerSecond: 1 }
    expect(throttle.take('a', limits)).toBeNull()
    throttle.giveBack('a')
    throttle.sweep()
    expect(throttle.take('a', limits)).toEqual({ code: 'rate_limited', retryAfterS: 1, waitMs: 1_000 })
    nowMs = 1_000
    throttle.sweep()
    expect(throttle.take('a', limits)).toBeNull()
  })
})

describe('whoever counts for several processes', () => {
  test('is asked for a client that leaves meanwhile: it is given back, and its body is not waited for', async () => {
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<null>()
    const givenBack = Promise.withResolvers<void>()
    const throttle = {
      take: () => {
        asked.resolve()
        return answer.promise
      },
      giveBack: () => givenBack.resolve(),
      sweep() {},
    }
    const counted = await createWorld({ throttle, limits: { bodyTimeoutMs: 3_600_000 } })
    const instance = counted.view.addInstance({ url: upstream.url, limits: { maxOpenRequests: 2 } })
    const { token } = counted.view.addToken(instance)
    const { port, pathname } = new URL(mcpUrl(counted, instance))
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`POST ${pathname} HTTP/1.1\r\nHost: a\r\nAuthorization: ${token}\r\nContent-Length: 9\r\n\r\n`)
    await asked.promise
    socket.destroy()
    await counted.journaled(({ status }) => status === 499)
    const timers = vi.spyOn(globalThis, 'setTimeout')
    answer.resolve(null)
    await givenBack.promise
    await new Promise((resolve) => setImmediate(resolve))
    expect(timers.mock.calls.filter(([, ms]) => ms === 3_600_000)).toEqual([])
    timers.mockRestore()
    await counted.close()
  })
})

describe('open requests', () => {
  test('a stream counts until it ends', async () => {
    const instance = world.view.addInstance({ url: upstream.url, limits: { maxOpenRequests: 2 } })
    const { token } = world.view.addToken(instance)
    const url = mcpUrl(world, instance)
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(': hello\n\n')
    }
    const headers = { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' }
    const first = await openStream(url, { headers })
    const second = await openStream(url, { headers })
    const third = await send(url, { headers })
    expect(third.status).toBe(429)
    expect(codeOf(third)).toBe('too_many_open')
    first.destroy()
    await world.journaled((entry) => entry.instanceId === instance.id && entry.status === 200)
    const fourth = await openStream(url, { headers })
    expect(fourth.statusCode).toBe(200)
    for (const stream of [second, fourth]) stream.destroy()
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
  })
})

describe('a server that cannot be reached', () => {
  test('is left alone after some failures, tried by one request after the pause, and served again', async () => {
    const port = await freePort()
    const instance = world.view.addInstance({ url: `http://127.0.0.1:${port}/mcp` })
    const { token } = world.view.addToken(instance)
    const url = mcpUrl(world, instance)
    for (let i = 0; i < 5; i++) expect(codeOf(await post(url, token, ping()))).toBe('upstream_unreachable')
    const refused = await post(url, token, ping('x'))
    expect(refused.status).toBe(503)
    expect(codeOf(refused)).toBe('upstream_suspended')
    expect(refused.headers['retry-after']).toBe('1')
    expect(refused.json()).toMatchObject({ id: 'x' })
    clock.ms += 1_000
    // The trial fails: the next pause is twice as long.
    expect(codeOf(await post(url, token, ping()))).toBe('upstream_unreachable')
    clock.ms += 1_500
    expect(codeOf(await post(url, token, ping()))).toBe('upstream_suspended')
    const { createServer } = await import('node:http')
    const server = createServer((_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} }))
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    clock.ms += 500
    expect((await post(url, token, ping())).status).toBe(200)
    expect((await post(url, token, ping())).status).toBe(200)
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })

  test('lets one trial through at a time, and starts anew with another URL', () => {
    let nowMs = 0
    const breaker = createBreaker({ breakerFailures: 2, breakerPauseMs: 1_000, breakerMaxPauseMs: 4_000 }, () => nowMs)
    const server = { id: 'a', url: 'http://one.example' }
    breaker.unreachable(server)
    expect(breaker.admit(server)).toBeNull()
    breaker.unreachable(server)
    breaker.unreachable(server)
    expect(breaker.admit(server)).toEqual({ retryAfterS: 1 })
    nowMs = 1_000
    expect(breaker.admit(server)).toBeNull()
    expect(breaker.admit(server)).toEqual({ retryAfterS: 1 })
    breaker.reached('a')
    expect(breaker.admit(server)).toBeNull()
    for (let i = 0; i < 3; i++) breaker.unreachable(server)
    expect(breaker.admit({ id: 'a', url: 'http://two.example' })).toBeNull()
  })

  test('an answer that fails is not a server that is away: one caller cannot cut off the others', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    upstream.answer = (req) => req.socket.destroy()
    for (let i = 0; i < 8; i++) {
      expect(codeOf(await post(mcpUrl(world, instance), token, ping()))).toBe('upstream_unreachable')
    }
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
  })
})

describe('time limits of an instance', () => {
  test('the answer’s begin, and silence within it', async () => {
    const silent = createNetServer(() => {})
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    const slow = world.view.addInstance({ url: `http://127.0.0.1:${port}/mcp`, limits: { headersTimeoutMs: 100 } })
    const { token } = world.view.addToken(slow)
    const late = await post(mcpUrl(world, slow), token, ping())
    expect([late.status, codeOf(late)]).toEqual([504, 'upstream_timeout'])
    silent.close()

    const idle = world.view.addInstance({ url: upstream.url, limits: { idleTimeoutMs: 100 } })
    const own = world.view.addToken(idle)
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: {}\n\n')
    }
    const stream = await openStream(mcpUrl(world, idle), { headers: { Authorization: `Bearer ${own.token}` } })
    stream.resume()
    await once(stream, 'end')
    const entry = await world.journaled(({ instanceId }) => instanceId === idle.id)
    expect(entry.errorCode).toBe('upstream_broken')
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
  })
})

describe('?token=', () => {
  test('is nothing unless the instance allows it', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const answer = await post(`${mcpUrl(world, instance)}?token=${token}`, null, ping())
    expect([answer.status, codeOf(answer)]).toEqual([401, 'credential_missing'])
  })

  test('is the last credential looked at, never goes upstream, and is in no journal', async () => {
    const instance = world.view.addInstance({ url: upstream.url, limits: { tokenInQuery: true } })
    const { token } = world.view.addToken(instance)
    const before = upstream.requests.length
    expect((await post(`${mcpUrl(world, instance)}?token=${token}`, null, ping())).status).toBe(200)
    expect(JSON.stringify(upstream.requests.slice(before))).not.toContain(token)
    expect(
      (await post(`${mcpUrl(world, instance)}?token=${token}`, 'some-other-token-0123456789', ping())).status,
    ).toBe(401)
    await world.journaled(({ instanceId, status }) => instanceId === instance.id && status === 401)
    expect(JSON.stringify(world.journal)).not.toContain(token)
  })

  test('is in the endpoint of an HTTP+SSE stream, as such a client cannot send it otherwise', async () => {
    upstream.answer = (req, res) => {
      if (req.method === 'POST') {
        res.writeHead(202).end('Accepted')
        return
      }
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('event: endpoint\ndata: /message?session=1\n\n')
    }
    const instance = world.view.addInstance({
      url: `${upstream.origin}/sse`,
      transport: 'sse',
      limits: { tokenInQuery: true },
    })
    const { token } = world.view.addToken(instance)
    const stream = await openStream(`${sseUrl(world, instance)}?token=${token}`)
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    const endpoint = /data: (\S+)/.exec(chunk.toString())?.[1] ?? ''
    expect(endpoint).toMatch(/\?token=/)
    expect((await post(new URL(endpoint, sseUrl(world, instance)).href, null, ping())).status).toBe(202)
    expect(upstream.requests.at(-1)?.target).toBe('/message?session=1')
    stream.destroy()
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
  })
})

describe('Mcp-Method and Mcp-Name under a tool allow-list', () => {
  const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'good', arguments: {} } }
  const encoded = `=?base64?${Buffer.from('good').toString('base64')}?=`

  test.each([
    [{ 'Mcp-Method': 'tools/call', 'Mcp-Name': 'good' }, 200],
    [{ 'Mcp-Name': encoded }, 200],
    [{}, 200],
    [{ 'Mcp-Method': 'tools/list', 'Mcp-Name': 'good' }, 400],
    [{ 'Mcp-Method': 'tools/call', 'Mcp-Name': 'bad' }, 400],
    [{ 'Mcp-Method': 'TOOLS/CALL' }, 400],
    [{ mcp_name: 'bad' }, 400],
  ])('%j is answered %i', async (headers, status) => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { toolAllowList: ['good'] })
    const answer = await post(mcpUrl(world, instance), token, call, headers as Record<string, string>)
    expect(answer.status).toBe(status)
    if (status === 400) expect(answer.json()).toMatchObject({ id: 7, error: { code: -32020 } })
  })

  test('without an allow-list they are the upstream’s to judge', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const answer = await post(mcpUrl(world, instance), token, call, { 'Mcp-Method': 'else', 'Mcp-Param-Region': 'eu' })
    expect(answer.status).toBe(200)
    expect(upstream.requests.at(-1)?.headers).toMatchObject({ 'mcp-method': 'else', 'mcp-param-region': 'eu' })
  })
})
