import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunningServer } from '../support/mcp-servers.ts'
import { startEverything } from '../support/mcp-servers.ts'
import { startModernServer } from '../support/modern-mcp-server.ts'
import type { World } from './world.ts'
import { createWorld, mcpUrl, ping, post, sseUrl } from './world.ts'

/** The reference servers of the MCP project as processes of their own, its client, and our gateway in between. */

let world: World
let http: RunningServer
let sse: RunningServer

beforeAll(async () => {
  ;[world, http, sse] = await Promise.all([createWorld(), startEverything('streamableHttp'), startEverything('sse')])
})

afterAll(async () => {
  await world?.close()
  await Promise.all([http?.stop(), sse?.stop()])
})

async function connect(transport: StreamableHTTPClientTransport | SSEClientTransport): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' })
  await client.connect(transport)
  return client
}

const authorized = (token: string) => ({ requestInit: { headers: { Authorization: `Bearer ${token}` } } })

describe('a real MCP server through the gateway', () => {
  it('is used over Streamable HTTP: initialize, list, call, stream of events, end of session', async () => {
    const instance = world.view.addInstance({ url: http.url })
    const { token, credential } = world.view.addToken(instance)
    const transport = new StreamableHTTPClientTransport(new URL(mcpUrl(world, instance)), authorized(token))
    const client = await connect(transport)
    expect(client.getServerVersion()?.name).toBe('mcp-servers/everything')
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toContain('echo')
    const result = await client.callTool({ name: 'echo', arguments: { message: 'grüße' } })
    expect(result.content).toEqual([{ type: 'text', text: 'Echo: grüße' }])
    const session = transport.sessionId
    expect(session).toMatch(/^[\w-]{60,}$/)
    await transport.terminateSession()
    await client.close()
    const after = await post(mcpUrl(world, instance), token, ping(), { 'mcp-session-id': String(session) })
    expect(after.status).toBeGreaterThanOrEqual(400)
    const call = await world.journaled((entry) => entry.toolName === 'echo')
    expect(call).toMatchObject({
      instanceId: instance.id,
      bindingId: credential.bindingId,
      status: 200,
      errorCode: null,
    })
    expect(call.method).toBe('tools/call')
    expect(call.requestBytes).toBeGreaterThan(0)
    expect(call.responseBytes).toBeGreaterThan(0)
  })

  it('is used over HTTP+SSE', async () => {
    const instance = world.view.addInstance({ url: sse.url, transport: 'sse' })
    const { token } = world.view.addToken(instance)
    const client = await connect(new SSEClientTransport(new URL(sseUrl(world, instance)), authorized(token)))
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toContain('echo')
    const result = await client.callTool({ name: 'echo', arguments: { message: 'over sse' } })
    expect(result.content).toEqual([{ type: 'text', text: 'Echo: over sse' }])
    await client.close()
    const stream = await world.journaled((entry) => entry.instanceId === instance.id && entry.method === 'GET')
    expect(stream.status).toBe(200)
  })

  it.each(['streamable-http', 'sse'] as const)('shows and calls only allowed tools over %s', async (transport) => {
    const instance = world.view.addInstance({ url: transport === 'sse' ? sse.url : http.url, transport })
    const { token } = world.view.addToken(instance, { toolAllowList: ['echo'] })
    const client = await connect(
      transport === 'sse'
        ? new SSEClientTransport(new URL(sseUrl(world, instance)), authorized(token))
        : new StreamableHTTPClientTransport(new URL(mcpUrl(world, instance)), authorized(token)),
    )
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(['echo'])
    expect((await client.callTool({ name: 'echo', arguments: { message: 'yes' } })).content).toEqual([
      { type: 'text', text: 'Echo: yes' },
    ])
    await expect(client.callTool({ name: 'get-sum', arguments: { a: 1, b: 2 } })).rejects.toThrow(/does not include/)
    await client.close()
  })

  it('works for a client that never sends MCP-Protocol-Version, like Dify', async () => {
    const instance = world.view.addInstance({ url: http.url })
    const { token } = world.view.addToken(instance)
    const url = mcpUrl(world, instance)
    const opened = await post(url, token, {
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'Dify', version: '1.10.0' } },
    })
    expect(opened.status).toBe(200)
    expect(opened.headers['content-type']).toBe('text/event-stream')
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    const noted = await post(url, token, { jsonrpc: '2.0', method: 'notifications/initialized' }, session)
    expect(noted).toMatchObject({ status: 202, body: '' })
    const listed = await post(url, token, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, session)
    expect(listed.body).toContain('"name":"echo"')
  })

  it('passes the stateless protocol of 2026-07-28', async () => {
    const modern = await startModernServer()
    const instance = world.view.addInstance({ url: modern.url })
    const { token } = world.view.addToken(instance)
    const client = new Client(
      { name: 'test', version: '1.0.0' },
      { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    )
    await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl(world, instance)), authorized(token)))
    const result = await client.callTool({ name: 'shout', arguments: { text: 'hello' } })
    expect(result.content).toEqual([{ type: 'text', text: 'HELLO' }])
    await client.close()
    await modern.stop()
  })
})
