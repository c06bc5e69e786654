import { execFile } from 'node:child_process'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createServerDatabase, type OwnClient, type Query } from './dify-server.ts'
import { difySchemaSql, type Engine, type Shape } from './dify-shapes.ts'

/** A database of Dify's on a server of the test machine, of any shape, and the Dify side's own eyes on it. */

const CHECKER = fileURLToPath(new URL('../platforms/dify/dify_check.py', import.meta.url))

/** Debian's own Python has PyCryptodome under this name; another Python on the PATH may not. */
const PYTHON = '/usr/bin/python3'

export type TestKey = { publicKeyPem: string; privateKeyPem: string }

export type NewWorkspace = {
  name: string
  /** null: nobody. Default: an active account made for it. */
  owner?: { name: string; email: string; status?: string; role?: string } | null
  /** false: `encrypt_public_key` is NULL. */
  withKey?: boolean
  /** Instead of the process-wide test key. */
  publicKeyPem?: string
  status?: 'normal' | 'archive'
}

export type TestWorkspace = { tenantId: string; accountId: string | null; privateKeyPem: string }

/** A provider as Dify itself could read it: the checker's verdict, everything decrypted. */
export type CheckedRow = { id: string; name: string; url: string; headers: Record<string, string>; tools: string[] }

/** `tool_mcp_providers` as it stands, as JSON; an older shape lacks the last ones. MySQL's booleans are made ones. */
export type StoredRow = {
  id: string
  name: string
  server_identifier: string
  server_url: string
  server_url_hash: string
  icon: string | null
  tenant_id: string
  user_id: string
  encrypted_credentials: string | null
  authed: boolean
  tools: string
  created_at: string
  updated_at: string
  timeout: number
  sse_read_timeout: number
  encrypted_headers: string | null
  identity_mode: string
}

export type DifyTestDatabase = {
  engine: Engine
  connection: { engine: Engine; host: string; port: number; user: string; password: string; database: string }
  /** PostgreSQL's way of writing SQL, `$1` included; MySQL gets it translated as far as that goes. */
  query: Query
  addWorkspace(workspace: NewWorkspace): Promise<TestWorkspace>
  /** The workspace's providers by name; all workspaces' without an id. */
  rows(tenantId?: string): Promise<StoredRow[]>
  /** Reads the workspace's providers with PyCryptodome, by name; rejects when Dify would stumble over one. */
  checkRows(workspace: Pick<TestWorkspace, 'tenantId' | 'privateKeyPem'>): Promise<CheckedRow[]>
  /** A client of its own, to be ended by the caller. */
  connect(): Promise<OwnClient>
  drop(): Promise<void>
}

const keys = new Map<number, TestKey>()

/** An RSA key pair as Dify makes them (SPKI without a trailing newline, PKCS#1); one a size and process, since making one is slow. */
export function testKey(bits = 2048): TestKey {
  const known = keys.get(bits)
  if (known !== undefined) return known
  const key = newTestKey(bits)
  keys.set(bits, key)
  return key
}

export function newTestKey(bits = 2048): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: bits,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  return { publicKeyPem: publicKey.trim(), privateKeyPem: privateKey.trim() }
}

export async function createDifyDatabase(
  options: { engine?: Engine; shape?: Shape; schemaSql?: string; password?: string } = {},
): Promise<DifyTestDatabase> {
  const { engine = 'postgresql', shape = '1.16' } = options
  const database = await createServerDatabase(engine, options.password)
  const { query } = database
  await database.script(options.schemaSql ?? difySchemaSql(engine, shape))

  async function rows(tenantId?: string): Promise<StoredRow[]> {
    const all = await query(`SELECT ${ROW_AS_JSON[engine]} FROM tool_mcp_providers p ORDER BY name, id`)
    const stored = all.map((row) => asStored(row))
    return tenantId === undefined ? stored : stored.filter((row) => row.tenant_id === tenantId)
  }

  return {
    engine,
    connection: { engine, ...database.account, database: database.name },
    query,
    addWorkspace: async ({ name, owner, withKey = true, publicKeyPem, status = 'normal' }) => {
      const key = testKey()
      const tenantId = randomUUID()
      await query('INSERT INTO tenants (id, name, encrypt_public_key, status) VALUES ($1, $2, $3, $4)', [
        tenantId,
        name,
        withKey ? (publicKeyPem ?? key.publicKeyPem) : null,
        status,
      ])
      if (owner === null) return { tenantId, accountId: null, privateKeyPem: key.privateKeyPem }
      const accountId = await addMember(
        query,
        tenantId,
        owner ?? { name: `Owner of ${name}`, email: `owner-${tenantId}@example.com` },
      )
      return { tenantId, accountId, privateKeyPem: key.privateKeyPem }
    },
    rows,
    checkRows: async ({ tenantId, privateKeyPem }) => checkStoredRows(await rows(tenantId), privateKeyPem),
    connect: database.connect,
    drop: database.drop,
  }
}

