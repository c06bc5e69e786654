import { createHash } from 'node:crypto'
import type {
  Column,
  ColumnFacts,
  DatabaseFacts,
  DifyConnection,
  DifyEngine,
  ProviderRow,
  ProviderSearch,
  SpaceRow,
  TenantRow,
} from './database.ts'
import type { PostgresEndpoint, PostgresSession, Rows } from './postgres-session.ts'
import { openPostgresSession } from './postgres-session.ts'

/** All SQL for Dify on PostgreSQL. Values are parameters; column names come from this adapter's own lists. */

const TABLES = ['tenants', 'accounts', 'tenant_account_joins', 'tool_mcp_providers', 'alembic_version']

/** The catalog, not information_schema: that one hides columns the role may not touch, so an old Dify looks like a missing grant. */
const COLUMNS_SQL = `
  SELECT c.relname AS "table", a.attname AS "column", a.attnotnull AS not_null,
         (a.atthasdef OR a.attidentity <> '') AS has_default,
         has_column_privilege(c.oid, a.attnum, 'SELECT') AS may_read,
         has_column_privilege(c.oid, a.attnum, 'INSERT') AS may_insert,
         has_column_privilege(c.oid, a.attnum, 'UPDATE') AS may_update,
         has_table_privilege(c.oid, 'DELETE') AS may_delete
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name) AND a.attnum > 0 AND NOT a.attisdropped`

const SERVER_SQL = `
  SELECT current_setting('server_version') AS version, current_setting('transaction_read_only') = 'on' AS read_only`

/** The account a workspace is shown with and its providers are filed under: active before banned, owner before admin. */
const PERSON_ORDER = `(a.status = 'active') DESC, (j.role = 'owner') DESC, a.name, a.id`

const SPACES_SQL = `
  SELECT t.id, t.name, t.status, t.encrypt_public_key, o.name AS person_name, o.email AS person_email, o.role AS person_role
  FROM tenants t LEFT JOIN LATERAL (
    SELECT a.name, a.email, j.role FROM tenant_account_joins j JOIN accounts a ON a.id = j.account_id
    WHERE j.tenant_id = t.id AND j.role IN ('owner', 'admin') ORDER BY ${PERSON_ORDER} LIMIT 1
  ) o ON true
  ORDER BY t.name, t.id`

const OWNER_SQL = `
  SELECT a.id FROM tenant_account_joins j JOIN accounts a ON a.id = j.account_id
  WHERE j.tenant_id = $1 AND j.role IN ('owner', 'admin') ORDER BY ${PERSON_ORDER} LIMIT 1`

/** Naive UTC, whatever the session's zone (dify.md §1.3). */
const NOW_UTC = `(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')`

export function postgresDatabase(endpoint: PostgresEndpoint): DifyEngine {
  return { connect: async (signal) => postgresConnection(await openPostgresSession(endpoint, signal)) }
}

