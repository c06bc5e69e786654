import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { readConfig } from '../../src/config.ts'
import { runAll } from '../../src/roles/all.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { createApiClient } from '../../test/support/api-client.ts'
import { createDifyDatabase, type DifyTestDatabase } from '../../test/support/dify-database.ts'
import { freePort } from '../../test/support/mcp-servers.ts'
import { runBareScript } from './bare-script.ts'
import { countStatements, since, statements } from './counters.ts'
import { profiled } from './cpu-profile.ts'
import { historyOf } from './history.ts'
import type { BenchOptions } from './options.ts'

/** One size of the benchmark in a process of its own (`node --expose-gc`): `run-size.ts <instances> <workspaces> <options as JSON>`. One JSON line a row. */

const [instanceCount = 10, workspaceCount = 20] = process.argv.slice(2, 4).map(Number)
const { only, store: databaseUrl, profile } = JSON.parse(process.argv[4] ?? '{}') as BenchOptions
const wanted = (run: string): boolean => only === undefined || only.includes(run)
const UPSTREAM = fileURLToPath(new URL('upstream.ts', import.meta.url))

countStatements()
const upstream = fork(UPSTREAM, { stdio: 'inherit' })
const [{ port: upstreamPort }] = (await once(upstream, 'message')) as [{ port: number }]
const upstreamRequests = async (): Promise<number> => {
  upstream.send('count')
  const [{ requests }] = (await once(upstream, 'message')) as [{ requests: number }]
  return requests
}
const dify = await createDify()
const instances = Array.from({ length: instanceCount }, (_, index) => ({
  id: crypto.randomUUID(),
  name: `Server ${index + 1}`,
  url: `http://127.0.0.1:${upstreamPort}/${index + 1}/mcp`,
}))

type Measured = { run: string; activities: number; memory: [number, number] | null }

/** What measuring the memory took: not the product's. */
const collecting = { wallMs: 0, cpuMs: 0 }

