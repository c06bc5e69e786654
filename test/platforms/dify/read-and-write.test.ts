import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Platform } from '../../../src/platforms/platform.ts'
import {
  createDifyDatabase,
  type DifyTestDatabase,
  footprint,
  type StoredRow,
  type TestWorkspace,
  testKey,
} from '../../support/dify-database.ts'
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

  describe('a new provider', () => {
    it('is one that Dify reads: URL, header, tools, names, owner, UTC', async () => {
      const target = new RecordedTarget(platform, workspace)
      const before = Date.now()
      const { plan, applied } = await target.sync(desiredObject())
      expect(plan.action).toBe('create')
      expect(applied).toMatchObject({ wrote: true, identity: target.identity })

      expect(await db.checkRows(workspace)).toEqual([
        {
          id: target.identity.id,
          name: 'Everything',
          url: 'https://gateway.example.com/mcp-gateway/instance-1/mcp',
          headers: { Authorization: 'Bearer tfg_0123456789abcdefghijABCDEFGHIJ01abcdef' },
          tools: ['echo'],
        },
      ])
      const row = await onlyRow()
      expect(row).toMatchObject({
        server_identifier: target.identity.key,
        user_id: workspace.accountId,
        icon: '{"content":"🔗","background":"#6366F1"}',
        encrypted_credentials: '{}',
        authed: true,
        timeout: 30,
        sse_read_timeout: 300,
        identity_mode: 'off',
        created_at: row.updated_at,
      })
      // Naive UTC, whatever the server's zone.
      const created = Date.parse(`${row.created_at}Z`)
      expect(created).toBeGreaterThan(before - 2_000)
      expect(created).toBeLessThan(Date.now() + 2_000)
    })

    if (engine === 'postgresql')
      it('is written in UTC under a server with another zone', async () => {
        await db.query(`ALTER DATABASE ${db.connection.database} SET timezone = 'Asia/Shanghai'`)
        try {
          const before = Date.now()
          await new RecordedTarget(platform, workspace).sync(desiredObject())
          expect(Date.parse(`${(await onlyRow()).updated_at}Z`) - before).toBeLessThan(60_000)
        } finally {
          await db.query(`ALTER DATABASE ${db.connection.database} RESET timezone`)
        }
      })

    it('answers the same as a later read', async () => {
      const target = new RecordedTarget(platform, workspace)
      const object = desiredObject()
      const { applied } = await target.sync(object)
      const desired = platform.normalise(object)
      const reading = await platform.read(
        spaceOf(workspace),
        [{ bindingId: 'b', identity: target.identity, desired }],
        {
          signal: never(),
        },
      )
      expect(reading.problem).toBeNull()
      expect(reading.inTheWay.size).toBe(0)
      expect(reading.objects.get('b')).toEqual({
        identity: applied?.identity,
        stored: applied?.stored,
        shown: applied?.shown,
        tools: applied?.tools,
        brokenFields: [],
      })
      expect(Object.keys(applied?.stored ?? {})).toEqual(
        expect.arrayContaining([...Object.keys(desired.fields), 'key']),
      )
      expect(applied?.tools).toEqual(desired.tools)
      expect(applied?.shown.url).toBe(object.url)
      expect(JSON.stringify(applied)).not.toContain('tfg_')
    })

    it.each([
      ['Chinese', '工具集合'.repeat(11), '工具集合'.repeat(10)],
      ['emoji', '🔗🧰'.repeat(21), '🔗🧰'.repeat(20)],
      ['composed', `${'👩\u200d🔬'.repeat(14)}`, `${'👩\u200d🔬'.repeat(13)}👩`],
    ])('takes a %s name of 41 and more code points', async (_what, name, stored) => {
      await new RecordedTarget(platform, workspace).sync(desiredObject({ name }))
      await new RecordedTarget(platform, workspace, 'instance-2').sync(
        desiredObject({ name, instanceId: 'instance-2' }),
      )
      const names = (await db.checkRows(workspace)).map((row) => row.name)
      expect(names).toContain(stored)
      expect(names.find((other) => other !== stored)).toMatch(/ \(2\)$/)
    })

    it('without a header is one without headers', async () => {
      await new RecordedTarget(platform, workspace).sync(desiredObject({ authorization: '' }))
      expect((await onlyRow()).encrypted_headers).toBeNull()
    })

    it('with tools of every nasty kind is one that Dify reads', async () => {
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
          description: 'x\u0000\ud800',
          inputSchema: {
            type: 'object',
            properties: { p: { $ref: '#/$defs/P' } },
            $defs: { P: { type: 'date', anyOf: [{ $ref: '#/$defs/P' }] } },
          },
        },
        { name: 'not ok', inputSchema: {} },
        null,
      ]
      const tools = nasty as unknown as ReturnType<typeof desiredObject>['tools']
      await new RecordedTarget(platform, workspace).sync(desiredObject({ tools }))
      expect((await db.checkRows(workspace))[0]?.tools).toEqual(['a', 'b', 'c'])
    })

    it('without tools has an empty list, not null', async () => {
      await new RecordedTarget(platform, workspace).sync(desiredObject({ tools: [] }))
      expect((await onlyRow()).tools).toBe('[]')
    })

    it.each([2048, 3072, 4096])('is right for a workspace with a key of %i bits', async (bits) => {
      const key = testKey(bits)
      const own = await db.addWorkspace({ name: `${bits} bits`, publicKeyPem: `${key.publicKeyPem}\r\n` })
      await new RecordedTarget(platform, own).sync(desiredObject())
      expect(await db.checkRows({ tenantId: own.tenantId, privateKeyPem: key.privateKeyPem })).toHaveLength(1)
    })

    it('of a workspace that nobody owns belongs to nobody', async () => {
      const own = await db.addWorkspace({ name: 'nobody’s', owner: null })
      await new RecordedTarget(platform, own).sync(desiredObject())
      expect((await db.rows(own.tenantId))[0]?.user_id).toBe('00000000-0000-0000-0000-000000000000')
    })
  })

  describe('an unchanged provider', () => {
    it('is not written: not by the plan, and not by a write that finds nothing to do', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const before = await footprint(db)
      const again = await target.sync(desiredObject())
      expect(again.plan).toMatchObject({ action: 'unchanged', changes: [], drift: [], kept: [] })
      const applied = await target.apply(platform.normalise(desiredObject()))
      expect(applied.wrote).toBe(false)
      expect(await footprint(db)).toEqual(before)
    })
  })

  describe('a changed instance', () => {
    it('updates its provider in place: only what changed, id, identifier, owner and creation time stay', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      await db.query(`UPDATE tool_mcp_providers SET updated_at = '2024-01-01 00:00:00' WHERE tenant_id = $1`, [
        workspace.tenantId,
      ])
      const before = await onlyRow()
      const { plan } = await target.sync(desiredObject({ tools: [], name: 'Renamed' }))
      expect(plan.action).toBe('update')
      expect(plan.changes.map(({ field }) => field).sort()).toEqual(['name', 'tools'])
      expect(await onlyRow()).toEqual({
        ...before,
        name: 'Renamed',
        tools: '[]',
        updated_at: expect.not.stringMatching(before.updated_at),
      })
    })

    it('writes URL and hash together, and a new token', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const url = 'https://new.example.com/mcp-gateway/instance-1/sse'
      await target.sync(desiredObject({ url, authorization: 'Bearer tfg_new' }))
      expect(await db.checkRows(workspace)).toMatchObject([{ url, headers: { Authorization: 'Bearer tfg_new' } }])
    })
  })

  describe('remove', () => {
    it('removes exactly ours; once more is fine', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      const foreign = await addForeign(db, workspace)
      await using writer = await openWriter(platform, workspace)
      await writer.remove(target.identity)
      await writer.remove(target.identity)
      expect((await db.rows(workspace.tenantId)).map((row) => row.id)).toEqual([foreign])
    })

    it('leaves one whose identifier was changed in Dify, and says so', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      await db.query(`UPDATE tool_mcp_providers SET server_identifier = 'changed' WHERE tenant_id = $1`, [
        workspace.tenantId,
      ])
      await using writer = await openWriter(platform, workspace)
      await expect(writer.remove(target.identity)).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringContaining('“changed”'),
      })
      expect(await db.rows(workspace.tenantId)).toHaveLength(1)
    })

    it('works in a workspace that cannot be written to any more', async () => {
      const target = new RecordedTarget(platform, workspace)
      await target.sync(desiredObject())
      await db.query(`UPDATE tenants SET status = 'archive', encrypt_public_key = NULL WHERE id = $1`, [
        workspace.tenantId,
      ])
      await using writer = await openWriter(platform, workspace)
      await writer.remove(target.identity)
      expect(await db.rows(workspace.tenantId)).toEqual([])
    })
  })

  describe('a workspace that cannot be written to', () => {
    it.each([
      ['has no key', `encrypt_public_key = NULL`, 'InvalidDesiredState', /no encryption key in Dify.*sync again/],
      ['has a key of 0 characters', `encrypt_public_key = ''`, 'InvalidDesiredState', /no encryption key/],
      ['has a key that is none', `encrypt_public_key = 'x'`, 'InvalidDesiredState', /not a PEM public key/],
      ['is archived', `status = 'archive'`, 'InvalidDesiredState', /is archived in Dify/],
    ])('%s: a problem in the plan, an error in the write, nothing written', async (_what, set, type, message) => {
      await db.query(`UPDATE tenants SET ${set} WHERE id = $1`, [workspace.tenantId])
      const target = new RecordedTarget(platform, workspace)
      const { plan } = await target.sync(desiredObject())
      expect(plan.failure).toMatchObject({ type, message: expect.stringMatching(message) })
      await expect(target.apply(platform.normalise(desiredObject()))).rejects.toMatchObject({
        type,
        message: expect.stringMatching(message),
      })
      expect(await db.rows(workspace.tenantId)).toEqual([])
    })

    it.each([randomUUID(), 'not-a-uuid'])('is gone: %s', async (tenantId) => {
      const reading = await platform.read({ spaceId: 's', remoteId: tenantId }, [], { signal: never() })
      expect(reading.problem?.type).toBe('TargetGone')
      const apply = async (): Promise<void> => {
        await using writer = await openWriter(platform, { tenantId })
        await writer.apply(changeFor(platform.normalise(desiredObject()), platform.proposeIdentity('i')))
      }
      await expect(apply()).rejects.toMatchObject({ type: 'TargetGone' })
    })
  })

  it('reads a space with many bindings', async () => {
    const instances = Array.from({ length: 60 }, (_, i) => `instance-${i}`)
    await using writer = await openWriter(platform, workspace)
    const wanted = instances.map((instanceId) => ({
      bindingId: instanceId,
      identity: platform.proposeIdentity(instanceId),
      desired: platform.normalise(desiredObject({ instanceId, name: instanceId })),
    }))
    for (const { identity, desired } of wanted) await writer.apply(changeFor(desired, identity))
    const reading = await platform.read(spaceOf(workspace), wanted, { signal: never() })
    expect(reading.objects.size).toBe(60)
    expect(await db.checkRows(workspace)).toHaveLength(60)
  })
})
