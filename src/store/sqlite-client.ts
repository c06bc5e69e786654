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
export function openSqliteConnection(
  path: string,
  pragmas: readonly string[] = [],
  /** Refuses what is not in a transaction, since nobody awaits and nothing takes back what comes behind the end of one. */
  { transactionsOnly = false } = {},
): LibSqlClient {
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
  const execute = async (given: InStatement) => {
    if (transactionsOnly && database.open && !database.inTransaction) {
      throw new Error('Written outside of a transaction: what belongs to one is awaited in it.')
    }
    return run(given)
  }
  /**
   * What begins and ends transactions. Not kept prepared: a statement that found the database busy has not ended for SQLite until it is
   * let go of, and no transaction could be committed meanwhile.
   */
  const control = (sql: string) => {
    // Asked about a closed database, libSQL ends the process.
    if (!database.open) throw new Error('The store was closed before this was written.')
    try {
      database.exec(sql)
    } catch (error) {
      throw error instanceof Database.SqliteError ? asLibsqlError(error) : error
    }
  }
  const rollback = (sql = 'ROLLBACK') => {
    // On a full disk SQLite has done so by itself.
    if (database.open && database.inTransaction) control(sql)
  }
  let committing = false
  /** Off this thread: what waits for the disk must not hold up everything else that the process does. */
  const commit = async () => {
    if (!database.open) throw new Error('The store was closed before this was written.')
    committing = true
    try {
      await AsyncDatabase.prototype.exec.call(database, 'COMMIT')
    } catch (error) {
      // A commit that failed leaves the transaction open, and the next one could not begin.
      rollback()
      throw error instanceof Database.SqliteError ? asLibsqlError(error) : error
    } finally {
      committing = false
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
      if (database.open && database.inTransaction) {
        control('SAVEPOINT inner_one')
        return inside(
          () => control('RELEASE inner_one'),
          () => rollback('ROLLBACK TO inner_one; RELEASE inner_one'),
        )
      }
      control('BEGIN IMMEDIATE')
      return inside(commit, () => rollback())
    },
    batch: unused,
    migrate: unused,
    sync: unused,
    reconnect: unused,
    close: () => {
      prepared.clear()
      // Statements keep the file open until they are collected, and with it the lock of a transaction that nobody ends any more.
      if (!committing) rollback()
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
