import { ToolferryError } from '../../domain/errors.ts'
import type { Logger } from '../../telemetry/logger.ts'
import type { Platform } from '../platform.ts'
import { findAdoptable } from './adopt.ts'
import { checkDify } from './check.ts'
import type { DatabaseEgress, DifyConnection, DifyDatabase, DifyEngine, DifyTimeouts } from './database.ts'
import { DEFAULT_TIMEOUTS } from './database.ts'
import { mysqlDatabase } from './mysql.ts'
import { normaliseForDify, proposeDifyIdentity } from './normalise.ts'
import { postgresDatabase } from './postgres.ts'
import { readSpace } from './read.ts'
import { knownSchema, readFault } from './schema.ts'
import { toRemoteSpace } from './spaces.ts'
import { openSpaceWriter } from './writer.ts'

export type { DifyDatabase } from './database.ts'

export type DifyPlatformOptions = {
  database: DifyDatabase
  egress: DatabaseEgress
  logger?: Logger
  timeouts?: Partial<DifyTimeouts>
  /** See DatabaseEndpoint. */
  onStatement?: (text: string) => void
}

/** Connections kept for the next read, and for how long. */
const IDLE_CONNECTIONS = 4
const IDLE_MS = 5_000

/**
 * Dify by its database: one provider row a deployment (dify.md §10). Touches `tool_mcp_providers` only, reads `tenants`,
 * `accounts` and `tenant_account_joins`. Connects on first use.
 */
export function createDifyPlatform(options: DifyPlatformOptions): Platform {
  const timeouts: DifyTimeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts }
  const database = databaseFor(options, timeouts)
  const readers = readerPool(database)
  const { logger } = options

  return {
    kind: 'dify',
    check: ({ signal, gatewayUrl }) =>
      checkDify({ database: options.database, gatewayUrl }, database, (work) => readers.use(signal, work), signal),
    listSpaces: ({ signal }) =>
      readers.use(signal, async (connection) => {
        const fault = readFault(await knownSchema(connection))
        if (fault !== null) throw fault
        return (await connection.spaces()).map(toRemoteSpace)
      }),
    normalise: normaliseForDify,
    proposeIdentity: proposeDifyIdentity,
    read: (space, wanted, { signal }) => readers.use(signal, (connection) => readSpace(connection, space, wanted)),
    findAdoptable: (space, query, { signal }) =>
      readers.use(signal, (connection) => findAdoptable(connection, space, query)),
    openSpace: async (space, write) => {
      const writer = await openSpaceWriter(await database.connect(write.signal), space, timeouts, write)
      logger?.debug({ spaceId: space.spaceId }, 'dify space opened for writing')
      return writer
    },
    close: () => readers.close(),
  }
}

function databaseFor(options: DifyPlatformOptions, timeouts: DifyTimeouts): DifyEngine {
  const { database, egress, onStatement } = options
  const endpoint = { options: database, egress, timeouts, ...(onStatement === undefined ? {} : { onStatement }) }
  switch (database.engine) {
    case 'postgresql':
      return postgresDatabase(endpoint)
    case 'mysql':
      return mysqlDatabase(endpoint)
  }
}

type ReaderPool = {
  use<T>(signal: AbortSignal, work: (connection: DifyConnection) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** A walk over many spaces reads each for itself: a connection just used waits a moment for the next. */
function readerPool(database: DifyEngine): ReaderPool {
  const idle = new Map<DifyConnection, NodeJS.Timeout>()
  let closed = false

  function takeIdle(): DifyConnection | undefined {
    for (const [connection, timer] of idle) {
      idle.delete(connection)
      clearTimeout(timer)
      if (connection.usable) return connection
      void connection.close()
    }
    return undefined
  }

  async function release(connection: DifyConnection): Promise<void> {
    if (closed || !connection.usable || idle.size >= IDLE_CONNECTIONS) return await connection.close()
    const timer = setTimeout(() => {
      idle.delete(connection)
      void connection.close()
    }, IDLE_MS)
    idle.set(connection, timer)
  }

  return {
    use: async (signal, work) => {
      if (closed) throw new ToolferryError('Bug', 'The platform was closed.')
      const connection = takeIdle() ?? (await database.connect(signal))
      connection.obey(signal)
      try {
        const result = await work(connection)
        await release(connection)
        return result
      } catch (error) {
        await connection.close()
        throw error
      }
    },
    close: async () => {
      closed = true
      const connections = [...idle.keys()]
      for (const timer of idle.values()) clearTimeout(timer)
      idle.clear()
      await Promise.all(connections.map((connection) => connection.close()))
    },
  }
}
