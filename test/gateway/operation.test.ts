import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Registry } from 'prom-client'
import { afterEach, describe, expect, test } from 'vitest'
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
  resultFor,
  send,
  sseUrl,
} from './world.ts'

let upstream: Upstream
const worlds: World[] = []

async function setUp(options: Parameters<typeof createWorld>[0] = {}) {
  upstream = await createUpstream()
  const world = await createWorld(options)
  worlds.push(world)
  const instance = world.view.addInstance({ url: upstream.url })
  const { token, credential } = world.view.addToken(instance)
  await world.gateway.waitFor(world.view.revision, 5_000)
  return { world, instance, token, credential, url: mcpUrl(world, instance) }
}

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
  await upstream.close()
})

/** An upstream that begins an event stream, tells that it did, and ends it when told to. */
function streamUntil(end: Promise<void>): void {
  upstream.answer = async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n')
    await end
    res.end('data: {"jsonrpc":"2.0","id":1,"result":{"done":true}}\n\n')
  }
}

describe('a store that is away', () => {
  test('is bridged for a time; then nobody is served, open streams end, and readiness says why; it heals by itself', async () => {
    const clock = { ms: 0 }
    const { world, url, token } = await setUp({ monotonicMs: () => clock.ms, limits: { maxStaleMs: 1_000 } })
    streamUntil(Promise.withResolvers<void>().promise)
    const stream = await openStream(url, { headers: { Authorization: `Bearer ${token}` } })
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
    world.view.broken = true
    clock.ms = 900
    expect((await post(url, token, ping())).status).toBe(200)
    expect(world.gateway.problem()).toBeNull()
    clock.ms = 1_100
    const refused = await post(url, token, ping('x'))
    expect([refused.status, codeOf(refused)]).toEqual([503, 'store_away'])
    expect(refused.json()).toMatchObject({ id: 'x' })
    expect(world.gateway.ready()).toBe(false)
    expect(world.gateway.problem()).toContain('store')
    stream.resume()
    await once(stream, 'end')
    world.view.broken = false
    world.view.addToken({ ...world.view.addInstance({ url: upstream.url }) })
    await world.gateway.waitFor(world.view.revision, 5_000)
    expect((await post(url, token, ping())).status).toBe(200)
    expect(world.gateway.ready()).toBe(true)
  })
})

describe('a store that was restored', () => {
  test('and cannot be read whole is a store that is away, though it tells its revision', async () => {
    const clock = { ms: 0 }
    const { world, url, token } = await setUp({ monotonicMs: () => clock.ms, limits: { maxStaleMs: 1_000 } })
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
    const { loadAll } = world.view
    world.view.loadAll = () => Promise.reject(new Error('the store is away'))
    world.view.revision = 0
    clock.ms = 1_100
    const { polls } = world.view
    // Whoever asks again has come to an end with the last answer.
    await expect.poll(() => world.view.polls).toBeGreaterThan(polls + 1)
    const refused = await post(url, token, ping())
    expect([refused.status, codeOf(refused)]).toEqual([503, 'store_away'])
    world.view.loadAll = loadAll
    await expect.poll(() => world.gateway.problem()).toBeNull()
    expect((await post(url, token, ping())).status).toBe(200)
  })
})

describe('the end of the process', () => {
  test('an answer in flight comes whole, streamed or not; endless streams end; connections close', async () => {
    const { world, url, token } = await setUp()
    const release = Promise.withResolvers<void>()
    streamUntil(release.promise)
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
    const endless = await openStream(url, { headers: { Authorization: `Bearer ${token}` } })
    const streaming = await openStream(url, { headers, body: JSON.stringify(ping()) })
    upstream.answer = async (_req, res, body) => {
      await release.promise
      answerJson(res, { jsonrpc: '2.0', id: JSON.parse(body).id, result: {} })
    }
    const arrived = upstream.requests.length
    const plain = send(url, { headers, body: JSON.stringify(ping(2)) })
    await expect.poll(() => upstream.requests.length).toBe(arrived + 1)

    const drained = world.gateway.drain()
    expect(world.gateway.ready()).toBe(false)
    endless.resume()
    await once(endless, 'end')
    const chunks: Buffer[] = []
    streaming.on('data', (chunk: Buffer) => chunks.push(chunk))
    release.resolve()
    await once(streaming, 'end')
    expect(Buffer.concat(chunks).toString()).toContain('"done":true')
    const answer = await plain
    expect(answer.json()).toEqual({ jsonrpc: '2.0', id: 2, result: {} })
    expect(answer.headers.connection).toBe('close')
    await drained
    expect(world.gateway.openCount()).toBe(0)
    // What comes on a connection that is still open is served, and closes it.
    upstream.answer = (_req, res) => answerJson(res, { jsonrpc: '2.0', id: 1, result: {} })
    const late = await post(url, token, ping())
    expect([late.status, late.headers.connection]).toEqual([200, 'close'])
  })

  test('a call over HTTP+SSE is answered, as its answer comes on the stream', async () => {
    const { world } = await setUp()
    const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
    const headers = { Authorization: `Bearer ${world.view.addToken(instance).token}` }
    const opened = Promise.withResolvers<ServerResponse>()
    upstream.answer = (req, res) => {
      if (req.method !== 'GET') return void res.writeHead(202).end()
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('event: endpoint\ndata: /message?s=1\n\n')
      opened.resolve(res)
    }
    const stream = await openStream(sseUrl(world, instance), { headers })
    const [endpoint] = (await once(stream, 'data')) as [Buffer]
    const [path = ''] = /sse\/\S+/.exec(String(endpoint)) ?? []
    expect(
      (await send(new URL(path, sseUrl(world, instance)).href, { headers, body: JSON.stringify(ping(9)) })).status,
    ).toBe(202)

    const drained = world.gateway.drain()
    const answer = `data: ${JSON.stringify(resultFor(JSON.stringify(ping(9))))}\n\n`
    ;(await opened.promise).end(answer)
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe(answer)
    await drained
  })

  test('what does not end in time is ended', async () => {
    const { world, url, token } = await setUp({ limits: { drainMs: 50 } })
    upstream.answer = () => {}
    const hanging = post(url, token, ping('h'))
    await expect.poll(() => world.gateway.openCount()).toBe(1)
    await world.gateway.drain()
    const answer = await hanging
    expect([answer.status, codeOf(answer)]).toEqual([503, 'gateway_busy'])
  })
})

