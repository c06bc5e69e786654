import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureBindings } from '../../src/store/bindings.ts'
import { createInstance } from '../../src/store/instances.ts'
import { createPlatform } from '../../src/store/platforms.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { mintTokenFor } from '../../src/store/tokens.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { freePort } from '../../test/support/mcp-servers.ts'
import { type Started, start, untilOk } from './process.ts'

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname

/** One installation: its database with an instance in one space, and its keys. */
export type Installation = {
  env: Record<string, string>
  adminKey: string
  instanceId: string
  bindingId: string
  token: string
  /** What a call to the gateway carries, pass-through headers of the binding aside. */
  headers: Record<string, string>
  /** `host:port` of the role on this path. */
  run(role: 'gateway' | 'all' | 'api', extra?: Record<string, string>): Promise<Started & { origin: string }>
  remove(): Promise<void>
}

/** `databaseUrl` null: SQLite in a folder of its own. The database must exist and be empty. */
export async function createInstallation(
  databaseUrl: string | null,
  upstreamUrl: string,
  /** What else the database is to hold. */
  fill: (store: Store) => Promise<void> = async () => undefined,
): Promise<Installation> {
  const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-bench-'))
  const url = databaseUrl ?? `file:${join(dataDir, 'toolferry.db')}`
  const masterKey = randomBytes(32)
  const adminKey = `admin-${randomBytes(24).toString('hex')}`
  const store = await openStore({
    config: { databaseUrl: url, dataDir },
    secrets: { masterKey, retiredMasterKeys: [], adminKey },
    logger: createLogger({ level: 'silent', role: 'all' }),
  })
  const platform = await createPlatform(store, {
    kind: 'dify',
    name: 'Bench',
    remoteKey: randomBytes(32).toString('hex'),
    settings: { edition: 'community', database: { host: '127.0.0.1' } },
    credential: { password: 'none' },
  })
  const space = {
    remoteId: 'a',
    name: 'a',
    ownerName: null,
    ownerEmail: null,
    role: null,
    archived: false,
    problem: null,
  }
  await upsertSpaces(store, platform.id, [space])
  const [kept] = await allSpaces(store, platform.id)
  const instance = await createInstance(store, {
    name: 'bench',
    transport: 'streamable-http',
    url: upstreamUrl,
    headers: { 'X-Upstream-Key': 'upstream-secret' },
    defaultPassThrough: { 'X-Tenant': 'tenant-a' },
  })
  const [binding] = await ensureBindings(store, [{ instanceId: instance.id, spaceId: kept?.id ?? '' }])
  const { secret } = await mintTokenFor(store, binding?.id ?? '')
  await fill(store)
  await store.close()
  const env = {
    DATABASE_URL: url,
    TOOLFERRY_DATA_DIR: dataDir,
    TOOLFERRY_MASTER_KEY: masterKey.toString('base64'),
    TOOLFERRY_ADMIN_KEY: adminKey,
    TOOLFERRY_LOG_LEVEL: 'warn',
  }
  return {
    env,
    adminKey,
    instanceId: instance.id,
    bindingId: binding?.id ?? '',
    token: secret,
    headers: {
      Authorization: `Bearer ${secret}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
    },
    async run(role, extra = {}) {
      const port = await freePort()
      const ports = {
        TOOLFERRY_TEMPORAL_PORT: String(await freePort()),
        TOOLFERRY_TEMPORAL_UI_PORT: String(await freePort()),
      }
      const started = start(process.execPath, [MAIN, role], {
        ...env,
        ...ports,
        TOOLFERRY_PORT: String(port),
        ...extra,
      })
      started.child.stdout?.resume()
      const origin = `http://127.0.0.1:${port}`
      await untilOk(`${origin}/${role === 'api' ? 'healthz' : 'readyz'}`)
      return { pid: started.pid, stop: started.stop, origin }
    },
    remove: () => rm(dataDir, { recursive: true, force: true }),
  }
}

/** Journal rows that a running gateway has lost so far. */
export async function droppedRows(origin: string, adminKey: string): Promise<number> {
  const response = await fetch(`${origin}/metrics`, { headers: { authorization: `Bearer ${adminKey}` } })
  const text = await response.text()
  const value = /^toolferry_gateway_journal_dropped_total (\d+)/m.exec(text)?.[1]
  if (value === undefined) throw new Error(`no metrics at ${origin}: ${response.status}`)
  return Number(value)
}
