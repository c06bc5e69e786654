import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenClient, Tx } from './client.ts'

/** Unique: somebody else may insert the same row between our look and our insert; look again. */
export type WriteOptions = { retryUnique?: boolean }

export type Write = <T>(work: (tx: Tx) => Promise<T>, options?: WriteOptions) => Promise<T>

const MAX_ATTEMPTS = 8

const callbacks = new WeakMap<Tx, (() => void)[]>()
const inside = new AsyncLocalStorage<true>()

/** Runs `callback` once the transaction has committed; never when it rolls back. */
export function afterCommit(tx: Tx, callback: () => void): void {
  const list = callbacks.get(tx)
  if (list === undefined) throw new Error('afterCommit needs the tx of store.write()')
  list.push(callback)
}

/**
 * Write transactions. On SQLite one at a time, in the order of the calls: there is one write lock, and waiting for it in
 * a queue of ours cannot time out or starve. On MySQL side by side; what loses a deadlock is run again, so `work` must
 * have no effects outside its transaction (use afterCommit). A write inside a write is refused, since it would wait for
 * itself.
 */
export function createWrite(client: OpenClient, onError: (error: unknown) => void): Write {
  let queue: Promise<unknown> = Promise.resolve()

  async function attempt<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const after: (() => void)[] = []
    const result = await client.writer.$transaction(
      (tx) => {
        callbacks.set(tx, after)
        return inside.run(true, () => work(tx))
      },
      { maxWait: 30_000, timeout: 60_000 },
    )
    for (const callback of after) {
      try {
        callback()
      } catch (error) {
        // The transaction stands; a listener's failure is not the writer's.
        onError(error)
      }
    }
    return result
  }

  async function attempts<T>(work: (tx: Tx) => Promise<T>, options: WriteOptions): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        return await attempt(work)
      } catch (error) {
        const again = isTransient(error) || (options.retryUnique === true && isUniqueViolation(error))
        if (!again || count === MAX_ATTEMPTS) throw withoutValues(error)
        await sleep(Math.random() * 20 * 2 ** count)
      }
    }
  }

  return (work, options = {}) => {
    if (inside.getStore() === true) {
      return Promise.reject(new Error('store.write() inside store.write(): pass the tx on, or do it after the commit'))
    }
    if (client.engine === 'mysql') return attempts(work, options)
    const turn = queue.then(() => attempts(work, options))
    queue = turn.catch(() => undefined)
    return turn
  }
}

/** Prisma explains a query that does not fit its schema by printing all that was to be written; errors end in logs. */
function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'PrismaClientValidationError') return error
  return new Error(`A query does not fit the schema. ${error.message.trimEnd().split('\n').at(-1) ?? ''}`)
}

/** Prisma's P2002, or what the driver says of a statement of our own (P2010). */
export function isUniqueViolation(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'P2002' || (code === 'P2010' && kindOf(error) === 'UniqueConstraintViolation')
}

/** Prisma's P2025: the row that was to be changed is not there. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'P2025'
}

/** A deadlock or lock wait timeout on MySQL, a busy database on SQLite: the same work may succeed when run again. */
function isTransient(error: unknown): boolean {
  if (codeOf(error) === 'P2034') return true
  const message = error instanceof Error ? error.message : ''
  return /deadlock|lock wait timeout|record has changed since last read|SQLITE_BUSY|database is locked/i.test(message)
}

function codeOf(error: unknown): unknown {
  return memberOf(error, 'code')
}

function kindOf(error: unknown): unknown {
  return memberOf(memberOf(memberOf(memberOf(error, 'meta'), 'driverAdapterError'), 'cause'), 'kind')
}

function memberOf(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null && name in of ? Reflect.get(of, name) : undefined
}
