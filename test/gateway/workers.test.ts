import cluster from 'node:cluster'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { runAll } from '../../src/roles/all.ts'
import { runGateway } from '../../src/roles/gateway.ts'
import { runGatewayCluster } from '../../src/roles/gateway-cluster.ts'
import { ensureBindings, updateBinding } from '../../src/store/bindings.ts'
import { listJournalEntries } from '../../src/store/journal.ts'
import { waitUntilSeen } from '../../src/store/replicas.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { mintTokenFor } from '../../src/store/tokens.ts'
import { at, makeInstance, makeWorld, one } from '../store/fixtures.ts'
import { makeDatabase } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { freePort } from '../support/mcp-servers.ts'
import { type RoleProcess, roleProcess } from '../support/role-process.ts'
import type { Upstream } from './world.ts'
import { answerJson, codeOf, createUpstream, openStream, ping, post, resultFor, send } from './world.ts'

/** `node src/main.ts gateway` as real processes on MariaDB, with TOOLFERRY_GATEWAY_WORKERS of them on one port. */

const WORKERS = 3
const ADMIN_KEY = 'k'.repeat(40)

let upstream: Upstream
let database: Awaited<ReturnType<typeof makeDatabase>>
let store: Store
let env: Record<string, string>

beforeAll(async () => {
  upstream = await createUpstream()
  database = await makeDatabase('mysql')
  database.options.secrets.adminKey = ADMIN_KEY
  store = await openStore(database.options)
  env = {
    DATABASE_URL: database.options.config.databaseUrl,
    TOOLFERRY_MASTER_KEY: database.options.secrets.masterKey?.toString('base64') ?? '',
    TOOLFERRY_ADMIN_KEY: ADMIN_KEY,
    TOOLFERRY_LOG_LEVEL: 'warn',
  }
})
afterAll(async () => {
  await store.close()
  await database.remove()
  await upstream.close()
})
beforeEach(() => {
  upstream.requests.length = 0
  upstream.answer = (_req, res, body) => answerJson(res, resultFor(body))
})

/** An instance in front of the upstream, and a binding's token for it. */
async function makeCaller(limits: Record<string, number> = {}) {
  const world = await makeWorld(store, { spaces: 1, instances: 0 })
  const instance = await makeInstance(store, { url: upstream.url, limits })
  const binding = one(await ensureBindings(store, [{ instanceId: instance.id, spaceId: one(world.spaces).id }]))
  const { secret } = await mintTokenFor(store, binding.id)
  const path = `/mcp-gateway/${instance.id}/mcp`
  return { instance, binding, token: secret, path, headers: { Authorization: `Bearer ${secret}` } }
}

/** The processes that a process has started. */
async function childrenOf(pid: number): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '')
    if (new RegExp(`^PPid:\\s+${pid}$`, 'm').test(status)) found.push(Number(name))
  }
  return found.sort()
}

type Ready = { ready: boolean; parts: { name: string; ready: boolean; detail: string | null }[] }
const readiness = async (origin: string) => (await send(`${origin}/readyz`)).json() as Ready
const isWhole = async (origin: string) => (await readiness(origin)).parts.every((part) => part.ready)

/** An upstream that tells over which connections requests came: one process keeps one connection for requests in a row. */
function countConnections(): Set<number | undefined> {
  const ports = new Set<number | undefined>()
  upstream.answer = (req, res, body) => {
    ports.add(req.socket.remotePort)
    answerJson(res, resultFor(body), { 'mcp-session-id': 'upstream-session-1' })
  }
  return ports
}

/** An upstream whose event streams stay open. */
function stayOpen(): void {
  upstream.answer = (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(': open\n\n')
  }
}

