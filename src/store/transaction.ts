import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import type { OpenClient, Tx } from './client.ts'

export type WriteOptions = {
  /** Unique: somebody else may insert the same row between our look and our insert; look again. */
  retryUnique?: boolean
  /**
   * May be committed together with others of the kind: it is short, as they are, and what it records may be known a few milliseconds
   * later. Not for what cuts something off, nor for what an admin waits for.
   */
  shared?: boolean
}

export type Write = <T>(work: (tx: Tx) => Promise<T>, options?: WriteOptions) => Promise<T>

const MAX_ATTEMPTS = 8

/** SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY (sqlite.org/rescode.html). */
const SQLITE_UNIQUE: readonly unknown[] = [2067, 1555]

const callbacks = new WeakMap<Tx, (() => void)[]>()
const inside = new AsyncLocalStorage<true>()

/** Runs `callback` once the transaction has committed; never when it rolls back. */
export function afterCommit(tx: Tx, callback: () => void): void {
  const list = callbacks.get(tx)
  if (list === undefined) throw new Error('afterCommit needs the tx of store.write()')
  list.push(callback)
}

/** Shared works of one transaction on SQLite, and how long the first of them may have been going on when the last one begins. */
const LARGEST_GROUP = 50
const GROUP_MS = 50

type Callbacks = (() => void)[]
type Waiting = {
  shared: boolean
  /** A transaction of its own. */
  alone: () => Promise<void>
  /** In somebody's transaction; once that is committed, `committed`, else `alone` or `failed`. */
  join: (tx: Tx) => Promise<void>
  committed: () => void
  failed: (error: unknown) => void
}

/**
 * Write transactions. On SQLite one after another, in the order of the calls: there is one write lock, and waiting for it in
 * a queue of ours cannot time out or starve. A commit waits for the disk and costs more than what is in a `shared` work, so those that
 * came one after another while one was going on are committed together; what fails does so alone, and the others are run again without it.
 * On MySQL side by side; what loses a deadlock is run again. So `work` must have no effects outside its transaction (use
 * afterCommit). A write inside a write is refused, since it would wait for itself.
 */
export function createWrite(client: OpenClient, onError: (error: unknown) => void): Write {
  const run = async <T>(tx: Tx, work: (tx: Tx) => Promise<T>): Promise<{ result: T; after: Callbacks }> => {
    const after: Callbacks = []
    callbacks.set(tx, after)
    return { result: await inside.run(true, () => work(tx)), after }
  }

  const tell = (after: Callbacks) => {
    for (const callback of after) {
      try {
        callback()
      } catch (error) {
        // The transaction stands; a listener's failure is not the writer's.
        onError(error)
      }
    }
  }

  async function attempts<T>(work: (tx: Tx) => Promise<T>, options: WriteOptions): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        const { result, after } = await client.transact((tx) => run(tx, work))
        tell(after)
        return result
      } catch (error) {
        const again = isTransient(error) || (options.retryUnique === true && isUniqueViolation(error))
        if (!again || count === MAX_ATTEMPTS) throw withoutValues(error)
        await sleep(Math.random() * 20 * 2 ** count)
      }
    }
  }

  const queue: Waiting[] = []
  let busy = false

  async function drain(): Promise<void> {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      // Who was let go on by the last commit may have the next thing to record.
      if (next.shared) await immediate()
      if (client.closed()) next.failed(new Error('The store was closed before this was written.'))
      else if (next.shared && queue[0]?.shared === true) await together(next)
      else await next.alone()
    }
    busy = false
  }

  async function together(first: Waiting): Promise<void> {
    const group = [first]
    try {
      await client.transact(async (tx) => {
        const until = performance.now() + GROUP_MS
        for (let next: Waiting | undefined = first; next !== undefined; ) {
          await next.join(tx)
          const goesOn = queue[0]?.shared === true && group.length < LARGEST_GROUP && performance.now() < until
          next = goesOn ? queue.shift() : undefined
          if (next !== undefined) group.push(next)
        }
      })
    } catch (error) {
      // Whose fault it was, and whether another attempt helps, shows when each has a transaction of its own.
      for (const { alone, failed } of group) {
        if (client.closed()) failed(error)
        else await alone()
      }
      return
    }
    for (const { committed } of group) committed()
  }

  function inTurn<T>(work: (tx: Tx) => Promise<T>, options: WriteOptions): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let joined: { result: T; after: Callbacks } | null = null
      queue.push({
        shared: options.shared === true,
        alone: () => attempts(work, options).then(resolve, reject),
        join: async (tx) => {
          joined = await run(tx, work)
        },
        committed: () => {
          if (joined === null) return
          resolve(joined.result)
          tell(joined.after)
        },
        failed: reject,
      })
      if (busy) return
      busy = true
      void drain()
    })
  }

  return (work, options = {}) => {
    if (inside.getStore() === true) {
      return Promise.reject(new Error('store.write() inside store.write(): pass the tx on, or do it after the commit'))
    }
    return client.engine === 'mysql' ? attempts(work, options) : inTurn(work, options)
  }
}

/** Prisma explains a query that does not fit its schema by printing all that was to be written; errors end in logs. */
function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'PrismaClientValidationError') return error
  return new Error(`A query does not fit the schema. ${error.message.trimEnd().split('\n').at(-1) ?? ''}`)
}

/** Prisma's P2002, or what the driver says of a statement of our own: through Prisma (P2010), or itself. */
export function isUniqueViolation(error: unknown): boolean {
  const code = codeOf(error)
  if (code === 'P2002' || SQLITE_UNIQUE.includes(memberOf(error, 'rawCode'))) return true
  return code === 'P2010' && kindOf(error) === 'UniqueConstraintViolation'
}

/** Prisma's P2025: the row that was to be changed is not there. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'P2025'
}

/** A deadlock or lock wait timeout on MySQL: the same work may succeed when run again. For a busy database SQLite has waited already. */
function isTransient(error: unknown): boolean {
  if (codeOf(error) === 'P2034') return true
  const message = error instanceof Error ? error.message : ''
  return /deadlock|lock wait timeout|record has changed since last read/i.test(message)
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
