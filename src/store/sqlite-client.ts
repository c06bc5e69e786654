import { type InStatement, LibsqlError, type ResultSet } from '@libsql/client'
import type { PrismaLibSql } from '@prisma/adapter-libsql'
import Database from 'libsql'
import AsyncDatabase from 'libsql/promise'

/** What Prisma's adapter talks to. */
export type LibSqlClient = ReturnType<PrismaLibSql['createClient']>
type LibSqlTransaction = Awaited<ReturnType<LibSqlClient['transaction']>>

type Prepared = { statement: Database.Statement<unknown[]>; columns: string[]; types: string[]; reads: boolean }

/** Statements kept prepared, the least recently used first out, and the longest text that is. */
const KEPT_STATEMENTS = 300
const LONGEST_KEPT_CHARACTERS = 20_000

/**
 * One connection to an SQLite file, as Prisma's adapter wants it. In place of libSQL's own client, which prepares every statement
 * anew and builds every row twice, and whose transactions go to a connection of their own. Here they stay on this one, with its
 * pragmas, and are immediate; the adapter keeps everything else off it while a transaction is open.
 */
export function openSqliteConnection(path: string, pragmas: readonly string[] = []): LibSqlClient {
  const database = new Database(path)
  for (const pragma of pragmas) database.exec(pragma)
  const prepared = new Map<string, Prepared>()

  const prepare = (sql: string): Prepared => {
    const known = prepared.get(sql)
    if (known !== undefined) {
      prepared.delete(sql)
      prepared.set(sql, known)
      return known
    }
    const statement: Database.Statement<unknown[]> = database.prepare(sql)
    const reads = statement.reader
    const columns = reads ? statement.raw(true).columns() : []
    const made = {
      statement,
      columns: columns.map(({ name }) => name),
      types: columns.map(({ type }) => type ?? ''),
      reads,
    }
    if (sql.length > LONGEST_KEPT_CHARACTERS) return made
    prepared.set(sql, made)
    const [oldest] = prepared.keys()
    if (prepared.size > KEPT_STATEMENTS && oldest !== undefined) prepared.delete(oldest)
    return made
  }

  const run = (given: InStatement): ResultSet => {
    const sql = typeof given === 'string' ? given : given.sql
    const args = typeof given === 'string' ? [] : Object.values(given.args ?? [])
    try {
      const { statement, columns, types, reads } = prepare(sql)
      const values = args.map((value) => (typeof value === 'boolean' ? Number(value) : value))
      return reads
        ? result(columns, types, statement.all(values), 0)
        : result([], [], [], statement.run(values).changes)
    } catch (error) {
      // It may have stopped half-way.
      prepared.delete(sql)
      throw error instanceof Database.SqliteError ? asLibsqlError(error) : error
    }
  }
  const execute = async (given: InStatement) => run(given)
  /** Off this thread: what waits for the disk must not hold up everything else that the process does. */
  const commit = async () => {
    try {
      await AsyncDatabase.prototype.exec.call(database, 'COMMIT')
    } catch (error) {
      // A commit that failed leaves the transaction open, and the next one could not begin.
      if (database.inTransaction) run('ROLLBACK')
      throw error instanceof Database.SqliteError ? asLibsqlError(error) : error
    }
  }
  const executeMultiple = async (sql: string) => void database.exec(sql)
  const inside = (commit: () => unknown, rollback: () => unknown): LibSqlTransaction => {
    let open = true
    const end = async (how: () => unknown) => {
      if (!open) return
      open = false
      await how()
    }
    return {
      execute,
      executeMultiple,
      batch: async (statements) => statements.map((statement) => run(statement)),
      commit: () => end(commit),
      rollback: () => end(rollback),
      close: () => void end(rollback),
      get closed() {
        return !open
      },
    }
  }

  return {
    execute,
    executeMultiple,
    transaction: async () => {
      // Prisma wants one for some of what it does in a transaction of ours.
      if (database.inTransaction) {
        run('SAVEPOINT inner_one')
        const goBack = () => [run('ROLLBACK TO inner_one'), run('RELEASE inner_one')]
        return inside(() => run('RELEASE inner_one'), goBack)
      }
      run('BEGIN IMMEDIATE')
      return inside(commit, () => run('ROLLBACK'))
    },
    batch: unused,
    migrate: unused,
    sync: unused,
    reconnect: unused,
    close: () => {
      prepared.clear()
      if (database.open) database.close()
    },
    get closed() {
      return !database.open
    },
    protocol: 'file',
  }
}

/** The adapter reads rows by position and adds names itself. */
function result(columns: string[], columnTypes: string[], rows: unknown[], rowsAffected: number): ResultSet {
  return {
    columns,
    columnTypes,
    rows: rows as ResultSet['rows'],
    rowsAffected,
    lastInsertRowid: undefined,
    toJSON: () => ({}),
  }
}

/** Prisma tells by the numbers what happened: a unique violation, a busy database. */
function asLibsqlError(error: Error & { code: string; rawCode?: number }): LibsqlError {
  return new LibsqlError(error.message, error.code, error.code, error.rawCode, error)
}

async function unused(): Promise<never> {
  throw new Error('the store does not use this')
}