/** Runs `work` and prints what it cost. */
async function row(work: () => Promise<Measured>): Promise<void> {
  collecting.wallMs = 0
  collecting.cpuMs = 0
  const before = {
    statements: statements(),
    requests: await upstreamRequests(),
    at: performance.now(),
    cpu: process.cpuUsage(),
  }
  const measured = await (profile === undefined ? work() : profiled(profile, work))
  const wallMs = performance.now() - before.at - collecting.wallMs
  const cpu = process.cpuUsage(before.cpu)
  const counted = since(before.statements)
  const line = {
    instances: instanceCount,
    workspaces: workspaceCount,
    statements: counted.all,
    writes: counted.writes,
    upstreamRequests: (await upstreamRequests()) - before.requests,
    wallMs: Math.round(wallMs),
    cpuMs: Math.round((cpu.user + cpu.system) / 1000 - collecting.cpuMs),
    ...measured,
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

await row(async () => {
  const { engine: _engine, ...connection } = dify.connection
  await runBareScript(connection, instances)
  return { run: 'bare script', activities: 0, memory: null }
})
await dify.query('DELETE FROM tool_mcp_providers')

const dataDir = await mkdtemp(join(tmpdir(), 'toolferry-bench-sync-'))
const temporalPort = await freePort()
const { config, secrets } = readConfig('all', {
  TOOLFERRY_DATA_DIR: dataDir,
  TOOLFERRY_PORT: String(await freePort()),
  TOOLFERRY_TEMPORAL_PORT: String(temporalPort),
  TOOLFERRY_TEMPORAL_UI_PORT: String(await freePort()),
  ...(databaseUrl === undefined
    ? {}
    : {
        DATABASE_URL: databaseUrl,
        TOOLFERRY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
        TOOLFERRY_ADMIN_KEY: 'admin-key-of-the-benchmark-of-40-letters',
      }),
})
const stop = new AbortController()
const product = await runAll(config, secrets, createLogger({ level: 'error', role: 'bench' }), {
  signal: stop.signal,
  onProgress: () => undefined,
})
await product.ready
const adminKey = secrets.adminKey ?? (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
const origin = `http://127.0.0.1:${config.port}`
const api = createApiClient({ origins: () => [origin], gatewayOrigin: () => origin, adminKey: () => adminKey })
const temporal = await Connection.connect({ address: `127.0.0.1:${temporalPort}` })

const platform = { dify, id: await register(dify) }
const instanceIds: string[] = []
for (const { name, url } of instances) {
  const body = { name, transport: 'streamable-http', url }
  instanceIds.push((await api.must<{ id: string }>(201, 'POST', '/instances', body)).id)
}

await row(() => ours('cold run', platform, true))
if (wanted('unchanged')) await row(() => ours('unchanged second run', platform, false))
if (wanted('changed')) {
  await api.must(200, 'PATCH', `/instances/${instanceIds[0]}`, {
    name: 'Server 1, renamed',
    transport: 'streamable-http',
  })
  await dify.query(`UPDATE tool_mcp_providers SET tools = '[]' WHERE name = 'Server 1'`)
  await row(() => ours('one instance changed', platform, false))
}
if (wanted('warm')) {
  // The same again for another Dify: by now the process has run all of its code, as those of an installation have.
  const other = await createDify()
  const warm = { dify: other, id: await register(other) }
  await row(() => ours('cold run, warm process', warm, true))
  await other.drop()
}

await temporal.close()
stop.abort()
await product.close()
await rm(dataDir, { recursive: true, force: true })
await dify.drop()
upstream.disconnect()

async function createDify(): Promise<DifyTestDatabase> {
  const made = await createDifyDatabase()
  for (let index = 1; index <= workspaceCount; index++) await made.addWorkspace({ name: `Workspace ${index}` })
  return made
}

/** Answers the platform's id. */
async function register({ connection }: DifyTestDatabase): Promise<string> {
  const { id } = await api.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: `Dify ${connection.database}`,
    edition: 'community',
    database: { ...connection, password: 'unused', tls: 'disable' },
  })
  await api.must(200, 'GET', `/platforms/${id}/spaces?refresh=true`)
  return id
}

async function ours(run: string, to: { dify: DifyTestDatabase; id: string }, memory: boolean): Promise<Measured> {
  const sync = await api.must<{ id: string; workflowId: string }>(202, 'POST', '/syncs', {
    platformId: to.id,
    instanceIds,
    spaceIds: 'all',
    acceptWarnings: true,
  })
  const all = instanceCount * workspaceCount
  const half = memory ? await memoryAt(to.dify, all / 2) : 0
  const full = memory ? await memoryAt(to.dify, all) : 0
  for (;;) {
    const { state, counts } = await api.must<{ state: string; counts: { failed: number } }>(
      200,
      'GET',
      `/syncs/${sync.id}`,
    )
    if (state === 'succeeded') break
    if (state === 'failed' || state === 'partial') throw new Error(`the run is ${state}: ${counts.failed} failed`)
    await sleep(100)
  }
  const { activities } = await historyOf(new Client({ connection: temporal }), sync.workflowId)
  return { run, activities, memory: memory ? [half, full] : null }
}

/** Bytes in use after a collection, once so many providers are in Dify's database. */
async function memoryAt(dify: DifyTestDatabase, rows: number): Promise<number> {
  for (;;) {
    const [counted] = await dify.query('SELECT count(*)::int AS rows FROM tool_mcp_providers')
    if (Number(counted?.rows) >= rows) break
    await sleep(50)
  }
  const before = { at: performance.now(), cpu: process.cpuUsage() }
  globalThis.gc?.()
  globalThis.gc?.()
  const cpu = process.cpuUsage(before.cpu)
  collecting.wallMs += performance.now() - before.at
  collecting.cpuMs += (cpu.user + cpu.system) / 1000
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
