import type { IncomingMessage } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSubjectSeal } from '../../src/gateway/session.ts'
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

let world: World
let upstream: Upstream

beforeAll(async () => {
  ;[world, upstream] = await Promise.all([createWorld(), createUpstream()])
})
afterAll(() => Promise.all([world?.close(), upstream?.close()]))
beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (_req, res, body) => answerJson(res, resultFor(body), { 'mcp-session-id': 'upstream-session-1' })
})

async function openSession(url: string, token: string | null): Promise<string> {
  const answer = await post(url, token, ping())
  const session = answer.headers['mcp-session-id']
  if (typeof session !== 'string') throw new Error('no session')
  return session
}

describe('a session', () => {
  it('is the upstream’s inside and sealed outside, the same text every time', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const session = await openSession(mcpUrl(world, instance), token)
    expect(session).not.toContain('upstream-session-1')
    const again = await post(mcpUrl(world, instance), token, ping(), { 'mcp-session-id': session })
    expect(again.headers['mcp-session-id']).toBe(session)
    expect(await openSession(mcpUrl(world, instance), token)).toBe(session)
    expect(upstream.requests.map(({ headers }) => headers['mcp-session-id'])).toEqual([
      undefined,
      'upstream-session-1',
      undefined,
    ])
  })

  it('is 404 for any other subject, and the upstream hears nothing', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const other = world.view.addInstance({ url: upstream.url })
    const owner = world.view.addToken(instance)
    const thieves: [{ id: string }, string][] = [
      [instance, world.view.addToken(instance).token],
      [instance, world.view.addToken(instance, { bindingId: null }).token],
      [other, world.view.addToken(other, { bindingId: owner.credential.bindingId }).token],
    ]
    const session = await openSession(mcpUrl(world, instance), owner.token)
    upstream.requests.length = 0
    for (const [target, token] of thieves) {
      for (const method of ['POST', 'GET', 'DELETE']) {
        const headers = { Authorization: token, 'mcp-session-id': session }
        const body = method === 'POST' ? { body: JSON.stringify(ping('mine')) } : {}
        const answer = await send(mcpUrl(world, target), { method, headers, ...body })
        expect([answer.status, codeOf(answer)]).toEqual([404, 'session_unknown'])
      }
    }
    for (const made of ['upstream-session-1', `${session}A`, session.slice(0, -1), `x${session.slice(1)}`]) {
      const answer = await post(mcpUrl(world, instance), owner.token, ping(), { 'mcp-session-id': made })
      expect([made, answer.status]).toEqual([made, 404])
    }
    expect(upstream.requests).toHaveLength(0)
  })

  it('survives the rotation of its binding’s token, and another replica, but not another key', async () => {
    const instance = world.view.addInstance({ url: upstream.url })
    const old = world.view.addToken(instance)
    const session = await openSession(mcpUrl(world, instance), old.token)
    const { bindingId } = old.credential
    const fresh = world.view.addToken(instance, { bindingId })
    world.view.changeToken(old.credential.hash, { state: 'revoked' })
    const headers = { 'mcp-session-id': session }
    expect((await post(mcpUrl(world, instance), fresh.token, ping(), headers)).status).toBe(200)
    expect((await post(mcpUrl(world, instance), old.token, ping(), headers)).status).toBe(401)
    const replica = await createWorld({ view: world.view })
    const stranger = await createWorld({ view: world.view, sealingKey: Buffer.alloc(32, 8) })
    expect((await post(mcpUrl(replica, instance), fresh.token, ping(), headers)).status).toBe(200)
    expect((await post(mcpUrl(stranger, instance), fresh.token, ping(), headers)).status).toBe(404)
    await Promise.all([replica.close(), stranger.close()])
  })

  it('of anonymous callers belongs to them alone', async () => {
    const instance = world.view.addInstance({ url: upstream.url, accessMode: 'anonymous' })
    const { token } = world.view.addToken(instance)
    const session = await openSession(mcpUrl(world, instance), null)
    const headers = { 'mcp-session-id': session }
    expect((await post(mcpUrl(world, instance), null, ping(), headers)).status).toBe(200)
    expect((await post(mcpUrl(world, instance), token, ping(), headers)).status).toBe(404)
  })
})

