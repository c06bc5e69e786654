import { setImmediate as immediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit } from '../../src/audit/events.ts'
import { newId } from '../../src/domain/ids.ts'
import type { GatewayJournalEntry } from '../../src/gateway/journal.ts'
import type { GatewayView } from '../../src/gateway/view.ts'
import {
  createApiKey,
  createConsoleSession,
  deleteExpiredConsoleSessions,
  findApiKey,
  findConsoleSession,
  revokeApiKey,
} from '../../src/store/api-keys.ts'
import { listAudit } from '../../src/store/audit.ts'
import { setBindingsEnabled, updateBinding } from '../../src/store/bindings.ts'
import { createGatewayView } from '../../src/store/gateway-view.ts'
import { deleteInstance, updateInstance } from '../../src/store/instances.ts'
import { appendJournalEntries, listJournalEntries, purgeJournal } from '../../src/store/journal.ts'
import { createJournalSink } from '../../src/store/journal-sink.ts'
import { createManualToken, deleteManualToken } from '../../src/store/manual-tokens.ts'
import { purgeRevoked, REPLICA_LIFE_MS, recordReplica, removeReplica, waitUntilSeen } from '../../src/store/replicas.ts'
import { currentRevision } from '../../src/store/revision.ts'
import type { Store } from '../../src/store/store.ts'
import { activeToken, mintTokenFor, revokeTokens } from '../../src/store/tokens.ts'
import { at, makeInstance, makeWorld, one } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

