import type { ToolferryError } from '../../domain/errors.ts'

/**
 * The seam between the adapter and a database engine: what the adapter asks of Dify's database, in its own words. Everything
 * that differs between engines (SQL, drivers, error numbers) stays behind it: postgres*.ts and mysql*.ts.
 */

export type DifyDatabase = {
  /** `mysql` stands for MariaDB, too. */
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
  /** Waiting for a row that somebody else is changing. MySQL counts in whole seconds. */
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

/** How to get at one database. */
export type DatabaseEndpoint = {
  options: DifyDatabase
  egress: DatabaseEgress
  timeouts: DifyTimeouts
  /** Told every statement's text right before it is sent (parameters are not in it): for counting. */
  onStatement?: (text: string) => void
}

export type Column = string | number | boolean | null

export type ColumnFacts = {
  table: string
  column: string
  notNull: boolean
  hasDefault: boolean
  /** In characters; null for what has no length. */
  maxLength: number | null
  mayRead: boolean
  mayInsert: boolean
  mayUpdate: boolean
}

export type DatabaseFacts = {
  engine: DifyDatabase['engine']
  /** "PostgreSQL 15.4" */
  server: string
  /** Connected to a standby, or a role that may only read. */
  readOnly: boolean
  encrypted: boolean
  /** MySQL names no table and no column that the user has no right to: one that is missing may be a missing grant. */
  hidesForbidden: boolean
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

export type SpaceRow = TenantRow & { person: { name: string; email: string; role: string; status: string } | null }

/** What tells whether a provider stands in the way of another one. */
export type Neighbour = {
  id: string
  tenantId: string
  name: string
  serverIdentifier: string
  serverUrlHash: string
  /** The identifier searched for that the database takes for equal to this one's: on MySQL case and accents may differ. */
  matchedIdentifier: string | null
}

/** A row of `tool_mcp_providers`; what an older Dify has no column for is null. */
export type ProviderRow = Neighbour & {
  serverUrl: string
  icon: string | null
  encryptedCredentials: string | null
  authed: boolean
  tools: string
  timeoutS: number | null
  sseReadTimeoutS: number | null
  encryptedHeaders: string | null
}

export type ProviderSearch = { ids: string[]; identifiers: string[]; urlHashes: string[] }

/** What stands in a workspace, as far as it was searched for. */
export type SpaceView = {
  tenant: TenantRow | null
  /** The rows with the searched ids, wherever they stand: one may be another workspace's. */
  own: ProviderRow[]
  /** Others of the workspace, with a searched identifier or URL. */
  others: Neighbour[]
}

export type WriteSearch = { id: string; identifier: string; urlHash: string; names: string[] }

/** Everything that one write has to know, of one moment. */
export type WriteView = {
  tenant: TenantRow | null
  /** The row with the id, wherever it stands; locked until the transaction ends. */
  own: ProviderRow | null
  /** Others of the workspace, with the identifier or the URL. */
  others: Neighbour[]
  /** Which of the searched names others of the workspace have already, as the database compares names. */
  takenNames: Set<string>
  /** The account that new providers are filed under: the owner, else an admin, else null. */
  ownerAccountId: string | null
}

/** One connection. Methods reject with ToolferryError, with UniqueViolation, or with the signal's reason after an abort. */
export type DifyConnection = {
  /** May be some seconds old, unless asked for `fresh`. */
  facts(options?: { fresh: boolean }): Promise<DatabaseFacts>
  /** Every workspace, with its owner if it has one; one statement, however many there are. */
  spaces(): Promise<SpaceRow[]>
  readSpace(tenantId: string, search: ProviderSearch): Promise<SpaceView>
  /** Takes the space's lock for this connection if it is free. */
  tryLockSpace(tenantId: string): Promise<boolean>
  transaction<T>(work: () => Promise<T>): Promise<T>
  /** Inside a transaction, before a write. */
  lookForWrite(tenantId: string, search: WriteSearch): Promise<WriteView>
  /** By id alone, wherever it stands; locked until the transaction ends. */
  lockProvider(id: string): Promise<ProviderRow | null>
  /** Which of `names` other providers of the workspace have already. */
  takenNames(tenantId: string, exceptId: string, names: string[]): Promise<Set<string>>
  /** Answers the row as it stands then; null when it is not there. */
  insertProvider(id: string, columns: Record<string, Column>): Promise<ProviderRow | null>
  /** Answers the row as it stands then; null when it was not there. `updated_at` is set, too. */
  updateProvider(id: string, tenantId: string, columns: Record<string, Column>): Promise<ProviderRow | null>
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
  /** Other databases of the same server that look like Dify's, as far as this user may see; the given one need not exist. */
  otherDifyDatabases(signal: AbortSignal): Promise<string[]>
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
