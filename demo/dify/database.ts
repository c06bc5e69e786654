import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { createDifySide, type DifySide } from './dify-side.ts'
import { startPgliteServer } from './pglite-server.ts'
import { type DemoWorkspace, layOutDify } from './workspaces.ts'

/** A Dify database for the demo: where the product finds it, and Dify's own view of it. */
export type DifyDatabase = {
  /** `database` of a platform, as the API takes it. */
  address: {
    engine: 'postgresql'
    host: string
    port: number
    user: string
    password: string
    database: string
    tls: 'disable' | 'prefer' | 'require' | 'verify-full'
  }
  /** A database of somebody's real Dify, that outlives the demo. */
  isReal: boolean
  workspaces: DemoWorkspace[]
  side: DifySide
  close(): Promise<void>
}

const TLS_MODES = ['disable', 'prefer', 'require', 'verify-full'] as const

/** An embedded PostgreSQL (PGlite, in memory) with Dify's newest schema, three workspaces, and a user and password of its own. */
export async function startDemoDify(): Promise<DifyDatabase> {
  const db = await PGlite.create()
  // A demo password with everything in it that connection strings stumble over.
  const server = await startPgliteServer(db, { user: 'dify', password: `demo 'pass' "word" @/:?#`, database: 'dify' })
  const address = {
    engine: 'postgresql' as const,
    host: server.host,
    port: server.port,
    user: server.user,
    password: server.password,
    database: server.database,
    tls: 'disable' as const,
  }
  const pool = openPool(address)
  const client = await pool.connect()
  const workspaces = await layOutDify(client).finally(() => client.release())
  return {
    address,
    isReal: false,
    workspaces,
    side: createDifySide(pool, workspaces),
    close: async () => {
      await pool.end()
      await server.close()
      await db.close()
    },
  }
}

/** The PostgreSQL database of a running Dify: postgres://user:password@host:port/database?sslmode=…  Throws when the text is no such URL. */
export function openRealDify(text: string): DifyDatabase {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.hostname === '' || url.pathname.length < 2) {
    throw new Error(
      '--dify needs the form postgres://user:password@host:port/database (special characters percent-encoded).',
    )
  }
  const mode = url.searchParams.get('sslmode') ?? 'prefer'
  const tls = TLS_MODES.find((known) => known === mode)
  if (tls === undefined) throw new Error(`--dify: sslmode must be one of ${TLS_MODES.join(', ')}.`)
  const address = {
    engine: 'postgresql' as const,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 5432 : Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    tls,
  }
  const pool = openPool(address)
  return { address, isReal: true, workspaces: [], side: createDifySide(pool, []), close: () => pool.end() }
}

function openPool(address: DifyDatabase['address']): pg.Pool {
  const { host, port, user, password, database, tls } = address
  const ssl = tls === 'require' ? { rejectUnauthorized: false } : tls === 'verify-full'
  const pool = new pg.Pool({ host, port, user, password, database, ssl, max: 2 })
  // An idle connection that breaks is replaced at the next use.
  pool.on('error', () => undefined)
  return pool
}
