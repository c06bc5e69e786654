import type { Column, DatabaseEndpoint, DatabaseFacts, DifyConnection, DifyEngine, ProviderRow } from './database.ts'
import { type FactsCache, factsCache } from './facts-cache.ts'
import type { PostgresSession } from './postgres-session.ts'
import { openPostgresSession } from './postgres-session.ts'
import {
  idOf,
  NEIGHBOUR_COLUMNS,
  OWN_COLUMN_COUNT,
  ownColumns,
  PERSON_ORDER,
  spaceLockHash,
  TABLES,
  textOrNull,
  toColumnFacts,
  toNeighbour,
  toProvider,
  toSpace,
  toTenant,
} from './provider-sql.ts'

/** All SQL for Dify on PostgreSQL. Values are parameters; column names come from this adapter's own lists. */

/** The catalog, not information_schema: that one hides columns the role may not touch, so an old Dify looks like a missing grant. */
const COLUMNS_SQL = `
  SELECT c.relname AS "table", a.attname AS "column", a.attnotnull AS not_null,
         (a.atthasdef OR a.attidentity <> '') AS has_default,
         CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS max_length,
         has_column_privilege(c.oid, a.attnum, 'SELECT') AS may_read,
         has_column_privilege(c.oid, a.attnum, 'INSERT') AS may_insert,
         has_column_privilege(c.oid, a.attnum, 'UPDATE') AS may_update,
         has_table_privilege(c.oid, 'DELETE') AS may_delete
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name) AND a.attnum > 0 AND NOT a.attisdropped`

const SERVER_SQL = `
  SELECT current_setting('server_version') AS version, current_setting('transaction_read_only') = 'on' AS read_only`

const SPACES_SQL = `
  SELECT t.id, t.name, t.status, t.encrypt_public_key,
         o.name AS person_name, o.email AS person_email, o.role AS person_role, o.status AS person_status
  FROM tenants t LEFT JOIN LATERAL (
    SELECT a.name, a.email, a.status, j.role FROM tenant_account_joins j JOIN accounts a ON a.id = j.account_id
    WHERE j.tenant_id = t.id AND j.role IN ('owner', 'admin') ORDER BY ${PERSON_ORDER} LIMIT 1
  ) o ON true
  ORDER BY t.name, t.id`

const OWNER_SQL = `
  SELECT a.id FROM tenant_account_joins j JOIN accounts a ON a.id = j.account_id
  WHERE j.tenant_id = $1 AND j.role IN ('owner', 'admin') ORDER BY ${PERSON_ORDER} LIMIT 1`

const DATABASES_SQL = `
  SELECT datname FROM pg_database
  WHERE datallowconn AND NOT datistemplate AND datname <> $1 AND has_database_privilege(datname, 'CONNECT')
  ORDER BY (datname LIKE '%dify%') DESC, datname LIMIT $2`

/** Each is looked into over a connection of its own. */
const DATABASES_LOOKED_INTO = 10

/** Where the list of databases is found when the given one does not exist. */
const MAINTENANCE_DATABASE = 'postgres'

/** Naive UTC, whatever the session's zone (dify.md §1.3). */
const NOW_UTC = `(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')`

export function postgresDatabase(endpoint: DatabaseEndpoint): DifyEngine {
  const cache = factsCache()
  return {
    connect: async (signal) => postgresConnection(await openPostgresSession(endpoint, signal), cache),
    otherDifyDatabases: (signal) => otherDifyDatabases(endpoint, signal),
  }
}

