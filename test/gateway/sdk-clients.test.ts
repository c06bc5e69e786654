import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REFERENCE_NAME, startReferenceServer } from '../../conformance/reference-server.ts'
import { connectSdkClient, SDK_CLIENTS, type SdkGeneration, type SdkTransport } from '../support/sdk-clients.ts'
import { type SessionServer, startSessionServer } from '../support/session-mcp-server.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import type { World } from './world.ts'
import { createWorld, mcpUrl, ping, post, sseUrl } from './world.ts'

/** The MCP project's TypeScript clients, 1.x and 2.x, over their transports, through the gateway. */

let world: World
let server: SessionServer

beforeAll(async () => {
  ;[world, server] = await Promise.all([createWorld(), startSessionServer()])
})
afterAll(async () => {
  await world?.close()
  await server?.stop()
})

function makeCaller(transport: SdkTransport, upstreamUrl?: string) {
  const isSse = transport === 'sse'
  const instance = world.view.addInstance({ url: upstreamUrl ?? (isSse ? server.sseUrl : server.url), transport })
  const { token, credential } = world.view.addToken(instance)
  return { instance, token, credential, url: isSse ? sseUrl(world, instance) : mcpUrl(world, instance) }
}

async function connect(generation: SdkGeneration, transport: SdkTransport) {
  const { url, token } = makeCaller(transport)
  return await connectSdkClient(generation, transport, url, token)
}

describe.each(SDK_CLIENTS)('the %s client over %s', (generation, transport) => {
  test('says hello, lists, calls, and hears of progress', async () => {
    const client = await connect(generation, transport)
    expect(client.serverName).toBe('sessions')
    expect(await client.tools()).toEqual(['echo', 'steps', 'wait', 'log', 'ask_model', 'ask_user'])
    expect(await client.call('echo', { text: 'grüße' })).toBe('echo: grüße')
    const seen: number[] = []
    const call = client.call('steps', { count: 3 }, { onprogress: ({ progress }) => seen.push(progress) })
    for (let step = 0; step < 3; step++) server.advance()
    await expect.poll(() => seen).toEqual([1, 2, 3])
    server.advance()
    expect(await call).toBe('3 steps')
    await client.close()
  })

  test('gives a call up, and the server hears it', async () => {
    const client = await connect(generation, transport)
    const before = server.cancelled()
    const leave = new AbortController()
    const call = client.call('wait', {}, { signal: leave.signal })
    await expect.poll(() => server.waiting()).toBe(1)
    leave.abort('enough')
    await expect(call).rejects.toThrow('enough')
    await expect.poll(() => server.cancelled()).toBe(before + 1)
    expect(await client.call('echo', { text: 'after' })).toBe('echo: after')
    await client.close()
  })

  test('answers for its model and its user in mid-call', async () => {
    const client = await connect(generation, transport)
    expect(await client.call('ask_model', { prompt: 'six times seven?' })).toContain('forty-two')
    expect(await client.call('ask_user', { question: 'your name?' })).toBe('the user answers accept {"name":"Ada"}')
    await client.close()
  })

  test('gets the log lines of the level that it asked for', async () => {
    const client = await connect(generation, transport)
    await client.setLogLevel('error')
    await client.call('log')
    await expect.poll(() => client.logs).toEqual(['a line of error'])
    await client.setLogLevel('debug')
    await client.call('log')
    await expect.poll(() => client.logs.slice(1)).toEqual(['a line of debug', 'a line of info', 'a line of error'])
    await client.close()
  })
})

