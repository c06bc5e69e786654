import { ToolferryError } from '../../domain/errors.ts'
import type { Column, DatabaseEndpoint, DatabaseFacts, DifyConnection, DifyEngine, ProviderRow } from './database.ts'
import { type FactsCache, factsCache } from './facts-cache.ts'
import type { MysqlSession } from './mysql-session.ts'
import { openMysqlSession } from './mysql-session.ts'
import {
  idOf,
  isTrue,
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

/**
 * All SQL for Dify on MySQL 8 and MariaDB. Values are parameters. Names and identifiers are compared by the database, with the
 * column's own collation, never here: there “Café” and “CAFE” are one name (dify.md §1.3).
 */

/** The user's privileges by column, roles included; what it may not touch at all is not listed. */
const COLUMNS_SQL = `
  SELECT table_name AS \`table\`, column_name AS \`column\`, is_nullable = 'NO' AS not_null,
         (column_default IS NOT NULL OR extra LIKE '%GENERATED%' OR extra LIKE '%auto_increment%') AS has_default,
         character_maximum_length AS max_length,
         FIND_IN_SET('select', privileges) > 0 AS may_read,
         FIND_IN_SET('insert', privileges) > 0 AS may_insert,
         FIND_IN_SET('update', privileges) > 0 AS may_update
  FROM (SELECT table_name, column_name, is_nullable, column_default, extra, character_maximum_length,
               REPLACE(LOWER(privileges), ' ', '') AS privileges
        FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN (?)) c`

const SERVER_SQL =
  'SELECT VERSION() AS version, @@global.read_only AS read_only, @@global.innodb_read_only AS innodb_read_only'

/** A window, not a join a workspace: MariaDB has no LATERAL. */
const SPACES_SQL = `
  SELECT t.id, t.name, t.status, t.encrypt_public_key,
         o.name AS person_name, o.email AS person_email, o.role AS person_role, o.status AS person_status
  FROM tenants t LEFT JOIN (
    SELECT j.tenant_id, a.name, a.email, a.status, j.role,
           ROW_NUMBER() OVER (PARTITION BY j.tenant_id ORDER BY ${PERSON_ORDER}) AS place
    FROM tenant_account_joins j JOIN accounts a ON a.id = j.account_id WHERE j.role IN ('owner', 'admin')
  ) o ON o.tenant_id = t.id AND o.place = 1
  ORDER BY t.name, t.id`

const OWNER_SQL = `
  SELECT a.id FROM tenant_account_joins j JOIN accounts a ON a.id = j.account_id
  WHERE j.tenant_id = ? AND j.role IN ('owner', 'admin') ORDER BY ${PERSON_ORDER} LIMIT 1`

const DATABASES_SQL = `
  SELECT table_schema AS name FROM information_schema.tables
  WHERE table_name IN ('tool_mcp_providers', 'tenants') AND table_schema <> ?
  GROUP BY table_schema HAVING COUNT(*) = 2 ORDER BY table_schema LIMIT 10`

/** Asks for the right without using it. */
const MAY_DELETE_SQL = `EXPLAIN DELETE FROM tool_mcp_providers WHERE id = ''`

const FOUND_NO_ROW = ['']

export function mysqlDatabase(endpoint: DatabaseEndpoint): DifyEngine {
  const cache = factsCache()
  const { database } = endpoint.options
  return {
    connect: async (signal) => mysqlConnection(await openMysqlSession(endpoint, signal), database, cache),
    otherDifyDatabases: async (signal) => {
      // The given one need not exist.
      const session = await openMysqlSession({ ...endpoint, options: { ...endpoint.options, database: '' } }, signal)
      try {
        return (await session.query(DATABASES_SQL, [database])).map((row) => textOrNull(row.name) ?? '')
      } finally {
        await session.close()
      }
    },
  }
}

function mysqlConnection(session: MysqlSession, database: string, cache: FactsCache): DifyConnection {
  /** The provider's columns, with NULL for those that an older Dify lacks. */
  async function providerColumns(): Promise<string> {
    return `${NEIGHBOUR_COLUMNS}, ${ownColumns(await connection.facts(), () => 'NULL')}`
  }
  const neighbourColumns = `${NEIGHBOUR_COLUMNS}${', NULL'.repeat(OWN_COLUMN_COUNT)}`

  async function provider(id: string, end = ''): Promise<ProviderRow | null> {
    const [row] = await session.query(
      `SELECT ${await providerColumns()} FROM tool_mcp_providers p WHERE p.id = ? ${end}`,
      [id],
    )
    return row === undefined ? null : toProvider(row)
  }

  session.onFailure = cache.forgetAfter
  const connection: DifyConnection = {
    facts: (options) => cache.get(() => readFacts(session), options),
    spaces: async () => (await session.query(SPACES_SQL)).map(toSpace),
    readSpace: async (tenantId, search) => {
      const ids = orNothing(search.ids)
      const identifiers = orNothing(search.identifiers)
      const rows = await session.query(
        `SELECT t.id, t.name, t.status, t.encrypt_public_key, p.*
         FROM tenants t LEFT JOIN (
           SELECT ${await providerColumns()}, 1 AS own, FIELD(p.server_identifier, ?) AS matched
           FROM tool_mcp_providers p WHERE p.id IN (?)
           UNION ALL
           SELECT ${neighbourColumns}, 0, FIELD(p.server_identifier, ?) FROM tool_mcp_providers p
           WHERE p.tenant_id = ? AND p.id NOT IN (?) AND (p.server_identifier IN (?) OR p.server_url_hash IN (?))
         ) p ON TRUE
         WHERE t.id = ?`,
        [identifiers, ids, identifiers, tenantId, ids, identifiers, orNothing(search.urlHashes), tenantId],
      )
      const [first] = rows
      const found = rows.map((row) => ({
        ...row,
        matched_identifier: identifiers[Number(row.matched ?? 0) - 1] ?? null,
      }))
      return {
        tenant: first === undefined ? null : toTenant(first),
        own: found.filter(isOwn).map(toProvider),
        others: found.filter(isOther).map(toNeighbour),
      }
    },
    tryLockSpace: async (tenantId) => {
      // Such locks are the server's, not the database's; and a name has at most 64 characters.
      const name = `toolferry-${spaceLockHash(database, tenantId).toString('hex').slice(0, 40)}`
      const [row] = await session.query('SELECT GET_LOCK(?, 0) AS locked', [name])
      return isTrue(row?.locked)
    },
    transaction: (work) => session.transaction(work),
    lookForWrite: async (tenantId, { id, identifier, urlHash, names }) => {
      const rows = await session.query(
        `SELECT t.id, t.name, t.status, t.encrypt_public_key, (${OWNER_SQL}) AS owner_id, p.*
         FROM (SELECT 1 AS one) one LEFT JOIN tenants t ON t.id = ? LEFT JOIN (
           SELECT ${NEIGHBOUR_COLUMNS}, 1 AS own, 0 AS same_identifier, 0 AS same_url, 0 AS name_place
           FROM tool_mcp_providers p WHERE p.id = ?
           UNION ALL
           SELECT ${NEIGHBOUR_COLUMNS}, 0, p.server_identifier = ?, p.server_url_hash = ?, FIELD(p.name, ?)
           FROM tool_mcp_providers p
           WHERE p.tenant_id = ? AND p.id <> ? AND (p.server_identifier = ? OR p.server_url_hash = ? OR p.name IN (?))
         ) p ON TRUE`,
        [
          tenantId,
          tenantId,
          id,
          identifier,
          urlHash,
          orNothing(names),
          tenantId,
          id,
          identifier,
          urlHash,
          orNothing(names),
        ],
      )
      const [first] = rows
      const others = rows.filter(isOther)
      return {
        tenant: first?.id == null ? null : toTenant(first),
        // Locked, and read again: the first look may be older than somebody else's change.
        own: rows.some(isOwn) ? await provider(id, 'FOR UPDATE') : null,
        others: others
          .filter((row) => isTrue(row.same_identifier) || isTrue(row.same_url))
          .map((row) => toNeighbour({ ...row, matched_identifier: isTrue(row.same_identifier) ? identifier : null })),
        takenNames: namesAt(names, others, 'name_place'),
        ownerAccountId: first?.owner_id == null ? null : idOf(first.owner_id),
      }
    },
    lockProvider: (id) => provider(id, 'FOR UPDATE'),
    takenNames: async (tenantId, exceptId, names) => {
      const rows = await session.query(
        `SELECT FIELD(p.name, ?) AS name_place FROM tool_mcp_providers p
         WHERE p.tenant_id = ? AND p.id <> ? AND p.name IN (?)`,
        [orNothing(names), tenantId, exceptId, orNothing(names)],
      )
      return namesAt(names, rows, 'name_place')
    },
    insertProvider: async (id, columns) => {
      const values = { id, ...columns }
      const names = Object.keys(values)
      await session.change(
        `INSERT INTO tool_mcp_providers (${names.join(', ')}, created_at, updated_at)
         VALUES (${names.map(() => '?').join(', ')}, UTC_TIMESTAMP(), UTC_TIMESTAMP())`,
        Object.values(values),
      )
      return await provider(id)
    },
    updateProvider: async (id, tenantId, columns: Record<string, Column>) => {
      const sets = Object.keys(columns).map((name) => `${name} = ?`)
      const changed = await session.change(
        `UPDATE tool_mcp_providers SET ${[...sets, 'updated_at = UTC_TIMESTAMP()'].join(', ')} WHERE id = ? AND tenant_id = ?`,
        [...Object.values(columns), id, tenantId],
      )
      return changed === 1 ? await provider(id) : null
    },
    deleteProvider: async (id, tenantId, identifier) =>
      (await session.change('DELETE FROM tool_mcp_providers WHERE id = ? AND tenant_id = ? AND server_identifier = ?', [
        id,
        tenantId,
        identifier,
      ])) === 1,
    obey: (signal) => session.obey(signal),
    get usable() {
      return session.usable
    },
    close: () => session.close(),
  }
  return connection
}

async function readFacts(session: MysqlSession): Promise<DatabaseFacts> {
  const columns = (await session.query(COLUMNS_SQL, [TABLES])).map(toColumnFacts)
  const [server] = await session.query(SERVER_SQL)
  const mayReadVersion = columns.some(({ table, mayRead }) => table === 'alembic_version' && mayRead)
  const [version] = mayReadVersion ? await session.query('SELECT version_num FROM alembic_version LIMIT 1') : []
  const hasProviders = columns.some(({ table }) => table === 'tool_mcp_providers')
  return {
    engine: 'mysql',
    server: serverName(textOrNull(server?.version) ?? ''),
    readOnly: [server?.read_only, server?.innodb_read_only].some((value) => !['0', 'OFF'].includes(String(value ?? 0))),
    encrypted: session.encrypted,
    hidesForbidden: true,
    columns,
    mayDelete: hasProviders && (await mayDelete(session)) ? ['tool_mcp_providers'] : [],
    alembicVersion: textOrNull(version?.version_num),
  }
}

async function mayDelete(session: MysqlSession): Promise<boolean> {
  try {
    await session.query(MAY_DELETE_SQL)
    return true
  } catch (error) {
    if (error instanceof ToolferryError && error.type === 'Forbidden') return false
    // Read-only: told as that, not as a missing privilege.
    if (error instanceof ToolferryError && error.field === 'database.host') return true
    throw error
  }
}

/** "10.11.19-MariaDB-0+deb12u1" → "MariaDB 10.11.19" */
function serverName(version: string): string {
  const number = /^(?:5\.5\.5-)?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? version
  return /mariadb/i.test(version) ? `MariaDB ${number}` : `MySQL ${number}`
}

/** An empty list is no SQL; no row has an empty id, identifier, hash or name. */
function orNothing(values: string[]): string[] {
  return values.length === 0 ? FOUND_NO_ROW : values
}

function namesAt(names: string[], rows: Record<string, unknown>[], column: string): Set<string> {
  return new Set(rows.flatMap((row) => names[Number(row[column] ?? 0) - 1] ?? []))
}

function isOwn(row: Record<string, unknown>): boolean {
  return row.provider_id != null && isTrue(row.own)
}

function isOther(row: Record<string, unknown>): boolean {
  return row.provider_id != null && !isTrue(row.own)
}
