import type { Socket } from 'node:net'
import mysql from 'mysql2'
import { ToolferryError } from '../../domain/errors.ts'
import type { DatabaseEndpoint, DifyDatabase } from './database.ts'
import { CANCEL_GRACE_MS, dialDatabase, serverName, throwIfAborted } from './dial.ts'
import { mapMysqlError } from './mysql-errors.ts'
import type { Rows } from './provider-sql.ts'

/** After this much silence the server ends the session, and with it the lock of a process whose machine is gone. */
const SESSION_IDLE_S = 300

/**
 * Opens a session: checks where it leads, connects within `timeouts.connectMs`, obeys the signal meanwhile, sets its timeouts,
 * strict mode and UTC. `prefer` falls back to plain text when the server has no TLS.
 */
export async function openMysqlSession(endpoint: DatabaseEndpoint, signal: AbortSignal): Promise<MysqlSession> {
  const { tls } = endpoint.options
  try {
    return await openWith(endpoint, tls !== 'disable', signal)
  } catch (error) {
    const mayBePlain = tls === 'prefer' && error instanceof ToolferryError && error.field === 'database.tls'
    if (!mayBePlain || signal.aborted) throw error
    return await openWith(endpoint, false, signal)
  }
}

async function openWith(endpoint: DatabaseEndpoint, encrypted: boolean, signal: AbortSignal): Promise<MysqlSession> {
  const { connection, socket } = await connectClient(endpoint, encrypted, signal)
  const session = new MysqlSession(endpoint, connection, socket, encrypted, signal)
  try {
    await session.setUp()
    return session
  } catch (error) {
    await session.close()
    throw error
  }
}

type Client = { connection: mysql.Connection; socket: Socket }

function connectClient(endpoint: DatabaseEndpoint, encrypted: boolean, signal: AbortSignal): Promise<Client> {
  const { options } = endpoint
  return dialDatabase(
    endpoint,
    signal,
    async (socket, address) => {
      const ssl = encrypted ? tlsOptions(options) : undefined
      socket.setNoDelay(true)
      socket.setKeepAlive(true)
      socket.connect(options.port, address)
      const connection = mysql.createConnection({
        // The name, for TLS; the connection goes to the checked address.
        host: options.host,
        port: options.port,
        user: options.user,
        password: options.password,
        // '' connects to no database.
        ...(options.database === '' ? {} : { database: options.database }),
        charset: 'utf8mb4_general_ci',
        dateStrings: true,
        supportBigNumbers: true,
        // dialDatabase has the timer.
        connectTimeout: 0,
        stream: socket,
        ...(ssl === undefined ? {} : { ssl }),
      })
      await new Promise<void>((resolve, reject) => {
        // A server that hangs up before its greeting leaves the driver without a word.
        socket.once('close', () => reject(Object.assign(new Error('connection closed'), { code: '' })))
        socket.once('error', reject)
        connection.once('error', reject)
        connection.connect((error) => (error === null ? resolve() : reject(error)))
      })
      // Without a listener the loss of an idle connection would end the process; the next call finds out.
      connection.on('error', () => socket.destroy())
      return { connection, socket }
    },
    (error) => mapMysqlError(error, { ...options, phase: 'connect' }),
  )
}

function tlsOptions(options: DifyDatabase): mysql.SslOptions {
  const verified = options.tls === 'verify-full'
  if (verified && serverName(options) === undefined) {
    // The driver compares the certificate with names only.
    throw new ToolferryError(
      'InvalidDesiredState',
      'For verify-full, give the database’s host name instead of its address, or set tls to “require”.',
      { field: 'database.host' },
    )
  }
  return { rejectUnauthorized: verified, verifyIdentity: verified }
}

/**
 * One connection to MySQL or MariaDB with one statement at a time. An aborted signal, and a statement that takes too long, is
 * killed on the server; if that does not end it, the connection is cut, and the server rolls back.
 */
export class MysqlSession {
  readonly encrypted: boolean
  /** Told what a statement failed with. */
  onFailure: (error: unknown) => void = () => {}
  readonly #endpoint: DatabaseEndpoint
  readonly #connection: mysql.Connection
  readonly #socket: Socket
  #signal: AbortSignal
  #readsCommitted = false
  #inDoubt = false

  constructor(
    endpoint: DatabaseEndpoint,
    connection: mysql.Connection,
    socket: Socket,
    encrypted: boolean,
    signal: AbortSignal,
  ) {
    this.#endpoint = endpoint
    this.#connection = connection
    this.#socket = socket
    this.encrypted = encrypted
    this.#signal = signal
  }

  get usable(): boolean {
    return !this.#inDoubt && !this.#socket.destroyed
  }

  obey(signal: AbortSignal): void {
    this.#signal = signal
  }