/** What a write would change, whoever does it: PostgreSQL tells each row's version, on MySQL every column must do. */
export async function footprint(db: DifyTestDatabase): Promise<Record<string, unknown>[]> {
  return await db.query(
    db.engine === 'postgresql'
      ? 'SELECT id, xmin::text, ctid::text, updated_at FROM tool_mcp_providers ORDER BY id'
      : 'SELECT * FROM tool_mcp_providers ORDER BY id',
  )
}

/** An account of its own in a workspace; answers its id. */
export async function addMember(
  query: Query,
  tenantId: string,
  person: { name: string; email: string; status?: string; role?: string },
): Promise<string> {
  const accountId = randomUUID()
  await query('INSERT INTO accounts (id, name, email, status) VALUES ($1, $2, $3, $4)', [
    accountId,
    person.name,
    person.email,
    person.status ?? 'active',
  ])
  await query('INSERT INTO tenant_account_joins (id, tenant_id, account_id, role) VALUES ($1, $2, $3, $4)', [
    randomUUID(),
    tenantId,
    accountId,
    person.role ?? 'owner',
  ])
  return accountId
}

/** node-pg would make Dates of timestamps; mysql2 is told not to. */
const ROW_AS_JSON: Record<Engine, string> = { postgresql: 'row_to_json(p) AS row', mysql: 'p.*' }

function asStored(row: Record<string, unknown>): StoredRow {
  const json = (row.row ?? { ...row, authed: row.authed === 1 }) as StoredRow
  return { ...json }
}

export async function checkStoredRows(rows: StoredRow[], privateKeyPem: string): Promise<CheckedRow[]> {
  if (rows.length === 0) return []
  return await runChecker(
    [],
    privateKeyPem,
    rows.map((row) => JSON.stringify(row)),
  )
}

/** Decrypts values as Dify does, all in one Python process; what cannot be decrypted is an error text. */
export async function decryptAll(
  tokens: string[],
  privateKeyPem: string,
): Promise<({ text: string; error?: undefined } | { error: string; text?: undefined })[]> {
  return await runChecker(['--decrypt'], privateKeyPem, tokens)
}

/** Judges `tools` columns as Dify's readers do; answers each one's names, rejects at the first bad one. */
export async function checkToolsColumns(columns: string[]): Promise<string[][]> {
  return await runChecker(['--tools'], '', columns)
}

async function runChecker<T>(options: string[], privateKeyPem: string, lines: string[]): Promise<T[]> {
  const directory = await mkdtemp(join(tmpdir(), 'toolferry-dify-'))
  try {
    const keyFile = join(directory, 'private.pem')
    await writeFile(keyFile, privateKeyPem, { mode: 0o600 })
    const output = await new Promise<string>((resolve, reject) => {
      const child = execFile(
        PYTHON,
        [CHECKER, ...options, keyFile],
        { maxBuffer: 256 * 1024 * 1024, env: { PYTHONUTF8: '1' } },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout)
          else reject(new Error(`the Dify checker refused what it was given:\n${stderr}`))
        },
      )
      // A checker that stops at a bad row closes its end early.
      child.stdin?.on('error', () => {})
      child.stdin?.end(`${lines.join('\n')}\n`)
    })
    return output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
