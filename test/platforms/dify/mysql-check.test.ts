import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { UniqueViolation } from '../../../src/platforms/dify/database.ts'
import { mapMysqlError } from '../../../src/platforms/dify/mysql-errors.ts'
import { DATABASE_SERVERS } from '../../support/database-servers.ts'
import { addMember, createDifyDatabase, type DifyTestDatabase, testKey } from '../../support/dify-database.ts'
import {
  addForeign,
  changeFor,
  desiredObject,
  never,
  openPlatform,
  openWriter,
  RecordedTarget,
  spaceOf,
} from './harness.ts'

let db: DifyTestDatabase
const users: string[] = []

beforeAll(async () => {
  db = await createDifyDatabase({ engine: 'mysql' })
})

afterAll(async () => {
  for (const user of users) await db.query(`DROP USER '${user}'@'%'`)
  await db.drop()
})

/** A user with just these grants and this way to log in. */
async function userWith(grants: string[], more = ''): Promise<string> {
  const user = `tf_user_${randomBytes(5).toString('hex')}`
  await db.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'pw' ${more}`)
  users.push(user)
  for (const grant of grants) {
    await db.query(`GRANT ${grant.replace(' ON ', ` ON ${db.connection.database}.`)} TO '${user}'@'%'`)
  }
  return user
}

async function check(change: Parameters<typeof openPlatform>[1], more: Parameters<typeof openPlatform>[2] = {}) {
  const platform = openPlatform(db, change, more)
  try {
    return await platform.check({ signal: never() })
  } finally {
    await platform.close()
  }
}

describe('check of a Dify on MySQL', () => {
  it('tells server, version and workspaces, and says when nothing is encrypted', async () => {
    await db.addWorkspace({ name: 'checked' })
    const found = await check({ tls: 'prefer' })
    expect(found).toMatchObject({ ok: true, error: null })
    expect(found.version).toMatch(/^Dify 1\.16\.0 \(schema\), (MariaDB|MySQL) \d+\.\d+\.\d+$/)
    expect(found.findings.map(({ name, ok }) => [name, ok])).toEqual([
      ['connection', true],
      ['schema', true],
      ['privileges', true],
      ['workspaces', true],
    ])
  })

  it.each([
    ['nobody listens', { port: 1 }, 'Unavailable', undefined],
    ['the host has no address', { host: 'no-such-host.invalid' }, 'Unavailable', undefined],
    ['the user is unknown', { user: 'no such user' }, 'CredentialRefused', undefined],
    ['the password is wrong', { password: 'wrong' }, 'CredentialRefused', undefined],
    [
      'the host is an address that no certificate can be compared with',
      { tls: 'verify-full' as const },
      'InvalidDesiredState',
      'database.host',
    ],
    ['PostgreSQL is taken for MySQL', { port: DATABASE_SERVERS.postgresql.port }, 'Unavailable', undefined],
  ])('says when %s', async (_what, change, type, field) => {
    const found = await check(change, { timeouts: { connectMs: 1_000 } })
    expect(found.ok).toBe(false)
    expect(found.error?.type).toBe(type)
    expect(found.error?.field).toBe(field)
    expect(JSON.stringify(found)).not.toContain(db.connection.password)
  })

  it('says when MySQL is taken for PostgreSQL', async () => {
    const found = await check({ engine: 'postgresql' }, { timeouts: { connectMs: 1_000 } })
    expect(found.error).toMatchObject({ type: 'Unavailable', message: expect.stringContaining('is it MySQL?') })
  })

  it('says when the database is missing, and which one of the server looks right', async () => {
    const user = await userWith(['ALL ON *'])
    await db.query(`GRANT ALL ON tf_no_such_database.* TO '${user}'@'%'`)
    const found = await check({ user, password: 'pw', database: 'tf_no_such_database' })
    expect(found.error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.database' })
    expect(found.hints.join(' ')).toContain(`“${db.connection.database}” looks like Dify’s own database`)
  })

  it('says when the database is another one: dify_plugin, given by mistake', async () => {
    const plugin = await createDifyDatabase({
      engine: 'mysql',
      schemaSql:
        'CREATE TABLE plugins (id CHAR(36) PRIMARY KEY); CREATE TABLE plugin_installations (id CHAR(36) PRIMARY KEY);',
    })
    try {
      const { user } = db.connection
      await plugin.query(`GRANT SELECT ON ${plugin.connection.database}.* TO '${user}'@'%'`)
      const found = await check({ database: plugin.connection.database })
      expect(found.error).toMatchObject({ type: 'InvalidDesiredState', field: 'database.database' })
      expect(found.error?.message).toContain('dify_plugin')
      expect(found.hints).toEqual([expect.stringContaining(`“${db.connection.database}”`)])
    } finally {
      await plugin.drop()
    }
  })

  it('takes a hung server for unavailable, and an abort for what it is', async () => {
    const silent = createServer()
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    expect((await check({ port }, { timeouts: { connectMs: 100 } })).error).toMatchObject({
      type: 'Unavailable',
      message: expect.stringContaining('PostgreSQL'),
    })
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

describe('privileges on MySQL', () => {
  const READ = [
    'SELECT (id, name, encrypt_public_key, status) ON tenants',
    'SELECT (id, name, email, status) ON accounts',
    'SELECT (tenant_id, account_id, role) ON tenant_account_joins',
  ]

  it('that are missing for reading are named with table and column, and granted by what the check says to run', async () => {
    const user = await userWith(['SELECT (id, name) ON tenants', 'SELECT ON tool_mcp_providers'])
    const found = await check({ user, password: 'pw' })
    expect(found.error?.type).toBe('Forbidden')
    expect(found.error?.message).toContain('SELECT on tenants (encrypt_public_key, status)')
    expect(found.error?.message).toContain('SELECT on accounts;')
    const [hint = ''] = found.hints
    for (const grant of hint.slice(hint.indexOf('GRANT')).split(';').filter(Boolean)) await db.query(grant)
    expect(await check({ user, password: 'pw' })).toMatchObject({ ok: true })
  })

  it('that come by a role count where it is the user’s default', async () => {
    const role = `tf_role_${randomBytes(5).toString('hex')}`
    const user = await userWith([])
    await db.query(`CREATE ROLE ${role}`)
    try {
      for (const grant of [...READ, 'SELECT, INSERT, UPDATE, DELETE ON tool_mcp_providers']) {
        await db.query(`GRANT ${grant.replace(' ON ', ` ON ${db.connection.database}.`)} TO ${role}`)
      }
      await db.query(`GRANT ${role} TO '${user}'@'%'`)
      expect((await check({ user, password: 'pw' })).error?.type).toBe('Forbidden')
      await db.query(
        `/*!80000 ALTER USER '${user}'@'%' DEFAULT ROLE ${role} */ /*M! SET DEFAULT ROLE ${role} FOR '${user}'@'%' */`,
      )
      expect(await check({ user, password: 'pw' })).toMatchObject({ ok: true, error: null })
    } finally {
      await db.query(`DROP ROLE ${role}`)
    }
  })

  it('that are missing for writing are a problem of every space, and nothing is opened', async () => {
    const workspace = await db.addWorkspace({ name: 'read only' })
    const platform = openPlatform(db, {
      user: await userWith([...READ, 'SELECT, UPDATE ON tool_mcp_providers']),
      password: 'pw',
    })
    const message =
      'The database user lacks INSERT on tool_mcp_providers; DELETE on tool_mcp_providers. Grant it, then try again.'
    expect((await platform.check({ signal: never() })).error).toEqual({ type: 'Forbidden', message })
    expect((await platform.read(spaceOf(workspace), [], { signal: never() })).problem).toEqual({
      type: 'Forbidden',
      message,
    })
    await expect(openWriter(platform, workspace)).rejects.toMatchObject({ type: 'Forbidden', message })
    await platform.close()
  })

  it('that are taken away in the middle are named, and given back are seen at once', async () => {
    const workspace = await db.addWorkspace({ name: 'revoked' })
    const user = await userWith([...READ, 'SELECT, INSERT, UPDATE, DELETE ON tool_mcp_providers'])
    const platform = openPlatform(db, { user, password: 'pw' })
    const identity = platform.proposeIdentity('i')
    const change = changeFor(platform.normalise(desiredObject()), identity)
    {
      await using writer = await openWriter(platform, workspace)
      await db.query(`REVOKE INSERT ON ${db.connection.database}.tool_mcp_providers FROM '${user}'@'%'`)
      await expect(writer.apply(change)).rejects.toMatchObject({
        type: 'Forbidden',
        message: expect.stringContaining('INSERT on tool_mcp_providers'),
      })
    }
    await db.query(`GRANT INSERT ON ${db.connection.database}.tool_mcp_providers TO '${user}'@'%'`)
    await using writer = await openWriter(platform, workspace)
    await writer.apply(change)
    expect(await db.checkRows(workspace)).toHaveLength(1)
    await platform.close()
  })
})

describe('what MySQL takes for the same', () => {
  it.each([
    ['case', 'Everything', 'EVERYTHING'],
    ['accents', 'Café déjà', 'cafe deja'],
    ['full width', 'Everything', 'Ｅｖｅｒｙｔｈｉｎｇ'],
  ])('in names (%s) leads to the next number', async (_what, name, theirs) => {
    const workspace = await db.addWorkspace({ name: `same ${theirs}` })
    await addForeign(db, workspace, { name: theirs })
    await addForeign(db, workspace, { name: `${theirs.trim()} (2)` })
    const platform = openPlatform(db)
    const target = new RecordedTarget(platform, workspace)
    expect((await target.sync(desiredObject({ name }))).plan.action).toBe('create')
    const own = (await db.rows(workspace.tenantId)).find((row) => row.id === target.identity.id)
    expect(own?.name).toBe(`${name} (3)`)
    expect((await target.sync(desiredObject({ name }))).plan).toMatchObject({ action: 'unchanged' })
    await platform.close()
  })

  it.each([
    ['the same where the collation pads', 'utf8mb4_unicode_ci', 'Everything (2)'],
    ['another name where it does not', '/*!80000 utf8mb4_0900_ai_ci */ /*M! utf8mb4_unicode_nopad_ci */', 'Everything'],
  ])('in names is, with a space at the end, %s', async (_what, collation, named) => {
    const other = await createDifyDatabase({ engine: 'mysql' })
    await other.query(`ALTER TABLE tool_mcp_providers CONVERT TO CHARACTER SET utf8mb4 COLLATE ${collation}`)
    const workspace = await other.addWorkspace({ name: 'a space' })
    await addForeign(other, workspace, { name: 'everything ' })
    const platform = openPlatform(other)
    await new RecordedTarget(platform, workspace).sync(desiredObject())
    expect((await other.rows(workspace.tenantId)).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['everything ', named]),
    )
    await platform.close()
    await other.drop()
  })

  it('in identifiers is a conflict that names the other, in the plan and in the write', async () => {
    const workspace = await db.addWorkspace({ name: 'identifiers' })
    const platform = openPlatform(db)
    const target = new RecordedTarget(platform, workspace)
    await addForeign(db, workspace, { name: 'Shouted', identifier: (target.identity.key ?? '').toUpperCase() })
    const { plan } = await target.sync(desiredObject())
    expect(plan).toMatchObject({
      action: 'conflict',
      failure: { message: expect.stringMatching(/«Shouted».*identifier/) },
    })
    await expect(target.apply(platform.normalise(desiredObject()))).rejects.toMatchObject({
      type: 'Conflict',
      message: expect.stringMatching(/«Shouted».*same server identifier/),
    })
    expect(await db.rows(workspace.tenantId)).toHaveLength(1)
    await platform.close()
  })

  it('does not keep more than ten of one name from being numbered', async () => {
    const workspace = await db.addWorkspace({ name: 'many' })
    await addForeign(db, workspace, { name: 'EVERYTHING' })
    for (let i = 2; i <= 12; i += 1) await addForeign(db, workspace, { name: `everything (${i})` })
    const platform = openPlatform(db)
    await new RecordedTarget(platform, workspace).sync(desiredObject())
    expect((await db.rows(workspace.tenantId)).map(({ name }) => name)).toContain('Everything (13)')
    await platform.close()
  })
})

it('a table of three-byte characters says so instead of cutting an emoji', async () => {
  const other = await createDifyDatabase({ engine: 'mysql' })
  await other.query('ALTER TABLE tool_mcp_providers CONVERT TO CHARACTER SET utf8mb3')
  const workspace = await other.addWorkspace({ name: 'old' })
  const platform = openPlatform(other)
  const apply = new RecordedTarget(platform, workspace).sync(desiredObject({ name: '🧰' }))
  await expect(apply).rejects.toMatchObject({
    type: 'InvalidDesiredState',
    message: expect.stringContaining('utf8mb4'),
  })
  expect(await other.rows(workspace.tenantId)).toEqual([])
  await platform.close()
  await other.drop()
})

it('owners, several or banned, and joins that lead nowhere are no trouble', async () => {
  const other = await createDifyDatabase({ engine: 'mysql' })
  const several = await other.addWorkspace({ name: 'a', owner: { name: 'Zoe', email: 'z@example.com' } })
  await addMember(other.query, several.tenantId, { name: 'Bob', email: 'b@example.com' })
  await addMember(other.query, several.tenantId, { name: 'Abe', email: 'a@example.com', status: 'banned' })
  await other.addWorkspace({ name: 'b', owner: { name: 'Ban', email: 'b@example.com', status: 'banned' } })
  const dangling = await other.addWorkspace({ name: 'c', owner: null })
  await other.query(
    `INSERT INTO tenant_account_joins (id, tenant_id, account_id, role) VALUES ($1, $2, $1, 'owner'), ($3, $1, $1, 'owner')`,
    ['11111111-1111-4111-8111-111111111111', dangling.tenantId, '22222222-2222-4222-8222-222222222222'],
  )
  await other.query(`INSERT INTO tenants (id, name, encrypt_public_key) VALUES ('default', 'd', $1)`, [
    testKey().publicKeyPem,
  ])
  const platform = openPlatform(other)
  const spaces = await platform.listSpaces({ signal: never() })
  expect(spaces.map(({ name, ownerName, role, problem }) => [name, ownerName, role, problem === null])).toEqual([
    ['a', 'Bob', 'owner', true],
    ['b', 'Ban', 'owner (banned)', true],
    ['c', null, null, true],
    ['d', null, null, false],
  ])
  expect((await platform.check({ signal: never() })).findings.at(-1)?.detail).toContain('«d» (odd id)')
  await platform.close()
  await other.drop()
})

describe('mapMysqlError', () => {
  const context = { host: 'db', port: 3306, user: 'u', database: 'dify', phase: 'query' as const }
  const error = (errno: number, sqlMessage = 'SERVER TEXT secret'): Error =>
    Object.assign(new Error(sqlMessage), { errno, sqlMessage, code: 'ER_X' })

  it.each([
    [1045, 'CredentialRefused', false],
    [1130, 'CredentialRefused', false],
    [1049, 'InvalidDesiredState', false],
    [1044, 'Forbidden', false],
    [1142, 'Forbidden', false],
    [1146, 'InvalidDesiredState', false],
    [1054, 'UnsupportedVersion', false],
    [1205, 'Timeout', true],
    [1213, 'Unavailable', true],
    [1040, 'Unavailable', true],
    [1053, 'Unavailable', true],
    [3024, 'Timeout', true],
    [1290, 'InvalidDesiredState', false],
    [1406, 'InvalidDesiredState', false],
    [1153, 'InvalidDesiredState', false],
    [1665, 'InvalidDesiredState', false],
    [3159, 'InvalidDesiredState', false],
    [9999, 'Bug', false],
  ])('gives %i the type %s, without the server’s text', (errno, type, retryable) => {
    const mapped = mapMysqlError(error(errno), context)
    expect(mapped).toMatchObject({ type, facts: { retryable } })
    expect(mapped.message).not.toContain('secret')
  })

  it.each([
    ["Duplicate entry 'a-b' for key 'tool_mcp_providers.unique_mcp_provider_name'", 'unique_mcp_provider_name'],
    ["Duplicate entry 'it's' for key 'unique_mcp_provider_server_url'", 'unique_mcp_provider_server_url'],
    ["Doppelter Eintrag 'x' für Schlüssel 'PRIMARY'", 'PRIMARY'],
    ["Duplicate entry 'x' for key 'a secret with spaces'", 'a unique key'],
  ])('finds the key in %j', (message, key) => {
    const mapped = mapMysqlError(error(1062, message), context)
    expect(mapped).toBeInstanceOf(UniqueViolation)
    expect(mapped).toMatchObject({ constraint: key, mapped: { type: 'Conflict' } })
  })

  it.each([
    ["INSERT command denied to user 'u'@'h' for table `dify`.`tool_mcp_providers`", 'INSERT on tool_mcp_providers'],
    ["SELECT command denied to user 'u'@'h' for table 'tenants'", 'SELECT on tenants'],
    ["SELECT command denied to user 'u'@'h' for column 'status' in table 'tenants'", 'SELECT on tenants (status)'],
  ])('names privilege and table of %j', (message, named) => {
    expect(mapMysqlError(error(1142, message), context).message).toContain(`lacks ${named}.`)
  })
})
