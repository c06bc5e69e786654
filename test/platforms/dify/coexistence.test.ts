import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encryptToken } from '../../../src/platforms/dify/encryption.ts'
import type { Platform } from '../../../src/platforms/platform.ts'
import {
  createDifyDatabase,
  type DifyTestDatabase,
  footprint,
  newTestKey,
  type StoredRow,
  type TestWorkspace,
  testKey,
} from '../../support/dify-database.ts'
import {
  addForeign,
  desiredObject,
  ENGINES,
  never,
  openPlatform,
  openWriter,
  RecordedTarget,
  spaceOf,
} from './harness.ts'

describe.each(ENGINES)('on %s', (engine) => {
  let db: DifyTestDatabase
  let platform: Platform
  let workspace: TestWorkspace

  beforeAll(async () => {
    db = await createDifyDatabase({ engine })
  })

  afterAll(async () => {
    await db.drop()
  })

  beforeEach(async () => {
    platform = openPlatform(db)
    workspace = await db.addWorkspace({ name: `workspace ${randomUUID()}` })
  })

  afterEach(async () => {
    await platform.close()
  })

  async function onlyRow(): Promise<StoredRow> {
    const [row, ...more] = await db.rows(workspace.tenantId)
    if (row === undefined || more.length > 0) throw new Error(`one row was expected, there are ${more.length + 1}`)
    return row
  }

  describe('what users of Dify did', () => {
    it('to name, icon, timeouts and other headers is kept', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const { encrypted_headers: headers } = await onlyRow()
      const foreign = encryptToken(testKey().publicKeyPem, 'theirs')
      await db.query(
        `UPDATE tool_mcp_providers SET name = 'Mine now', icon = 'a4f0e6a2-5a53-4d3e-9a0e-1f6b6a1f0c11', timeout = 7, sse_read_timeout = 70, encrypted_headers = $2
       WHERE tenant_id = $1`,
        [workspace.tenantId, JSON.stringify({ 'X-Theirs': foreign, ...JSON.parse(headers ?? '{}') })],
      )
      const unchanged = await target.sync(desiredObject())
      expect(unchanged.plan).toMatchObject({ action: 'unchanged', drift: [] })
      expect(unchanged.plan.kept.sort()).toEqual(['icon', 'name', 'sse_read_timeout', 'timeout'])

      const updated = await target.sync(desiredObject({ name: 'Other', authorization: 'Bearer tfg_new' }))
      expect(updated.plan.action).toBe('update')
      const row = await onlyRow()
      expect(row).toMatchObject({
        name: 'Mine now',
        icon: 'a4f0e6a2-5a53-4d3e-9a0e-1f6b6a1f0c11',
        timeout: 7,
        sse_read_timeout: 70,
      })
      const now: unknown = JSON.parse(row.encrypted_headers ?? '{}')
      expect(now).toEqual({ 'X-Theirs': foreign, Authorization: expect.stringMatching(/^SFlCUklE/) })
      expect((await target.sync(desiredObject({ name: 'Other', authorization: 'Bearer tfg_new' }))).plan.action).toBe(
        'unchanged',
      )
    })

    it('to the header is drift, and an Authorization of any case is replaced', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const other = encryptToken(testKey().publicKeyPem, 'Bearer theirs')
      await db.query('UPDATE tool_mcp_providers SET encrypted_headers = $2 WHERE tenant_id = $1', [
        workspace.tenantId,
        JSON.stringify({ authorization: other, 'X-Theirs': other }),
      ])
      const { plan } = await target.sync(desiredObject())
      expect(plan).toMatchObject({ action: 'update', drift: ['authorization'] })
      const [row] = await db.checkRows(workspace)
      expect(row?.headers).toEqual({ Authorization: desiredObject().authorization, 'X-Theirs': 'Bearer theirs' })
    })

    it.each([
      ['NULL', null],
      ['empty', ''],
      ['no object', '7'],
      ['without background', '{"content":"🔗"}'],
      ['half a JSON', '{"content"'],
    ])('to the icon is repaired when it is %s, for it breaks Dify', async (_what, icon) => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      await db.query('UPDATE tool_mcp_providers SET icon = $2 WHERE tenant_id = $1', [workspace.tenantId, icon])
      expect((await target.sync(desiredObject())).plan.action).toBe('update')
      expect((await onlyRow()).icon).toBe('{"content":"🔗","background":"#6366F1"}')
      expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
    })

    it('by refreshing the tools in Dify is no drift when they are the same', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const { tools } = await onlyRow()
      const asDify = JSON.parse(tools).map((tool: object) => ({
        title: null,
        ...tool,
        outputSchema: null,
        annotations: null,
        meta: null,
      }))
      await db.query('UPDATE tool_mcp_providers SET tools = $2 WHERE tenant_id = $1', [
        workspace.tenantId,
        JSON.stringify(asDify),
      ])
      expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
    })

    it.each([
      ['wiped by Dify', `tools = '[]', authed = false, encrypted_credentials = '{}'`, ['authed', 'tools']],
      ['tools that are null', `tools = 'null'`, ['tools']],
      ['headers that are a list', `encrypted_headers = '[]'`, ['authorization']],
      ['headers gone', 'encrypted_headers = NULL', ['authorization']],
      ['a URL of somebody’s', `server_url = 'x', server_url_hash = 'y'`, ['url']],
    ])('%s is found and repaired', async (_what, set, drift) => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      await db.query(`UPDATE tool_mcp_providers SET ${set} WHERE tenant_id = $1`, [workspace.tenantId])
      const { plan } = await target.sync(desiredObject())
      expect(plan.action).toBe('update')
      expect(plan.drift.sort()).toEqual(drift)
      expect(await db.checkRows(workspace)).toMatchObject([
        { url: desiredObject().url, headers: { Authorization: desiredObject().authorization }, tools: ['echo'] },
      ])
      expect((await onlyRow()).authed).toBe(true)
      expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
    })

    it('by authorizing with OAuth is undone where it overrides our header', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const set = (credentials: unknown): Promise<unknown> =>
        db.query('UPDATE tool_mcp_providers SET encrypted_credentials = $2 WHERE tenant_id = $1', [
          workspace.tenantId,
          credentials === null ? null : JSON.stringify(credentials),
        ])
      await set({ access_token: 'x', token_type: 'Bearer' })
      expect((await target.sync(desiredObject())).plan.action).toBe('update')
      expect((await onlyRow()).encrypted_credentials).toBe('{}')

      const registration = { client_information: { client_id: 'c' } }
      await set(registration)
      await target.apply(platform.normalise(desiredObject({ authorization: 'Bearer tfg_new' })))
      expect(JSON.parse((await onlyRow()).encrypted_credentials ?? '')).toEqual(registration)
      await target.sync(desiredObject({ authorization: 'Bearer tfg_new', url: 'https://n.example.com/mcp' }))
      expect((await onlyRow()).encrypted_credentials).toBe('{}')

      await set(null)
      expect((await target.sync(desiredObject({ tools: [] }))).plan.action).toBe('update')
      expect((await onlyRow()).encrypted_credentials).toBeNull()
    })

    it.each([
      'null',
      '[]',
      '{}',
      '7',
      '"x"',
      'true',
      '',
      '   ',
      'no JSON',
      '{"a":',
      '[null]',
      '[[]]',
      '[{}]',
      '{"Authorization":null}',
      '{"Authorization":["x"]}',
      '{"authorization":"x","AUTHORIZATION":"y"}',
      '{"access_token":null}',
      '{"content":null,"background":""}',
      '{"__proto__":{}}',
    ])('to any column, making it %j, crashes nothing and is healed', async (junk) => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      await db.query(
        `UPDATE tool_mcp_providers SET icon = $3, tools = $2, encrypted_headers = $2, encrypted_credentials = $2, server_url = $2,
           server_url_hash = 'x', authed = false WHERE tenant_id = $1`,
        [workspace.tenantId, junk, junk],
      )
      expect((await target.sync(desiredObject())).plan.action).toBe('update')
      // An icon that is no JSON is taken for an uploaded image's id, and is the users'.
      await db.query('UPDATE tool_mcp_providers SET icon = $2 WHERE tenant_id = $1', [
        workspace.tenantId,
        '{"content":"🔗","background":"#6366F1"}',
      ])
      expect(await db.checkRows(workspace)).toMatchObject([
        { url: desiredObject().url, headers: { Authorization: desiredObject().authorization }, tools: ['echo'] },
      ])
      expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
    })

    it('by deleting the provider makes it come back with the same id and identifier', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const before = await onlyRow()
      await db.query('DELETE FROM tool_mcp_providers WHERE tenant_id = $1', [workspace.tenantId])
      const { plan } = await target.sync(desiredObject())
      expect(plan).toMatchObject({ action: 'create', drift: ['deleted'] })
      expect(await onlyRow()).toMatchObject({ id: before.id, server_identifier: before.server_identifier })
    })

    it('by a reset of the key pair makes everything be encrypted anew', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const key = newTestKey()
      await db.query('UPDATE tenants SET encrypt_public_key = $2 WHERE id = $1', [workspace.tenantId, key.publicKeyPem])
      expect((await target.sync(desiredObject())).plan.action).toBe('update')
      expect(await db.checkRows({ tenantId: workspace.tenantId, privateKeyPem: key.privateKeyPem })).toHaveLength(1)
      expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
      await db.query('UPDATE tenants SET encrypt_public_key = $2 WHERE id = $1', [
        workspace.tenantId,
        `${key.publicKeyPem}\n`,
      ])
      expect((await target.sync(desiredObject())).plan.action).toBe('unchanged')
    })
  })

  describe('providers of others', () => {
    it('with the same name get company under a numbered one, which stays', async () => {
      await addForeign(db, workspace, { name: 'Everything' })
      await addForeign(db, workspace, { name: 'Everything (2)' })
      const target = new RecordedTarget(platform, workspace)
      expect((await target.sync(desiredObject())).plan.action).toBe('create')
      const own = (await db.rows(workspace.tenantId)).find((row) => row.id === target.identity.id)
      expect(own?.name).toBe('Everything (3)')
      expect((await target.sync(desiredObject())).plan).toMatchObject({ action: 'unchanged', kept: [] })
    })

    it('with the same URL are a conflict that names them, in the plan and in the write', async () => {
      const id = await addForeign(db, workspace, { name: 'Handmade', url: desiredObject().url })
      const before = await footprint(db)
      const target = new RecordedTarget(platform, workspace)
      const { plan } = await target.sync(desiredObject())
      expect(plan).toMatchObject({
        action: 'conflict',
        failure: { type: 'Conflict', message: expect.stringContaining('«Handmade»') },
      })
      await expect(target.apply(platform.normalise(desiredObject()))).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringMatching(/«Handmade».*same URL/),
      })
      const reading = await platform.read(
        spaceOf(workspace),
        [{ bindingId: 'b', identity: null, desired: platform.normalise(desiredObject()) }],
        { signal: never() },
      )
      expect(reading.inTheWay.get('b')).toMatchObject({ remoteId: id, name: 'Handmade', because: 'url' })
      expect(await footprint(db)).toEqual(before)
    })

    it('with the same identifier are a conflict that names them', async () => {
      const target = new RecordedTarget(platform, workspace)
      await addForeign(db, workspace, { name: 'Handmade', identifier: target.identity.key ?? '' })
      const { plan } = await target.sync(desiredObject())
      expect(plan.failure).toMatchObject({
        type: 'Conflict',
        message: expect.stringMatching(/«Handmade».*same server identifier/),
      })
      await expect(target.apply(platform.normalise(desiredObject()))).rejects.toMatchObject({ type: 'Conflict' })
      expect(await db.rows(workspace.tenantId)).toHaveLength(1)
    })

    it('with the same URL do not stop an update that leaves our URL alone', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const other = 'https://elsewhere.example.com/mcp'
      await addForeign(db, workspace, { name: 'Handmade', url: other })
      await expect(target.apply(platform.normalise(desiredObject({ url: other })))).rejects.toMatchObject({
        type: 'Conflict',
      })
      const applied = await target.apply(platform.normalise(desiredObject({ tools: [] })))
      expect(applied.wrote).toBe(true)
    })

    it('of other workspaces are never touched, not even with our id', async () => {
      const other = await db.addWorkspace({ name: 'other' })
      const id = await addForeign(db, workspace, { tenantId: other.tenantId, identifier: 'theirs' })
      const target = new RecordedTarget(platform, workspace)
      target.identity = { id, key: 'theirs' }
      const before = await footprint(db)
      expect((await target.sync(desiredObject())).plan.action).toBe('conflict')
      await expect(target.apply(platform.normalise(desiredObject()))).rejects.toMatchObject({ type: 'Conflict' })
      await using writer = await openWriter(platform, workspace)
      await writer.remove(target.identity)
      expect(await footprint(db)).toEqual(before)
    })

    it('that are adopted keep their id, identifier, icon and name’s owner', async () => {
      const id = await addForeign(db, workspace, { name: 'Handmade', identifier: 'by-hand', url: desiredObject().url })
      const target = new RecordedTarget(platform, workspace)
      target.identity = { id, key: 'by-hand' }
      const { plan } = await target.sync(desiredObject())
      expect(plan.action).toBe('update')
      expect(await onlyRow()).toMatchObject({
        id,
        server_identifier: 'by-hand',
        name: 'Handmade',
        authed: true,
        encrypted_credentials: null,
      })
      expect((await db.checkRows(workspace))[0]?.headers).toEqual({ Authorization: desiredObject().authorization })
    })

    it('that are adopted come back under an identifier that Dify’s dialog would not take, when they are deleted', async () => {
      const identifier = 'GitHub.Tools-of-the-whole-Team'
      const id = await addForeign(db, workspace, { name: 'Handmade', identifier, url: desiredObject().url })
      const target = new RecordedTarget(platform, workspace)
      target.identity = { id, key: identifier }
      await target.sync(desiredObject())
      await db.query('DELETE FROM tool_mcp_providers WHERE tenant_id = $1', [workspace.tenantId])
      expect((await target.sync(desiredObject())).plan.action).toBe('create')
      expect(await onlyRow()).toMatchObject({ id, server_identifier: identifier })
    })
  })
})
