import { createHash, randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { ToolferryError } from '../../../src/domain/errors.ts'
import type { RemoteIdentity } from '../../../src/domain/object.ts'
import type { Platform } from '../../../src/platforms/platform.ts'
import { createDifyDatabase, type DifyTestDatabase, type TestWorkspace } from '../../support/dify-database.ts'
import { changeFor, desiredObject, ENGINES, never, openPlatform, openWriter, spaceOf } from './harness.ts'
import { holdTenants, type ServerEyes, serverEyes } from './server-eyes.ts'

describe.each(ENGINES)('on %s', (engine) => {
  let db: DifyTestDatabase
  let eyes: ServerEyes
  let platform: Platform
  let workspace: TestWorkspace
  let identity: RemoteIdentity

  beforeAll(async () => {
    db = await createDifyDatabase({ engine })
    eyes = serverEyes(db)
  })

  afterAll(async () => {
    await db.drop()
  })

  beforeEach(async () => {
    platform = openPlatform(db)
    workspace = await db.addWorkspace({ name: `workspace ${randomUUID()}` })
    identity = platform.proposeIdentity('instance-1') ?? { id: '', key: null }
  })

  afterEach(async () => {
    await platform.close()
  })

  /** Waits until one of our sessions waits for somebody else's lock. */
  async function untilWaiting(): Promise<void> {
    await vi.waitFor(async () => expect(await eyes.waiting()).toBe(1), { timeout: 60_000, interval: 150 })
  }

  async function insertForeign(
    name: string,
    urlHash: string = randomUUID(),
    sql: DifyTestDatabase['query'] = db.query,
  ): Promise<void> {
    await sql(
      `INSERT INTO tool_mcp_providers (id, name, server_identifier, server_url, server_url_hash, tenant_id, user_id, authed, tools)
     VALUES ($5, $1, $2, 'x', $3, $4, $4, false, '[]')`,
      [name, randomUUID().slice(0, 20), urlHash, workspace.tenantId, randomUUID()],
    )
  }

  describe('one writer a space', () => {
    it('makes a second one wait, and lets it in when the first is done', async () => {
      const first = await openWriter(platform, workspace)
      const second = openWriter(platform, workspace)
      let opened = false
      void second.then(() => {
        opened = true
      })
      await first.apply(changeFor(platform.normalise(desiredObject()), identity))
      expect(opened).toBe(false)
      await first[Symbol.asyncDispose]()
      await (await second)[Symbol.asyncDispose]()
    })

    it('gives up with SpaceBusy', async () => {
      const impatient = openPlatform(db, {}, { timeouts: { spaceLockMs: 150 } })
      await using _first = await openWriter(platform, workspace)
      await expect(openWriter(impatient, workspace)).rejects.toMatchObject({ type: 'SpaceBusy' })
      await impatient.close()
    })

    it('does not stop writers of other spaces', async () => {
      const other = await db.addWorkspace({ name: 'other' })
      await using _first = await openWriter(platform, workspace)
      await using second = await openWriter(platform, other)
      await second.apply(changeFor(platform.normalise(desiredObject()), identity))
      expect(await db.rows(other.tenantId)).toHaveLength(1)
    })

    it('gives the lock back when the process’ connection dies', async () => {
      const first = await openWriter(platform, workspace)
      await eyes.endSessions()
      await using second = await openWriter(platform, workspace)
      await second.apply(changeFor(platform.normalise(desiredObject()), identity))
      await expect(first.apply(changeFor(platform.normalise(desiredObject()), identity))).rejects.toMatchObject({
        type: 'Unavailable',
      })
      await first[Symbol.asyncDispose]()
    })

    it('stops waiting for the lock when it is aborted', async () => {
      await using _first = await openWriter(platform, workspace)
      const controller = new AbortController()
      const second = openWriter(platform, workspace, { signal: controller.signal })
      await vi.waitFor(async () => expect(await eyes.sessions()).toBeGreaterThanOrEqual(2), 60_000)
      controller.abort(new Error('enough'))
      await expect(second).rejects.toThrow('enough')
    })

    it('takes calls that come at once one after another: the same object becomes one row', async () => {
      await using writer = await openWriter(platform, workspace)
      const desired = platform.normalise(desiredObject())
      const results = await Promise.all(
        Array.from({ length: 8 }, () =>
          writer.apply(
            changeFor(desired, identity, (observed) => (observed === null ? Object.keys(desired.fields) : [])),
          ),
        ),
      )
      expect(results.filter(({ wrote }) => wrote)).toHaveLength(1)
      expect(await db.checkRows(workspace)).toHaveLength(1)
    })

    it('of several processes writes one row', async () => {
      const platforms = Array.from({ length: 4 }, () => openPlatform(db))
      const desired = platform.normalise(desiredObject())
      await Promise.all(
        platforms.map(async (each) => {
          await using writer = await openWriter(each, workspace)
          await writer.apply(changeFor(desired, identity))
        }),
      )
      await Promise.all(platforms.map((each) => each.close()))
      expect(await db.checkRows(workspace)).toHaveLength(1)
    })
  })

  describe('the fence', () => {
    it('that throws keeps everything as it was: no insert, no update, no delete', async () => {
      const desired = platform.normalise(desiredObject())
      const fence = async (): Promise<void> => {
        throw new ToolferryError('SpaceBusy', 'The lease has passed on.')
      }
      {
        await using fenced = await openWriter(platform, workspace, { fence })
        await expect(fenced.apply(changeFor(desired, identity))).rejects.toMatchObject({ type: 'SpaceBusy' })
      }
      expect(await db.rows(workspace.tenantId)).toEqual([])
      {
        await using writer = await openWriter(platform, workspace)
        await writer.apply(changeFor(desired, identity))
      }
      const before = await db.rows(workspace.tenantId)
      await using fenced = await openWriter(platform, workspace, { fence })
      await expect(fenced.apply(changeFor(desired, identity))).rejects.toMatchObject({ type: 'SpaceBusy' })
      await expect(fenced.remove(identity)).rejects.toMatchObject({ type: 'SpaceBusy' })
      expect(await db.rows(workspace.tenantId)).toEqual(before)
      expect(await eyes.busy()).toBe(0)
    })
  })

  describe('somebody else at the same moment', () => {
    it('taking the name leads to the next number', async () => {
      let times = 0
      await using writer = await openWriter(platform, workspace, {
        fence: async () => {
          times += 1
          if (times === 1) await insertForeign('Everything')
        },
      })
      await writer.apply(changeFor(platform.normalise(desiredObject()), identity))
      expect((await db.rows(workspace.tenantId)).map(({ name }) => name)).toEqual(['Everything', 'Everything (2)'])
      expect(times).toBe(2)
    })

    it('taking the URL is a conflict that names it', async () => {
      const desired = platform.normalise(desiredObject())
      const hash = createHash('sha256')
        .update(desired.fields.url ?? '')
        .digest('hex')
      await using writer = await openWriter(platform, workspace, {
        fence: async () => {
          await insertForeign('Quick', hash)
        },
      })
      await expect(writer.apply(changeFor(desired, identity))).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringContaining('«Quick»'),
      })
      expect((await db.rows(workspace.tenantId)).map(({ name }) => name)).toEqual(['Quick'])
    })

    it('taking name after name is a conflict in the end, not a loop', async () => {
      let times = 0
      await using writer = await openWriter(platform, workspace, {
        fence: async () => {
          times += 1
          await insertForeign(times === 1 ? 'Everything' : `Everything (${times})`)
        },
      })
      await expect(writer.apply(changeFor(platform.normalise(desiredObject()), identity))).rejects.toMatchObject({
        type: 'Conflict',
        message: expect.stringContaining('unique_mcp_provider_name'),
      })
      expect(times).toBe(2)
    })

    it('cannot change the row between our look and our write', async () => {
      const desired = platform.normalise(desiredObject())
      const other = await db.connect()
      await other.query(engine === 'postgresql' ? `SET lock_timeout = '50ms'` : 'SET innodb_lock_wait_timeout = 1')
      const outcomes: unknown[] = []
      await using writer = await openWriter(platform, workspace, {
        fence: async () => {
          const edit = other.query('UPDATE tool_mcp_providers SET encrypted_headers = NULL WHERE id = $1', [
            identity.id,
          ])
          await edit.then(() => outcomes.push('went on')).catch((error) => outcomes.push(error.errno ?? error.code))
        },
      })
      await writer.apply(changeFor(desired, identity))
      await writer.apply(changeFor(desired, identity))
      await other.end()
      expect(outcomes).toEqual(['went on', engine === 'postgresql' ? '55P03' : 1205])
    })

    it('holding our row too long is a Timeout', async () => {
      const impatient = openPlatform(db, {}, { timeouts: { rowLockMs: 100 } })
      const desired = platform.normalise(desiredObject())
      await using writer = await openWriter(impatient, workspace)
      await writer.apply(changeFor(desired, identity))
      const other = await db.connect()
      await other.query('BEGIN')
      await other.query('UPDATE tool_mcp_providers SET timeout = 1 WHERE id = $1', [identity.id])
      await expect(writer.apply(changeFor(desired, identity))).rejects.toMatchObject({ type: 'Timeout' })
      await other.query('ROLLBACK')
      await other.end()
      expect((await writer.apply(changeFor(desired, identity))).wrote).toBe(true)
      await impatient.close()
    })

    it('in a statement that takes too long is a Timeout', async () => {
      const impatient = openPlatform(db, {}, { timeouts: { statementMs: 100 } })
      const held = await holdTenants(db)
      await expect(impatient.read(spaceOf(workspace), [], { signal: never() })).rejects.toMatchObject({
        type: 'Timeout',
      })
      await held.release()
      await impatient.close()
    })
  })

  describe('an aborted signal', () => {
    it('ends a wait for a row, and rolls back what the transaction had done', async () => {
      const other = await db.connect()
      await other.query('BEGIN')
      await insertForeign('Everything', randomUUID(), other.query)
      const controller = new AbortController()
      const writer = await openWriter(platform, workspace, { signal: controller.signal })
      const applying = writer.apply(changeFor(platform.normalise(desiredObject()), identity))
      await untilWaiting()
      controller.abort(new Error('cancelled by hand'))
      await expect(applying).rejects.toThrow('cancelled by hand')
      // The other one still holds its lock: only our cancel can have ended our wait.
      await vi.waitFor(async () => expect(await eyes.busy()).toBe(0), { timeout: 60_000, interval: 150 })
      await other.query('ROLLBACK')
      await other.end()
      await writer[Symbol.asyncDispose]()
      expect(await db.rows(workspace.tenantId)).toEqual([])
      await using next = await openWriter(platform, workspace)
      await next.apply(changeFor(platform.normalise(desiredObject()), identity))
    })

    it('ends a read in flight', async () => {
      const held = await holdTenants(db)
      const controller = new AbortController()
      const reading = platform.read(spaceOf(workspace), [], { signal: controller.signal })
      await untilWaiting()
      controller.abort(new Error('cancelled by hand'))
      await expect(reading).rejects.toThrow('cancelled by hand')
      await vi.waitFor(async () => expect(await eyes.busy()).toBe(0), { timeout: 60_000, interval: 150 })
      await held.release()
    })

    it('that is a timer is a Timeout', async () => {
      const held = await holdTenants(db)
      await expect(platform.listSpaces({ signal: AbortSignal.timeout(100) })).rejects.toMatchObject({ type: 'Timeout' })
      await held.release()
    })

    it('that was aborted before writes nothing', async () => {
      const controller = new AbortController()
      await using writer = await openWriter(platform, workspace, {
        signal: controller.signal,
        fence: async () => controller.abort(new Error('too late')),
      })
      await expect(writer.apply(changeFor(platform.normalise(desiredObject()), identity))).rejects.toThrow('too late')
      expect(await db.rows(workspace.tenantId)).toEqual([])
    })
  })

  it('a connection that the server ended is replaced at the next read', async () => {
    await platform.listSpaces({ signal: never() })
    await eyes.endSessions()
    await vi.waitFor(async () => expect(await platform.listSpaces({ signal: never() })).not.toHaveLength(0), 60_000)
  })
})
