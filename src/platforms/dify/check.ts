import { ToolferryError } from '../../domain/errors.ts'
import type { PlatformCheck } from '../platform.ts'
import type { DifyConnection, DifyDatabase, DifyEngine, SpaceRow } from './database.ts'
import { grantScript } from './grants.ts'
import { reachHints } from './reach-hints.ts'
import type { DifySchema } from './schema.ts'
import { describeVersion, judgeSchema, PROVIDERS, readFault, writeFault } from './schema.ts'
import { shortReason } from './spaces.ts'

const SPACES_NAMED = 5

export type CheckInput = { database: DifyDatabase; gatewayUrl: string | undefined }

/** The findings of a check, in order; the first failure ends it. Failures that are not expected are thrown. */
export async function checkDify(
  { database, gatewayUrl }: CheckInput,
  engine: DifyEngine,
  withConnection: <T>(work: (connection: DifyConnection) => Promise<T>) => Promise<T>,
  signal: AbortSignal,
): Promise<PlatformCheck> {
  const findings: PlatformCheck['findings'] = []
  const found = (name: string, detail: string): void => void findings.push({ name, ok: true, detail })
  let failing = 'connection'
  let version: string | null = null
  try {
    return await withConnection(async (connection) => {
      const schema = judgeSchema(await connection.facts({ fresh: true }))
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
      const hints = [...databaseHints(schema, database), ...(await gatewayHints(schema, gatewayUrl))]
      return { ok: true, version, error: null, hints, findings, spaces: spaces.length }
    })
  } catch (error) {
    if (!(error instanceof ToolferryError)) throw error
    findings.push({ name: failing, ok: false, detail: error.message })
    const { type, message, field } = error
    return {
      ok: false,
      version,
      error: field === undefined ? { type, message } : { type, message, field },
      hints: await failureHints(error, database, engine, signal),
      findings,
      spaces: null,
    }
  }
}

async function failureHints(
  error: ToolferryError,
  database: DifyDatabase,
  engine: DifyEngine,
  signal: AbortSignal,
): Promise<string[]> {
  if (error.type === 'Forbidden') return [`As the owner of Dify’s tables, run: ${grantScript(database).join(' ')}`]
  if (error.field !== 'database.database') return []
  // Only to help; that it cannot be told is no finding.
  const others = await engine.otherDifyDatabases(signal).catch(() => [])
  if (others.length === 0) return []
  const names = others.map((name) => `“${name}”`).join(', ')
  return [`On the same server ${names} ${others.length === 1 ? 'looks' : 'look'} like Dify’s own database.`]
}

function databaseHints(schema: DifySchema, database: DifyDatabase): string[] {
  const hints: string[] = []
  if (!schema.facts.encrypted && database.tls === 'prefer') {
    hints.push('The server offers no TLS: the password’s proof and all data travel unencrypted.')
  }
  if (!schema.has('encrypted_headers')) {
    hints.push(
      `Dify ${schema.difyRange} cannot send headers to MCP servers, so the gateway would refuse its calls: providers that need a ` +
        'token are refused here. Upgrade Dify to 1.9 or newer.',
    )
  }
  return hints
}

async function gatewayHints(schema: DifySchema, gatewayUrl: string | undefined): Promise<string[]> {
  const deniesPrivate = schema.has('identity_mode')
  if (gatewayUrl !== undefined) return await reachHints(gatewayUrl, { deniesPrivate })
  const hints = [
    'Dify calls the gateway from its api and worker containers, through its SSRF proxy: “localhost” is the container there, and ' +
      'HTTPS passes on port 443 only unless the proxy is told otherwise (acl SSL_ports).',
  ]
  if (deniesPrivate) {
    hints.push(
      'Dify 1.15 and later deny private addresses by default. If the gateway’s address is private, set SSRF_PROXY_ALLOW_PRIVATE_IPS ' +
        '(or SSRF_PROXY_ALLOW_PRIVATE_DOMAINS) in Dify and recreate ssrf_proxy.',
    )
  }
  return hints
}

function describeSpaces(rows: SpaceRow[]): string {
  if (rows.length === 0) return 'there is no workspace yet'
  const unusable = rows.flatMap((row) => {
    const reason = shortReason(row)
    return reason === null ? [] : [`«${row.name}» (${reason})`]
  })
  if (unusable.length === 0) return `${rows.length}, all usable`
  const more = unusable.length > SPACES_NAMED ? ' …' : ''
  return `${rows.length}, of which ${unusable.length} cannot be written to: ${unusable.slice(0, SPACES_NAMED).join(', ')}${more}`
}
