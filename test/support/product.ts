import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ApiClient, createApiClient } from './api-client.ts'
import { freePort } from './mcp-servers.ts'
import { roleProcess } from './role-process.ts'

/** The product as tests meet it, over HTTP only, whatever processes it is made of. */
export type Product = ApiClient & {
  /** Its one address, whichever process answers. */
  origin: string
  /** Every gateway process by itself. */
  gatewayOrigins: string[]
  /** host:port of its Temporal server. */
  temporalAddress: string
  temporalUi: string
  adminKey: string
  /** Everything its processes printed so far: what must hold no secret. */
  output: () => string
  /** Everything that lies in its store, as it lies there: what must hold no secret in the clear. */
  storeText: () => Promise<string>
  /** SIGKILL, as a crash would: the one process, or every worker; the Temporal server survives. */
  kill: () => Promise<void>
  /** Starts what was killed or shut down again, on the same data and ports. */
  restart: () => Promise<void>
  stop: () => Promise<void>
}

export type OneProcess = Product & {
  dataDir: string
  /** SIGTERM, as an admin would: everything of it ends, its Temporal server too; the data stays. */
  shutDown: () => Promise<void>
}

/** The embedded shape: `node src/main.ts all`. */
export async function startProduct(env: Record<string, string> = {}): Promise<OneProcess> {
  const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-e2e-'))
  const ports = { port: await freePort(), temporal: await freePort(), ui: await freePort() }
  const role = roleProcess('all', ports.port, {
    TOOLFERRY_DATA_DIR: dataDir,
    TOOLFERRY_TEMPORAL_PORT: String(ports.temporal),
    TOOLFERRY_TEMPORAL_UI_PORT: String(ports.ui),
    ...env,
  })
  let adminKey = ''
  const start = async () => {
    await role.start()
    adminKey = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
  }
  await start()
  return {
    ...createApiClient({
      origins: () => [role.origin],
      gatewayOrigin: () => role.origin,
      adminKey: () => adminKey,
    }),
    origin: role.origin,
    gatewayOrigins: [role.origin],
    dataDir,
    temporalAddress: `127.0.0.1:${ports.temporal}`,
    temporalUi: `http://127.0.0.1:${ports.ui}`,
    get adminKey() {
      return adminKey
    },
    output: role.output,
    storeText: async () => {
      const files = (await readdir(dataDir)).filter((name) => name.startsWith('toolferry.db'))
      return (await Promise.all(files.map((name) => readFile(join(dataDir, name), 'latin1')))).join('\n')
    },
    kill: role.kill,
    shutDown: async () => void (await role.stop()),
    restart: start,
    stop: async () => {
      await role.stop()
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