describe(`${WORKERS} processes on one port`, () => {
  let gateway: RoleProcess

  beforeAll(async () => {
    gateway = roleProcess('gateway', await freePort(), { ...env, TOOLFERRY_GATEWAY_WORKERS: String(WORKERS) })
    await gateway.start()
    await vi.waitUntil(() => isWhole(gateway.origin), { timeout: 60_000 })
  })
  afterAll(() => gateway.stop())

  test('any of them serves a session that another one has opened', async () => {
    const { token, path } = await makeCaller()
    const ports = countConnections()
    const opened = await post(gateway.origin + path, token, ping())
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    for (let id = 0; id < 2 * WORKERS; id++) {
      expect((await post(gateway.origin + path, token, ping(id), session)).status).toBe(200)
    }
    expect(ports.size).toBe(WORKERS)
    expect(upstream.requests.slice(1).map(({ headers }) => headers['mcp-session-id'])).toEqual(
      Array.from({ length: 2 * WORKERS }, () => 'upstream-session-1'),
    )
  })

  test('each is a replica of its own: a revocation is effective when all obey it, open streams included', async () => {
    const { token, path, binding, headers } = await makeCaller()
    expect(await store.db.gatewayReplica.count()).toBe(WORKERS)
    stayOpen()
    const streams = await Promise.all(
      Array.from({ length: 2 * WORKERS }, () => openStream(gateway.origin + path, { headers })),
    )
    expect(streams.map(({ statusCode }) => statusCode)).toEqual(streams.map(() => 200))
    const ended = streams.map((stream) => once(stream.resume(), 'end'))
    const { revision } = await updateBinding(store, binding.id, null, { enabled: false })
    expect(await waitUntilSeen(store, revision, 2_000)).toBe(true)
    for (let id = 0; id < 2 * WORKERS; id++) {
      expect((await post(gateway.origin + path, token, ping(id))).status).toBe(403)
    }
    await Promise.all(ended)
    expect(streams.every(({ complete }) => complete)).toBe(true)
  })

  test('/readyz and /metrics speak for all of them, whichever is asked', async () => {
    const { token, path, instance } = await makeCaller()
    for (let id = 0; id < 2 * WORKERS; id++) await post(gateway.origin + path, token, ping(id))
    const counted = `toolferry_gateway_request_seconds_count{instance="${instance.id}",status="200"}`
    const headers = { Authorization: `Bearer ${ADMIN_KEY}` }
    for (let turn = 0; turn < WORKERS; turn++) {
      const { body } = await send(`${gateway.origin}/metrics`, { headers })
      const lines = new Map(body.split('\n').map((line) => line.split(' ') as [string, string]))
      expect(lines.get(counted)).toBe(String(2 * WORKERS))
      expect(lines.get('toolferry_gateway_workers')).toBe(String(WORKERS))
      // Every process holds every token: not three times as many.
      const known = await store.db.gatewayToken.count({ where: { state: { not: 'revoked' } } })
      expect(Number(lines.get('toolferry_gateway_credentials'))).toBe(known)
      expect((await readiness(gateway.origin)).parts.map(({ name }) => name)).toEqual([
        'gateway worker 1',
        'gateway worker 2',
        'gateway worker 3',
      ])
    }
    expect((await send(`${gateway.origin}/metrics`)).status).toBe(401)
  })

  test('requests a second are counted over all of them', async () => {
    const perSecond = 4
    const { token, path } = await makeCaller({ requestsPerSecond: perSecond })
    const startedMs = performance.now()
    const answers = await Promise.all(
      Array.from({ length: 10 * WORKERS }, (_, id) => post(gateway.origin + path, token, ping(id))),
    )
    const seconds = (performance.now() - startedMs) / 1000
    const admitted = answers.filter(({ status }) => status === 200).length
    expect(admitted).toBeGreaterThanOrEqual(perSecond)
    expect(admitted).toBeLessThanOrEqual(perSecond * (1 + seconds))
    const refused = answers.filter(({ status }) => status === 429)
    expect(admitted + refused.length).toBe(answers.length)
    expect(codeOf(at(refused, 0))).toBe('rate_limited')
    expect(at(refused, 0).headers['retry-after']).toBe('1')
  })

  test('open requests are counted over all of them, and what a killed one held is free again', async () => {
    const { path, headers } = await makeCaller({ maxOpenRequests: WORKERS })
    stayOpen()
    const open = () => openStream(gateway.origin + path, { headers })
    const streams: IncomingMessage[] = []
    for (let index = 0; index < WORKERS; index++) streams.push(await open())
    const beyond = await send(gateway.origin + path, { headers })
    expect([beyond.status, codeOf(beyond)]).toEqual([429, 'too_many_open'])
    const cut = Promise.race(
      streams.map(
        (stream) =>
          new Promise<IncomingMessage>((resolve) => {
            // Of a connection that is cut, the client hears an error first.
            stream.on('error', () => undefined)
            stream.resume().once('close', () => resolve(stream))
          }),
      ),
    )
    const victim = at(await childrenOf(gateway.pid()), 0)
    process.kill(victim, 'SIGKILL')
    expect((await cut).complete).toBe(false)
    // Until the primary has heard of the end it may hand a connection to the dead one, and Node's cluster lets it hang there.
    await expect.poll(async () => (await childrenOf(gateway.pid())).includes(victim)).toBe(false)
    await expect
      .poll(async () => {
        const stream = await open()
        if (stream.statusCode === 200) streams.push(stream)
        else stream.resume()
        return stream.statusCode
      })
      .toBe(200)
    // One has ended, one took its place: the others still count.
    const full = await send(gateway.origin + path, { headers })
    expect(full.status).toBe(429)
    for (const stream of streams) stream.destroy()
    await vi.waitUntil(() => isWhole(gateway.origin), { timeout: 60_000 })
  })

  test('one that is killed is replaced, and the others serve meanwhile; counters do not go back', async () => {
    const { token, path, instance } = await makeCaller()
    const url = gateway.origin + path
    const before = await childrenOf(gateway.pid())
    const total = async () => {
      const { body } = await send(`${gateway.origin}/metrics`, { headers: { Authorization: `Bearer ${ADMIN_KEY}` } })
      const counted = `toolferry_gateway_request_seconds_count{instance="${instance.id}",status="200"} `
      const value = (name: string) =>
        Number(
          body
            .split('\n')
            .find((line) => line.startsWith(name))
            ?.slice(name.length),
        )
      return { served: value(counted), restarts: value('toolferry_gateway_worker_restarts_total ') }
    }
    let served = 0
    const serve = async () => {
      expect((await post(url, token, ping(served))).status).toBe(200)
      served += 1
    }
    for (let turn = 0; turn < 2 * WORKERS; turn++) await serve()
    const { restarts } = await total()
    const victim = at(before, 1)
    process.kill(victim, 'SIGKILL')
    await expect.poll(async () => (await childrenOf(gateway.pid())).includes(victim)).toBe(false)
    while ((await childrenOf(gateway.pid())).length < WORKERS) await serve()
    const waiting = await readiness(gateway.origin)
    // Ready all the time: who is being replaced takes no connection.
    expect(waiting.ready).toBe(true)
    await expect
      .poll(
        async () => {
          await serve()
          return await isWhole(gateway.origin)
        },
        { timeout: 60_000 },
      )
      .toBe(true)
    expect(await total()).toEqual({ served, restarts: restarts + 1 })
    const ports = countConnections()
    for (let turn = 0; turn < WORKERS; turn++) await serve()
    expect(ports.size).toBe(WORKERS)
    // It goes on under its predecessor's name: nobody waits for a replica that is gone.
    expect(await store.db.gatewayReplica.count()).toBe(WORKERS)
    expect(gateway.output()).toContain('another one takes its place')
  })
})