describe('an HTTP+SSE endpoint', () => {
  /** Reads the stream until its endpoint event is whole. */
  async function endpointOf(stream: IncomingMessage): Promise<string> {
    let text = ''
    const found = Promise.withResolvers<void>()
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (/\ndata: .*\n\n/.test(`\n${text}`)) found.resolve()
    })
    await found.promise
    return /data: (.*)\n/.exec(text)?.[1] ?? ''
  }

  const streamOf = (data: string) => {
    upstream.answer = (req, res) => {
      if (req.method !== 'GET') return void res.writeHead(202).end('Accepted')
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(`: hello\n\nevent: endpoint\r\nda`)
      res.write(`ta: ${data}\r\n\r\n`)
    }
  }

  it.each(['/message?sessionId=only-upstream', 'message?sessionId=only-upstream', 'ABSOLUTE'])(
    'is rewritten and bound to its subject (%s)',
    async (given) => {
      streamOf(given === 'ABSOLUTE' ? `${upstream.origin}/message?sessionId=only-upstream` : given)
      const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
      const owner = world.view.addToken(instance)
      const thief = world.view.addToken(instance)
      const stream = await openStream(sseUrl(world, instance), { headers: { Authorization: owner.token } })
      const told = await endpointOf(stream)
      expect(told).toMatch(new RegExp(`^/mcp-gateway/${instance.id}/sse/[\\w-]+$`))
      expect(told).not.toContain('only-upstream')
      const endpoint = new URL(told, sseUrl(world, instance)).href
      upstream.requests.length = 0
      const stolen = await post(endpoint, thief.token, ping('t'))
      expect([stolen.status, codeOf(stolen)]).toEqual([404, 'endpoint_unknown'])
      expect((await post(`${endpoint}x`, owner.token, ping())).status).toBe(404)
      expect(upstream.requests).toHaveLength(0)
      const fresh = world.view.addToken(instance, { bindingId: owner.credential.bindingId })
      for (const token of [owner.token, fresh.token]) {
        expect(await post(endpoint, token, ping())).toMatchObject({ status: 202, body: '' })
      }
      expect(upstream.requests.map(({ target }) => target)).toEqual([
        '/message?sessionId=only-upstream',
        '/message?sessionId=only-upstream',
      ])
      stream.destroy()
    },
  )

  it.each(['http://evil.example/message', '//evil.example/message', 'http://127.0.0.1:1/message', 'http://['])(
    'on another origin is 502 (%s)',
    async (data) => {
      streamOf(data)
      const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
      const { token } = world.view.addToken(instance)
      const answer = await send(sseUrl(world, instance), { headers: { Authorization: token } })
      expect([answer.status, codeOf(answer)]).toEqual([502, 'upstream_endpoint'])
    },
  )

  it('that comes later and leads elsewhere ends the stream', async () => {
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('event: endpoint\ndata: /message\n\n')
      res.write('data: http://evil.example/m\nevent: endpoint\n\n')
    }
    const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
    const { token } = world.view.addToken(instance)
    const answer = await send(sseUrl(world, instance), { headers: { Authorization: token } })
    expect(answer.body).not.toContain('evil')
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry.errorCode).toBe('upstream_endpoint')
  })

  it('that never comes is 504, and an end before it 502', async () => {
    const hasty = await createWorld({ limits: { headersTimeoutMs: 50 }, view: world.view })
    const instance = world.view.addInstance({ url: `${upstream.origin}/sse`, transport: 'sse' })
    const { token } = world.view.addToken(instance)
    upstream.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(': nothing yet\n\n')
    }
    const late = await send(sseUrl(hasty, instance), { headers: { Authorization: token } })
    expect([late.status, codeOf(late)]).toEqual([504, 'upstream_timeout'])
    upstream.answer = (_req, res) => res.writeHead(200, { 'content-type': 'text/event-stream' }).end(': bye\n\n')
    const ended = await send(sseUrl(hasty, instance), { headers: { Authorization: token } })
    expect([ended.status, codeOf(ended)]).toEqual([502, 'upstream_broken'])
    await hasty.close()
  })
})

describe('the seal', () => {
  const seal = createSubjectSeal(Buffer.alloc(32, 1))
  it('opens only for the same purpose, instance and subject', () => {
    const sealed = seal.seal('session', 'i', 'binding:b', 'geheim ✓')
    expect(seal.open('session', 'i', 'binding:b', sealed)).toBe('geheim ✓')
    expect(seal.open('endpoint', 'i', 'binding:b', sealed)).toBeNull()
    expect(seal.open('session', 'j', 'binding:b', sealed)).toBeNull()
    expect(seal.open('session', 'i', 'token:b', sealed)).toBeNull()
    for (let i = 0; i < sealed.length; i++) {
      const changed = sealed.slice(0, i) + (sealed[i] === 'A' ? 'B' : 'A') + sealed.slice(i + 1)
      expect(seal.open('session', 'i', 'binding:b', changed)).toBeNull()
    }
  })
  it('refuses a short key', () => {
    expect(() => createSubjectSeal(Buffer.alloc(31))).toThrow(RangeError)
  })
})