describe('metrics', () => {
  test('tell latency by instance and status, open streams, the snapshot’s age, the lag of changes, dropped rows', async () => {
    const metrics = new Registry()
    const { world, url, token, instance, credential } = await setUp({ metrics })
    expect((await post(url, token, ping())).status).toBe(200)
    await world.gateway.waitFor(world.view.changeToken(credential.hash, { enabled: false }), 5_000)
    expect((await post(url, token, ping())).status).toBe(403)
    await world.gateway.waitFor(world.view.changeToken(credential.hash, { enabled: true }), 5_000)
    streamUntil(Promise.withResolvers<void>().promise)
    const stream = await openStream(url, { headers: { Authorization: `Bearer ${token}` } })
    const text = await metrics.metrics()
    const value = (line: string) =>
      Number(
        text
          .split('\n')
          .find((row) => row.startsWith(`${line} `))
          ?.split(' ')[1],
      )
    const count = (status: number) =>
      value(`toolferry_gateway_request_seconds_count{instance="${instance.id}",status="${status}"}`)
    expect([count(200), count(403)]).toEqual([1, 1])
    expect(value('toolferry_gateway_open_streams')).toBe(1)
    expect(value('toolferry_gateway_open_requests')).toBe(1)
    expect(value('toolferry_gateway_credentials')).toBe(1)
    expect(value('toolferry_gateway_snapshot_age_seconds')).toBeLessThan(30)
    expect(value('toolferry_gateway_revocation_lag_seconds_count')).toBeGreaterThanOrEqual(2)
    expect(value('toolferry_gateway_journal_dropped_total')).toBe(0)
    expect(text).not.toContain(token)
    stream.destroy()
  })
})

describe('names under which it is called', () => {
  test('where no token is asked, a page that rebinds DNS to loopback is refused by its Host; a token needs no such guess', async () => {
    const { world, token, url } = await setUp()
    const open = world.view.addInstance({ url: upstream.url, accessMode: 'anonymous' })
    await world.gateway.waitFor(world.view.revision, 5_000)
    const ask = (target: string, host: string, headers: Record<string, string> = {}) =>
      send(target, {
        headers: { Host: host, 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(ping()),
      })
    const { port } = new URL(world.origin)
    const openUrl = mcpUrl(world, open)
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, 'mcp.example.com']) {
      expect((await ask(openUrl, host)).status, host).toBe(200)
    }
    const rebound = await ask(openUrl, `evil.example:${port}`)
    expect([rebound.status, codeOf(rebound)]).toEqual([403, 'host_refused'])
    expect((await ask(url, 'host.docker.internal:8080', { Authorization: `Bearer ${token}` })).status).toBe(200)
    for (const [origin, status] of [
      [`http://localhost:${port}`, 200],
      [`http://[::1]:${port}`, 200],
      [`https://localhost:${port}`, 403],
      ['http://localhost:1', 403],
      [`http://localhost:${port}/`, 403],
      ['null', 403],
    ] as const) {
      expect((await ask(openUrl, `localhost:${port}`, { Origin: origin })).status, origin).toBe(status)
    }
  })
})

describe('100,000 tokens', () => {
  test('are loaded in seconds and stay below 300 MB', async () => {
    const { world } = await setUp()
    const second = await createWorld({ view: world.view, sealingKey: Buffer.alloc(32, 9) })
    await second.close()
    globalThis.gc?.()
    const beforeBytes = process.memoryUsage().heapUsed
    const rows = Array.from({ length: 100_000 }, (_, index) => ({
      tokenId: `00000000-0000-7000-8000-${String(index).padStart(12, '0')}`,
      hash: index.toString(16).padStart(64, '0'),
      instanceId: `00000000-0000-7000-8000-${String(index % 1000).padStart(12, '0')}`,
      bindingId: `00000000-0000-7000-8001-${String(index).padStart(12, '0')}`,
      enabled: true,
      bindingExpiresAt: null,
      tokenExpiresAt: null,
      state: 'active' as const,
      passThroughHeaders: { 'X-Tenant': `tenant-${index}` },
      toolAllowList: null,
      revision: 1,
    }))
    for (const row of rows) world.view.credentials.set(row.hash, row)
    const started = performance.now()
    const loaded = await createWorld({ view: world.view })
    worlds.push(loaded)
    const startMs = performance.now() - started
    const heldMb = (process.memoryUsage().heapUsed - beforeBytes) / 1e6
    console.log(
      `100,000 tokens: gateway started in ${startMs.toFixed(0)} ms, ${heldMb.toFixed(0)} MB of heap with their rows`,
    )
    expect(heldMb).toBeLessThan(300)
    expect(loaded.gateway.ready()).toBe(true)
  })
})
