import type { DifyTestDatabase } from '../../support/dify-database.ts'
import { MYSQL_PROCESSES } from '../../support/dify-server.ts'

/** What Toolferry's sessions are doing on the server at this moment, and how to disturb them. */
export type ServerEyes = {
  sessions(): Promise<number>
  /** Sessions that wait for somebody else's lock. */
  waiting(): Promise<number>
  /** Sessions with a statement in flight or a transaction open. */
  busy(): Promise<number>
  endSessions(): Promise<void>
}

export function serverEyes(db: DifyTestDatabase): ServerEyes {
  return db.engine === 'postgresql' ? postgresEyes(db) : mysqlEyes(db)
}

function postgresEyes(db: DifyTestDatabase): ServerEyes {
  const ours = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'`
  const count = async (condition: string): Promise<number> =>
    (await db.query(`SELECT 1 ${ours} AND ${condition}`)).length
  return {
    sessions: () => count('true'),
    waiting: () => count(`wait_event_type = 'Lock'`),
    busy: () => count(`state <> 'idle'`),
    endSessions: async () => void (await db.query(`SELECT pg_terminate_backend(pid) ${ours}`)),
  }
}

/** Toolferry has a database user of its own here. innodb_trx is renewed only when nobody asked for 0.1 s: poll slower. */
function mysqlEyes(db: DifyTestDatabase): ServerEyes {
  const { user } = db.connection
  const processes = async (condition: string): Promise<Record<string, unknown>[]> =>
    await db.query(
      `SELECT p.id FROM ${MYSQL_PROCESSES} p LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id
       WHERE p.user = $1 AND (${condition})`,
      [user],
    )
  return {
    sessions: async () => (await processes('TRUE')).length,
    waiting: async () => (await processes(`t.trx_state = 'LOCK WAIT' OR p.state LIKE 'Waiting for%lock%'`)).length,
    busy: async () => (await processes(`t.trx_id IS NOT NULL OR p.command NOT IN ('Sleep', 'Connect')`)).length,
    endSessions: async () => {
      for (const { id } of await processes('TRUE')) await db.query(`KILL ${Number(id)}`)
    },
  }
}

/** Takes the table of workspaces away from everybody until `release` is called. */
export async function holdTenants(db: DifyTestDatabase): Promise<{ release: () => Promise<void> }> {
  const client = await db.connect()
  if (db.engine === 'postgresql') {
    await client.query('BEGIN')
    await client.query('LOCK TABLE tenants')
  } else {
    await client.query('LOCK TABLES tenants WRITE')
  }
  return {
    release: async () => {
      await client.query(db.engine === 'postgresql' ? 'ROLLBACK' : 'UNLOCK TABLES')
      await client.end()
    },
  }
}