function postgresConnection(session: PostgresSession, cache: FactsCache): DifyConnection {
  /** The provider's columns, with NULL for those that an older Dify lacks. */
  async function providerColumns(): Promise<string> {
    const nullOf = (type: 'double' | 'text'): string => (type === 'double' ? 'NULL::float8' : 'NULL::text')
    return `${NEIGHBOUR_COLUMNS}, ${ownColumns(await connection.facts(), nullOf)}`
  }
  const neighbourColumns = `${NEIGHBOUR_COLUMNS}${', NULL'.repeat(OWN_COLUMN_COUNT)}`

  session.onFailure = cache.forgetAfter
  const connection: DifyConnection = {
    facts: (options) => cache.get(() => readFacts(session), options),
    spaces: async () => (await session.query(SPACES_SQL)).map(toSpace),
    readSpace: async (tenantId, { ids, identifiers, urlHashes }) => {
      const rows = await session.query(
        `SELECT t.id, t.name, t.status, t.encrypt_public_key, p.*
         FROM tenants t LEFT JOIN (
           SELECT ${await providerColumns()}, true AS own FROM tool_mcp_providers p WHERE p.id = ANY($2::uuid[])
           UNION ALL
           SELECT ${neighbourColumns}, false FROM tool_mcp_providers p
           WHERE p.tenant_id = $1 AND p.id <> ALL($2::uuid[])
             AND (p.server_identifier = ANY($3::text[]) OR p.server_url_hash = ANY($4::text[]))
         ) p ON true
         WHERE t.id = $1`,
        [tenantId, ids, identifiers, urlHashes],
      )
      const [first] = rows
      return {
        tenant: first === undefined ? null : toTenant(first),
        own: rows.filter((row) => row.own === true).map(toProvider),
        others: rows.filter((row) => row.own === false).map(toNeighbour),
      }
    },
    tryLockSpace: async (tenantId) => {
      // The lock is the database's own; its name needs not to be in the key.
      const key = spaceLockHash('', tenantId).readBigInt64BE(0).toString()
      const [row] = await session.query('SELECT pg_try_advisory_lock($1) AS locked', [key])
      return row?.locked === true
    },
    transaction: (work) => session.transaction(work),
    lookForWrite: async (tenantId, { id, identifier, urlHash, names }) => {
      const rows = await session.query(
        `WITH own AS (SELECT ${await providerColumns()} FROM tool_mcp_providers p WHERE p.id = $2 FOR UPDATE)
         SELECT t.id, t.name, t.status, t.encrypt_public_key, (${OWNER_SQL}) AS owner_id, p.*
         FROM (SELECT 1) one LEFT JOIN tenants t ON t.id = $1 LEFT JOIN (
           SELECT own.*, true AS own FROM own
           UNION ALL
           SELECT ${neighbourColumns}, false FROM tool_mcp_providers p
           WHERE p.tenant_id = $1 AND p.id <> $2
             AND (p.server_identifier = $3 OR p.server_url_hash = $4 OR p.name = ANY($5::text[]))
         ) p ON true`,
        [tenantId, id, identifier, urlHash, names],
      )
      const [first] = rows
      const own = rows.find((row) => row.own === true)
      const others = rows.filter((row) => row.own === false).map(toNeighbour)
      return {
        tenant: first?.id == null ? null : toTenant(first),
        own: own === undefined ? null : toProvider(own),
        others: others.filter((row) => row.serverIdentifier === identifier || row.serverUrlHash === urlHash),
        takenNames: new Set(others.map((row) => row.name)),
        ownerAccountId: first?.owner_id == null ? null : idOf(first.owner_id),
      }
    },
    lockProvider: async (id) => {
      const [row] = await session.query(
        `SELECT ${await providerColumns()} FROM tool_mcp_providers p WHERE p.id = $1 FOR UPDATE`,
        [id],
      )
      return row === undefined ? null : toProvider(row)
    },
    takenNames: async (tenantId, exceptId, names) => {
      const rows = await session.query(
        'SELECT name FROM tool_mcp_providers WHERE tenant_id = $1 AND id <> $2 AND name = ANY($3::text[])',
        [tenantId, exceptId, names],
      )
      return new Set(rows.map((row) => String(row.name)))
    },
    insertProvider: async (id, columns) => {
      const values = { id, ...columns }
      const names = Object.keys(values)
      const rows = await session.query(
        `INSERT INTO tool_mcp_providers AS p (${names.join(', ')}, created_at, updated_at)
         VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')}, ${NOW_UTC}, ${NOW_UTC})
         RETURNING ${await providerColumns()}`,
        Object.values(values),
      )
      return onlyProvider(rows)
    },
    updateProvider: async (id, tenantId, columns: Record<string, Column>) => {
      const sets = Object.keys(columns).map((name, i) => `${name} = $${i + 3}`)
      const rows = await session.query(
        `UPDATE tool_mcp_providers p SET ${[...sets, `updated_at = ${NOW_UTC}`].join(', ')}
         WHERE p.id = $1 AND p.tenant_id = $2 RETURNING ${await providerColumns()}`,
        [id, tenantId, ...Object.values(columns)],
      )
      return onlyProvider(rows)
    },
    deleteProvider: async (id, tenantId, identifier) =>
      (await session.change(
        'DELETE FROM tool_mcp_providers WHERE id = $1 AND tenant_id = $2 AND server_identifier = $3',
        [id, tenantId, identifier],
      )) === 1,
    obey: (signal) => session.obey(signal),
    get usable() {
      return session.usable
    },
    close: () => session.close(),
  }
  return connection
}

function onlyProvider(rows: Record<string, unknown>[]): ProviderRow | null {
  const [row] = rows
  return row === undefined ? null : toProvider(row)
}

async function readFacts(session: PostgresSession): Promise<DatabaseFacts> {
  const rows = await session.query(COLUMNS_SQL, [TABLES])
  const [server] = await session.query(SERVER_SQL)
  const columns = rows.map(toColumnFacts)
  const mayReadVersion = columns.some(({ table, mayRead }) => table === 'alembic_version' && mayRead)
  const [version] = mayReadVersion ? await session.query('SELECT version_num FROM alembic_version LIMIT 1') : []
  return {
    engine: 'postgresql',
    server: `PostgreSQL ${String(server?.version).split(' ')[0]}`,
    readOnly: server?.read_only === true,
    encrypted: session.encrypted,
    hidesForbidden: false,
    columns,
    mayDelete: [...new Set(rows.filter((row) => row.may_delete === true).map((row) => String(row.table)))],
    alembicVersion: textOrNull(version?.version_num),
  }
}

async function otherDifyDatabases(endpoint: DatabaseEndpoint, signal: AbortSignal): Promise<string[]> {
  const given = endpoint.options.database
  const inDatabase = async <T>(database: string, work: (session: PostgresSession) => Promise<T>): Promise<T> => {
    const session = await openPostgresSession({ ...endpoint, options: { ...endpoint.options, database } }, signal)
    try {
      return await work(session)
    } finally {
      await session.close()
    }
  }
  const list = async (session: PostgresSession): Promise<string[]> =>
    (await session.query(DATABASES_SQL, [given, DATABASES_LOOKED_INTO])).map((row) => String(row.datname))
  const names = await inDatabase(given, list).catch(() => inDatabase(MAINTENANCE_DATABASE, list))
  const found: string[] = []
  for (const name of names) {
    const isDify = await inDatabase(name, async (session) => {
      const [row] = await session.query(
        `SELECT to_regclass('tool_mcp_providers') IS NOT NULL AND to_regclass('tenants') IS NOT NULL AS is_dify`,
      )
      return row?.is_dify === true
    }).catch(() => false)
    if (isDify) found.push(name)
  }
  return found
}
