import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Platform } from '../../../src/platforms/platform.ts'
import {
  addMember,
  createDifyDatabase,
  type DifyTestDatabase,
  footprint,
  newTestKey,
  type TestWorkspace,
} from '../../support/dify-database.ts'
import {
  difySchemaSql,
  type Engine,
  SHAPES_WITH_HEADERS,
  SHAPES_WITHOUT_HEADERS,
  type Shape,
} from '../../support/dify-shapes.ts'
import {
  addForeign,
  changeFor,
  desiredObject,
  ENGINES,
  never,
  openPlatform,
  openWriter,
  RecordedTarget,
  spaceOf,
} from './harness.ts'

/** dify.md §10: every shape of Dify's tables, on every engine it runs on; each row that was written is read by PyCryptodome. */

/** What check() says of a shape. */
const VERSIONS: Record<Shape, string> = {
  '1.6': '1.6.0',
  '1.7': '1.7.2',
  '1.8': '1.8.1',
  '1.9': '1.9.0 – 1.9.1',
  '1.10': '1.10.1',
  '1.14': '1.14.1 – 1.14.2',
  '1.15': '1.15.0',
  '1.16': '1.16.0',
  fork: '1.15 or newer',
}

/** Where the keystream of the peer's encryption goes wrong, and its neighbours (dify.md §9). */
const TOKEN_LENGTHS = [1, 16, 41, 47, 48, 63, 64, 79, 80, 127, 128, 143, 144, 255, 256, 271, 272, 511, 512, 528, 600]

let db: DifyTestDatabase
let platform: Platform
let workspace: TestWorkspace

function useShape(engine: Engine, shape: Shape): void {
  beforeAll(async () => {
    db = await createDifyDatabase({ engine, shape })
    platform = openPlatform(db)
  })
  afterAll(async () => {
    await platform.close()
    await db.drop()
  })
  beforeEach(async () => {
    workspace = await db.addWorkspace({ name: `workspace ${randomUUID()}` })
  })
}

