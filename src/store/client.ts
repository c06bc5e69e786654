import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { PrismaLibSql } from '@prisma/adapter-libsql'
import { PrismaMariaDb } from '@prisma/adapter-mariadb'
import { ConfigError } from '../config.ts'
import { surviveFailedConnects } from './failed-connects.ts'
import { type FindRows, findRowsByPrisma } from './find-rows.ts'
import { PrismaClient as MysqlClient } from './generated/mysql/client.ts'
import { type Prisma, PrismaClient as SqliteClient } from './generated/sqlite/client.ts'
import { type LibSqlClient, openSqliteConnection } from './sqlite-client.ts'
import { besideModels, transactionsOn } from './sqlite-transactions.ts'
import { withOwn } from './with-own.ts'

export type Engine = 'sqlite' | 'mysql'

/** On SQLite these go straight to the connection. */
export type Statements = {
  /** For reading what a run reads again and again. */
  findRows: FindRows
  $queryRawUnsafe<T = unknown>(sql: string, ...values: unknown[]): Promise<T>
  $executeRawUnsafe(sql: string, ...values: unknown[]): Promise<number>
}

/** What a write transaction can use. */
export type Tx = Omit<Prisma.TransactionClient, keyof Statements> & Statements

type ReadMethod = 'findUnique' | 'findFirst' | 'findMany' | 'count' | 'aggregate' | 'groupBy'
type Model = Uncapitalize<Prisma.ModelName>

/** What may be used outside a write transaction: reading. A `Tx` is also a `Db`. */
export type Db = { [K in Model]: Pick<Tx[K], Extract<ReadMethod, keyof Tx[K]>> } & Pick<
  Tx,
  '$queryRaw' | '$queryRawUnsafe' | 'findRows'
>
/** Commits what `work` did, or nothing of it. */
export type Transact = <T>(work: (tx: Tx) => Promise<T>) => Promise<T>

const SNAPSHOT_TIMEOUT_MS = 12 * 3_600_000

/** Prisma's other formats print source code around a failed query. */
const ERROR_FORMAT = 'minimal'

export type OpenClient = {
  engine: Engine
  reader: Db
  /** One write transaction. On SQLite only one at a time. */
  transact: Transact
  /** Whether close() was called. */
  closed(): boolean
  close(): Promise<void>
}

const READ_ONLY = ['PRAGMA busy_timeout = 5000', 'PRAGMA query_only = ON']

/** The path of a `file:` URL, absolute. */
export function sqlitePath(databaseUrl: string): string {
  const plain = databaseUrl.replace(/\?.*$/, '')
  return plain.startsWith('file://') ? fileURLToPath(plain) : resolve(plain.slice('file:'.length))
}

/**
 * SQLite through libSQL: one connection that writes (its transactions take the write lock when they begin, so none fails
 * half-way) and one that only reads and, with WAL, never waits for the other. libSQL is synchronous inside, so a second
 * writing connection of this process would block the event loop that must let the first one finish. Prisma and statements of our
 * own share them: what is written as SQL already goes past Prisma, which would take several times as long over it.
 */
export function openSqliteClient(path: string): OpenClient {
  const pragmas = [
    'PRAGMA journal_mode = WAL',
    // A commit is on the disk before a platform is written on the strength of it.
    'PRAGMA synchronous = FULL',
    'PRAGMA busy_timeout = 5000',
  ]
  const writing = openSqliteConnection(path, pragmas, { transactionsOnly: true })
  const reading = openSqliteConnection(path, READ_ONLY)
  const clientOn = (connection: LibSqlClient) =>
    new SqliteClient({ errorFormat: ERROR_FORMAT, adapter: new OneConnection(path, connection) })
  const [writer, reader] = [clientOn(writing), clientOn(reading)]
  return {
    engine: 'sqlite',
    reader: besideModels(reading, reader),
    transact: transactionsOn(writing, writer),
    closed: () => writing.closed,
    async close() {
      reading.close()
      writing.close()
      await reader.$disconnect()
      await writer.$disconnect()
    },
  }
}

/**
 * A process that stands still in mid-transaction (a suspended machine) keeps its row locks as long as its session lives: the
 * server ends a silent one. MariaDB can tell a silent transaction from an idle connection of the pool; MySQL reads that part as a comment.
 */