describe.each([1, WORKERS])('SIGTERM to the gateway (%i)', (workers) => {
  test('ends streams, lets calls in flight finish, takes no new ones, and leaves nothing behind', async () => {
    const gateway = roleProcess('gateway', await freePort(), { ...env, TOOLFERRY_GATEWAY_WORKERS: String(workers) })
    await gateway.start()
    await expect.poll(() => isWhole(gateway.origin), { timeout: 60_000 }).toBe(true)
    const { instance, path, headers } = await makeCaller()
    const url = gateway.origin + path
    stayOpen()
    const streams: IncomingMessage[] = []
    for (let index = 0; index < 2 * workers; index++) streams.push(await openStream(url, { headers }))
    const held: [ServerResponse, string][] = []
    upstream.answer = (_req, res, body) => void held.push([res, body])
    const json = { ...headers, 'Content-Type': 'application/json' }
    const calls = Array.from({ length: 2 * workers }, (_, id) =>
      send(url, { headers: json, body: JSON.stringify(ping(id)) }),
    )
    await expect.poll(() => held.length).toBe(calls.length)

    const ended = Promise.all(streams.map((stream) => once(stream.resume(), 'end')))
    const stopped = gateway.stop()
    await ended
    expect(streams.every(({ complete }) => complete)).toBe(true)
    // Refused, or by the process that shares the port: reset.
    await expect(send(url, { headers })).rejects.toThrow(/ECONNREFUSED|ECONNRESET/)
    for (const [res, body] of held) answerJson(res, resultFor(body))
    const answers = await Promise.all(calls)
    expect(answers.map(({ status }) => status)).toEqual(calls.map(() => 200))
    expect(answers.map((answer) => answer.json())).toEqual(calls.map((_, id) => ({ jsonrpc: '2.0', id, result: {} })))
    expect(await stopped).toBe(0)
    expect(await store.db.gatewayReplica.count()).toBe(0)
    const { items } = await listJournalEntries(store, { instanceId: instance.id })
    expect(items.length).toBe(streams.length + calls.length)
  })
})