describe.each(SHAPES_WITH_HEADERS)('%s, Dify %s', (engine, shape) => {
  useShape(engine, shape)

  it('is recognised', async () => {
    const check = await platform.check({ signal: never() })
    expect(check).toMatchObject({ ok: true, error: null })
    expect(check.version).toMatch(
      new RegExp(`^Dify ${VERSIONS[shape]} \\(schema\\), (PostgreSQL|MariaDB|MySQL) \\d+\\.`),
    )
    expect(check.hints.join(' ').includes('SSRF_PROXY_ALLOW_PRIVATE_IPS')).toBe(
      ['1.15', '1.16', 'fork'].includes(shape),
    )
  })

  it('takes a provider, once: a second run writes nothing', async () => {
    const target = new RecordedTarget(platform, workspace)
    expect((await target.sync(desiredObject())).plan.action).toBe('create')
    expect(await db.checkRows(workspace)).toEqual([
      {
        id: target.identity.id,
        name: 'Everything',
        url: desiredObject().url,
        headers: { Authorization: desiredObject().authorization },
        tools: ['echo'],
      },
    ])
    const [row] = await db.rows(workspace.tenantId)
    expect(row).toMatchObject({ authed: true, user_id: workspace.accountId, timeout: 30, sse_read_timeout: 300 })
    expect(row?.identity_mode).toBe(['1.15', '1.16', 'fork'].includes(shape) ? 'off' : undefined)
    const before = await footprint(db)
    expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
    expect(await footprint(db)).toEqual(before)
  })

  it('takes names of 41 and more Chinese and emoji characters, tokens of every length, no tools, nasty tools', async () => {
    await using writer = await openWriter(platform, workspace)
    for (const [i, length] of TOKEN_LENGTHS.entries()) {
      const object = desiredObject({
        instanceId: `i${i}`,
        name: i % 2 === 0 ? '工具'.repeat(30) : '🔗'.repeat(50),
        authorization: `Bearer ${'t'.repeat(length)}`,
        tools: i === 0 ? [] : nastyTools(),
      })
      await writer.apply(changeFor(platform.normalise(object), platform.proposeIdentity(object.instanceId)))
    }
    const rows = await db.checkRows(workspace)
    expect(new Set(rows.map(({ name }) => name)).size).toBe(TOKEN_LENGTHS.length)
    expect(rows.map(({ headers }) => (headers.Authorization?.length ?? 0) - 'Bearer '.length).sort(byNumber)).toEqual(
      TOKEN_LENGTHS,
    )
  })

  it('finds and heals what was wiped, and what a new key made unreadable', async () => {
    const target = new RecordedTarget(platform, workspace)
    await target.sync(desiredObject())
    await db.query(
      `UPDATE tool_mcp_providers SET tools = '[]', authed = false, icon = NULL, encrypted_headers = NULL WHERE tenant_id = $1`,
      [workspace.tenantId],
    )
    expect((await target.sync(desiredObject())).plan.action).toBe('update')
    expect(await db.checkRows(workspace)).toMatchObject([{ headers: { Authorization: desiredObject().authorization } }])

    const key = newTestKey()
    await db.query('UPDATE tenants SET encrypt_public_key = $2 WHERE id = $1', [workspace.tenantId, key.publicKeyPem])
    expect((await target.sync(desiredObject())).plan.action).toBe('update')
    expect(await db.checkRows({ ...workspace, privateKeyPem: key.privateKeyPem })).toHaveLength(1)
    expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
  })

  it('adopts a row of Dify’s own dialog: NULL credentials, headers and icon', async () => {
    const id = await addForeign(db, workspace, { name: 'By hand', identifier: 'by-hand', url: desiredObject().url })
    await db.query('UPDATE tool_mcp_providers SET icon = NULL WHERE id = $1', [id])
    const target = new RecordedTarget(platform, workspace)
    target.identity = { id, key: 'by-hand' }
    expect((await target.sync(desiredObject())).plan.action).toBe('update')
    expect(await db.checkRows(workspace)).toMatchObject([{ id, name: 'By hand', tools: ['echo'] }])
  })

  it('keeps off what others made: name, URL, identifier', async () => {
    const byUrl = await addForeign(db, workspace, { name: 'Everything', url: desiredObject().url })
    const target = new RecordedTarget(platform, workspace)
    expect((await target.sync(desiredObject())).plan).toMatchObject({ action: 'conflict' })
    await db.query('DELETE FROM tool_mcp_providers WHERE id = $1', [byUrl])

    const byIdentifier = await addForeign(db, workspace, { name: 'Everything', identifier: target.identity.key ?? '' })
    expect((await target.sync(desiredObject())).plan).toMatchObject({ action: 'conflict' })
    await expect(target.apply(platform.normalise(desiredObject()))).rejects.toMatchObject({ type: 'Conflict' })
    await db.query('DELETE FROM tool_mcp_providers WHERE id = $1', [byIdentifier])

    await addForeign(db, workspace, { name: 'Everything' })
    expect((await target.sync(desiredObject())).plan).toMatchObject({ action: 'create' })
    expect((await db.checkRows(workspace)).map(({ name }) => name).sort()).toEqual(['Everything', 'Everything (2)'])
  })

  it('says what is wrong with archived workspaces and missing keys, and files under nobody who is not there', async () => {
    const archived = await db.addWorkspace({ name: 'archived', status: 'archive' })
    const keyless = await db.addWorkspace({ name: 'keyless', withKey: false })
    for (const [each, reason] of [
      [archived, /archived/],
      [keyless, /no encryption key/],
    ] as const) {
      const { plan } = await new RecordedTarget(platform, each).sync(desiredObject())
      expect(plan.failure).toMatchObject({ type: 'InvalidDesiredState', message: expect.stringMatching(reason) })
      expect(await db.rows(each.tenantId)).toEqual([])
    }
    const banned = await db.addWorkspace({
      name: 'banned',
      owner: { name: 'Ban', email: 'b@example.com', status: 'banned' },
    })
    const admin = await addMember(db.query, banned.tenantId, { name: 'Ada', email: 'a@example.com', role: 'admin' })
    await new RecordedTarget(platform, banned).sync(desiredObject())
    expect(await db.rows(banned.tenantId)).toMatchObject([{ user_id: admin }])
  })

  it('makes one row of many writers at once', async () => {
    const platforms = Array.from({ length: 3 }, () => openPlatform(db))
    const identity = platform.proposeIdentity('instance-1')
    await Promise.all(
      platforms.map(async (each) => {
        await using writer = await openWriter(each, workspace)
        await writer.apply(changeFor(each.normalise(desiredObject()), identity))
      }),
    )
    await Promise.all(platforms.map((each) => each.close()))
    expect(await db.checkRows(workspace)).toHaveLength(1)
  })
})

