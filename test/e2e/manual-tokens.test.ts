import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mintToken } from '../../src/domain/token.ts'
import { openStream, ping, post } from '../gateway/world.ts'
import { type RunningServer, startEverything } from '../support/mcp-servers.ts'
import type { Product } from '../support/product.ts'
import { connectSdkClient } from '../support/sdk-clients.ts'
import { SHAPES } from '../support/shapes.ts'

/** A token that an admin makes by hand, from the API through a real gateway to a real MCP server, and its end. */

type Made = {
  id: string
  token: string
  rowVersion: number
  clientConfig: { mcpServers: Record<string, { url: string; headers: Record<string, string> }> }
}
type Changed = { id: string; rowVersion: number; effective: boolean }
type Entry = { tokenId: string | null; tokenName: string | null; toolName: string | null; errorCode: string | null }

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
}

describe.each(SHAPES)('%s', (_shape, start) => {
  let product: Product
  let server: RunningServer
  let instanceId: string
  let path: string
  beforeAll(async () => {
    ;[server, product] = await Promise.all([startEverything('streamableHttp'), start()])
    const instance = { name: 'Everything', transport: 'streamable-http', url: server.url }
    instanceId = (await product.must<{ id: string }>(201, 'POST', '/instances', instance)).id
    path = `/instances/${instanceId}/tokens`
  })
  afterAll(async () => {
    await product?.stop()
    await server?.stop()
  })

  /** By each gateway, asked by itself. */
  const everywhere = (token: string) => Promise.all(product.gatewayOrigins.map((origin) => refusalOf(token, origin)))
  /** Every gateway goes by it when it is answered. */
  async function change(token: { id: string; rowVersion: number }, what: object): Promise<Changed> {
    const { status, body } = await product.call<Changed>('PATCH', `${path}/${token.id}`, what, ifMatch(token))
    expect([status, body.effective]).toEqual([200, true])
    return body
  }

  const made: Made[] = []
  async function make(body: object): Promise<Made> {
    const token = await product.must<Made>(201, 'POST', path, body)
    made.push(token)
    return token
  }

  const gatewayUrl = (origin = product.origin, id = instanceId) => `${origin}/mcp-gateway/${id}/mcp`
  /** How the gateway refuses a call with that token; null when it lets it through, whatever the server says to a call without a session. */
  async function refusalOf(token: string, origin = product.origin, id = instanceId): Promise<[number, string] | null> {
    const answer = await post(gatewayUrl(origin, id), token, ping())
    const { error } = answer.json() as { error?: { data?: { code?: string } } }
    return error?.data?.code === undefined ? null : [answer.status, error.data.code]
  }

  async function entries(): Promise<Entry[]> {
    return (await product.must<{ items: Entry[] }>(200, 'GET', `/gateway/logs?instanceId=${instanceId}`)).items
  }

  it('calls tools by the configuration that its answer gave; ended, it is refused and its open stream ends', async () => {
    const { id, token, clientConfig } = await make({ name: 'My Cursor' })
    const { url, headers } = clientConfig.mcpServers.Everything ?? { url: '', headers: {} }
    expect([url, headers]).toEqual([gatewayUrl(), { Authorization: `Bearer ${token}` }])
    const client = await connectSdkClient('2.x', 'streamable-http', url, token)
    expect(await client.call('echo', { message: 'by hand' })).toBe('Echo: by hand')
    const opened = await post(url, token, INITIALIZE)
    const session = String(opened.headers['mcp-session-id'])
    const stream = await openStream(url, {
      headers: { ...headers, Accept: 'text/event-stream', 'Mcp-Session-Id': session },
    })
    expect([opened.status, stream.statusCode, stream.headers['content-type']]).toEqual([200, 200, 'text/event-stream'])
    let isOpen = true
    const ended = new Promise<void>((resolve) => {
      // It may be cut instead of ended.
      stream.on('error', () => undefined)
      stream.once('close', () => {
        isOpen = false
        resolve()
      })
    })
    stream.resume()
    expect(await client.call('echo', { message: 'meanwhile' })).toBe('Echo: meanwhile')
    expect(isOpen).toBe(true)

    expect(await product.must(200, 'DELETE', `${path}/${id}`)).toEqual({ effective: true })
    expect(await everywhere(token)).toEqual(product.gatewayOrigins.map(() => [401, 'credential_revoked']))
    await ended
    await client.close()
    expect((await product.call('GET', path)).body).toEqual({ items: [], nextCursor: null })
    await expect
      .poll(async () => (await entries()).map(({ tokenName, toolName, errorCode }) => [tokenName, toolName, errorCode]))
      .toEqual(
        expect.arrayContaining([
          ['My Cursor', 'echo', null],
          ['My Cursor', null, 'credential_revoked'],
        ]),
      )
  })

  it('is good at its own server alone, until its end; a later end makes it good again', async () => {
    const { id } = await product.must<{ id: string }>(201, 'POST', '/instances', { name: 'Other', url: server.url })
    const token = await make({ name: 'CI', expiresIn: '7d' })
    expect(await everywhere(token.token)).toEqual(product.gatewayOrigins.map(() => null))
    const elsewhere = product.gatewayOrigins.map((origin) => () => refusalOf(token.token, origin, id))
    for (const refusal of elsewhere) await expect.poll(refusal).toEqual([403, 'wrong_instance'])

    const soon = await change(token, { expiresAt: new Date(Date.now() + 5_000).toISOString() })
    const expired = product.gatewayOrigins.map(() => [403, 'credential_expired'])
    await expect.poll(() => everywhere(token.token), { timeout: 30_000 }).toEqual(expired)
    await change(soon, { expiresIn: '30d' })
    expect(await everywhere(token.token)).toEqual(product.gatewayOrigins.map(() => null))
    const client = await connectSdkClient('1.x', 'streamable-http', gatewayUrl(), token.token)
    expect(await client.call('echo', { message: 'again' })).toBe('Echo: again')
    await client.close()
  })

  it('has the limits of its instance to itself', async () => {
    const [one, other] = [await make({ name: 'one' }), await make({ name: 'other' })]
    const instance = await product.must<{ rowVersion: number }>(200, 'GET', `/instances/${instanceId}`)
    const limits = { requestsPerSecond: 1 }
    expect((await product.call('PATCH', `/instances/${instanceId}`, { limits }, ifMatch(instance))).status).toBe(200)
    for (const origin of product.gatewayOrigins) {
      await expect.poll(() => refusalOf(one.token, origin)).toEqual([429, 'rate_limited'])
      expect(await refusalOf(other.token, origin)).toBeNull()
    }
  })

  it('is nowhere but in the answer that made it', async () => {
    const own = await make({ name: 'Told nowhere' })
    await refusalOf(own.token)
    const told = product.answers().filter((text) => !text.startsWith(`POST ${path} 201`))
    const [audit, logs] = await Promise.all([
      product.call('GET', '/audit?limit=200'),
      product.call('GET', '/gateway/logs?limit=200'),
    ])
    const text = [...told, audit.text, logs.text, product.output()].join('\n')
    expect(text).toContain(own.id)
    for (const { token } of made) expect(text).not.toContain(token)
    expect(await refusalOf(mintToken('tfg'))).toEqual([401, 'credential_unknown'])
  })
})

function ifMatch({ rowVersion }: { rowVersion: number }): Record<string, string> {
  return { 'if-match': `"${rowVersion}"` }
}
