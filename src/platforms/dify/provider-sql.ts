import { createHash } from 'node:crypto'
import type { ColumnFacts, DatabaseFacts, Neighbour, ProviderRow, SpaceRow, TenantRow } from './database.ts'

/** What the SQL of every engine shares: which columns are asked for, under which names, and how an answer is read. */

export type Rows = Record<string, unknown>[]

/** The tables that the facts are about. */
export const TABLES = ['tenants', 'accounts', 'tenant_account_joins', 'tool_mcp_providers', 'alembic_version']

/** The account a workspace is shown with and its providers are filed under: active before banned, owner before admin. */
export const PERSON_ORDER = `(a.status = 'active') DESC, (j.role = 'owner') DESC, a.name, a.id`

/** Columns of a neighbour, for `tool_mcp_providers p`. */
export const NEIGHBOUR_COLUMNS =
  'p.id AS provider_id, p.tenant_id, p.name AS provider_name, p.server_identifier, p.server_url_hash'

/** The other columns of a provider; `later` ones are NULL where an older Dify has none. */
const OWN_COLUMNS = ['server_url', 'icon', 'encrypted_credentials', 'authed', 'tools']
const LATER_COLUMNS = { timeout: 'double', sse_read_timeout: 'double', encrypted_headers: 'text' } as const

/** `nullOf` spells a NULL of a type, for engines that want to know it. */
export function ownColumns(facts: DatabaseFacts, nullOf: (type: 'double' | 'text') => string): string {
  const has = (name: string): boolean =>
    facts.columns.some(({ table, column }) => table === 'tool_mcp_providers' && column === name)
  const later = Object.entries(LATER_COLUMNS).map(([name, type]) =>
    has(name) ? `p.${name}` : `${nullOf(type)} AS ${name}`,
  )
  return [...OWN_COLUMNS.map((name) => `p.${name}`), ...later].join(', ')
}

/** How many columns `ownColumns` names: a UNION with neighbours fills them with NULL. */
export const OWN_COLUMN_COUNT = OWN_COLUMNS.length + Object.keys(LATER_COLUMNS).length

/** A key of our own for the workspace's lock, the same in every process. */
export function spaceLockHash(database: string, tenantId: string): Buffer {
  return createHash('sha256').update(`toolferry/dify/${database}/${tenantId.toLowerCase()}`).digest()
}

export function toColumnFacts(row: Rows[number]): ColumnFacts {
  return {
    table: String(row.table),
    column: String(row.column),
    notNull: isTrue(row.not_null),
    hasDefault: isTrue(row.has_default),
    maxLength: numberOrNull(row.max_length),
    mayRead: isTrue(row.may_read),
    mayInsert: isTrue(row.may_insert),
    mayUpdate: isTrue(row.may_update),
  }
}

export function toTenant(row: Rows[number]): TenantRow {
  return {
    id: idOf(row.id),
    name: textOrNull(row.name) ?? '',
    status: textOrNull(row.status) ?? '',
    publicKeyPem: textOrNull(row.encrypt_public_key),
  }
}

export function toSpace(row: Rows[number]): SpaceRow {
  const name = textOrNull(row.person_name)
  const person = {
    name: name ?? '',
    email: textOrNull(row.person_email) ?? '',
    role: textOrNull(row.person_role) ?? '',
    status: textOrNull(row.person_status) ?? '',
  }
  return { ...toTenant(row), person: name === null ? null : person }
}

export function toNeighbour(row: Rows[number]): Neighbour {
  return {
    id: idOf(row.provider_id),
    tenantId: idOf(row.tenant_id),
    name: textOrNull(row.provider_name) ?? '',
    serverIdentifier: textOrNull(row.server_identifier) ?? '',
    serverUrlHash: textOrNull(row.server_url_hash) ?? '',
    matchedIdentifier: textOrNull(row.matched_identifier),
  }
}

export function toProvider(row: Rows[number]): ProviderRow {
  return {
    ...toNeighbour(row),
    serverUrl: textOrNull(row.server_url) ?? '',
    icon: textOrNull(row.icon),
    encryptedCredentials: textOrNull(row.encrypted_credentials),
    authed: isTrue(row.authed),
    tools: textOrNull(row.tools) ?? '',
    timeoutS: numberOrNull(row.timeout),
    sseReadTimeoutS: numberOrNull(row.sse_read_timeout),
    encryptedHeaders: textOrNull(row.encrypted_headers),
  }
}

/** PostgreSQL answers booleans, MySQL 1 and 0. */
export function isTrue(value: unknown): boolean {
  return value === true || Number(value) === 1
}

export function idOf(value: unknown): string {
  return (textOrNull(value) ?? '').toLowerCase()
}

/** A column with a binary collation comes as bytes. */
export function textOrNull(value: unknown): string | null {
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  return typeof value === 'string' ? value : null
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : null
}
