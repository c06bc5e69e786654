import type { InValue } from '@libsql/client'
import type { Db, Statements, Transact, Tx } from './client.ts'
import { findRowsOnSqlite, rowsOf } from './find-rows.ts'
import type { PrismaClient as SqliteClient } from './generated/sqlite/client.ts'
import type { LibSqlClient } from './sqlite-client.ts'
import { withOwn } from './with-own.ts'

/** Nothing that is short takes as long; what hangs must not keep everybody else from writing. */
const LONGEST_MS = 60_000

/** `models` and, past Prisma, statements on the connection that they share. */
export function besideModels(connection: LibSqlClient, models: SqliteClient): Db {
  return withOwn(models, statementsOn(connection))
}

/**
 * Transactions of our own on a connection that `models` shares, so that what Prisma runs in them is in them, too. One at a time:
 * whoever calls sees to it.
 */
export function transactionsOn(connection: LibSqlClient, models: SqliteClient, longestMs = LONGEST_MS): Transact {
  return async (work) => {
    const transaction = await connection.transaction()
    let open = true
    const refuseIfOver = () => {
      if (!open) throw new Error('This transaction has ended: what belongs to it is awaited in it.')
    }
    const hangs = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => hangs.reject(new Error('A write transaction took too long and was rolled back.')),
      longestMs,
    )
    try {
      const tx: Tx = withOwn(models, statementsOn(connection, refuseIfOver), refuseIfOver)
      const result = await Promise.race([work(tx), hangs.promise])
      open = false
      await transaction.commit()
      return result
    } catch (error) {
      open = false
      // On a connection that was closed there is nothing to take back.
      if (!connection.closed) await transaction.rollback()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
}

/** `check` is asked before each. */
function statementsOn(connection: LibSqlClient, check: () => void = () => undefined): Statements {
  const run = async (sql: string, values: readonly unknown[]) => {
    check()
    return await connection.execute({ sql, args: values.map(stored) })
  }
  return {
    findRows: findRowsOnSqlite(connection),
    $executeRawUnsafe: async (sql, ...values) => (await run(sql, values)).rowsAffected,
    // What the rows look like the caller knows, who wrote the statement.
    $queryRawUnsafe: async <T>(sql: string, ...values: unknown[]) => rowsOf(await run(sql, values)) as T,
  }
}

/** As Prisma writes it. */
function stored(value: unknown): InValue {
  return value instanceof Date ? value.toISOString().replace('Z', '+00:00') : (value as InValue)
}