/** What many put in front: it serves the gateway below `/base`, takes that off, and answers 404 to everything else. */
async function startStrippingProxy(world: World): Promise<{ base: string; stop: () => void }> {
  const proxy = createServer((req, res) => {
    const { url = '', method, headers } = req
    if (!url.startsWith('/base/')) return void res.writeHead(404).end()
    const onward = request(`${world.origin}${url.slice('/base'.length)}`, { method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      res.flushHeaders()
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  })
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve))
  return {
    base: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/base`,
    stop: () => {
      proxy.close()
      proxy.closeAllConnections()
    },
  }
}

describe.each(['1.x', '2.x'] as const)('the %s client over HTTP+SSE', (generation) => {
  test.each(['', '?from=a-platform'])('posts below the path of the gateway’s URL (query: “%s”)', async (query) => {
    const below = await createWorld({ belowPath: true })
    const instance = below.view.addInstance({ url: server.sseUrl, transport: 'sse' })
    const { token } = below.view.addToken(instance)
    const proxy = await startStrippingProxy(below)
    const url = `${proxy.base}${new URL(sseUrl(below, instance)).pathname}${query}`
    const client = await connectSdkClient(generation, 'sse', url, token)
    expect(await client.call('echo', { text: 'grüße' })).toBe('echo: grüße')
    await client.close()
    proxy.stop()
    await below.close()
  })
})

describe.each(['1.x', '2.x'] as const)('the %s client over Streamable HTTP', (generation) => {
  test('ends its session, which is gone then, here and at the server', async () => {
    const { url, token } = makeCaller('streamable-http')
    const client = await connectSdkClient(generation, 'streamable-http', url, token)
    await client.call('echo', { text: 'x' })
    const session = client.sessionId() ?? ''
    expect(session).toMatch(/^[\w-]{60,}$/)
    const before = server.sessions()
    await client.endSession()
    expect(server.sessions()).toBe(before - 1)
    expect((await post(url, token, ping(), { 'mcp-session-id': session })).status).toBe(404)
    await client.close()
  })

  test.each(['client and gateway', 'gateway and server'])(
    'is cut off in mid-stream between %s, comes again with Last-Event-ID, and gets every event exactly once',
    async (between) => {
      const mine = `?${generation}-${between.length}`
      const near = await startTcpProxy({ host: '127.0.0.1', port: Number(new URL(world.origin).port) })
      const far = await startTcpProxy({ host: '127.0.0.1', port: Number(new URL(server.url).port) })
      const { url, token, instance } = makeCaller(
        'streamable-http',
        `${server.url.replace(/:\d+\//, `:${far.port}/`)}${mine}`,
      )
      const broken = between === 'client and gateway' ? near : far
      const client = await connectSdkClient(
        generation,
        'streamable-http',
        url.replace(/:\d+\//, `:${near.port}/`),
        token,
      )
      // Its own stream for what is outside of any call stands.
      await expect.poll(() => server.streams(mine)).toBe(1)
      await server.notice('before')
      await expect.poll(() => client.logs).toEqual(['before'])

      const seen: number[] = []
      const resumedBefore = server.resumed.length
      const call = client.call('steps', { count: 6 }, { onprogress: ({ progress }) => seen.push(progress) })
      server.advance()
      server.advance()
      await expect.poll(() => seen).toEqual([1, 2])
      await broken.refuse()
      // These happen while nobody listens: the server keeps them.
      const missed = () => JSON.stringify(server.stored())
      server.advance()
      server.advance()
      await server.notice(`while away ${instance.id}`)
      await expect.poll(() => missed()).toContain(`while away ${instance.id}`)
      await expect.poll(() => seen).toEqual([1, 2])
      await broken.restore()
      await expect.poll(() => seen, { timeout: 60_000 }).toEqual([1, 2, 3, 4])
      server.advance()
      server.advance()
      await expect.poll(() => seen).toEqual([1, 2, 3, 4, 5, 6])
      server.advance()
      expect(await call).toBe('6 steps')
      await expect.poll(() => client.logs.length, { timeout: 60_000 }).toBe(8)
      await server.notice('after')
      await expect.poll(() => client.logs.length, { timeout: 60_000 }).toBe(9)
      expect(seen).toEqual([1, 2, 3, 4, 5, 6])
      // Two streams, so no one order of all; but each once, and each stream in its own order.
      const steps = client.logs.filter((line) => String(line).startsWith('step'))
      const notices = client.logs.filter((line) => !String(line).startsWith('step'))
      expect(steps).toEqual([1, 2, 3, 4, 5, 6].map((step) => `step ${step}`))
      expect(notices).toEqual(['before', `while away ${instance.id}`, 'after'])
      expect(server.resumed.length).toBeGreaterThanOrEqual(resumedBefore + 2)
      await client.close()
      await Promise.all([near.stop(), far.stop()])
    },
  )
})

describe('the 2.x client in the stateless protocol of 2026-07-28', () => {
  test('says hello, lists, calls, hears of progress, and answers for its model and its user in rounds', async () => {
    const reference = await startReferenceServer()
    const { url, token } = makeCaller('streamable-http', `http://localhost:${reference.port}/mcp`)
    const client = new Client(
      { name: 'test', version: '1.0.0' },
      { capabilities: { sampling: {}, elicitation: {} }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    )
    client.setRequestHandler('sampling/createMessage', async () => ({
      model: 'm',
      role: 'assistant',
      content: { type: 'text', text: 'Paris' },
    }))
    client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { name: 'Ada' } }))
    const requestInit = { headers: { Authorization: `Bearer ${token}` } }
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }))
    expect(client.getServerVersion()?.name).toBe(REFERENCE_NAME)
    const tool = (word: string) => `test_input_required_result_${word}`
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain(tool('elicitation'))
    const seen: number[] = []
    const onprogress = ({ progress }: { progress: number }) => void seen.push(progress)
    await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, { onprogress })
    expect(seen).toEqual([0, 50, 100])
    const text = async (name: string) => {
      const { content } = await client.callTool({ name, arguments: {} })
      return content
    }
    expect(await text(tool('elicitation'))).toEqual([{ type: 'text', text: 'Hello, Ada!' }])
    expect(await text(tool('sampling'))).toEqual([{ type: 'text', text: 'Paris' }])
    await client.close()
    await reference.stop()
  })
})
