import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { selfSigned } from '../support/self-signed.ts'
import { createWorld, mcpUrl, openStream, send, type World } from './world.ts'

let world: World
const pair = selfSigned()
const trusted = getCACertificates('default')
const sockets = new Set<object>()

/** Answers with the body that it got, or as an event stream in two parts, the second one once somebody says so. */
const server = createServer(pair, (req, res) => {
  sockets.add(req.socket)
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const body = Buffer.concat(chunks)
    if (req.method === 'GET') {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
      void more.promise.then(() => res.end('data: 2\n\n'))
    } else {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': String(body.length) })
      res.end(body)
    }
  })
})
const more = Promise.withResolvers<void>()

beforeAll(async () => {
  setDefaultCACertificates([...trusted, pair.cert.toString()])
  world = await createWorld()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(async () => {
  setDefaultCACertificates(trusted)
  await world?.close()
  server.closeAllConnections()
  server.close()
})

function ready() {
  const { port } = server.address() as AddressInfo
  const instance = world.view.addInstance({ url: `https://localhost:${port}/mcp` })
  return { url: mcpUrl(world, instance), headers: { Authorization: world.view.addToken(instance).token } }
}

test('an MCP server over TLS answers on a connection that is used again, small and large', async () => {
  const { url, headers } = ready()
  for (const bytes of [10, 70_000, 3_000_000, 10]) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: bytes, method: 'x', params: { text: 'ä'.repeat(bytes) } })
    const answer = await send(url, { headers, body })
    expect([answer.status, answer.body === body]).toEqual([200, true])
  }
  expect(sockets.size).toBe(1)
})

test('events of an MCP server over TLS come as they are sent', async () => {
  const { url, headers } = ready()
  const stream = await openStream(url, { headers })
  const [first] = (await once(stream, 'data')) as [Buffer]
  more.resolve()
  let rest = ''
  for await (const chunk of stream) rest += String(chunk)
  expect([String(first), rest]).toEqual(['data: 1\n\n', 'data: 2\n\n'])
})
