import { ToolferryError } from '../../domain/errors.ts'
import type { ColumnFacts, DatabaseFacts, DifyConnection } from './database.ts'

/** What this database of Dify can do, judged by its columns and privileges, never by a version number (dify.md §1.1). */

export const PROVIDERS = 'tool_mcp_providers'

/** Columns read, by table (dify.md §10: the least-privilege grants name just these). */
const READ_COLUMNS: Record<string, readonly string[]> = {
  tenants: ['id', 'name', 'encrypt_public_key', 'status'],
  accounts: ['id', 'name', 'email', 'status'],
  tenant_account_joins: ['tenant_id', 'account_id', 'role'],
}

const PROVIDER_COLUMNS = [
  'id',
  'name',
  'server_identifier',
  'server_url',
  'server_url_hash',
  'icon',
  'tenant_id',
  'user_id',
  'encrypted_credentials',
  'authed',
  'tools',
  'created_at',
  'updated_at',
] as const

/** Columns that came after 1.6.0. */
const LATER_PROVIDER_COLUMNS = ['timeout', 'sse_read_timeout', 'encrypted_headers', 'identity_mode'] as const
/** Dify knows MySQL since 1.10.1: these are always there. */
const MYSQL_PROVIDER_COLUMNS = ['timeout', 'sse_read_timeout', 'encrypted_headers'] as const

export type LaterColumn = (typeof LATER_PROVIDER_COLUMNS)[number]

/** Alembic heads of releases (dify.md §1.2); for display only. */
const RELEASES: Record<string, string> = {
  '58eb7bdb93fe': '1.6.0',
  '8bcc02c9bd07': '1.7.0 – 1.7.1',
  '532b3f888abf': '1.7.2',
  '0e154742a5fa': '1.8.0',
  b95962a3885c: '1.8.1',
  '68519ad5cd18': '1.9.0 – 1.9.1',
  ae662b25d9bc: '1.9.2',
  '669ffd70119c': '1.10.0',
  '09cfdda155d1': '1.10.1',
  d57accd375ae: '1.11.0 – 1.11.1',
  '03ea244985ce': '1.11.2',
  '905527cc8fd3': '1.11.3 – 1.11.4',
  '788d3099ae3a': '1.12',
  fce013ca180e: '1.13.0',
  '6b5f9f8b1a2c': '1.13.1 – 1.13.3',
  '227822d22895': '1.14.0',
  a4f2d8c9b731: '1.14.1 – 1.14.2',
  d9e8f7a6b5c4: '1.15.0',
  c3d4e5f6a7b8: '1.16.0-rc1',
  '7a1c2d9e4b60': '1.16.0',
}

export type DifySchema = {
  facts: DatabaseFacts
  /** "1.16.0", "1.15 or newer" */
  difyRange: string
  has(column: LaterColumn): boolean
  /** A 1.9, whose calls are overridden by whatever stands in `encrypted_credentials` (dify.md §3.2). */
  mayBe19: boolean
  /** `identity_mode` without its default: it must be given. */
  wantsIdentityMode: boolean
  missingTables: string[]
  /** As "table.column". */
  missingColumns: string[]
  /** Columns of the providers' table that must be given and that this adapter does not know (a fork, or a future Dify). */
  unknownRequired: string[]
  /** As "SELECT on tenants (name, status)". */
  missingReadPrivileges: string[]
  missingWritePrivileges: string[]
}

/** The schema as far as it is known already; one that cannot be used is looked at again, since somebody may have helped. */
export async function knownSchema(connection: DifyConnection): Promise<DifySchema> {
  const known = judgeSchema(await connection.facts())
  return writeFault(known) === null ? known : judgeSchema(await connection.facts({ fresh: true }))
}

export function judgeSchema(facts: DatabaseFacts): DifySchema {
  const byTable = Map.groupBy(facts.columns, (column) => column.table)
  const columnsOf = (table: string): ColumnFacts[] => byTable.get(table) ?? []
  const providerColumns = columnsOf(PROVIDERS)
  const providerColumn = (name: string): ColumnFacts | undefined =>
    providerColumns.find(({ column }) => column === name)
  const has = (column: LaterColumn): boolean => providerColumn(column) !== undefined
  const mysqlOnly = facts.engine === 'mysql' ? MYSQL_PROVIDER_COLUMNS : []
  const wanted: Record<string, readonly string[]> = {
    ...READ_COLUMNS,
    [PROVIDERS]: [...PROVIDER_COLUMNS, ...mysqlOnly],
  }
  const known = new Set<string>([...PROVIDER_COLUMNS, ...LATER_PROVIDER_COLUMNS])
  const wantsIdentityMode = isRequired(providerColumn('identity_mode'))
  const used: string[] = [
    ...PROVIDER_COLUMNS,
    ...LATER_PROVIDER_COLUMNS.filter((column) => column !== 'identity_mode' || wantsIdentityMode),
  ]
  const usedFound = providerColumns.filter((found) => used.includes(found.column))

  const missingTables = Object.keys(wanted).filter((table) => !byTable.has(table))
  const missing = Object.entries(wanted).flatMap(([table, columns]) => {
    const names = columns.filter((column) => !columnsOf(table).some((found) => found.column === column))
    return names.length === 0 ? [] : [{ table, names, all: names.length === columns.length }]
  })
  // Where the database hides what is forbidden, a Dify that has some of it has all of it.
  const hidden = facts.hidesForbidden && missingTables.length < Object.keys(wanted).length ? missing : []

  return {
    facts,
    difyRange: difyRange(facts, has, providerColumn('server_identifier')),
    has,
    mayBe19: mayBe19(facts, has),
    wantsIdentityMode,
    missingTables: hidden.length > 0 ? [] : missingTables,
    missingColumns:
      hidden.length > 0
        ? []
        : missing.flatMap(({ table, names }) => (byTable.has(table) ? names.map((name) => `${table}.${name}`) : [])),
    unknownRequired: providerColumns
      .filter((found) => !known.has(found.column) && isRequired(found))
      .map((found) => found.column),
    missingReadPrivileges: [
      ...hidden.map(({ table, names, all }) => `SELECT on ${table}${all ? '' : ` (${names.join(', ')})`}`),
      ...Object.entries(READ_COLUMNS).map(([table, columns]) =>
        missingGrant(
          'SELECT',
          table,
          columnsOf(table).filter((found) => columns.includes(found.column)),
          'mayRead',
        ),
      ),
      missingGrant('SELECT', PROVIDERS, usedFound, 'mayRead'),
    ].filter((grant) => grant !== null),
    missingWritePrivileges: [
      missingGrant('INSERT', PROVIDERS, usedFound, 'mayInsert'),
      missingGrant('UPDATE', PROVIDERS, usedFound, 'mayUpdate'),
      providerColumns.length === 0 || facts.mayDelete.includes(PROVIDERS) ? null : `DELETE on ${PROVIDERS}`,
    ].filter((grant) => grant !== null),
  }
}

