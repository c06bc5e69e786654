import { PrismaMariaDb } from '@prisma/adapter-mariadb'
import type { Statements } from './counters.ts'

/** What went to the store on MariaDB, counted in this process: statements without BEGIN and COMMIT, those that write, and commits. */

type Adapter = Awaited<ReturnType<PrismaMariaDb['connect']>>
type Queryable = Pick<Adapter, 'queryRaw' | 'executeRaw'>

const counted: Statements = { all: 0, writes: 0, commits: 0 }

/** Once a process, before the store is opened. */
export function countStoreStatements(): void {
  const connect = PrismaMariaDb.prototype.connect
  PrismaMariaDb.prototype.connect = async function (this: PrismaMariaDb) {
    const adapter = await connect.call(this)
    countIn(adapter)
    const start = adapter.startTransaction.bind(adapter)
    adapter.startTransaction = async (level) => {
      const transaction = await start(level)
      countIn(transaction)
      const commit = transaction.commit.bind(transaction)
      transaction.commit = () => {
        counted.commits += 1
        return commit()
      }
      return transaction
    }
    return adapter
  }
}

export function storeStatements(): Statements {
  return { ...counted }
}

function countIn(queryable: Queryable): void {
  const queryRaw = queryable.queryRaw.bind(queryable)
  const executeRaw = queryable.executeRaw.bind(queryable)
  queryable.queryRaw = (query) => {
    note(query.sql)
    return queryRaw(query)
  }
  queryable.executeRaw = (query) => {
    note(query.sql)
    return executeRaw(query)
  }
}

function note(sql: string): void {
  counted.all += 1
  if (/^\s*(INSERT|UPDATE|DELETE|REPLACE)/i.test(sql)) counted.writes += 1
}
