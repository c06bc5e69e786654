import { randomBytes } from 'node:crypto'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { DATABASE_SERVERS, type ServerAccount } from './database-servers.ts'
import { DIFY_COLLATION, type Engine } from './dify-shapes.ts'

/** The test machine's database servers, as one sees them who owns Dify's tables. SQL is PostgreSQL's, with `$n` for values. */

/** MySQL's own view in information_schema fails as long as any session's statement has an emoji; MariaDB has no other. */
export const MYSQL_PROCESSES = '/*!80022 performance_schema */ /*M! information_schema */ .processlist'

const ODD_PASSWORD = `p'a "s\\s' w=ö%20 {rd}`

export type Query = (sql: string, values?: unknown[]) => Promise<Record<string, unknown>[]>

/** A connection of its own. */
export type OwnClient = { query: Query; end(): Promise<void> }

export type ServerDatabase = {
  name: string
  /** Whom Toolferry connects as: on MySQL a user of this database alone, with a password that wants care. */
  account: ServerAccount
  query: Query
  script(sql: string): Promise<void>
  connect(): Promise<OwnClient>
  drop(): Promise<void>
}

/** `password`: on MySQL that of the database's user; PostgreSQL trusts whatever it is given. */
export async function createServerDatabase(engine: Engine, password = ODD_PASSWORD): Promise<ServerDatabase> {
  const name = `tf_dify_${randomBytes(6).toString('hex')}`
  return engine === 'postgresql' ? await onPostgres(name) : await onMysql(name, password)
}

async function onPostgres(name: string): Promise<ServerDatabase> {
  const server = DATABASE_SERVERS.postgresql
  const onServer = async (sql: string): Promise<void> => {
    const client = new pg.Client({ ...server, database: 'postgres' })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
  await onServer(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`)
  const pool = new pg.Pool({ ...server, database: name, max: 4 })
  pool.on('error', () => {})
  return {
    name,
    account: server,
    query: async (sql, values = []) => (await pool.query(sql, values)).rows,
    script: async (sql) => void (await pool.query(sql)),
    connect: async () => {
      const client = new pg.Client({ ...server, database: name })
      client.on('error', () => {})
      await client.connect()
      return { query: async (sql, values = []) => (await client.query(sql, values)).rows, end: () => client.end() }
    },
    drop: async () => {
      await pool.end()
      await onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    },
  }
}

async function onMysql(name: string, password: string): Promise<ServerDatabase> {
  const server = DATABASE_SERVERS.mysql
  const options = { ...server, charset: 'utf8mb4_general_ci', dateStrings: true } as const
  const first = await mysql.createConnection(options)
  await first.query(`CREATE DATABASE ${name} DEFAULT CHARACTER SET utf8mb4 COLLATE ${DIFY_COLLATION}`)
  const account = { ...server, user: name, password }
  await first.query('CREATE USER ?@? IDENTIFIED BY ?', [name, '%', account.password])
  await first.query(`GRANT ALL ON ${name}.* TO ?@?`, [name, '%'])
  await first.end()
  const pool = mysql.createPool({ ...options, database: name, connectionLimit: 4, multipleStatements: true })
  return {
    name,
    account,
    query: async (sql, values = []) => rowsOf((await pool.query(...asMysql(sql, values)))[0]),
    script: async (sql) => void (await pool.query(sql)),
    connect: async () => {
      const connection = await mysql.createConnection({ ...options, database: name })
      connection.on('error', () => {})
      return {
        query: async (sql, values = []) => rowsOf((await connection.query(...asMysql(sql, values)))[0]),
        end: () => connection.end(),
      }
    },
    drop: async () => {
      await pool.end()
      const last = await mysql.createConnection(options)
      // As PostgreSQL's FORCE: a transaction that a failed test left open would keep the tables.
      const ofOurs = `SELECT id FROM ${MYSQL_PROCESSES} WHERE db = ? OR user = ?`
      const [left] = await last.query(ofOurs, [name, name])
      for (const { id } of rowsOf(left)) await last.query('KILL ?', [id]).catch(() => {})
      await last.query(`DROP DATABASE IF EXISTS ${name}`)
      await last.query('DROP USER IF EXISTS ?@?', [name, '%'])
      await last.end()
    },
  }
}

/** `$2` becomes `?`, its value in the place where it stands. */
function asMysql(sql: string, values: unknown[]): [sql: string, values: unknown[]] {
  const placed: unknown[] = []
  const text = sql.replace(/\$(\d+)/g, (_, number) => {
    placed.push(values[Number(number) - 1])
    return '?'
  })
  return [text, placed]
}

function rowsOf(result: unknown): Record<string, unknown>[] {
  return Array.isArray(result) ? (result as Record<string, unknown>[]) : []
}
