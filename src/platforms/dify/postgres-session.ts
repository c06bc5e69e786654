import type { Socket } from 'node:net'
import pg from 'pg'
import { ToolferryError } from '../../domain/errors.ts'
import type { DatabaseEndpoint, DifyDatabase } from './database.ts'
import { CANCEL_GRACE_MS, dialDatabase, serverName, throwIfAborted } from './dial.ts'
import { mapPostgresError } from './postgres-errors.ts'

export type Rows = Record<string, unknown>[]

/**
 * Opens a session: checks where it leads, connects within `timeouts.connectMs`, obeys the signal meanwhile, sets its timeouts
 * and UTC. `prefer` falls back to plain text when the server has no TLS.
 */
export async function openPostgresSession(endpoint: DatabaseEndpoint, signal: AbortSignal): Promise<PostgresSession> {
  const { tls } = endpoint.options
  try {
    return await openWith(endpoint, tls !== 'disable', signal)
  } catch (error) {
    if (tls !== 'prefer' || signal.aborted || !mayWorkWithoutTls(error)) throw error
    return await openWith(endpoint, false, signal)
  }
}

async function openWith(endpoint: DatabaseEndpoint, encrypted: boolean, signal: AbortSignal): Promise<PostgresSession> {
  const { client, socket } = await connectClient(endpoint, encrypted, signal)
  const session = new PostgresSession(endpoint, client, socket, encrypted, signal)
  try {
    await session.setUp()
    return session
  } catch (error) {
    await session.close()
    throw error
  }
}

function connectClient(
  endpoint: DatabaseEndpoint,
  encrypted: boolean,
  signal: AbortSignal,
): Promise<{ client: pg.Client; socket: Socket }> {
  const { options, timeouts } = endpoint
  return dialDatabase(
    endpoint,
    signal,
    async (socket, address) => {
      const client = new pg.Client({
        host: address,
        port: options.port,
        user: options.user,
        database: options.database,
        // A function, so that the driver looks neither into the environment nor into a password file.
        password: () => options.password,
        ssl: encrypted ? tlsOptions(options) : false,
        application_name: 'toolferry',
        keepAlive: true,
        query_timeout: timeouts.statementMs + CANCEL_GRACE_MS,
        stream: () => socket,
      })
      // Without a listener the loss of an idle connection would end the process; the next call finds out.
      client.on('error', () => socket.destroy())
      await client.connect()
      return { client, socket }
    },
    (error) => mapPostgresError(error, { ...options, phase: 'connect' }),
  )
}

function tlsOptions(options: DifyDatabase): pg.ConnectionConfig['ssl'] {
  const servername = serverName(options)
  return {
    rejectUnauthorized: options.tls === 'verify-full',
    // The connection goes to a checked address; the certificate must be of the name.
    host: options.host,
    ...(servername === undefined ? {} : { servername }),
  }
}

/** No TLS there, or pg_hba.conf lets this user in without it only (28000). A wrong password is not tried again in the open. */
function mayWorkWithoutTls(error: unknown): boolean {
  if (!(error instanceof ToolferryError)) return false
  return error.field === 'database.tls' || (isSqlError(error.cause) && error.cause.code === '28000')
}

/**
 * One connection to PostgreSQL with one statement at a time. An aborted signal cancels the statement in flight on the server;
 * if that does not end it, the connection is cut, and the server rolls back.
 */
export class PostgresSession {
  readonly encrypted: boolean
  /** Told what a statement failed with. */
  onFailure: (error: unknown) => void = () => {}
  readonly #endpoint: DatabaseEndpoint
  readonly #client: pg.Client
  readonly #socket: Socket
  #signal: AbortSignal
  #processId = 0
  #inDoubt = false

