import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './mcp-servers.ts'

/** The product as a user starts it: `node src/main.ts all`, a process of its own, reached over HTTP only. */

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const READY_TIMEOUT_MS = 100_000

export type Answer<T = Record<string, unknown>> = { status: number; headers: Headers; body: T; text: string }

export type Product = {
  origin: string
  dataDir: string
  /** host:port of its embedded Temporal server. */
  temporalAddress: string
  temporalUi: string
  adminKey: string
  /** Everything it printed so far: what must hold no secret. */
  output: () => string
  call: <T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>
  /** As `call`, and an unexpected status is an error that shows the answer. */
  must: <T = Record<string, unknown>>(status: number, method: string, path: string, body?: unknown) => Promise<T>
  /** Every answer's text so far, with its headers. */
  answers: () => string[]
  /** SIGKILL: the process alone, as a crash would; its Temporal server survives. */
  kill: () => Promise<void>
  /** Starts it again on the same data and ports. */
  restart: () => Promise<void>
  stop: () => Promise<void>
}

export async function startProduct(env: Record<string, string> = {}): Promise<Product> {
  const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-e2e-'))
  const ports = { port: await freePort(), temporal: await freePort(), ui: await freePort() }
  const origin = `http://127.0.0.1:${ports.port}`
  const output: string[] = []
  const answers: string[] = []
  let child: ChildProcess | null = null
  let adminKey = ''

  const start = async () => {
    const started = spawn(process.execPath, [MAIN, 'all'], {
      env: {
        PATH: process.env.PATH ?? '',
        HOME: process.env.HOME ?? '',
        ...(process.env.XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME: process.env.XDG_CACHE_HOME }),
        TOOLFERRY_DATA_DIR: dataDir,
        TOOLFERRY_PORT: String(ports.port),
        TOOLFERRY_TEMPORAL_PORT: String(ports.temporal),
        TOOLFERRY_TEMPORAL_UI_PORT: String(ports.ui),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    started.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text))
    started.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text))
    const deadline = Date.now() + READY_TIMEOUT_MS
    for (;;) {
      if (started.exitCode !== null) throw new Error(`the product ended with ${started.exitCode}\n${output.join('')}`)
      const ready = await fetch(`${origin}/readyz`).then(
        (response) => response.ok,
        () => false,
      )
      if (ready) break
      if (Date.now() > deadline) throw new Error(`the product is not ready\n${output.join('')}`)
      await sleep(100)
    }
    adminKey = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
  }

  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const ending = child
    child = null
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return
    const exited = once(ending, 'exit')
    ending.kill(signal)
    await exited
  }

  const call: Product['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch(path.startsWith('/mcp-gateway') ? `${origin}${path}` : `${origin}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${adminKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    answers.push(`${method} ${path} ${response.status} ${JSON.stringify([...response.headers])} ${text}`)
    return { status: response.status, headers: response.headers, text, body: text === '' ? null : JSON.parse(text) }
  }

  await start()
  return {
    origin,
    dataDir,
    temporalAddress: `127.0.0.1:${ports.temporal}`,
    temporalUi: `http://127.0.0.1:${ports.ui}`,
    get adminKey() {
      return adminKey
    },
    output: () => output.join(''),
    answers: () => answers,
    call,
    must: async (status, method, path, body) => {
      const answer = await call(method, path, body)
      if (answer.status !== status)
        throw new Error(`${method} ${path}: ${answer.status}, not ${status}\n${answer.text}`)
      return answer.body as never
    },
    kill: () => end('SIGKILL'),
    restart: start,
    stop: async () => {
      await end('SIGTERM')
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

export type SyncBody = {
  id: string
  state: string
  workflowId: string
  temporalUrl: string | null
  counts: Record<string, number>
  error: { type: string; message: string; hint: string } | null
}

export type TargetBody = {
  id: string
  spaceId: string
  spaceName: string
  instanceId: string
  instanceName: string
  bindingId: string | null
  state: string
  action: string | null
  changes: { field: string; before: string | null; after: string | null; tools?: unknown }[] | null
  attempts: number
  note: string | null
  error: { type: string; message: string; hint: string } | null
}

const CLOSED = ['planned', 'succeeded', 'partial', 'failed', 'cancelled']

/** Waits until the run is closed. */
export async function finished(product: Product, syncId: string, timeoutMs = 90_000): Promise<SyncBody> {
  return await syncWhen(product, syncId, (sync) => CLOSED.includes(sync.state), timeoutMs)
}

/** Waits until the run fulfils the condition. */
export async function syncWhen(
  product: Product,
  syncId: string,
  condition: (sync: SyncBody) => boolean,
  timeoutMs = 90_000,
): Promise<SyncBody> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const sync = await product.must<SyncBody>(200, 'GET', `/syncs/${syncId}`)
    if (condition(sync)) return sync
    if (Date.now() > deadline) throw new Error(`the run is ${JSON.stringify(sync)}\n${product.output().slice(-3000)}`)
    await sleep(50)
  }
}

/** Every target of a run, over all pages. */
export async function targetsOf(product: Product, syncId: string): Promise<TargetBody[]> {
  const all: TargetBody[] = []
  let cursor: string | null = null
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page: { items: TargetBody[]; nextCursor: string | null } = await product.must(
      200,
      'GET',
      `/syncs/${syncId}/targets?limit=200${query}`,
    )
    all.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null)
  return all
}
