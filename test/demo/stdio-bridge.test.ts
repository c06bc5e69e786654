import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CallRefused, openAsDify } from '../../demo/dify/mcp-call.ts'
import { type StdioBridge, startStdioBridge } from '../../demo/stdio-bridge.ts'

let dir: string
let bridge: StdioBridge

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'toolferry-bridge-'))
  const memory = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-memory/dist/index.js'))
  bridge = await startStdioBridge(
    { command: process.execPath, args: [memory], env: { MEMORY_FILE_PATH: join(dir, 'memory.jsonl') } },
    0,
  )
})

afterAll(async () => {
  await bridge.close()
  await rm(dir, { recursive: true, force: true })
})

test('the official client lists and calls the tools of a stdio server over Streamable HTTP', async () => {
  const client = new Client({ name: 'test', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(bridge.url))
  await client.connect(transport)
  const { tools } = await client.listTools()
  expect(tools.map((tool) => tool.name)).toContain('create_entities')
  const made = await client.callTool({
    name: 'create_entities',
    arguments: { entities: [{ name: 'Ferry', entityType: 'ship', observations: ['floats'] }] },
  })
  expect(JSON.stringify(made)).toContain('Ferry')
  await transport.terminateSession()
  await client.close()
})

test('a client that behaves like Dify shares what the server remembers, in a session of its own', async () => {
  const session = await openAsDify(bridge.url, {})
  expect(session.serverName).toBe('memory-server')
  expect(await session.listTools()).toContain('read_graph')
  const entity = { name: 'Harbour', entityType: 'place', observations: ['has cranes'] }
  await session.callTool('create_entities', { entities: [entity] })
  await session.close()

  const later = await openAsDify(bridge.url, {})
  expect(await later.callTool('search_nodes', { query: 'cranes' })).toContain('Harbour')
  await later.close()
})

test('a request that opens no session leaves none, and an unknown session is 404', async () => {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} })
  const early = await fetch(bridge.url, { method: 'POST', headers, body })
  expect(early.status).toBe(400)
  const unknown = await fetch(bridge.url, { method: 'POST', headers: { ...headers, 'mcp-session-id': 'none' }, body })
  expect(unknown.status).toBe(404)
  await expect(openAsDify(bridge.url.replace(/mcp$/, 'other/mcp'), {})).rejects.toThrow(CallRefused)
})