/** "Dify 1.16.0 (schema), PostgreSQL 15.4" */
export function describeVersion(schema: DifySchema): string {
  return `Dify ${schema.difyRange} (schema), ${schema.facts.server}`
}

/** Why this database cannot even be read, or null. */
export function readFault(schema: DifySchema): ToolferryError | null {
  if (schema.missingTables.length > 0) {
    return new ToolferryError(
      'InvalidDesiredState',
      `This is not Dify’s database: it has no table ${schema.missingTables.join(', ')} that this user can see. Dify’s own ` +
        'database is usually called “dify”; did you give “dify_plugin”?',
      { field: 'database.database' },
    )
  }
  if (schema.missingColumns.length > 0) {
    return new ToolferryError(
      'UnsupportedVersion',
      `This Dify is not supported: its database lacks ${schema.missingColumns.join(', ')}. Dify 1.6 and later are supported.`,
    )
  }
  return grantFault(schema.missingReadPrivileges)
}

/** Why nothing can be written to this database, or null. */
export function writeFault(schema: DifySchema): ToolferryError | null {
  const fault = readFault(schema)
  if (fault !== null) return fault
  if (schema.unknownRequired.length > 0) {
    return new ToolferryError(
      'UnsupportedVersion',
      `This Dify is not supported: its table ${PROVIDERS} wants a value for ${schema.unknownRequired.join(', ')}, which ` +
        'Toolferry does not know. Give the column a default, or use a newer Toolferry.',
    )
  }
  if (schema.facts.readOnly) {
    return new ToolferryError(
      'InvalidDesiredState',
      'The database takes no writes (a standby, or a read-only user). Give the primary’s host.',
      { field: 'database.host' },
    )
  }
  return grantFault(schema.missingWritePrivileges)
}

/** Why a provider with this Authorization (empty: none) cannot be written here, or null (dify.md §3.2). */
export function headerFault(schema: DifySchema, authorization: string): ToolferryError | null {
  if (authorization === '' || schema.has('encrypted_headers')) return null
  return new ToolferryError(
    'UnsupportedVersion',
    `This is Dify ${schema.difyRange}, and a header needs Dify 1.9 or newer: it cannot send the gateway its token. Upgrade Dify, then sync again.`,
  )
}

function grantFault(missing: string[]): ToolferryError | null {
  if (missing.length === 0) return null
  return new ToolferryError('Forbidden', `The database user lacks ${missing.join('; ')}. Grant it, then try again.`)
}

/** By the columns; by the release, where the migration's head is known and does not contradict them. */
function difyRange(
  facts: DatabaseFacts,
  has: (column: LaterColumn) => boolean,
  identifier: ColumnFacts | undefined,
): string {
  const release = RELEASES[facts.alembicVersion ?? '']
  const byColumns = ((): string => {
    if (has('identity_mode')) return '1.15 or newer'
    if (has('encrypted_headers')) return facts.engine === 'mysql' ? '1.10.1 – 1.14' : '1.9 – 1.14'
    if (has('timeout')) return '1.8'
    return identifier?.maxLength === 24 ? '1.6' : '1.7'
  })()
  return release !== undefined && fits(minorOf(release), byColumns) ? release : byColumns
}

function fits(minor: number, byColumns: string): boolean {
  const [low = 0, high = low] = [...byColumns.matchAll(/1\.(\d+)/g)].map((match) => Number(match[1]))
  return minor >= low && (byColumns.endsWith('newer') || minor <= high)
}

function mayBe19(facts: DatabaseFacts, has: (column: LaterColumn) => boolean): boolean {
  if (has('identity_mode') || !has('encrypted_headers') || facts.engine === 'mysql') return false
  const release = RELEASES[facts.alembicVersion ?? '']
  return release === undefined || minorOf(release) < 10
}

function minorOf(release: string): number {
  return Number(release.split('.')[1])
}

function isRequired(column: ColumnFacts | undefined): boolean {
  return column?.notNull === true && !column.hasDefault
}

function missingGrant(
  privilege: string,
  table: string,
  columns: ColumnFacts[],
  right: 'mayRead' | 'mayInsert' | 'mayUpdate',
): string | null {
  const missing = columns.filter((found) => !found[right])
  if (missing.length === 0) return null
  if (missing.length === columns.length) return `${privilege} on ${table}`
  return `${privilege} on ${table} (${missing.map((found) => found.column).join(', ')})`
}
