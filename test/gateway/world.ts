import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { newId } from '../../src/domain/ids.ts'
import { mintToken } from '../../src/domain/token.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import type { ClientRequest, ClientResponse } from '../../src/gateway/client.ts'
import type { Gateway, GatewayOptions } from '../../src/gateway/gateway.ts'
import { createGateway } from '../../src/gateway/gateway.ts'
import type { GatewayJournalEntry } from '../../src/gateway/journal.ts'
import type { GatewayLimits } from '../../src/gateway/limits.ts'
import { isGatewayTarget } from '../../src/gateway/route.ts'
import type { GatewayCredential, GatewayInstance, GatewayRecords, GatewayView } from '../../src/gateway/view.ts'
import { listen } from '../../src/roles/http-server.ts'
import { silentLogger } from '../support/logger.ts'

/** A GatewayView over two maps; every change bumps the revision, told to listeners when `notifies`. */
export class MemoryView implements GatewayView {
  revision = 1
  readonly instances = new Map<string, GatewayInstance>()
  readonly credentials = new Map<string, GatewayCredential>()
  /** How often the store was asked for one hash, and for changes. */
  lookUps = 0
  polls = 0
  notifies = true
  /** Set: every reading rejects. */
  broken = false
  /** Set: look-ups wait for it. */
  gate: Promise<void> | null = null
  readonly #listeners = new Set<(revision: number) => void>()
  readonly #pepper = randomBytes(32)

  tokenHash = (token: string): string => createHmac('sha256', this.#pepper).update(token).digest('hex')

  loadAll = async (): Promise<GatewayRecords> => this.#newer(-1)

  changesSince = async (revision: number): Promise<GatewayRecords> => {
    this.polls += 1
    return this.#newer(revision)
  }

  findByHash = async (hash: string) => {
    this.lookUps += 1
    await this.gate
    if (this.broken) throw new Error('the store is away')
    const credential = this.credentials.get(hash)
    const instance = credential === undefined ? undefined : this.instances.get(credential.instanceId)
    return credential === undefined || instance === undefined ? null : { credential, instance }
  }

  onRevision = (listener: (revision: number) => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  addInstance(fields: Partial<GatewayInstance> & { url: string }): GatewayInstance {
    const instance: GatewayInstance = {
      id: newId(),
      transport: 'streamable-http',
      headers: {},
      defaultPassThrough: {},
      accessMode: 'token',
      forwardAuthorization: false,
      status: 'active',
      limits: {},
      ...fields,
      revision: this.#next(),
    }
    this.instances.set(instance.id, instance)
    this.#tell()
    return instance
  }

  /** A new token; of a new binding unless `bindingId` says otherwise (null: a manual token). */
  addToken(instance: GatewayInstance, fields: Partial<GatewayCredential> & { token?: string } = {}) {
    const { token = mintToken('tfg'), ...given } = fields
    const credential: GatewayCredential = {
      tokenId: newId(),
      hash: this.tokenHash(token),
      instanceId: instance.id,
      bindingId: newId(),
      enabled: true,
      bindingExpiresAt: null,
      tokenExpiresAt: null,
      state: 'active',
      passThroughHeaders: {},
      toolAllowList: null,
      ...given,
      revision: this.#next(),
    }
    this.credentials.set(credential.hash, credential)
    this.#tell()
    return { token, credential }
  }

  changeInstance(id: string, fields: Partial<GatewayInstance>): number {
    const known = this.instances.get(id)
    if (known === undefined) throw new Error('no such instance')
    this.instances.set(id, { ...known, ...fields, revision: this.#next() })
    this.#tell()
    return this.revision
  }

  changeToken(hash: string, fields: Partial<GatewayCredential>): number {
    const known = this.credentials.get(hash)
    if (known === undefined) throw new Error('no such token')
    this.credentials.set(hash, { ...known, ...fields, revision: this.#next() })
    this.#tell()
    return this.revision
  }

  #next(): number {
    this.revision += 1
    return this.revision
  }

  #tell(): void {
    if (this.notifies) for (const listener of this.#listeners) listener(this.revision)
  }

  #newer(revision: number): GatewayRecords {
    if (this.broken) throw new Error('the store is away')
    const isNewer = (row: { revision: number }) => row.revision > revision
    return {
      revision: this.revision,
      instances: [...this.instances.values()].filter(isNewer),
      credentials: [...this.credentials.values()].filter(isNewer),
    }
  }
}

export type World = {
  view: MemoryView
  gateway: Gateway
  /** The gateway's own origin. */
  origin: string
  journal: GatewayJournalEntry[]
  /** The first journal entry (of now or later) that fits. */
  journaled(fits: (entry: GatewayJournalEntry) => boolean): Promise<GatewayJournalEntry>
  clock: { nowMs: number }
  close(): Promise<void>
}

export type WorldOptions = {
  belowPath?: boolean
  limits?: Partial<GatewayLimits>
  sealingKey?: Buffer
  view?: MemoryView
  metrics?: Registry
  toolHints?: NonNullable<GatewayOptions['toolHints']>
  throttle?: NonNullable<GatewayOptions['throttle']>
  monotonicMs?: () => number
  /** Sees every request before the gateway does. */
  before?: (req: ClientRequest) => void
}

/** A gateway behind a real listener on 127.0.0.1, with a clock that the test moves. */
export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const view = options.view ?? new MemoryView()
  const journal: GatewayJournalEntry[] = []
  const waiting = new Set<() => void>()
  const clock = { nowMs: Date.UTC(2026, 0, 1) }
  const ownPorts = new Set<number>()
  const origins: string[] = ['https://mcp.example.com']
  const gateway = createGateway({
    view,
    journal: {
      append(entry) {
        journal.push(entry)
        for (const check of waiting) check()
      },
    },
    egress: createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts }),
    logger: silentLogger,
    sealingKey: options.sealingKey ?? Buffer.alloc(32, 7),
    ownOrigins: () => origins,
    belowPath: options.belowPath ?? false,
    limits: { pollIntervalMs: 20, sweepIntervalMs: 20, ...options.limits },
    now: () => clock.nowMs,
    ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
    ...(options.toolHints === undefined ? {} : { toolHints: options.toolHints }),
    ...(options.throttle === undefined ? {} : { throttle: options.throttle }),
    ...(options.monotonicMs === undefined ? {} : { monotonicMs: options.monotonicMs }),
  })
  await gateway.start()
  const handle = (req: ClientRequest, res: ClientResponse): void => {
    options.before?.(req)
    gateway.handle(req, res)
  }
  const direct = { takes: isGatewayTarget, handle }
  const server = await listen(handle, '127.0.0.1', 0, 'TEST', { direct })
  const { port } = server
  ownPorts.add(port)
  origins.push(`http://127.0.0.1:${port}`)
  return {
    view,
    gateway,
    origin: `http://127.0.0.1:${port}`,
    journal,
    journaled: (fits) =>
      new Promise((resolve) => {
        const check = (): void => {
          const found = journal.find(fits)
          if (found === undefined) return
          waiting.delete(check)
          resolve(found)
        }
        waiting.add(check)
        check()
      }),
    clock,
    async close() {
      await gateway.close()
      await server.close(0)
    },
  }
}

export type Upstream = {
  url: string
  origin: string
  /** What arrived, in order, bodies read whole. */
  requests: { method: string; target: string; headers: IncomingHttpHeaders; rawHeaders: string[]; body: string }[]
  /** What it answers; `body` is the request's. Replaceable at any time. */
  answer: (req: IncomingMessage, res: ServerResponse, body: string) => void
  close(): Promise<void>
}

/** An upstream that records all it gets. Answers 200 with a JSON-RPC result unless told otherwise. */
export async function createUpstream(): Promise<Upstream> {
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const { method = '', url = '', headers, rawHeaders } = req
      upstream.requests.push({ method, target: url, headers, rawHeaders, body })
      upstream.answer(req, res, body)
    })
  })
  const origin = `http://127.0.0.1:${await portOf(server)}`
  const upstream: Upstream = {
    url: `${origin}/mcp`,
    origin,
    requests: [],
    answer: (_req, res, body) => answerJson(res, resultFor(body)),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return upstream
}

