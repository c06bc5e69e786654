import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createConnection } from 'mysql2/promise'
import { type ApiClient, createApiClient } from '../../test/support/api-client.ts'
import { DATABASE_SERVERS, storeUrl } from '../../test/support/database-servers.ts'
import { createDifyDatabase, type DifyTestDatabase } from '../../test/support/dify-database.ts'
import { freePort } from '../../test/support/mcp-servers.ts'
import { startTestTemporal, type TestTemporal } from '../../test/support/temporal.ts'
import { type ProbedProcess, startProbed } from './probed-process.ts'

/** The production shape on this machine: Dify on PostgreSQL, the store on MariaDB, Temporal, one api, one gateway, workers. */
export type ScaleWorld = {
  dify: DifyTestDatabase
  api: ApiClient
  temporal: TestTemporal
  workers: ProbedProcess[]
  others: ProbedProcess[]
  platformId: string
  instanceIds: string[]
  upstream: { pid: number; requests(): Promise<number> }
  stop(): Promise<void>
}

const UPSTREAM = fileURLToPath(new URL('../sync/upstream.ts', import.meta.url))
const WORKSPACES_AT_ONCE = 4

export async function createScaleWorld(size: {
  instances: number
  workspaces: number
  workers: number
}): Promise<ScaleWorld> {
  const closers: (() => Promise<unknown>)[] = []
  const closeAll = async () => {
    for (const close of closers.toReversed()) await close()
  }
  let stopping: Promise<void> | null = null
  const stop = () => {
    stopping ??= closeAll()
    return stopping
  }
  try {
    return { ...(await open(size, (close) => void closers.push(close))), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function open(
  size: { instances: number; workspaces: number; workers: number },
  atEnd: (close: () => Promise<unknown>) => void,
): Promise<Omit<ScaleWorld, 'stop'>> {
  const upstream = fork(UPSTREAM, { stdio: 'inherit' })
  atEnd(async () => upstream.disconnect())
  const [{ port: upstreamPort }] = (await once(upstream, 'message')) as [{ port: number }]

  const dify = await createDifyDatabase()
  atEnd(dify.drop)
  const numbers = Array.from({ length: size.workspaces }, (_, index) => index + 1).values()
  const add = async () => {
    for (const number of numbers) await dify.addWorkspace({ name: `Workspace ${number}` })
  }
  await Promise.all(Array.from({ length: WORKSPACES_AT_ONCE }, add))

  const database = `toolferry_scale_${randomBytes(6).toString('hex')}`
  const admin = await createConnection(DATABASE_SERVERS.mysql)
  atEnd(() => admin.end())
  await admin.query(`CREATE DATABASE ${database}`)
  // The connection that made it has long been cut when a run of hours ends.
  atEnd(async () => {
    const last = await createConnection(DATABASE_SERVERS.mysql)
    await last.query(`DROP DATABASE IF EXISTS ${database}`)
    await last.end()
  })

  const namespace = 'default'
  const temporal = await startTestTemporal(namespace)
  atEnd(temporal.stop)
  const gatewayPort = await freePort()
  const gatewayOrigin = `http://127.0.0.1:${gatewayPort}`
  const adminKey = `admin-${randomBytes(24).toString('hex')}`
  const env = {
    DATABASE_URL: storeUrl(database),
    TOOLFERRY_MASTER_KEY: randomBytes(32).toString('base64'),
    TOOLFERRY_ADMIN_KEY: adminKey,
    TOOLFERRY_PUBLIC_URL: gatewayOrigin,
    TOOLFERRY_GATEWAY_URL: gatewayOrigin,
    TOOLFERRY_LOG_LEVEL: 'error',
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: namespace,
  }
  const start = async (role: ProbedProcess['role'], port?: number) => {
    const started = await startProbed(role, env, port === undefined ? {} : { port })
    atEnd(started.stop)
    return started
  }
  const gateway = await start('gateway', gatewayPort)
  const apiProcess = await start('api')
  const workers: ProbedProcess[] = []
  for (let count = 0; count < size.workers; count++) workers.push(await start('worker'))

  const api = createApiClient({
    origins: () => [apiProcess.origin],
    gatewayOrigin: () => gatewayOrigin,
    adminKey: () => adminKey,
  })
  const platform = await api.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: 'Dify',
    edition: 'community',
    database: { ...dify.connection, password: 'unused', tls: 'disable' },
  })
  await api.must(200, 'GET', `/platforms/${platform.id}/spaces?refresh=true`)
  const instanceIds: string[] = []
  for (let number = 1; number <= size.instances; number++) {
    const url = `http://127.0.0.1:${upstreamPort}/${number}/mcp`
    const body = { name: `Server ${number}`, transport: 'streamable-http', url }
    instanceIds.push((await api.must<{ id: string }>(201, 'POST', '/instances', body)).id)
  }
  return {
    dify,
    api,
    temporal,
    workers,
    others: [gateway, apiProcess],
    platformId: platform.id,
    instanceIds,
    upstream: {
      pid: upstream.pid ?? 0,
      requests: async () => {
        upstream.send('count')
        const [{ requests }] = (await once(upstream, 'message')) as [{ requests: number }]
        return requests
      },
    },
  }
}
