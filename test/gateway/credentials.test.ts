import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { mintToken } from '../../src/domain/token.ts'
import type { GatewayCredential } from '../../src/gateway/view.ts'
import type { Upstream, World } from './world.ts'
import { codeOf, createUpstream, createWorld, mcpUrl, ping, post, send, sseUrl } from './world.ts'

let world: World
let upstream: Upstream

beforeAll(async () => {
  ;[world, upstream] = await Promise.all([createWorld(), createUpstream()])
})
afterAll(() => Promise.all([world?.close(), upstream?.close()]))
beforeEach(() => {
  upstream.requests.length = 0
})

const json = { 'Content-Type': 'application/json' }

describe('who may call', () => {
  it.each(['Authorization', 'X-Mcp-Authorization', 'API-Key', 'X-API-Key'])(
    'takes the token from %s, bare or as Bearer',
    async (name) => {
      const instance = world.view.addInstance({ url: upstream.url })
      const { token } = world.view.addToken(instance)
      for (const value of [token, `Bearer ${token}`, `bearer  ${token}`]) {
        const answer = await send(mcpUrl(world, instance), {
          headers: { ...json, [name]: value },
          body: JSON.stringify(ping()),
        })
        expect(answer.status).toBe(200)
      }
      expect(upstream.requests).toHaveLength(3)
      for (const { rawHeaders } of upstream.requests) expect(rawHeaders.join('\n')).not.toContain(token)
    },
  )

  it('takes the first that is there, and never a second one', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const answer = await post(mcpUrl(world, instance), mintToken('tfg'), ping('a'), { 'X-API-Key': token })
    expect(answer.status).toBe(401)
    expect(upstream.requests).toHaveLength(0)
  })

  it('compares tokens exactly', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, { token: 'Correct-Horse-Battery-9' })
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
    for (const other of [token.toLowerCase(), `${token}.`, token.slice(0, -1), `${token}%20`]) {
      expect((await post(mcpUrl(world, instance), other, ping())).status).toBe(401)
    }
  })

  it('takes no token from the query', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const answer = await post(`${mcpUrl(world, instance)}?token=${token}`, null, ping())
    expect([answer.status, codeOf(answer)]).toEqual([401, 'credential_missing'])
  })

  it('never sends a client to OAuth', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    for (const token of [null, mintToken('tfg'), 'tfg_mistyped', 'x'.repeat(5000)]) {
      const answer = await post(mcpUrl(world, instance), token, ping(42))
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toBeUndefined()
      expect(answer.body).not.toContain('resource_metadata')
      expect(answer.json()).toMatchObject({ jsonrpc: '2.0', id: 42 })
    }
    for (const path of ['oauth-authorization-server', 'oauth-protected-resource/mcp-gateway/x/mcp']) {
      expect((await send(`${world.origin}/.well-known/${path}`)).status).toBe(404)
    }
  })

  const day = 86_400_000
  it.each<[string, Partial<GatewayCredential>, number, string]>([
    ['a revoked token', { state: 'revoked' }, 401, 'credential_revoked'],
    ['a retiring token', { state: 'retiring' }, 200, ''],
    ['a disabled binding', { enabled: false }, 403, 'binding_disabled'],
    ['an expired binding', { bindingExpiresAt: new Date(Date.UTC(2026, 0, 1)) }, 403, 'binding_expired'],
    ['an expired token', { tokenExpiresAt: new Date(Date.UTC(2026, 0, 1) - day) }, 403, 'credential_expired'],
    ['a token that expires later', { tokenExpiresAt: new Date(Date.UTC(2026, 0, 1) + day) }, 200, ''],
    ['a token of another instance', { instanceId: newId() }, 403, 'wrong_instance'],
  ])('judges %s', async (_what, fields, status, code) => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance, fields)
    const answer = await post(mcpUrl(world, instance), token, ping('own-id'))
    expect(answer.status).toBe(status)
    expect(answer.json()).toMatchObject({ id: 'own-id' })
    if (code !== '') expect(codeOf(answer)).toBe(code)
    expect(upstream.requests).toHaveLength(status === 200 ? 1 : 0)
  })

  it.each(['inactive', 'removing'] as const)('refuses an instance that is %s', async (status) => {
    const instance = world.view.addInstance({ url: upstream.url, status })
    const { token } = world.view.addToken(instance)
    const answer = await post(mcpUrl(world, instance), token, ping())
    expect([answer.status, codeOf(answer)]).toEqual([403, 'instance_inactive'])
  })

  it('sees an expiry at the very moment, by its own clock', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const end = world.clock.nowMs + 1000
    const { token } = world.view.addToken(instance, { bindingExpiresAt: new Date(end) })
    world.clock.nowMs = end - 1
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(200)
    world.clock.nowMs = end
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(403)
  })

  it('answers a refused batch with one error a request', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const answer = await post(mcpUrl(world, instance), null, [ping(1), { jsonrpc: '2.0', method: 'note' }, ping('b')])
    expect(answer.json()).toMatchObject([{ id: 1 }, { id: 'b' }])
    // Of very many, the errors would be a multiple of what was sent.
    const many = await post(mcpUrl(world, instance), null, Array(1_001).fill({ id: 1 }))
    expect([many.status, many.json()]).toMatchObject([401, [{ id: null }]])
    expect(many.json()).toHaveLength(1)
  })
})

