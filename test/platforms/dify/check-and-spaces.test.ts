import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DIFY_SCHEMA_SQL, DIFY_TENANTS_SQL } from '../../../demo/dify/schema.ts'
import { ToolferryError } from '../../../src/domain/errors.ts'
import { createDifyPlatform } from '../../../src/platforms/dify/dify-platform.ts'
import { mapPostgresError } from '../../../src/platforms/dify/postgres-errors.ts'
import { createDifyDatabase, type DifyTestDatabase, testKey } from '../../support/dify-database.ts'
import { changeFor, desiredObject, never, OPEN_EGRESS, openPlatform, openWriter, spaceOf } from './harness.ts'

let db: DifyTestDatabase
const roles: string[] = []

beforeAll(async () => {
  db = await createDifyDatabase()
})

afterAll(async () => {
  for (const role of roles) await db.query(`DROP OWNED BY ${role}`)
  for (const role of roles) await db.query(`DROP ROLE ${role}`)
  await db.drop()
})

/** A role with just these grants; the server trusts local users, so a password is not asked. */
async function roleWith(...grants: string[]): Promise<string> {
  const role = `tf_role_${randomBytes(5).toString('hex')}`
  await db.query(`CREATE ROLE ${role} LOGIN`)
  roles.push(role)
  for (const grant of grants) await db.query(`GRANT ${grant} TO ${role}`)
  return role
}

/** dify.md §10, the grants that the documentation names. */
const LEAST_PRIVILEGE = [
  'SELECT (id, name, encrypt_public_key, status) ON tenants',
  'SELECT (id, name, email, status) ON accounts',
  'SELECT (tenant_id, account_id, role) ON tenant_account_joins',
  'SELECT, INSERT, UPDATE, DELETE ON tool_mcp_providers',
  'SELECT ON alembic_version',
]

