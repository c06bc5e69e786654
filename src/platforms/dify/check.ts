import { ToolferryError } from '../../domain/errors.ts'
import type { PlatformCheck } from '../platform.ts'
import type { DifyConnection, DifyDatabase, SpaceRow } from './database.ts'
import type { DifySchema } from './schema.ts'
import { describeVersion, judgeSchema, PROVIDERS, readFault, writeFault } from './schema.ts'
import { toRemoteSpace } from './spaces.ts'

/** The findings of a check, in order; the first failure ends it. Failures that are not expected are thrown. */
export async function checkDify(
  database: DifyDatabase,
  withConnection: <T>(work: (connection: DifyConnection) => Promise<T>) => Promise<T>,
): Promise<PlatformCheck> {
  const findings: PlatformCheck['findings'] = []
  const found = (name: string, detail: string): void => void findings.push({ name, ok: true, detail })
  let failing = 'connection'
  let version: string | null = null
  try {
    return await withConnection(async (connection) => {
      const schema = judgeSchema(await connection.facts())
      const { facts } = schema
      found(
        'connection',
        `${facts.server} at ${database.host}:${database.port}, ${facts.encrypted ? 'encrypted' : 'not encrypted'}`,
      )

      failing = 'schema'
      const fault = writeFault(schema)
      if (fault !== null && fault.type !== 'Forbidden') {
        if (readFault(schema) === null) version = describeVersion(schema)
        throw fault
      }
      version = describeVersion(schema)
      found(
        'schema',
        `Dify ${schema.difyRange}${facts.alembicVersion === null ? '' : `, alembic ${facts.alembicVersion}`}`,
      )

      failing = 'privileges'
      if (fault !== null) throw fault
      found('privileges', `reads workspaces and accounts; reads, inserts, updates and deletes ${PROVIDERS}`)

      failing = 'workspaces'
      const spaces = await connection.spaces()
      found('workspaces', describeSpaces(spaces))
      return { ok: true, version, error: null, hints: hintsFor(schema, database), findings, spaces: spaces.length }
    })
  } catch (error) {
    if (!(error instanceof ToolferryError)) throw error
    findings.push({ name: failing, ok: false, detail: error.message })
    const { type, message, field } = error
    return {
      ok: false,
      version,
      error: field === undefined ? { type, message } : { type, message, field },
      hints: type === 'Forbidden' ? [grantsFor(database.user)] : [],
      findings,
      spaces: null,
    }
  }
}

function hintsFor(schema: DifySchema, database: DifyDatabase): string[] {
  const hints: string[] = []
  if (!schema.facts.encrypted && database.tls === 'prefer') {
    hints.push('The server offers no TLS: the password’s proof and all data travel unencrypted.')
  }
  hints.push(
    'Dify calls the gateway from its api and worker containers, through its SSRF proxy: “localhost” is the container there, and ' +
      'HTTPS passes on port 443 only unless the proxy is told otherwise (acl SSL_ports).',
  )
  if (schema.has('identity_mode')) {
    hints.push(
      'Dify 1.15 and later deny private addresses by default. If the gateway’s address is private, set SSRF_PROXY_ALLOW_PRIVATE_IPS ' +
        '(or SSRF_PROXY_ALLOW_PRIVATE_DOMAINS) in Dify and recreate ssrf_proxy.',
    )
  }
  return hints
}

function describeSpaces(rows: SpaceRow[]): string {
  const unusable = rows.map(toRemoteSpace).filter((space) => space.problem !== null)
  if (rows.length === 0) return 'there is no workspace yet'
  if (unusable.length === 0) return `${rows.length}, all usable`
  const names = unusable.slice(0, 5).map((space) => `«${space.name}»`)
  return `${rows.length}, of which ${unusable.length} cannot be written to: ${names.join(', ')}${unusable.length > 5 ? ' …' : ''}`
}

/** The least that is needed (dify.md §10). */
function grantsFor(user: string): string {
  const role = `"${user.replaceAll('"', '""')}"`
  return [
    'As the owner of Dify’s tables, run:',
    `GRANT SELECT (id, name, encrypt_public_key, status) ON tenants TO ${role};`,
    `GRANT SELECT (id, name, email, status) ON accounts TO ${role};`,
    `GRANT SELECT (tenant_id, account_id, role) ON tenant_account_joins TO ${role};`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${PROVIDERS} TO ${role};`,
    `GRANT SELECT ON alembic_version TO ${role};`,
  ].join(' ')
}