const SESSION_SQL = `SET time_zone = '+00:00', SESSION wait_timeout = 60, SESSION innodb_lock_wait_timeout = 20
  /*M!100300 , SESSION idle_transaction_timeout = 15 */`

/** MySQL 8 or MariaDB: one pool for everything, READ COMMITTED (no gap locks), UTC. */
export function openMysqlClient(databaseUrl: string): OpenClient & {
  /** For reading: sees the store as it was at its first reading, for as long as that takes. */
  snapshot: Transact
} {
  surviveFailedConnects()
  const target = mysqlTarget(databaseUrl)
  const client = new MysqlClient({
    errorFormat: ERROR_FORMAT,
    adapter: new PrismaMariaDb(
      {
        ...target,
        connectionLimit: 10,
        acquireTimeout: 15_000,
        connectTimeout: 10_000,
        // A database host that vanished is noticed in half a minute by a connection that waits for its answer; by the system's own in two hours.
        keepAliveDelay: 10_000,
        // MySQL 8 without TLS hands out the key that its default authentication encrypts the password with.
        allowPublicKeyRetrieval: true,
        initSql: [SESSION_SQL, 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'],
      },
      // One round trip a statement; prepared ones are three (prepare, execute, close), since lists make most of ours differ. What the
      // text protocol is inexact about, floating point and large decimals, the schema does not have.
      { database: target.database, useTextProtocol: true },
    ),
  })
  // The one cast between the engines. Both clients come from one schema; SQLite's offers the smaller set of options, so
  // what compiles against its type exists on MySQL, too.
  const canonical = client as unknown as SqliteClient
  const transaction =
    (options: { maxWait: number; timeout: number }): Transact =>
    (work) =>
      canonical.$transaction((tx) => work(withOwn(tx, { findRows: findRowsByPrisma(tx) })), options)
  let closed = false
  return {
    engine: 'mysql',
    reader: withOwn(canonical, { findRows: findRowsByPrisma(canonical) }),
    transact: transaction({ maxWait: 30_000, timeout: 60_000 }),
    // The types are SQLite's, which has one level only and no name for this.
    snapshot: transaction({
      maxWait: 30_000,
      timeout: SNAPSHOT_TIMEOUT_MS,
      ...({ isolationLevel: 'RepeatableRead' } as object),
    }),
    closed: () => closed,
    async close() {
      closed = true
      await client.$disconnect()
    },
  }
}

export type MysqlTarget = {
  host: string
  port: number
  user: string
  password: string
  database: string
  ssl?: boolean | { rejectUnauthorized: boolean }
}

/** The parts of a `mysql://` URL. `?ssl=require` encrypts, `?ssl=verify` also checks the certificate and its name. Throws ConfigError. */
export function mysqlTarget(databaseUrl: string): MysqlTarget {
  let url: URL
  let user: string
  let password: string
  let database: string
  try {
    url = new URL(databaseUrl)
    user = decodeURIComponent(url.username)
    password = decodeURIComponent(url.password)
    database = decodeURIComponent(url.pathname.slice(1))
  } catch {
    throw new ConfigError(
      'DATABASE_URL is not a URL. It looks like mysql://user:password@host:3306/toolferry; special characters of the password are percent-encoded.',
    )
  }
  if (database === '')
    throw new ConfigError('DATABASE_URL names no database: mysql://user:password@host:3306/<database>')
  const ssl = url.searchParams.get('ssl')
  if (ssl !== null && ssl !== 'require' && ssl !== 'verify') {
    throw new ConfigError('DATABASE_URL: ssl must be "require" or "verify".')
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (ssl === 'verify' && isIP(host) !== 0) {
    // The drivers compare the certificate with names only.
    throw new ConfigError('DATABASE_URL: for ssl=verify, give the database’s host name instead of its address.')
  }
  return {
    host,
    port: url.port === '' ? 3306 : Number(url.port),
    user,
    password,
    database,
    ...(ssl === null ? {} : { ssl: { rejectUnauthorized: ssl === 'verify' } }),
  }
}

/** Prisma's adapter on a connection of ours. */
class OneConnection extends PrismaLibSql {
  readonly #connection: LibSqlClient

  constructor(path: string, connection: LibSqlClient) {
    super({ url: pathToFileURL(path).href })
    this.#connection = connection
  }

  override createClient(): LibSqlClient {
    return this.#connection
  }
}
