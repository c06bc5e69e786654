import type { ToolferryError } from '../../domain/errors.ts'

/**
 * The seam between the adapter and a database engine: what the adapter asks of Dify's database, in its own words. Everything
 * that differs between engines (SQL, drivers, error numbers) stays behind it: postgres*.ts, and one day mysql*.ts.
 */

export type DifyDatabase = {
  engine: 'postgresql' | 'mysql'
  host: string
  port: number
  user: string
  password: string
  database: string
  tls: TlsMode
}

/** As in libpq: `prefer` and `require` encrypt without proving who answers, `verify-full` proves it, too. */
export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-full'

/** What the adapter needs of the egress policy. */
export type DatabaseEgress = {
  /** Throws InvalidDesiredState for a host that may not be called. */
  checkHost(host: string, port: number, field?: string): unknown
  /** Resolves and checks: the address to connect to. Without it, the driver resolves. */
  checkedLookup?(host: string, port: number, field?: string): Promise<{ address: string }>
}

export type DifyTimeouts = {
  connectMs: number
  /** One statement, waiting included. */
  statementMs: number
  /** Waiting for a row that somebody else is changing. */
  rowLockMs: number
  /** Waiting for another Toolferry that is writing to the space. */
  spaceLockMs: number
}

export const DEFAULT_TIMEOUTS: DifyTimeouts = {
  connectMs: 10_000,
  statementMs: 30_000,
  rowLockMs: 10_000,
  spaceLockMs: 15_000,
}

export type Column = string | number | boolean | null

export type ColumnFacts = {
  table: string
  column: string
  notNull: boolean
  hasDefault: boolean
  mayRead: boolean
  mayInsert: boolean
  mayUpdate: boolean
}

export type DatabaseFacts = {
  /** "PostgreSQL 15.4" */
  server: string
  /** Connected to a standby, or a role that may only read. */
  readOnly: boolean
  encrypted: boolean
  columns: ColumnFacts[]
  /** Tables of which rows may be deleted. */
  mayDelete: string[]
  alembicVersion: string | null
}

export type TenantRow = {
  id: string
  name: string
  status: string
  publicKeyPem: string | null
}

export type SpaceRow = TenantRow & { person: { name: string; email: string; role: string } | null }

/** A row of `tool_mcp_providers`; what an older Dify has no column for is null. */
export type ProviderRow = {
  id: string
  tenantId: string
  name: string
  serverIdentifier: string
  serverUrl: string
  serverUrlHash: string
  icon: string | null
  encryptedCredentials: string | null
  authed: boolean
  tools: string
  timeoutS: number | null
  sseReadTimeoutS: number | null
  encryptedHeaders: string | null
}

export type ProviderSearch = { ids: string[]; identifiers: string[]; urlHashes: string[] }

/** One connection. Methods reject with ToolferryError, with UniqueViolation, or with the signal's reason after an abort. */
export type DifyConnection = {
  facts(): Promise<DatabaseFacts>
  /** Every workspace, with its owner if it has one. */
  spaces(): Promise<SpaceRow[]>
  tenant(tenantId: string): Promise<TenantRow | null>
  /** The account that new providers are filed under: the owner, else an admin, else null. */
  ownerAccountId(tenantId: string): Promise<string | null>
  /** The workspace and every provider that may matter, in one round trip. A row with one of the ids may be another workspace's. */
  readSpace(tenantId: string, search: ProviderSearch): Promise<{ tenant: TenantRow | null; providers: ProviderRow[] }>
  /** Takes the space's lock for this connection if it is free. */
  tryLockSpace(tenantId: string): Promise<boolean>
  transaction<T>(work: () => Promise<T>): Promise<T>
  /** By id alone, wherever it stands; locked until the transaction ends. */
  lockProvider(id: string): Promise<ProviderRow | null>
  provider(id: string): Promise<ProviderRow | null>
  /** Other providers of the workspace with that identifier or URL. */
  clashing(tenantId: string, exceptId: string, identifier: string, urlHash: string): Promise<ProviderRow[]>
  /** Which of `names` other providers of the workspace have already. */
  takenNames(tenantId: string, exceptId: string, names: string[]): Promise<Set<string>>
  insertProvider(columns: Record<string, Column>): Promise<void>
  /** Answers whether the row was there. `updated_at` is set, too. */
  updateProvider(id: string, tenantId: string, columns: Record<string, Column>): Promise<boolean>
  deleteProvider(id: string, tenantId: string, identifier: string): Promise<boolean>
  /** From now on calls obey this signal. */
  obey(signal: AbortSignal): void
  /** False once the connection is lost or its state in doubt. */
  readonly usable: boolean
  close(): Promise<void>
}

export type DifyEngine = {
  /** Rejects with Unavailable, CredentialRefused, InvalidDesiredState (`database.…` field), Forbidden or Timeout. */
  connect(signal: AbortSignal): Promise<DifyConnection>
}

/** A unique key refused a write: somebody else was faster. `cause` is ours to map when a second attempt fails, too. */
export class UniqueViolation extends Error {
  override readonly name = 'UniqueViolation'
  readonly constraint: string
  readonly mapped: ToolferryError

  constructor(constraint: string, mapped: ToolferryError) {
    super(`unique key ${constraint}`)
    this.constraint = constraint
    this.mapped = mapped
  }
}