export function answerJson(res: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(value)
  res.writeHead(200, {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  })
  res.end(body)
}

export function resultFor(body: string): object {
  return { jsonrpc: '2.0', id: body === '' ? null : (JSON.parse(body).id ?? null), result: {} }
}

export type Answer = { status: number; headers: IncomingHttpHeaders; body: string; json(): unknown }

export type SendOptions = {
  method?: string
  /** Flat, so that names can repeat and keep their spelling; or a record. */
  headers?: string[] | Record<string, string>
  body?: string | Buffer
  chunked?: boolean
}

/** One request with node:http, which normalises neither paths nor headers. */
export async function send(url: string, options: SendOptions = {}): Promise<Answer> {
  const res = await openStream(url, options)
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString('utf8')
  return { status: res.statusCode ?? 0, headers: res.headers, body, json: () => JSON.parse(body) }
}

/** One request whose answer is left to read. */
export async function openStream(url: string, options: SendOptions = {}): Promise<IncomingMessage> {
  const { hostname, port } = new URL(url)
  const path = url.slice(url.indexOf('/', 'http://'.length))
  const body = options.body === undefined ? null : Buffer.from(options.body)
  const given = options.headers ?? {}
  const flat = Array.isArray(given) ? [...given] : Object.entries(given).flat()
  const has = (wanted: string) => flat.some((name, index) => index % 2 === 0 && name.toLowerCase() === wanted)
  if (!has('host')) flat.push('Host', `${hostname}:${port}`)
  // As clients that call more than once; `close` would take the request to node:http.
  if (!has('connection')) flat.push('Connection', 'keep-alive')
  if (body !== null) {
    flat.push(
      ...(options.chunked === true ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)]),
    )
  }
  const method = options.method ?? (body === null ? 'GET' : 'POST')
  const req = request({ hostname, port, path, method, headers: flat, agent: false })
  req.end(body ?? undefined)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  // The answer is here; that the rest of a refused body could not be sent is no news.
  req.on('error', () => {})
  return res
}

/** Posts a JSON-RPC message with a token, like a platform does. */
export function post(url: string, token: string | null, message: unknown, headers: Record<string, string> = {}) {
  return send(url, {
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: JSON.stringify(message),
  })
}

export const mcpUrl = (world: World, instance: { id: string }) => `${world.origin}/mcp-gateway/${instance.id}/mcp`
export const sseUrl = (world: World, instance: { id: string }) => `${world.origin}/mcp-gateway/${instance.id}/sse`
export const ping = (id: string | number = 1) => ({ jsonrpc: '2.0', id, method: 'ping' })

/** The gateway's code in a refusal's body. */
export function codeOf(answer: Answer): string {
  const body = answer.json() as { error: { data: { code: string } } }
  return body.error.data.code
}

async function portOf(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
