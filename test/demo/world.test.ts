import { createHash, createPublicKey, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Child, startChild, waitUntilReady } from '../../demo/children.ts'
import { type DifyDatabase, openRealDify, startDemoDify } from '../../demo/dify/database.ts'
import { type McpServer, startMcpServers } from '../../demo/mcp-servers.ts'
import { encryptInPython } from './pycryptodome.ts'

let dir: string
let dify: DifyDatabase
let servers: McpServer[]
const children: Child[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'toolferry-world-'))
  dify = await startDemoDify()
  servers = await startMcpServers(dir, (child) => children.push(child))
})

afterAll(async () => {
  await Promise.all(children.map((child) => child.stop()))
  await dify.close()
  await rm(dir, { recursive: true, force: true })
})

test('the demo database lists three workspaces with their owners to a client with its odd password', async () => {
  const rows = await query(
    `SELECT t.name, a.name AS owner, t.encrypt_public_key AS key FROM tenants t
     JOIN tenant_account_joins j ON j.tenant_id = t.id JOIN accounts a ON a.id = j.account_id
     WHERE j.role = 'owner' ORDER BY t.name`,
  )
  expect(rows).toHaveLength(3)
  expect(rows.map((row) => createPublicKey(row.key ?? '').asymmetricKeyDetails?.modulusLength)).toEqual([
    2048, 2048, 2048,
  ])
  expect(rows.map((row) => (row.key ?? '').endsWith('-----END PUBLIC KEY-----'))).toEqual([true, true, true])
})

test.each(['streamable-http', 'sse'] as const)('Dify uses a row over %s, from the row alone', async (transport) => {
  const server = servers.find(
    (candidate) => candidate.name.startsWith('everything') && candidate.transport === transport,
  )
  const providerId = await addProvider(server?.url ?? '')
  const session = await dify.side.connect(workspace().id, providerId)
  expect(await session.listTools()).toHaveLength(server?.toolCount ?? -1)
  expect(await session.callTool('echo', { message: 'grüße' })).toContain('grüße')
  await expect(session.callTool('get-sum', { a: 'not a number' })).rejects.toThrow()
  await session.close()
})

test('a row whose hash belongs to another URL is not used', async () => {
  const providerId = await addProvider('http://127.0.0.1:1/mcp', 'http://127.0.0.1:2/mcp')
  await expect(dify.side.connect(workspace().id, providerId)).rejects.toThrow('server_url_hash')
})

test('a snapshot shows a write that changed no value', async () => {
  const id = await addProvider('http://127.0.0.1:3/mcp')
  const before = await dify.side.snapshot([workspace().id])
  expect(await dify.side.snapshot([workspace().id])).toEqual(before)
  await query('UPDATE tool_mcp_providers SET name = name WHERE id = $1', [id])
  expect(await dify.side.snapshot([workspace().id])).not.toEqual(before)
})

test('a child listens on loopback only, whatever it asks for, and ends when the demo is gone', async () => {
  const script = `const { createServer } = require('node:net')
    const server = createServer().listen(0, () => console.log(JSON.stringify(server.address())))`
  const lines: string[] = []
  const child = startChild({ name: 'listener', args: ['-e', script], onLine: (line) => lines.push(line) })
  children.push(child)
  const firstLine = async () => {
    if (lines.length === 0) throw new Error('no line yet')
  }
  await waitUntilReady(child, firstLine, 20_000)
  expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ address: '127.0.0.1' })
  child.disconnect()
  expect(await child.ended).toBe('signal SIGTERM')
})

test('a child that ends early is named with its last lines', async () => {
  const child = startChild({
    name: 'The broken one',
    args: ['-e', 'console.error("no such luck"); process.exitCode = 3'],
  })
  const never = async () => {
    await child.ended
    throw new Error('not ready')
  }
  await expect(waitUntilReady(child, never, 20_000)).rejects.toThrow(/The broken one.*exit code 3[\s\S]*no such luck/)
})

test('--dify takes percent-encoded URLs and names what is wrong with others', async () => {
  const real = openRealDify('postgres://dify:p%40ss%20word@db.example.com/dify?sslmode=require')
  expect(real.address).toMatchObject({ host: 'db.example.com', port: 5432, password: 'p@ss word', tls: 'require' })
  await real.close()
  expect(() => openRealDify('mysql://root@localhost/dify')).toThrow('--dify needs the form postgres://')
  expect(() => openRealDify('postgres://u@h/d?sslmode=maybe')).toThrow('sslmode')
})

test('the port of a stopped child is free again', async () => {
  const server = servers.find((candidate) => candidate.name === 'memory')
  await server?.child.stop()
  const listener = createServer()
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(Number(new URL(server?.url ?? '').port), '127.0.0.1', resolve)
  })
  await new Promise((resolve) => listener.close(resolve))
})

function workspace() {
  const [first] = dify.workspaces
  if (first === undefined) throw new Error('There is no workspace.')
  return first
}

/** A provider row as Dify's own API writes it, encrypted by PyCryptodome. Answers its id. */
async function addProvider(url: string, hashedUrl = url): Promise<string> {
  const [tenant] = await query('SELECT encrypt_public_key AS key FROM tenants WHERE id = $1', [workspace().id])
  const [encryptedUrl, header] = encryptInPython(tenant?.key ?? '', [url, 'Bearer test'])
  const id = randomUUID()
  await query(
    `INSERT INTO tool_mcp_providers
       (id, name, server_identifier, server_url, server_url_hash, icon, tenant_id, user_id, authed, tools, encrypted_headers)
     VALUES ($1, $2, $3, $4, $5, '{"content":"🔗","background":"#6366F1"}', $6, $7, true, '[]', $8)`,
    [
      id,
      id.slice(0, 30),
      id.slice(0, 20),
      encryptedUrl,
      createHash('sha256').update(hashedUrl).digest('hex'),
      workspace().id,
      randomUUID(),
      JSON.stringify({ Authorization: header }),
    ],
  )
  return id
}

async function query(text: string, values: unknown[] = []): Promise<Record<string, string>[]> {
  const { host, port, user, password, database } = dify.address
  const client = new pg.Client({ host, port, user, password, database })
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}
