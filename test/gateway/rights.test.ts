import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { mintToken } from '../../src/domain/token.ts'
import type { GatewayCredential } from '../../src/gateway/view.ts'
import type { Upstream, World } from './world.ts'
import { answerJson, codeOf, createUpstream, createWorld, mcpUrl, openStream, ping, post, resultFor } from './world.ts'

/** What a running gateway obeys while things change: streams that end, changes that are followed, look-ups that are bounded. */

let world: World
let upstream: Upstream

beforeAll(async () => {
  ;[world, upstream] = await Promise.all([createWorld(), createUpstream()])
})
afterAll(() => Promise.all([world?.close(), upstream?.close()]))
beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (_req, res, body) => answerJson(res, resultFor(body))
})

/** An upstream that opens a stream of events and leaves it open; resolves with its end of it when the upstream is let go. */
function leaveOpen(): Promise<void> {
  const gone = Promise.withResolvers<void>()
  upstream.answer = (req, res) => {
    req.socket.once('close', gone.resolve)
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write('data: 1\n\n')
  }
  return gone.promise
}

async function openEvents(url: string, token: string): Promise<IncomingMessage> {
  const stream = await openStream(url, { headers: { Authorization: token } })
  await once(stream, 'data')
  stream.resume()
  return stream
}

describe('an open stream', () => {
  it.each<[string, Partial<GatewayCredential>]>([
    ['disabled', { enabled: false }],
    ['revoked', { state: 'revoked' }],
    ['expired by a new expiry', { bindingExpiresAt: new Date(0) }],
    ['expired by its token', { tokenExpiresAt: new Date(0) }],
  ])('ends when its token is %s, and so does the upstream’s', async (_what, fields) => {
    const gone = leaveOpen()
    const instance = world.view.addInstance({ url: upstream.url })
    const { token, credential } = world.view.addToken(instance)
    const bystander = world.view.addToken(instance)
    const stream = await openEvents(mcpUrl(world, instance), token)
    const other = await openEvents(mcpUrl(world, instance), bystander.token)
    world.view.changeToken(credential.hash, fields)
    await once(stream, 'end')
    await gone
    expect(other.complete).toBe(false)
    other.destroy()
  })

  it('ends when its instance becomes inactive', async () => {
    leaveOpen()
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const stream = await openEvents(mcpUrl(world, instance), token)
    world.view.changeInstance(instance.id, { status: 'inactive' })
    await once(stream, 'end')
  })

  it('of an anonymous caller ends when tokens become needed', async () => {
    leaveOpen()
    const instance = world.view.addInstance({ url: upstream.url, accessMode: 'anonymous' })
    const stream = await openEvents(mcpUrl(world, instance), 'nobody-knows-this')
    world.view.changeInstance(instance.id, { accessMode: 'token' })
    await once(stream, 'end')
  })

  it('ends when time passes its expiry, with nobody doing anything', async () => {
    leaveOpen()
    const instance = world.view.addInstance({ url: upstream.url })
    const end = world.clock.nowMs + 60_000
    const { token } = world.view.addToken(instance, { bindingExpiresAt: new Date(end) })
    const stream = await openEvents(mcpUrl(world, instance), token)
    world.clock.nowMs = end
    await once(stream, 'end')
    const entry = await world.journaled(({ instanceId }) => instanceId === instance.id)
    expect(entry).toMatchObject({ method: 'GET', status: 200, errorCode: 'binding_expired' })
  })

  it('that has not been answered yet gets its refusal', async () => {
    const asked = Promise.withResolvers<ServerResponse>()
    upstream.answer = (_req, res) => asked.resolve(res)
    const instance = world.view.addInstance({ url: upstream.url })
    const { token, credential } = world.view.addToken(instance)
    const pending = post(mcpUrl(world, instance), token, ping('late'))
    await asked.promise
    world.view.changeToken(credential.hash, { enabled: false })
    const answer = await pending
    expect([answer.status, codeOf(answer)]).toEqual([403, 'binding_disabled'])
    expect(answer.json()).toMatchObject({ id: 'late' })
  })

  it('is over by the time that a change is reported as effective', async () => {
    leaveOpen()
    const instance = world.view.addInstance({ url: upstream.url })
    const { token, credential } = world.view.addToken(instance)
    const stream = await openEvents(mcpUrl(world, instance), token)
    const revision = world.view.changeToken(credential.hash, { enabled: false })
    expect(await world.gateway.waitFor(revision, 2000)).toBe(true)
    expect(world.gateway.seenRevision()).toBeGreaterThanOrEqual(revision)
    expect((await post(mcpUrl(world, instance), token, ping())).status).toBe(403)
    stream.destroy()
  })

  it('ends when the gateway closes, which waits for requests in flight', async () => {
    const closing = await createWorld({ view: world.view })
    leaveOpen()
    const instance = world.view.addInstance({ url: upstream.url })
    const { token } = world.view.addToken(instance)
    const stream = await openEvents(mcpUrl(closing, instance), token)
    const asked = Promise.withResolvers<ServerResponse>()
    upstream.answer = (_req, res) => asked.resolve(res)
    const pending = post(mcpUrl(closing, instance), token, ping(3))
    const res = await asked.promise
    const closed = closing.close()
    await once(stream, 'end')
    answerJson(res, resultFor(JSON.stringify(ping(3))))
    expect((await pending).status).toBe(200)
    await closed
  })
})