describe('an anonymous instance', () => {
  it('serves callers without a token, and with one that nobody knows', async () => {
    const instance = world.view.addInstance({
      url: upstream.url,
      accessMode: 'anonymous',
      defaultPassThrough: { 'X-Tenant': 'everybody' },
    })
    expect((await post(mcpUrl(world, instance), null, ping())).status).toBe(200)
    expect((await post(mcpUrl(world, instance), 'some-key-of-the-client', ping())).status).toBe(200)
    for (const { headers } of upstream.requests) {
      expect(headers['x-tenant']).toBe('everybody')
      expect(headers.authorization).toBeUndefined()
    }
  })

  it('still judges a token that it knows, and gives its callers the defaults', async () => {
    const instance = world.view.addInstance({
      url: upstream.url,
      accessMode: 'anonymous',
      defaultPassThrough: { 'X-A': 'd' },
    })
    const good = world.view.addToken(instance, { passThroughHeaders: { 'X-A': 'own' } })
    const disabled = world.view.addToken(instance, { enabled: false })
    expect((await post(mcpUrl(world, instance), good.token, ping())).status).toBe(200)
    expect(upstream.requests[0]?.headers['x-a']).toBe('d')
    expect((await post(mcpUrl(world, instance), disabled.token, ping())).status).toBe(403)
  })
})

describe('an instance that forwards Authorization', () => {
  it('takes the token from another header and lets the client’s Authorization through', async () => {
    const instance = world.view.addInstance({ url: upstream.url, forwardAuthorization: true })
    const { token } = world.view.addToken(instance)
    const answer = await post(mcpUrl(world, instance), 'the-users-own', ping(), { 'X-API-Key': token })
    expect(answer.status).toBe(200)
    expect(upstream.requests[0]?.headers.authorization).toBe('Bearer the-users-own')
    expect(upstream.requests[0]?.rawHeaders.join('\n')).not.toContain(token)
  })

  it('does not take the token from Authorization, and never forwards one of ours', async () => {
    const instance = world.view.addInstance({ url: upstream.url, forwardAuthorization: true })
    const { token } = world.view.addToken(instance)
    const custom = world.view.addToken(instance, { token: 'a-custom-token-of-ours-1' })
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(401)
    for (const own of [token, custom.token, mintToken('tfg'), mintToken('tfa')]) {
      expect((await post(mcpUrl(world, instance), own, ping(), { 'X-API-Key': token })).status).toBe(200)
    }
    expect(upstream.requests).toHaveLength(4)
    for (const { headers } of upstream.requests) expect(headers.authorization).toBeUndefined()
  })

  it('tells the client when the upstream refuses its Authorization; otherwise that is the gateway’s trouble', async () => {
    const forwards = world.view.addInstance({ url: upstream.url, forwardAuthorization: true })
    const keeps = world.view.addInstance({ url: upstream.url })
    const first = world.view.addToken(forwards).token
    const second = world.view.addToken(keeps).token
    upstream.answer = (_req, res) =>
      res.writeHead(401, { 'www-authenticate': 'Bearer resource_metadata="https://x"' }).end('{}')
    const refused = await post(mcpUrl(world, forwards), 'users', ping(), { 'X-API-Key': first })
    expect([refused.status, codeOf(refused)]).toEqual([401, 'upstream_refused_caller'])
    expect(refused.headers['www-authenticate']).toBeUndefined()
    const failed = await post(mcpUrl(world, keeps), second, ping())
    expect([failed.status, codeOf(failed)]).toEqual([502, 'upstream_unauthorized'])
  })
})