function postgresConnection(session: PostgresSession): DifyConnection {
  let knownFacts: DatabaseFacts | null = null

  async function facts(): Promise<DatabaseFacts> {
    knownFacts ??= await readFacts(session)
    return knownFacts
  }

  /** The provider's columns, with NULL for those that an older Dify lacks. */
  async function providerColumns(): Promise<string> {
    const { columns } = await facts()
    const has = (name: string): boolean =>
      columns.some(({ table, column }) => table === 'tool_mcp_providers' && column === name)
    const later = (name: string, type: string): string => (has(name) ? `p.${name}` : `NULL::${type} AS ${name}`)
    return [
      'p.id AS provider_id, p.tenant_id, p.name AS provider_name, p.server_identifier, p.server_url, p.server_url_hash',
      'p.icon, p.encrypted_credentials, p.authed, p.tools',
      later('timeout', 'float8'),
      later('sse_read_timeout', 'float8'),
      later('encrypted_headers', 'text'),
    ].join(', ')
  }

  async function providers(where: string, values: unknown[]): Promise<ProviderRow[]> {
    const rows = await session.query(
      `SELECT ${await providerColumns()} FROM tool_mcp_providers p WHERE ${where}`,
      values,
    )
    return rows.map(toProvider)
  }

  return {
    facts,
    spaces: async () => (await session.query(SPACES_SQL)).map(toSpace),
    tenant: async (tenantId) => {
      const [row] = await session.query('SELECT id, name, status, encrypt_public_key FROM tenants WHERE id = $1', [
        tenantId,
      ])
      return row === undefined ? null : toTenant(row)
    },
    ownerAccountId: async (tenantId) => {
      const [row] = await session.query(OWNER_SQL, [tenantId])
      return row === undefined ? null : String(row.id)
    },
    readSpace: async (tenantId, search: ProviderSearch) => {
      const rows = await session.query(
        `SELECT t.id, t.name, t.status, t.encrypt_public_key, ${await providerColumns()}
         FROM tenants t LEFT JOIN tool_mcp_providers p
           ON p.id = ANY($2::uuid[])
           OR (p.tenant_id = t.id AND (p.server_identifier = ANY($3::text[]) OR p.server_url_hash = ANY($4::text[])))
         WHERE t.id = $1`,
        [tenantId, search.ids, search.identifiers, search.urlHashes],
      )
      const [first] = rows
      return {
        tenant: first === undefined ? null : toTenant(first),
        providers: rows.filter((row) => row.provider_id !== null).map(toProvider),
      }
    },
    tryLockSpace: async (tenantId) => {
      const [row] = await session.query('SELECT pg_try_advisory_lock($1) AS locked', [spaceLockKey(tenantId)])
      return row?.locked === true
    },
    transaction: (work) => session.transaction(work),
    lockProvider: async (id) => (await providers('p.id = $1 FOR UPDATE', [id]))[0] ?? null,
    provider: async (id) => (await providers('p.id = $1', [id]))[0] ?? null,
    clashing: (tenantId, exceptId, identifier, urlHash) =>
      providers('p.tenant_id = $1 AND p.id <> $2 AND (p.server_identifier = $3 OR p.server_url_hash = $4)', [
        tenantId,
        exceptId,
        identifier,
        urlHash,
      ]),
    takenNames: async (tenantId, exceptId, names) => {
      const rows = await session.query(
        'SELECT name FROM tool_mcp_providers WHERE tenant_id = $1 AND id <> $2 AND name = ANY($3::text[])',
        [tenantId, exceptId, names],
      )
      return new Set(rows.map((row) => String(row.name)))
    },
    insertProvider: async (columns) => {
      const names = Object.keys(columns)
      await session.change(
        `INSERT INTO tool_mcp_providers (${names.join(', ')}, created_at, updated_at)
         VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')}, ${NOW_UTC}, ${NOW_UTC})`,
        Object.values(columns),
      )
    },
    updateProvider: async (id, tenantId, columns: Record<string, Column>) => {
      const sets = Object.keys(columns).map((name, i) => `${name} = $${i + 3}`)
      const changed = await session.change(
        `UPDATE tool_mcp_providers SET ${[...sets, `updated_at = ${NOW_UTC}`].join(', ')} WHERE id = $1 AND tenant_id = $2`,
        [id, tenantId, ...Object.values(columns)],
      )
      return changed === 1
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
}

async function readFacts(session: PostgresSession): Promise<DatabaseFacts> {
  const rows = await session.query(COLUMNS_SQL, [TABLES])
  const [server] = await session.query(SERVER_SQL)
  const columns = rows.map(toColumnFacts)
  const mayReadVersion = columns.some(({ table, mayRead }) => table === 'alembic_version' && mayRead)
  const [version] = mayReadVersion ? await session.query('SELECT version_num FROM alembic_version LIMIT 1') : []
  return {
    server: `PostgreSQL ${String(server?.version).split(' ')[0]}`,
    readOnly: server?.read_only === true,
    encrypted: session.encrypted,
    columns,
    mayDelete: [...new Set(rows.filter((row) => row.may_delete === true).map((row) => String(row.table)))],
    alembicVersion: version === undefined ? null : String(version.version_num),
  }
}

/** A 64-bit key of our own for `pg_advisory_lock`, the same in every process. */
function spaceLockKey(tenantId: string): string {
  return createHash('sha256').update(`toolferry/dify/${tenantId.toLowerCase()}`).digest().readBigInt64BE(0).toString()
}

function toColumnFacts(row: Rows[number]): ColumnFacts {
  return {
    table: String(row.table),
    column: String(row.column),
    notNull: row.not_null === true,
    hasDefault: row.has_default === true,
    mayRead: row.may_read === true,
    mayInsert: row.may_insert === true,
    mayUpdate: row.may_update === true,
  }
}

function toTenant(row: Rows[number]): TenantRow {
  return {
    id: String(row.id),
    name: String(row.name),
    status: String(row.status),
    publicKeyPem: textOrNull(row.encrypt_public_key),
  }
}

function toSpace(row: Rows[number]): SpaceRow {
  const name = textOrNull(row.person_name)
  return {
    ...toTenant(row),
    person: name === null ? null : { name, email: String(row.person_email), role: String(row.person_role) },
  }
}

function toProvider(row: Rows[number]): ProviderRow {
  return {
    id: String(row.provider_id),
    tenantId: String(row.tenant_id),
    name: String(row.provider_name),
    serverIdentifier: String(row.server_identifier),
    serverUrl: String(row.server_url),
    serverUrlHash: String(row.server_url_hash),
    icon: textOrNull(row.icon),
    encryptedCredentials: textOrNull(row.encrypted_credentials),
    authed: row.authed === true,
    tools: String(row.tools),
    timeoutS: numberOrNull(row.timeout),
    sseReadTimeoutS: numberOrNull(row.sse_read_timeout),
    encryptedHeaders: textOrNull(row.encrypted_headers),
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}