describe('following the store', () => {
  it('works by polling alone, and tells what it has seen', async () => {
    const { view } = await fresh({ notifies: false })
    const replica = await createWorld({ view })
    const instance = view.addInstance({ url: upstream.url })
    const { token, credential } = view.addToken(instance)
    expect(await replica.gateway.waitFor(view.revision, 2000)).toBe(true)
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(200)
    const seen: number[] = []
    replica.gateway.onSeen((revision) => seen.push(revision))
    const told = new Promise<void>((resolve) => replica.gateway.onSeen(() => resolve()))
    const revision = view.changeToken(credential.hash, { enabled: false })
    await told
    expect(seen).toContain(revision)
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(403)
    expect(view.lookUps).toBe(0)
    expect(await replica.gateway.waitFor(view.revision + 1, 60)).toBe(false)
    await replica.close()
  })

  it('obeys a change of this process without a poll', async () => {
    const { view } = await fresh({})
    const replica = await createWorld({ view, limits: { pollIntervalMs: 3_600_000 } })
    const instance = view.addInstance({ url: upstream.url })
    const { token, credential } = view.addToken(instance)
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(200)
    view.changeToken(credential.hash, { enabled: false })
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(403)
    await replica.close()
  })

  it('keeps serving what is known while the store is away, and catches up', async () => {
    const { view } = await fresh({})
    const instance = view.addInstance({ url: upstream.url })
    const { token, credential } = view.addToken(instance)
    const replica = await createWorld({ view })
    view.broken = true
    const revision = view.changeToken(credential.hash, { enabled: false })
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(200)
    const unknown = await post(mcpUrl(replica, instance), mintToken('tfg'), ping())
    expect([unknown.status, codeOf(unknown)]).toEqual([503, 'gateway_busy'])
    view.broken = false
    expect(await replica.gateway.waitFor(revision, 5000)).toBe(true)
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(403)
    await replica.close()
  })

  it('starts over when the store went back to an older state', async () => {
    const { view } = await fresh({})
    const instance = view.addInstance({ url: upstream.url })
    const { token, credential } = view.addToken(instance)
    const replica = await createWorld({ view })
    view.credentials.delete(credential.hash)
    view.revision = 1
    await new Promise<void>((resolve) => replica.gateway.onSeen((revision) => revision === 1 && resolve()))
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(401)
    await replica.close()
  })

  it.each(['its own clock', 'the time of day, as after a suspended machine'])(
    'reads everything anew when it was away for so long that a revoked token may be gone (by %s)',
    async (by) => {
      const { view } = await fresh({})
      const instance = view.addInstance({ url: upstream.url })
      const { token, credential } = view.addToken(instance)
      const kept = view.addToken(instance)
      const own = { ms: 0 }
      const replica = await createWorld({ view, monotonicMs: () => own.ms, limits: { rereadAfterMs: 10_000 } })
      view.broken = true
      // Revoked, and purged: no change tells of it any more.
      view.credentials.delete(credential.hash)
      view.revision += 1
      // Whoever asks again has come to an end with the last answer.
      const { polls } = view
      await expect.poll(() => view.polls, { timeout: 60_000 }).toBeGreaterThan(polls + 1)
      if (by === 'its own clock') own.ms = 10_001
      else replica.clock.nowMs += 10_001
      expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(200)
      view.broken = false
      expect(await replica.gateway.waitFor(view.revision, 60_000)).toBe(true)
      expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(401)
      expect((await post(mcpUrl(replica, instance), kept.token, ping())).status).toBe(200)
      await replica.close()
    },
  )

  it('answers 503 before it has begun', async () => {
    const { view } = await fresh({})
    const instance = view.addInstance({ url: upstream.url })
    view.broken = true
    await expect(createWorld({ view })).rejects.toThrow('the store is away')
    expect(instance.id).toBeTruthy()
  })
})

