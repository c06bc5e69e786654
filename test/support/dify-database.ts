import { execFile } from 'node:child_process'
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { DIFY_SCHEMA_SQL } from '../../demo/dify/schema.ts'

/** A database of Dify's newest shape on the PostgreSQL of the test machine, and the Dify side's own eyes on it. */

const SERVER = { host: '127.0.0.1', port: 5432, user: 'postgres', password: '' }
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

/** `tool_mcp_providers` as it stands. */
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
  connection: { engine: 'postgresql'; host: string; port: number; user: string; password: string; database: string }
  query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  addWorkspace(workspace: NewWorkspace): Promise<TestWorkspace>
  /** The workspace's providers by name; all workspaces' without an id. */
  rows(tenantId?: string): Promise<StoredRow[]>
  /** Reads the workspace's providers with PyCryptodome, by name; rejects when Dify would stumble over one. */
  checkRows(workspace: Pick<TestWorkspace, 'tenantId' | 'privateKeyPem'>): Promise<CheckedRow[]>
  /** A client of its own, to be ended by the caller. */
  connect(): Promise<pg.Client>
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

export async function createDifyDatabase(options: { schemaSql?: string } = {}): Promise<DifyTestDatabase> {
  const database = `tf_dify_${randomBytes(6).toString('hex')}`
  await onServer(`CREATE DATABASE ${database} TEMPLATE template0 ENCODING 'UTF8'`)
  const pool = new pg.Pool({ ...SERVER, database, max: 4 })
  pool.on('error', () => {})
  await pool.query(options.schemaSql ?? DIFY_SCHEMA_SQL)

  async function rows(tenantId?: string): Promise<StoredRow[]> {
    const result = await pool.query(
      'SELECT row_to_json(p) AS row FROM tool_mcp_providers p WHERE $1::uuid IS NULL OR tenant_id = $1 ORDER BY name, id',
      [tenantId ?? null],
    )
    return result.rows.map(({ row }) => row)
  }

  return {
    connection: { engine: 'postgresql', ...SERVER, database },
    query: async (sql, values = []) => (await pool.query(sql, values)).rows,
    addWorkspace: async ({ name, owner, withKey = true, publicKeyPem, status = 'normal' }) => {
      const key = testKey()
      const tenantId = randomUUID()
      await pool.query('INSERT INTO tenants (id, name, encrypt_public_key, status) VALUES ($1, $2, $3, $4)', [
        tenantId,
        name,
        withKey ? (publicKeyPem ?? key.publicKeyPem) : null,
        status,
      ])
      if (owner === null) return { tenantId, accountId: null, privateKeyPem: key.privateKeyPem }
      const person = owner ?? { name: `Owner of ${name}`, email: `owner-${tenantId}@example.com` }
      const accountId = randomUUID()
      await pool.query('INSERT INTO accounts (id, name, email, status) VALUES ($1, $2, $3, $4)', [
        accountId,
        person.name,
        person.email,
        person.status ?? 'active',
      ])
      await pool.query('INSERT INTO tenant_account_joins (tenant_id, account_id, role) VALUES ($1, $2, $3)', [
        tenantId,
        accountId,
        person.role ?? 'owner',
      ])
      return { tenantId, accountId, privateKeyPem: key.privateKeyPem }
    },
    rows,
    checkRows: async ({ tenantId, privateKeyPem }) => checkStoredRows(await rows(tenantId), privateKeyPem),
    connect: async () => {
      const client = new pg.Client({ ...SERVER, database })
      client.on('error', () => {})
      await client.connect()
      return client
    },
    drop: async () => {
      await pool.end()
      await onServer(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
    },
  }
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

async function onServer(sql: string): Promise<void> {
  const client = new pg.Client({ ...SERVER, database: 'postgres' })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