describe('check', () => {
  it('tells the version, what it looked at, and how many workspaces there are', async () => {
    await db.addWorkspace({ name: 'checked' })
    await db.addWorkspace({ name: 'checked, no key', withKey: false })
    const platform = openPlatform(db)
    const check = await platform.check({ signal: never() })
    await platform.close()
    expect(check).toMatchObject({ ok: true, error: null, spaces: 2 })
    expect(check.version).toMatch(/^Dify 1\.16\.0 \(schema\), PostgreSQL \d+\.\d+$/)
    expect(check.findings.map(({ name, ok }) => [name, ok])).toEqual([
      ['connection', true],
      ['schema', true],
      ['privileges', true],
      ['workspaces', true],
    ])
    expect(check.findings.at(-1)?.detail).toContain('«checked, no key»')
    expect(check.hints.join(' ')).toContain('SSRF_PROXY_ALLOW_PRIVATE_IPS')
  })

  it.each([
    ['nobody listens', { port: 1 }, 'Unavailable', undefined],
    ['the host has no address', { host: 'no-such-host.invalid' }, 'Unavailable', undefined],
    ['the database is missing', { database: 'no such "database"' }, 'InvalidDesiredState', 'database.database'],
    ['the user is unknown', { user: 'no such user' }, 'CredentialRefused', undefined],
    ['the certificate is not to be trusted', { tls: 'verify-full' as const }, 'InvalidDesiredState', 'database.tls'],
  ])('says when %s', async (_what, change, type, field) => {
    const platform = openPlatform(db, change)
    const check = await platform.check({ signal: never() })
    await platform.close()
    expect(check.ok).toBe(false)
    expect(check.error?.type).toBe(type)
    expect(check.error?.field).toBe(field)
    expect(check.findings).toEqual([{ name: 'connection', ok: false, detail: check.error?.message }])
  })

  it.each(['prefer', 'require'] as const)('encrypts with tls %s', async (tls) => {
    const platform = openPlatform(db, { tls })
    const check = await platform.check({ signal: never() })
    await platform.close()
    expect(check.findings[0]?.detail).toMatch(/, encrypted$/)
  })

  it('says when the database is not Dify’s, or only like it', async () => {
    const other = await createDifyDatabase({ schemaSql: DIFY_TENANTS_SQL })
    try {
      const platform = openPlatform(other)
      const check = await platform.check({ signal: never() })
      expect(check.error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.database' })
      expect(check.error?.message).toMatch(/dify_plugin/)
      await expect(platform.listSpaces({ signal: never() })).rejects.toMatchObject({ type: 'InvalidDesiredState' })
      await platform.close()
    } finally {
      await other.drop()
    }
  })

  it('is asked of the egress policy first, with the field’s name', async () => {
    const asked: unknown[] = []
    const platform = createDifyPlatform({
      database: { ...db.connection, tls: 'disable' },
      egress: {
        checkHost: (...input) => {
          asked.push(input)
          throw new ToolferryError('InvalidDesiredState', 'That host may not be called.', { field: 'database.host' })
        },
      },
    })
    const check = await platform.check({ signal: never() })
    await platform.close()
    expect(asked).toEqual([['127.0.0.1', 5432, 'database.host']])
    expect(check.error).toEqual({
      type: 'InvalidDesiredState',
      message: 'That host may not be called.',
      field: 'database.host',
    })
  })

  it('connects to the address that the egress policy checked', async () => {
    const platform = createDifyPlatform({
      database: { ...db.connection, host: 'dify-db.invalid', tls: 'require' },
      egress: { ...OPEN_EGRESS, checkedLookup: async () => ({ address: '127.0.0.1' }) },
    })
    expect((await platform.check({ signal: never() })).ok).toBe(true)
    await platform.close()
  })

  it('gives up on a host that takes the connection and says nothing', async () => {
    const silent = createServer()
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const platform = openPlatform(db, { port }, { timeouts: { connectMs: 100 } })
    expect((await platform.check({ signal: never() })).error?.type).toBe('Unavailable')
    await platform.close()
    silent.close()
  })

  it('rejects with the signal’s reason when it is aborted while connecting', async () => {
    const silent = createServer()
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const platform = openPlatform(db, { port })
    const controller = new AbortController()
    const connected = once(silent, 'connection')
    const listing = platform.listSpaces({ signal: controller.signal })
    await connected
    controller.abort(new Error('enough'))
    await expect(listing).rejects.toThrow('enough')
    await platform.close()
    silent.close()
  })
})

describe('passwords', () => {
  /** A server that asks for the password in clear and refuses it, so that what arrives can be seen; the real one trusts. */
  it('go as they are, with quotes and spaces, and a refusal never repeats them', async () => {
    const password = `p'a "s\\s' w=ö%20 {rd}`
    let seen = ''
    const server = createServer((socket) => {
      let started = false
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        if (!started) {
          started = true
          socket.write(Buffer.from('R\0\0\0\x08\0\0\0\x03', 'latin1'))
          return
        }
        seen = Buffer.from(chunk).subarray(5, -1).toString()
        const fields = Buffer.from('SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0')
        const head = Buffer.from('E\0\0\0\0')
        head.writeInt32BE(fields.length + 4, 1)
        socket.end(Buffer.concat([head, fields]))
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const platform = openPlatform(db, { port, password })
    const check = await platform.check({ signal: never() })
    await platform.close()
    server.close()
    expect(seen).toBe(password)
    expect(check.error?.type).toBe('CredentialRefused')
    expect(JSON.stringify(check)).not.toContain(`p'a`)
  })
})

describe('privileges', () => {
  it('of the documentation suffice to read, write and remove', async () => {
    const workspace = await db.addWorkspace({ name: 'least privilege' })
    const platform = openPlatform(db, { user: await roleWith(...LEAST_PRIVILEGE) })
    expect(await platform.check({ signal: never() })).toMatchObject({ ok: true, error: null })
    const identity = platform.proposeIdentity('i1')
    const desired = platform.normalise(desiredObject())
    const writer = await openWriter(platform, workspace)
    await writer.apply(changeFor(desired, identity))
    expect(await db.checkRows(workspace)).toHaveLength(1)
    if (identity !== null) await writer.remove(identity)
    await writer[Symbol.asyncDispose]()
    await platform.close()
    expect(await db.rows(workspace.tenantId)).toEqual([])
  })

  it('that are missing for reading are named with table and column', async () => {
    const platform = openPlatform(db, {
      user: await roleWith('SELECT (id, name) ON tenants', ...LEAST_PRIVILEGE.slice(2)),
    })
    const check = await platform.check({ signal: never() })
    await platform.close()
    expect(check.error?.type).toBe('Forbidden')
    expect(check.error?.message).toContain('SELECT on tenants (encrypt_public_key, status)')
    expect(check.error?.message).toContain('SELECT on accounts')
    expect(check.findings.at(-1)).toMatchObject({ name: 'privileges', ok: false })
  })

  it('that are missing are granted by what the check says to run', async () => {
    const user = await roleWith()
    const platform = openPlatform(db, { user })
    const check = await platform.check({ signal: never() })
    expect(check.error?.type).toBe('Forbidden')
    await db.query(check.hints[0]?.slice(check.hints[0].indexOf('GRANT')) ?? '')
    expect((await platform.check({ signal: never() })).ok).toBe(true)
    await platform.close()
  })

  it('that are missing for writing are a problem of every space, and nothing is opened', async () => {
    const workspace = await db.addWorkspace({ name: 'read only' })
    const platform = openPlatform(db, {
      user: await roleWith(...LEAST_PRIVILEGE.slice(0, 3), 'SELECT, UPDATE ON tool_mcp_providers'),
    })
    const message =
      'The database user lacks INSERT on tool_mcp_providers; DELETE on tool_mcp_providers. Grant it, then try again.'
    const check = await platform.check({ signal: never() })
    expect(check.error).toEqual({ type: 'Forbidden', message })
    expect(check.version).toMatch(/^Dify 1\.15 or newer \(schema\)/)
    const reading = await platform.read(spaceOf(workspace), [], { signal: never() })
    expect(reading.problem).toEqual({ type: 'Forbidden', message })
    await expect(openWriter(platform, workspace)).rejects.toMatchObject({ type: 'Forbidden', message })
    await platform.close()
  })
})

describe('other shapes of the table', () => {
  it.each([
    [
      'a column of a fork',
      /wants a value for encrypted_proxy/,
      'ALTER TABLE tool_mcp_providers ADD COLUMN encrypted_proxy text NOT NULL',
    ],
  ])('are refused with the reason: %s', async (_what, message, sql) => {
    const other = await createDifyDatabase({ schemaSql: `${DIFY_SCHEMA_SQL}\n${sql};` })
    try {
      const workspace = await other.addWorkspace({ name: 'w' })
      const platform = openPlatform(other)
      const check = await platform.check({ signal: never() })
      expect(check.error?.type).toBe('UnsupportedVersion')
      expect(check.error?.message).toMatch(message)
      const reading = await platform.read(spaceOf(workspace), [], { signal: never() })
      expect(reading.problem?.type).toBe('UnsupportedVersion')
      await platform.close()
    } finally {
      await other.drop()
    }
  })

  it('are served by their columns: 1.9 – 1.14, and a fork’s column with a default', async () => {
    const other = await createDifyDatabase({
      schemaSql: `${DIFY_SCHEMA_SQL}
        ALTER TABLE tool_mcp_providers DROP COLUMN identity_mode, ADD COLUMN extra text NOT NULL DEFAULT '', ADD COLUMN proxy text;
        DELETE FROM alembic_version;`,
    })
    try {
      const workspace = await other.addWorkspace({ name: 'w' })
      const platform = openPlatform(other)
      expect((await platform.check({ signal: never() })).version).toMatch(/^Dify 1\.9 – 1\.14 \(schema\)/)
      await using writer = await openWriter(platform, workspace)
      await writer.apply(changeFor(platform.normalise(desiredObject()), platform.proposeIdentity('i1')))
      expect(await other.checkRows(workspace)).toHaveLength(1)
      await platform.close()
    } finally {
      await other.drop()
    }
  })
})

describe('listSpaces', () => {
  it('names the owner, and says what is wrong with which workspace', async () => {
    const other = await createDifyDatabase()
    try {
      const owner = { name: 'Ann', email: 'ann@example.com' }
      await other.addWorkspace({ name: 'a: fine', owner })
      const several = await other.addWorkspace({
        name: 'b: several owners',
        owner: { name: 'Zoe', email: 'z@example.com' },
      })
      await other.query(
        `WITH a AS (INSERT INTO accounts (name, email, status) VALUES ('Bob', 'bob@example.com', 'active'), ('Abe', 'abe@example.com', 'banned') RETURNING id)
         INSERT INTO tenant_account_joins (tenant_id, account_id, role) SELECT $1, id, 'owner' FROM a`,
        [several.tenantId],
      )
      await other.addWorkspace({ name: 'c: nobody', owner: null })
      await other.addWorkspace({ name: 'd: archived', owner, status: 'archive' })
      await other.addWorkspace({ name: 'e: no key', owner, withKey: false })
      await other.addWorkspace({ name: 'f: bad key', owner, publicKeyPem: 'not a key' })
      await other.addWorkspace({ name: 'g: only an admin', owner: { ...owner, role: 'admin' } })
      await other.addWorkspace({ name: 'i: banned owner', owner: { ...owner, status: 'banned' } })
      const dangling = await other.addWorkspace({ name: 'j: joins that lead nowhere', owner: null })
      await other.query(
        `INSERT INTO tenant_account_joins (tenant_id, account_id, role) VALUES ($1, gen_random_uuid(), 'owner'), (gen_random_uuid(), $1, 'owner')`,
        [dangling.tenantId],
      )
      const editor = await other.addWorkspace({ name: 'h: only an editor', owner: { ...owner, role: 'editor' } })

      const platform = openPlatform(other)
      const spaces = await platform.listSpaces({ signal: never() })
      await platform.close()
      expect(
        spaces.map(({ name, ownerName, role, archived, problem }) => [
          name,
          ownerName,
          role,
          archived,
          problem !== null,
        ]),
      ).toEqual([
        ['a: fine', 'Ann', 'owner', false, false],
        ['b: several owners', 'Bob', 'owner', false, false],
        ['c: nobody', null, null, false, false],
        ['d: archived', 'Ann', 'owner', true, true],
        ['e: no key', 'Ann', 'owner', false, true],
        ['f: bad key', 'Ann', 'owner', false, true],
        ['g: only an admin', 'Ann', 'admin', false, false],
        ['h: only an editor', null, null, false, false],
        ['i: banned owner', 'Ann', 'owner (banned)', false, false],
        ['j: joins that lead nowhere', null, null, false, false],
      ])
      expect(spaces[4]?.problem).toMatch(/«e: no key» has no encryption key.*sync again/)
      expect(spaces[5]?.problem).toMatch(/«f: bad key».*not a PEM public key/)
      expect(spaces[0]?.ownerEmail).toBe('ann@example.com')
      expect(spaces[7]?.remoteId).toBe(editor.tenantId)
      expect(JSON.stringify(spaces)).not.toContain(testKey().publicKeyPem.slice(40, 80))
    } finally {
      await other.drop()
    }
  })
})

describe('mapPostgresError', () => {
  const context = { host: 'db', port: 5432, user: 'u', database: 'dify', phase: 'query' as const }
  it.each([
    ['40001', 'Unavailable'],
    ['40P01', 'Unavailable'],
    ['57014', 'Timeout'],
    ['55P03', 'Timeout'],
    ['53300', 'Unavailable'],
    ['57P01', 'Unavailable'],
    ['08006', 'Unavailable'],
    ['42501', 'Forbidden'],
    ['42P01', 'InvalidDesiredState'],
    ['22001', 'InvalidDesiredState'],
    ['25006', 'InvalidDesiredState'],
    ['XX000', 'Bug'],
  ])('gives SQLSTATE %s the type %s, without the server’s text', (code, type) => {
    const error = mapPostgresError(Object.assign(new Error('SERVER TEXT secret'), { code }), context)
    expect(error).toMatchObject({ type })
    expect(error.message).not.toContain('secret')
  })

  it('names the table of a missing privilege', () => {
    const denied = Object.assign(new Error('permission denied for table tool_mcp_providers'), { code: '42501' })
    expect(mapPostgresError(denied, context).message).toContain('table tool_mcp_providers')
  })
})
