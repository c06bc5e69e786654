import { randomBytes } from 'node:crypto'
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise'
import type { Secrets } from '../../src/config.ts'
import { createApiClient } from './api-client.ts'
import { startBalancer } from './balancer.ts'
import { DATABASE_SERVERS, runMysqlClient, storeUrl, throughPort } from './database-servers.ts'
import { freePort } from './mcp-servers.ts'
import type { Product } from './product.ts'
import { type RoleName, type RoleProcess, roleProcess } from './role-process.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'
import { startTestTemporal, type TestTemporal } from './temporal.ts'

/** The production shape: processes of every role on one MariaDB store and one Temporal server. */
export type Cluster = Product & {
  apis: RoleProcess[]
  workers: RoleProcess[]
  gateways: RoleProcess[]
  temporal: TestTemporal
  store: StoreDatabase
  /** With `faultyStoreNetwork` what every role goes through to reach the store. */
  storeNetwork: TcpProxy
  /** For a test that opens the store as the product does. */
  secrets: Pick<Secrets, 'masterKey' | 'retiredMasterKeys' | 'adminKey'>
  /** Kills every worker at once. */
  killWorkers: () => Promise<void>
  startWorkers: () => Promise<void>
}

/** The test's own eyes on the store, past the product. */
export type StoreDatabase = {
  url: string
  query: (sql: string, values?: unknown[]) => Promise<RowDataPacket[]>
  /** A session of its own, in a transaction; ended with `close`, which also lets go of its locks. */
  session: () => Promise<{ query: (sql: string, values?: unknown[]) => Promise<void>; close: () => Promise<void> }>
}

export type ClusterOptions = {
  apis?: number
  workers?: number
  gateways?: number
  /** The roles reach the store over `storeNetwork`. */
  faultyStoreNetwork?: boolean
  env?: Record<string, string>
  /** The main.ts that is run, where it is not this folder's. */
  main?: string
}

const SERVER = DATABASE_SERVERS.mysql
const NAMESPACE = 'default'

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const database = `toolferry_e2e_${randomBytes(6).toString('hex')}`
  const admin = await createConnection(SERVER)
  // Two clusters at once are a dozen processes with ten connections each.
  await admin.query('SET GLOBAL max_connections = CAST(GREATEST(@@GLOBAL.max_connections, 500) AS SIGNED)')
  await admin.query(`CREATE DATABASE ${database}`)
  await admin.query(`USE ${database}`)
  const temporal = await startTestTemporal(NAMESPACE)
  const adminKey = `admin-${randomBytes(24).toString('hex')}`
  const gatewayPorts = await ports(options.gateways ?? 2)
  const apiPorts = await ports(options.apis ?? 2)
  const balancer = await startBalancer({ gateways: gatewayPorts, apis: apiPorts })
  const { origin } = balancer
  const storeNetwork = await startTcpProxy({ host: SERVER.host, port: SERVER.port })
  const masterKey = randomBytes(32)
  const databaseUrl = storeUrl(database)
  const env = {
    DATABASE_URL: options.faultyStoreNetwork === true ? throughPort(databaseUrl, storeNetwork.port) : databaseUrl,
    TOOLFERRY_MASTER_KEY: masterKey.toString('base64'),
    TOOLFERRY_ADMIN_KEY: adminKey,
    TOOLFERRY_PUBLIC_URL: origin,
    TOOLFERRY_GATEWAY_URL: origin,
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_UI_URL: temporal.uiUrl,
    TEMPORAL_NAMESPACE: NAMESPACE,
    ...options.env,
  }
  const make = (role: RoleName, onPorts: number[]) => onPorts.map((port) => roleProcess(role, port, env, options.main))
  const gateways = make('gateway', gatewayPorts)
  const apis = make('api', apiPorts)
  const workers = make('worker', await ports(options.workers ?? 2))
  const all = [...gateways, ...apis, ...workers]

  const sessions: { close: () => Promise<void> }[] = []
  const stop = async () => {
    // One that a failed test has left open would keep the database.
    await Promise.all(sessions.map((one) => one.close().catch(() => undefined)))
    // A worker would wait for activities that a test has left hanging.
    await Promise.all(all.map((role) => (role.role === 'worker' ? role.kill() : role.stop())))
    await Promise.all([balancer.stop(), storeNetwork.stop()])
    await temporal.stop()
    await admin.query(`DROP DATABASE ${database}`)
    await admin.end()
  }
  try {
    // All at once, as after a power cut: one migrates, the others wait for it.
    await Promise.all(all.map((role) => role.start()))
  } catch (error) {
    await stop()
    throw error
  }
  const killWorkers = async () => void (await Promise.all(workers.map((worker) => worker.kill())))
  const startWorkers = async () => void (await Promise.all(workers.map((worker) => worker.start())))
  return {
    ...createApiClient({
      origins: () => apis.map((api) => api.origin),
      gatewayOrigin: () => origin,
      adminKey: () => adminKey,
    }),
    origin,
    gatewayOrigins: gateways.map((gateway) => gateway.origin),
    temporalAddress: temporal.address,
    temporalUi: temporal.uiUrl,
    adminKey,
    output: () => all.map((role) => role.output()).join(''),
    apis,
    workers,
    gateways,
    temporal,
    storeNetwork,
    secrets: { masterKey, retiredMasterKeys: [], adminKey },
    store: {
      url: databaseUrl,
      query: (sql, values) => rowsOf(admin, sql, values),
      session: async () => {
        const made = await session(database)
        sessions.push(made)
        return made
      },
    },
    storeText: () => runMysqlClient('mysqldump', [database], 'latin1'),
    killWorkers,
    startWorkers,
    kill: killWorkers,
    restart: startWorkers,
    stop,
  }
}

async function ports(count: number): Promise<number[]> {
  return await Promise.all(Array.from({ length: count }, () => freePort()))
}

async function rowsOf(connection: Connection, sql: string, values: unknown[] = []): Promise<RowDataPacket[]> {
  const [rows] = await connection.query<RowDataPacket[]>(sql, values)
  return rows
}

async function session(database: string): ReturnType<StoreDatabase['session']> {
  const connection = await createConnection({ ...SERVER, database })
  await connection.query('START TRANSACTION')
  return {
    query: async (sql, values = []) => void (await connection.query(sql, values)),
    close: () => connection.end(),
  }
}