  /** Backslash escapes are on: the driver relies on them where it puts values into a statement. */
  async setUp(): Promise<void> {
    const { statementMs, rowLockMs } = this.#endpoint.timeouts
    await this.query(
      `SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1,
         innodb_lock_wait_timeout = ?, lock_wait_timeout = ?, wait_timeout = ?`,
      [wholeSeconds(rowLockMs), wholeSeconds(statementMs), SESSION_IDLE_S],
    )
  }

  /** `?` stands for a value, or for the values of a list that is not empty. Rejects with ToolferryError, UniqueViolation, or the signal's reason. */
  async query(text: string, values: unknown[] = []): Promise<Rows> {
    const result = await this.#run(text, values, this.#signal)
    return Array.isArray(result) ? (result as Rows) : []
  }

  /** The number of rows that a statement found to change. */
  async change(text: string, values: unknown[] = []): Promise<number> {
    const result = await this.#run(text, values, this.#signal)
    return Array.isArray(result) ? 0 : (result as mysql.ResultSetHeader).affectedRows
  }

  /**
   * Commits what `work` did, or nothing of it. Each statement sees what is committed by then; and without the locks on gaps that
   * MySQL's default takes, inserts of one table do not deadlock.
   */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#readsCommitted) {
      await this.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
      this.#readsCommitted = true
    }
    await this.#run('START TRANSACTION', [], this.#signal)
    let result: T
    try {
      result = await work()
      throwIfAborted(this.#signal)
    } catch (error) {
      await this.#rollback()
      throw error
    }
    // Not cancellable: whether a cancelled COMMIT happened is anybody's guess.
    await this.#run('COMMIT', [], null)
    return result
  }

  async close(): Promise<void> {
    if (!this.usable) {
      this.#cut()
      return
    }
    const timer = setTimeout(() => this.#cut(), CANCEL_GRACE_MS)
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve())
      this.#connection.end(() => resolve())
    })
    clearTimeout(timer)
    this.#cut()
  }

  #cut(): void {
    this.#socket.destroy()
  }

  /** Bounded: a server that does not answer rolls back by itself when the connection is gone. */
  async #rollback(): Promise<void> {
    if (this.#socket.destroyed) return
    const timer = setTimeout(() => this.#cut(), CANCEL_GRACE_MS)
    try {
      await this.#run('ROLLBACK', [], null)
    } catch {
      this.#inDoubt = true
      this.#cut()
    } finally {
      clearTimeout(timer)
    }
  }

  async #run(text: string, values: unknown[], signal: AbortSignal | null): Promise<unknown> {
    if (signal !== null) throwIfAborted(signal)
    if (this.#socket.destroyed) throw this.#mapped(new Error('connection closed'))
    this.#endpoint.onStatement?.(text)
    let canceller: AbortController | undefined
    let cutTimer: NodeJS.Timeout | undefined
    const kill = (): void => {
      if (this.#inDoubt) return
      this.#inDoubt = true
      cutTimer = setTimeout(() => this.#cut(), CANCEL_GRACE_MS)
      canceller = new AbortController()
      void this.#killStatement(canceller.signal)
    }
    let late = false
    const lateTimer = setTimeout(() => {
      late = true
      kill()
    }, this.#endpoint.timeouts.statementMs)
    signal?.addEventListener('abort', kill, { once: true })
    try {
      return await this.#send(text, values)
    } catch (error) {
      if (signal !== null) throwIfAborted(signal)
      throw this.#mapped(late ? Object.assign(new Error('late'), { errno: QUERY_INTERRUPTED, cause: error }) : error)
    } finally {
      clearTimeout(lateTimer)
      signal?.removeEventListener('abort', kill)
      // A kill that is still under way may hit the ROLLBACK that follows; then the connection is cut, which rolls back, too.
      canceller?.abort()
      clearTimeout(cutTimer)
    }
  }

  #send(text: string, values: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const lost = (): void => reject(new Error('connection closed'))
      this.#socket.once('close', lost)
      this.#connection.query(text, values, (error, result) => {
        this.#socket.off('close', lost)
        if (error === null) resolve(result)
        else reject(error)
      })
    })
  }

  #mapped(error: unknown): unknown {
    const mapped = mapMysqlError(error, { ...this.#endpoint.options, phase: 'query' })
    this.onFailure(mapped)
    return mapped
  }

  /** Asks the server, over a connection of its own, to end what this session is doing; gives up when that has ended. */
  async #killStatement(ended: AbortSignal): Promise<void> {
    try {
      const { connection, socket } = await connectClient(this.#endpoint, this.encrypted, ended)
      ended.addEventListener('abort', () => socket.destroy(), { once: true })
      if (ended.aborted) socket.destroy()
      connection.query('KILL QUERY ?', [this.#connection.threadId], () => connection.end(() => socket.destroy()))
    } catch {
      // The timer that was set with this call cuts the connection, if the statement is still running then.
    }
  }
}

/** ER_QUERY_INTERRUPTED: what a killed statement answers. */
const QUERY_INTERRUPTED = 1317

/** MySQL's timeouts count in seconds, at least one. */
function wholeSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
