import type { DifyDatabase } from './database.ts'

/** What the database user needs, and no more (dify.md §10); docs/dify.md has the same, with the user itself. */
const COLUMN_GRANTS: readonly (readonly [columns: string, table: string])[] = [
  ['SELECT (id, name, encrypt_public_key, status)', 'tenants'],
  ['SELECT (id, name, email, status)', 'accounts'],
  ['SELECT (tenant_id, account_id, role)', 'tenant_account_joins'],
  ['SELECT, INSERT, UPDATE, DELETE', 'tool_mcp_providers'],
  ['SELECT', 'alembic_version'],
]

/** One statement a line, ready to be run by the owner of Dify's tables. */
export function grantScript({ engine, user, database }: DifyDatabase): string[] {
  if (engine === 'postgresql') {
    const role = `"${user.replaceAll('"', '""')}"`
    return COLUMN_GRANTS.map(([grant, table]) => `GRANT ${grant} ON ${table} TO ${role};`)
  }
  const schema = `\`${database.replaceAll('`', '``')}\``
  const account = `'${user.replaceAll('\\', '\\\\').replaceAll("'", "''")}'@'%'`
  return COLUMN_GRANTS.map(([grant, table]) => `GRANT ${grant} ON ${schema}.${table} TO ${account};`)
}