  constructor(endpoint: DatabaseEndpoint, client: pg.Client, socket: Socket, encrypted: boolean, signal: AbortSignal) {
    this.#endpoint = endpoint
    this.#client = client
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

  /** Set by statement, not by start-up options: connection poolers refuse the latter. */
  async setUp(): Promise<void> {
    // A writer that stands still (a suspended machine) keeps its space's lock as long as its session lives: PostgreSQL ends that
    // session in a transaction and, since version 14, also between two.
    const { statementMs, rowLockMs } = this.#endpoint.timeouts
    const [row] = await this.query(
      `SELECT pg_backend_pid() AS pid,
              set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
              set_config('idle_in_transaction_session_timeout', $3, false), set_config('TimeZone', 'UTC', false),
              CASE WHEN current_setting('idle_session_timeout', true) IS NOT NULL
                   THEN set_config('idle_session_timeout', $3, false) END`,
      [String(statementMs), String(rowLockMs), String(2 * statementMs)],
    )
    this.#processId = Number(row?.pid ?? 0)
  }

  /** Rejects with ToolferryError, UniqueViolation, or the signal's reason. */
  async query(text: string, values: unknown[] = []): Promise<Rows> {
    return (await this.#run(text, values, this.#signal)).rows
  }

  /** The number of rows that a statement changed. */
  async change(text: string, values: unknown[] = []): Promise<number> {
    return (await this.#run(text, values, this.#signal)).count
  }

  /** Commits what `work` did, or nothing of it. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.#run('BEGIN', [], this.#signal)
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
    // A connection in doubt may never answer the farewell.
    if (!this.usable) this.#socket.destroy()
    const timer = setTimeout(() => this.#socket.destroy(), CANCEL_GRACE_MS)
    try {
      await this.#client.end()
    } catch {
      this.#socket.destroy()
    } finally {
      clearTimeout(timer)
    }
  }

  /** Bounded: a server that does not answer rolls back by itself when the connection is gone. */
  async #rollback(): Promise<void> {
    if (this.#socket.destroyed) return
    const timer = setTimeout(() => this.#socket.destroy(), CANCEL_GRACE_MS)
    try {
      await this.#run('ROLLBACK', [], null)
    } catch {
      this.#inDoubt = true
      this.#socket.destroy()
    } finally {
      clearTimeout(timer)
    }
  }

  async #run(text: string, values: unknown[], signal: AbortSignal | null): Promise<{ rows: Rows; count: number }> {
    if (signal !== null) throwIfAborted(signal)
    this.#endpoint.onStatement?.(text)
    let canceller: AbortController | undefined
    let cutTimer: NodeJS.Timeout | undefined
    const abort = (): void => {
      this.#inDoubt = true
      canceller = new AbortController()
      cutTimer = setTimeout(() => this.#socket.destroy(), CANCEL_GRACE_MS)
      void this.#cancelStatement(canceller.signal)
    }
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const result = await this.#client.query(text, values)
      return { rows: result.rows, count: result.rowCount ?? 0 }
    } catch (error) {
      if (signal !== null) throwIfAborted(signal)
      const mapped = mapPostgresError(error, { ...this.#endpoint.options, phase: 'query' })
      this.onFailure(mapped)
      if (mapped instanceof ToolferryError && mapped.type === 'Timeout' && !isSqlError(error)) {
        this.#inDoubt = true
        this.#socket.destroy()
      }
      throw mapped
    } finally {
      signal?.removeEventListener('abort', abort)
      // A cancel that is still under way may hit the ROLLBACK that follows; then the connection is cut, which rolls back, too.
      canceller?.abort()
      clearTimeout(cutTimer)
    }
  }

  /** Asks the server, over a connection of its own, to end what this session is doing; gives up when that has ended. */
  async #cancelStatement(ended: AbortSignal): Promise<void> {
    try {
      const { client, socket } = await connectClient(this.#endpoint, this.encrypted, ended)
      ended.addEventListener('abort', () => socket.destroy(), { once: true })
      if (ended.aborted) socket.destroy()
      await client.query('SELECT pg_cancel_backend($1)', [this.#processId])
      await client.end()
    } catch {
      // The timer that was set with this call cuts the connection, if the statement is still running then.
    }
  }
}

function isSqlError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError
}