describe('a token that the snapshot does not have', () => {
  it('is looked up once and served at once, though the poll has not come round', async () => {
    const { view } = await fresh({ notifies: false })
    const replica = await createWorld({ view, limits: { pollIntervalMs: 3_600_000 } })
    const instance = view.addInstance({ url: upstream.url })
    const { token } = view.addToken(instance)
    const answers = await Promise.all([1, 2, 3].map((id) => post(mcpUrl(replica, instance), token, ping(id))))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(view.lookUps).toBe(1)
    await replica.close()
  })

  it('is asked for once in a while only, while nobody knows it', async () => {
    const { view } = await fresh({ notifies: false })
    const replica = await createWorld({ view, limits: { pollIntervalMs: 3_600_000 } })
    const instance = view.addInstance({ url: upstream.url })
    const own = view.addToken(instance)
    await post(mcpUrl(replica, instance), own.token, ping())
    view.lookUps = 0
    const token = mintToken('tfg')
    for (let i = 0; i < 5; i++) expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(401)
    expect(view.lookUps).toBe(1)
    view.addToken(instance, { token })
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(401)
    replica.clock.nowMs += 1000
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(200)
    expect(view.lookUps).toBe(2)
    await replica.close()
  })

  it('is not remembered without end, nor asked for without end, nor at all when mistyped', async () => {
    const { view } = await fresh({})
    const instance = view.addInstance({ url: upstream.url })
    const replica = await createWorld({ view, limits: { maxUnknown: 2, maxLookups: 3 } })
    const url = mcpUrl(replica, instance)
    const tokens = ['unknown-token-no-1', 'unknown-token-no-2', 'unknown-token-no-3']
    for (const token of tokens) await post(url, token, ping())
    expect(view.lookUps).toBe(3)
    await post(url, 'unknown-token-no-3', ping())
    expect(view.lookUps).toBe(3)
    // The first was pushed out by the third.
    await post(url, 'unknown-token-no-1', ping())
    expect(view.lookUps).toBe(4)
    const mistyped = `${mintToken('tfg').slice(0, -1)}!`
    expect((await post(url, mistyped, ping())).status).toBe(401)
    expect(view.lookUps).toBe(4)
    const gate = Promise.withResolvers<void>()
    view.gate = gate.promise
    const waiting = [1, 2, 3].map((n) => post(url, `slow-token-number-${n}`, ping()))
    while (view.lookUps < 7) await new Promise((resolve) => setImmediate(resolve))
    const fourth = await post(url, 'slow-token-number-4', ping())
    expect([fourth.status, codeOf(fourth)]).toEqual([503, 'gateway_busy'])
    gate.resolve()
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([401, 401, 401])
    await replica.close()
  })

  it('is not waited for without end while the store hangs, nor does that keep others from being asked for', async () => {
    const { view } = await fresh({ notifies: false })
    const instance = view.addInstance({ url: upstream.url })
    const limits = { maxLookups: 1, readTimeoutMs: 20, pollIntervalMs: 3_600_000 }
    const replica = await createWorld({ view, limits })
    const { token } = view.addToken(instance)
    view.gate = Promise.withResolvers<void>().promise
    const hung = await post(mcpUrl(replica, instance), token, ping('x'))
    expect([hung.status, codeOf(hung)]).toEqual([503, 'gateway_busy'])
    view.gate = null
    expect((await post(mcpUrl(replica, instance), token, ping())).status).toBe(200)
    await replica.close()
  })
})

describe('a token that was revoked', () => {
  it('stays in memory only while it is among the latest, and is refused all the same', async () => {
    const { view } = await fresh({})
    const instance = view.addInstance({ url: upstream.url })
    const replica = await createWorld({ view, limits: { maxRevoked: 2 } })
    const url = mcpUrl(replica, instance)
    const tokens = [1, 2, 3, 4].map(() => view.addToken(instance))
    await replica.gateway.waitFor(view.revision, 60_000)
    for (const { token } of tokens) expect((await post(url, token, ping())).status).toBe(200)
    for (const { credential } of tokens) view.changeToken(credential.hash, { state: 'revoked' })
    await replica.gateway.waitFor(view.revision, 60_000)
    view.lookUps = 0
    const codes = []
    for (const { token } of tokens.toReversed()) codes.push(codeOf(await post(url, token, ping())), view.lookUps)
    expect(codes).toEqual(
      [
        ['credential_revoked', 0],
        ['credential_revoked', 0],
        ['credential_revoked', 1],
        ['credential_revoked', 2],
      ].flat(),
    )
    await replica.close()
  })

  it('while it was looked up is not served, though nobody in memory knows it any longer', async () => {
    const { view } = await fresh({ notifies: false })
    const instance = view.addInstance({ url: upstream.url })
    const replica = await createWorld({ view, limits: { maxRevoked: 0, pollIntervalMs: 3_600_000 } })
    const { token, credential } = view.addToken(instance)
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const find = view.findByHash
    // What it reads is read before the revocation, and arrives after it.
    view.findByHash = async (hash) => {
      const found = await find(hash)
      asked.resolve()
      await gate.promise
      return found
    }
    const answer = post(mcpUrl(replica, instance), token, ping())
    await asked.promise
    view.changeToken(credential.hash, { state: 'revoked' })
    expect(await replica.gateway.waitFor(view.revision, 60_000)).toBe(true)
    gate.resolve()
    expect((await answer).status).toBe(401)
    await replica.close()
  })
})

async function fresh({ notifies = true }: { notifies?: boolean }) {
  const { MemoryView } = await import('./world.ts')
  const view = new MemoryView()
  view.notifies = notifies
  return { view }
}