describe('addresses', () => {
  it('serves one spelling of a path only', async () => {
    const instance = world.view.addInstance({ url: upstream.url, transport: 'streamable-http' })
    const { token } = world.view.addToken(instance)
    const { id } = instance
    const others = [
      '/',
      '/mcp-gateway',
      `/mcp-gateway/${id}`,
      `/mcp-gateway/${id}/`,
      `/mcp-gateway/${id}/mcp/`,
      `/mcp-gateway/${id}/mcp/extra`,
      `/mcp-gateway/${id}/MCP`,
      `/MCP-gateway/${id}/mcp`,
      `/mcp-gateway/${id.toUpperCase()}/mcp`,
      `/mcp-gateway/./${id}/mcp`,
      `/mcp-gateway/x/../${id}/mcp`,
      `//mcp-gateway/${id}/mcp`,
      `/mcp-gateway//${id}/mcp`,
      `/mcp-gateway/${id}/%6dcp`,
      `/mcp-gateway/${id}%2Fmcp`,
      `/mcp-gateway/${id}/mcp;x=1`,
      `/mcp-gateway/${id}/mcp%00`,
      `/mcp-gateway/${id}/mcp#x`,
      `/mcp-gateway/${newId()}/mcp`,
    ]
    for (const path of others) {
      const answer = await post(world.origin + path, token, ping())
      expect([path, answer.status, answer.headers['content-type']]).toEqual([path, 404, 'application/json'])
    }
    expect((await post(`${mcpUrl(world, instance)}?anything=1`, token, ping())).status).not.toBe(404)
  })

  it('serves an instance by its own transport only', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const answer = await send(sseUrl(world, instance), { headers: { Authorization: token } })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'transport_mismatch'])
  })

  it('serves GET, POST and DELETE only', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    for (const method of ['PUT', 'PATCH', 'OPTIONS']) {
      expect((await send(mcpUrl(world, instance), { method, headers: { Authorization: token } })).status).toBe(405)
    }
  })

  it('refuses foreign web origins and takes its own', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    upstream.answer = (_req, res, body) => res.writeHead(200, { 'content-type': 'application/json' }).end(body)
    for (const origin of [
      'https://evil.example',
      'null',
      `${world.origin}.evil.example`,
      'https://mcp.example.com:444',
    ]) {
      const answer = await post(mcpUrl(world, instance), token, ping(), { Origin: origin })
      expect([answer.status, codeOf(answer)]).toEqual([403, 'origin_refused'])
    }
    expect(upstream.requests).toHaveLength(0)
    for (const origin of [world.origin, 'https://mcp.example.com']) {
      expect((await post(mcpUrl(world, instance), token, ping(), { Origin: origin })).status).toBe(200)
    }
    expect(upstream.requests[0]?.headers.origin).toBeUndefined()
  })
})