describe.each(SHAPES_WITHOUT_HEADERS)('%s, Dify %s', (engine, shape) => {
  useShape(engine, shape)

  it('refuses what needs a header, target by target, and takes the rest', async () => {
    const check = await platform.check({ signal: never() })
    expect(check).toMatchObject({ ok: true, version: expect.stringContaining(`Dify ${VERSIONS[shape]} (schema)`) })
    expect(check.hints.join(' ')).toContain('Upgrade Dify to 1.9 or newer')

    const [withHeader, without] = [
      new RecordedTarget(platform, workspace, 'a'),
      new RecordedTarget(platform, workspace, 'b'),
    ]
    const refusal = { type: 'UnsupportedVersion', message: expect.stringContaining('a header needs Dify 1.9 or newer') }
    const desired = desiredObject({ instanceId: 'a' })
    expect((await withHeader.sync(desired)).plan).toMatchObject({ action: null, failure: refusal })
    await expect(withHeader.apply(platform.normalise(desired))).rejects.toMatchObject(refusal)

    const anonymous = desiredObject({
      instanceId: 'b',
      name: '工具'.repeat(30),
      authorization: '',
      tools: nastyTools(),
    })
    expect((await without.sync(anonymous)).plan.action).toBe('create')
    expect(await db.checkRows(workspace)).toMatchObject([{ id: without.identity.id, headers: {} }])
    const [row] = await db.rows(workspace.tenantId)
    expect(row?.encrypted_headers).toBeUndefined()
    expect(row?.timeout).toBe(shape === '1.8' ? 30 : undefined)
    const before = await footprint(db)
    expect((await without.sync(anonymous)).plan).toMatchObject({ action: 'unchanged', kept: [] })
    expect(await footprint(db)).toEqual(before)
    await db.query(`UPDATE tool_mcp_providers SET tools = 'null', icon = '' WHERE tenant_id = $1`, [workspace.tenantId])
    expect((await without.sync(anonymous)).plan.action).toBe('update')
    expect(await db.checkRows(workspace)).toHaveLength(1)
    expect((await without.sync(anonymous)).plan.action).toBe('unchanged')
  })
})

describe('without the release’s head, by the columns alone', () => {
  it.each([
    ['postgresql', '1.6', '1.6'],
    ['postgresql', '1.7', '1.7'],
    ['postgresql', '1.8', '1.8'],
    ['postgresql', '1.10', '1.9 – 1.14'],
    ['postgresql', '1.16', '1.15 or newer'],
    ['mysql', '1.14', '1.10.1 – 1.14'],
    ['mysql', '1.16', '1.15 or newer'],
  ] as const)('%s %s is Dify %s', async (engine, shape, range) => {
    const other = await createDifyDatabase({
      engine,
      schemaSql: `${difySchemaSql(engine, shape)} DELETE FROM alembic_version;`,
    })
    const opened = openPlatform(other)
    expect((await opened.check({ signal: never() })).version).toContain(`Dify ${range} (schema)`)
    await opened.close()
    await other.drop()
  })
})

describe.each(ENGINES)('a fork on %s', (engine) => {
  it('that wants a value for a column of its own is refused with the column’s name', async () => {
    const schemaSql = `${difySchemaSql(engine, '1.16')}
      ALTER TABLE tool_mcp_providers ADD COLUMN encrypted_proxy varchar(99) NOT NULL;`
    const other = await createDifyDatabase({ engine, schemaSql })
    const opened = openPlatform(other)
    const refusal = {
      type: 'UnsupportedVersion',
      message: expect.stringContaining('wants a value for encrypted_proxy'),
    }
    const check = await opened.check({ signal: never() })
    expect(check).toMatchObject({ ok: false, error: refusal, version: expect.stringContaining('Dify 1.16.0') })
    const own = await other.addWorkspace({ name: 'w' })
    expect((await opened.read(spaceOf(own), [], { signal: never() })).problem).toMatchObject(refusal)
    await expect(openWriter(opened, own)).rejects.toMatchObject(refusal)
    // Helped meanwhile: the next run must not remember it.
    await other.query('ALTER TABLE tool_mcp_providers DROP COLUMN encrypted_proxy')
    expect((await opened.read(spaceOf(own), [], { signal: never() })).problem).toBeNull()
    await opened.close()
    await other.drop()
  })

  it('whose identity_mode has no default gets one written', async () => {
    const change =
      engine === 'postgresql' ? 'ALTER COLUMN identity_mode DROP DEFAULT' : 'MODIFY identity_mode VARCHAR(32) NOT NULL'
    const schemaSql = `${difySchemaSql(engine, '1.16')} ALTER TABLE tool_mcp_providers ${change};`
    const other = await createDifyDatabase({ engine, schemaSql })
    const opened = openPlatform(other)
    const own = await other.addWorkspace({ name: 'w' })
    await new RecordedTarget(opened, own).sync(desiredObject())
    expect(await other.rows(own.tenantId)).toMatchObject([{ identity_mode: 'off' }])
    await opened.close()
    await other.drop()
  })
})

function nastyTools(): ReturnType<typeof desiredObject>['tools'] {
  const nasty = [
    { name: 'a', description: null, inputSchema: null },
    {
      name: 'b',
      inputSchema: {
        type: 'object',
        properties: { p: true, q: { type: ['null', 'string'], description: 1 } },
        required: null,
      },
    },
    {
      name: 'c',
      description: 'x\u0000\ud800 🧰',
      inputSchema: {
        type: 'object',
        properties: { p: { $ref: '#/$defs/P' } },
        $defs: { P: { type: 'date', anyOf: [{ $ref: '#/$defs/P' }] } },
      },
    },
    { name: 'd', inputSchema: { type: 'object', properties: null } },
    { name: 'not ok', inputSchema: {} },
    null,
  ]
  return nasty as unknown as ReturnType<typeof desiredObject>['tools']
}

function byNumber(a: number, b: number): number {
  return a - b
}