describe.each(ENGINES)('the gateway’s side on %s', (engine) => {
  let test: TestStore
  let store: Store
  let view: GatewayView
  beforeAll(async () => {
    test = await openTestStore(engine)
    store = test.store
    view = createGatewayView(store)
  })
  afterAll(() => test.close())

  describe('view', () => {
    it('loads instances and credentials, opened and effective', async () => {
      const { bindings, instances } = await makeWorld(store, { spaces: 2, instances: 1 })
      const instance = one(instances)
      await updateInstance(store, instance.id, null, { headers: { up: '1' }, defaultPassThrough: { def: '2' } })
      const heir = await mintTokenFor(store, at(bindings, 0).id, { expiresAt: new Date('2040-01-01') })
      await updateBinding(store, at(bindings, 1).id, null, {
        passThroughHeaders: { own: '3' },
        toolAllowList: ['echo'],
        expiresAt: new Date('2041-01-01'),
      })
      const owner = await mintTokenFor(store, at(bindings, 1).id)
      const manual = await createManualToken(store, { instanceId: instance.id, name: 'm', headers: { me: '4' } })
      const all = await view.loadAll()
      expect(all.revision).toBe(await currentRevision(store.db))
      expect(all.instances.find((each) => each.id === instance.id)).toMatchObject({
        headers: { up: '1' },
        defaultPassThrough: { def: '2' },
        status: 'active',
      })
      const credential = (id: string) => all.credentials.find((each) => each.tokenId === id)
      expect(credential(heir.id)).toMatchObject({
        hash: view.tokenHash(heir.secret),
        enabled: true,
        passThroughHeaders: { def: '2' },
        tokenExpiresAt: new Date('2040-01-01'),
        toolAllowList: null,
      })
      expect(credential(owner.id)).toMatchObject({
        passThroughHeaders: { own: '3' },
        toolAllowList: ['echo'],
        bindingExpiresAt: new Date('2041-01-01'),
      })
      expect(credential(manual.id)).toMatchObject({ bindingId: null, enabled: true, passThroughHeaders: { me: '4' } })
    })

    it('loads page by page the same as at once, revoked ones left out', async () => {
      const { bindings } = await makeWorld(store, { spaces: 5, instances: 1 })
      const tokens: Awaited<ReturnType<typeof mintTokenFor>>[] = []
      for (const { id } of bindings) tokens.push(await mintTokenFor(store, id))
      await revokeTokens(store, [at(tokens, 2).id])
      const whole = await view.loadAll()
      const ids = (records: typeof whole) => records.credentials.map(({ tokenId }) => tokenId)
      expect(ids(whole)).toEqual(expect.arrayContaining([0, 1, 3, 4].map((index) => at(tokens, index).id)))
      expect(ids(whole)).not.toContain(at(tokens, 2).id)
      for (const pageRows of [1, 2, whole.credentials.length, whole.credentials.length + 1]) {
        expect(await createGatewayView(store, { pageRows }).loadAll()).toEqual(whole)
      }
    })

    it('with nothing new there is nothing', async () => {
      const { revision } = await view.loadAll()
      expect(await view.changesSince(revision)).toEqual({ revision, instances: [], credentials: [] })
    })

    it('tells a switched binding, a revoked token, and inherited headers, and only these', async () => {
      const { bindings, instances } = await makeWorld(store, { spaces: 3, instances: 2 })
      const ofFirst = bindings.filter((binding) => binding.instanceId === at(instances, 0).id)
      const tokens: { id: string }[] = []
      for (const binding of ofFirst) tokens.push(await mintTokenFor(store, binding.id))
      const changed = async (work: () => Promise<unknown>) => {
        const { revision } = await view.changesSince(Number.MAX_SAFE_INTEGER)
        await work()
        const changes = await view.changesSince(revision)
        for (const credential of changes.credentials) expect(credential.revision).toBe(changes.revision)
        return changes
      }
      const off = await changed(() => setBindingsEnabled(store, { bindingIds: [at(ofFirst, 0).id] }, false))
      expect(off.credentials.map(({ tokenId, enabled }) => ({ tokenId, enabled }))).toEqual([
        { tokenId: at(tokens, 0).id, enabled: false },
      ])
      expect(off.instances).toEqual([])
      const revoked = await changed(() => revokeTokens(store, [at(tokens, 1).id]))
      expect(revoked.credentials.map(({ tokenId, state }) => ({ tokenId, state }))).toEqual([
        { tokenId: at(tokens, 1).id, state: 'revoked' },
      ])
      const inherited = await changed(() =>
        updateInstance(store, at(instances, 0).id, null, { defaultPassThrough: { n: '1' } }),
      )
      expect(inherited.instances.map((each) => each.id)).toEqual([at(instances, 0).id])
      expect(new Set(inherited.credentials.map((each) => each.tokenId))).toEqual(
        new Set([at(tokens, 0).id, at(tokens, 2).id]),
      )
      for (const credential of inherited.credentials) expect(credential.passThroughHeaders).toEqual({ n: '1' })
      const gone = await changed(() => deleteInstance(store, at(instances, 0).id))
      expect(gone.instances[0]).toMatchObject({ status: 'removing', headers: {} })
      expect(new Set(gone.credentials.map((each) => each.state))).toEqual(new Set(['revoked']))
      expect(gone.credentials.length).toBeGreaterThanOrEqual(2)
    })

    it('a follower that reads while others write misses nothing', async () => {
      const { bindings } = await makeWorld(store, { spaces: 8, instances: 2 })
      const known = new Map<string, { enabled: boolean; revision: number }>()
      let seen = 0
      const follow = async () => {
        const changes = await view.changesSince(seen)
        seen = Math.max(seen, changes.revision)
        for (const { tokenId, enabled, revision } of changes.credentials) {
          if (revision >= (known.get(tokenId)?.revision ?? 0)) known.set(tokenId, { enabled, revision })
        }
      }
      let writing = true
      const writers = bindings.map(async (binding, index) => {
        await mintTokenFor(store, binding.id)
        for (let round = 0; round <= index % 4; round++)
          await setBindingsEnabled(store, { bindingIds: [binding.id] }, round % 2 === 1)
      })
      const follower = (async () => {
        while (writing) {
          await follow()
          // SQLite answers readers without leaving the event loop's turn; a writer's commit needs one of its own.
          await immediate()
        }
      })()
      await Promise.all(writers)
      writing = false
      await follower
      await follow()
      for (const [index, binding] of bindings.entries()) {
        const token = await activeToken(store, binding.id)
        expect(known.get(token?.id ?? '')?.enabled).toBe((index % 4) % 2 === 1)
      }
    })

    it('finds one by its hash, revoked ones too', async () => {
      const instance = await makeInstance(store)
      const token = await createManualToken(store, { instanceId: instance.id, name: 'm' })
      const hash = view.tokenHash(token.secret)
      expect(await view.findByHash(hash)).toMatchObject({
        credential: { tokenId: token.id, state: 'active' },
        instance: { id: instance.id },
      })
      await deleteManualToken(store, instance.id, token.id)
      expect(await view.findByHash(hash)).toMatchObject({ credential: { state: 'revoked' } })
      expect(await view.findByHash('0'.repeat(64))).toBeNull()
    })
  })

  describe('replicas', () => {
    it('a change is effective when every live one has seen it', async () => {
      const revision = await currentRevision(store.db)
      expect(await waitUntilSeen(store, revision, 0)).toBe(false)
      await recordReplica(store, 'a', revision)
      await recordReplica(store, 'b', revision - 1)
      await recordReplica(store, 'gone', 0, new Date(Date.now() - REPLICA_LIFE_MS - 1000))
      expect(await waitUntilSeen(store, revision, 0)).toBe(false)
      const waiting = waitUntilSeen(store, revision, 20_000)
      await recordReplica(store, 'b', revision)
      expect(await waiting).toBe(true)
    })

    it('revoked rows go when every live one has passed them, and not before', async () => {
      const { instances } = await makeWorld(store, { spaces: 1, instances: 1 })
      const instanceId = one(instances).id
      const token = await createManualToken(store, { instanceId, name: 'm' })
      await deleteInstance(store, instanceId)
      const revision = await currentRevision(store.db)
      const later = new Date(Date.now() + 3 * REPLICA_LIFE_MS)
      await recordReplica(store, 'a', revision - 1, later)
      await recordReplica(store, 'b', revision, later)
      await purgeRevoked(store, later)
      expect(await store.db.gatewayToken.findUnique({ where: { id: token.id } })).not.toBeNull()
      await recordReplica(store, 'a', revision, later)
      await purgeRevoked(store)
      expect(await store.db.gatewayToken.findUnique({ where: { id: token.id } })).not.toBeNull()
      await purgeRevoked(store, later)
      expect(await store.db.gatewayToken.findUnique({ where: { id: token.id } })).toBeNull()
      expect(await store.db.mcpInstance.findUnique({ where: { id: instanceId } })).toBeNull()
      await removeReplica(store, 'a')
    })
  })

  describe('journal', () => {
    const entry = (over: Partial<GatewayJournalEntry> = {}): GatewayJournalEntry => ({
      at: new Date(),
      instanceId: newId(),
      bindingId: null,
      tokenId: null,
      method: 'tools/call',
      toolName: 'echo',
      status: 200,
      errorCode: null,
      requestBytes: 10,
      responseBytes: 20,
      durationMs: 3,
      traceId: 'a'.repeat(32),
      ...over,
    })

    it('writes what was appended, in batches, and when tokens were used', async () => {
      const { bindings, instances } = await makeWorld(store, { spaces: 1, instances: 1 })
      const token = await mintTokenFor(store, one(bindings).id)
      const instanceId = one(instances).id
      const base = Date.now() - 10_000
      const sink = createJournalSink(store, test.options.config.databaseUrl)
      await sink.write(
        Array.from({ length: 459 }, (_, index) =>
          entry({ at: new Date(base + index), instanceId, tokenId: token.id, method: 'm'.repeat(200) }),
        ),
      )
      await sink.close()
      const page = await listJournalEntries(store, { instanceId, limit: 500 })
      expect(page.items.map((item) => item.at.getTime() - base)).toEqual(Array.from({ length: 459 }, (_, i) => 458 - i))
      expect(page.items[0]).toMatchObject({
        ...entry({ at: new Date(base + 458), instanceId, tokenId: token.id }),
        method: 'm'.repeat(128),
      })
      expect((await activeToken(store, one(bindings).id))?.lastUsedAt).toEqual(new Date(base + 458))
      const listed = async (filter: Parameters<typeof listJournalEntries>[1]) =>
        (await listJournalEntries(store, { instanceId, limit: 500, ...filter })).items.length
      await appendJournalEntries(store, [
        entry({ at: new Date(base + 440), instanceId, status: 403, toolName: 'other' }),
        entry({ at: new Date(base + 441), instanceId, status: 502, toolName: null }),
      ])
      expect(await listed({ status: 403 })).toBe(1)
      expect(await listed({ status: '5xx' })).toBe(1)
      expect(await listed({ toolName: 'other' })).toBe(1)
      expect(await listed({ since: new Date(base + 440), until: new Date(base + 442) })).toBe(4)
      expect(await purgeJournal(store, new Date(base + 400))).toBeGreaterThanOrEqual(400)
      expect((await listJournalEntries(store, { tokenId: token.id, limit: 500 })).items).toHaveLength(59)
    })

    it('stores all of a batch or none, and the next one all the same', async () => {
      const instanceId = newId()
      const sink = createJournalSink(store, test.options.config.databaseUrl)
      const good = Array.from({ length: 70 }, (_, index) => entry({ at: new Date(index), instanceId }))
      await expect(sink.write([...good, entry({ instanceId, status: null as never })])).rejects.toThrow()
      await sink.write([entry({ instanceId, toolName: 'half a pair: \ud83d' })])
      await sink.close()
      const { items } = await listJournalEntries(store, { instanceId, limit: 500 })
      expect(items.map(({ toolName }) => toolName)).toEqual(['half a pair: \ufffd'])
    })

    it('keeps a call whose tool’s name is no text, and those written with it', async () => {
      const instanceId = newId()
      const names = ['plain', 'half a pair: \ud83d']
      await appendJournalEntries(
        store,
        names.map((toolName, index) => entry({ at: new Date(Date.now() + index), instanceId, toolName })),
      )
      const { items } = await listJournalEntries(store, { instanceId })
      expect(items.map(({ toolName }) => toolName).toReversed()).toEqual(['plain', 'half a pair: \ufffd'])
    })
  })

  describe('audit', () => {
    it('holds names only, also when something else is slipped in', async () => {
      const resourceId = newId()
      const actor = { name: 'an admin', id: newId() }
      await audit(store, {
        actor,
        action: 'update',
        resource: 'binding',
        resourceId,
        fields: ['enabled', 'passThroughHeaders', 'Bearer secret value'],
        outcome: 'allowed',
      })
      await audit(store, {
        actor,
        action: 'reveal',
        resource: 'binding',
        resourceId,
        outcome: 'refused',
        requestId: 'r',
      })
      const { items } = await listAudit(store, { resource: 'binding', resourceId })
      expect(new Set(items.map((item) => `${item.action} ${item.outcome}`))).toEqual(
        new Set(['update allowed', 'reveal refused']),
      )
      expect(items.find((item) => item.action === 'update')?.fields).toEqual(['enabled', 'passThroughHeaders', '?'])
      expect(JSON.stringify(items)).not.toContain('secret value')
    })

    it('never throws into the caller', async () => {
      const errors: string[] = []
      const broken: Store = {
        ...store,
        write: () => Promise.reject(new Error('the disk is full')),
        logger: { ...store.logger, error: (_, message) => void errors.push(message) },
      }
      await audit(broken, {
        actor: { name: 'x', id: null },
        action: 'create',
        resource: 'platform',
        resourceId: null,
        outcome: 'allowed',
      })
      expect(errors).toEqual(['an audit event could not be written'])
    })
  })

  describe('API keys', () => {
    it('are found by their secret until revoked or expired, and take their sessions with them', async () => {
      const { key, secret } = await createApiKey(store, { name: 'ci', role: 'operator' })
      expect(secret).toMatch(/^tfa_/)
      expect(key.start).toBe(secret.slice(0, 8))
      expect(await findApiKey(store, secret)).toEqual(key)
      const session = {
        apiKeyId: key.id,
        role: 'operator' as const,
        expiresAt: new Date(Date.now() + 60_000),
        secret: 'a session secret',
      }
      const made = await createConsoleSession(store, session)
      expect(await findConsoleSession(store, 'a session secret')).toEqual(made)
      expect(await findConsoleSession(store, 'a session secret', session.expiresAt)).toBeNull()
      await revokeApiKey(store, key.id)
      expect(await findApiKey(store, secret)).toBeNull()
      expect(await findConsoleSession(store, 'a session secret')).toBeNull()
      const expired = await createApiKey(store, { name: 'old', role: 'viewer', expiresAt: new Date(Date.now() - 1) })
      expect(await findApiKey(store, expired.secret)).toBeNull()
      await createConsoleSession(store, { ...session, secret: 'an old one', expiresAt: new Date(0) })
      expect(await deleteExpiredConsoleSessions(store)).toBe(1)
    })

    it('the last admin key stays, also when two admins revoke each other’s at one time', async () => {
      for (let round = 0; round < 5; round++) {
        await store.write((tx) => tx.apiKey.updateMany({ where: { role: 'admin' }, data: { revokedAt: new Date() } }))
        const ids: string[] = []
        for (const name of ['first', 'second', 'third']) {
          ids.push((await createApiKey(store, { name, role: 'admin' })).key.id)
        }
        const ends = await Promise.allSettled(ids.map((id) => revokeApiKey(store, id)))
        const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason.code] : []))
        expect(refused).toEqual(['last_admin_key'])
      }
      await expect(revokeApiKey(store, 'nobody')).rejects.toMatchObject({ code: 'not_found' })
    })
  })
})