describe('TOOLFERRY_GATEWAY_WORKERS', () => {
  const signal = new AbortController().signal
  const secrets = { masterKey: null, retiredMasterKeys: [], adminKey: null, temporalApiKey: null }

  test('is refused where a file: store belongs to one process, with the reason', async () => {
    const { config } = readConfig('gateway', { TOOLFERRY_GATEWAY_WORKERS: '2' })
    await expect(runGateway(config, secrets, silentLogger, { signal })).rejects.toThrow(/file: store.* one process/)
  })

  test('is refused for role all, which is one process', async () => {
    const { config } = readConfig('all', { TOOLFERRY_GATEWAY_WORKERS: '2' })
    const options = { signal, onProgress: () => undefined }
    await expect(runAll(config, secrets, silentLogger, options)).rejects.toThrow(/role all is one process/)
  })

  test.each([
    ['a moment later', 'ENOENT', () => cluster.setupPrimary({ cwd: '/nowhere' })],
    ['at once', 'E2BIG', () => vi.stubEnv('TOO_LARGE', 'x'.repeat(200_000))],
  ])('a process that cannot even be made, which shows %s (%s), is one that ended', async (_when, code, prevent) => {
    const { config } = readConfig('gateway', { TOOLFERRY_GATEWAY_WORKERS: '2' })
    prevent()
    const running = runGatewayCluster(config, silentLogger)
    await expect(running.ready).rejects.toThrow(code)
    await running.close()
    cluster.setupPrimary({ cwd: process.cwd() })
    vi.unstubAllEnvs()
  })

  test('a store that cannot be opened fails the start with the reason, as with one process', async () => {
    const gateway = roleProcess('gateway', await freePort(), {
      ...env,
      TOOLFERRY_MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
      TOOLFERRY_GATEWAY_WORKERS: '2',
    })
    await expect(gateway.start()).rejects.toThrow(/ended with 1[\s\S]*TOOLFERRY_MASTER_KEY is not the key/)
  })
})
