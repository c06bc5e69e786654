import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { mintToken } from '../../src/domain/token.ts'
import { getBindingView, listBindings } from '../../src/store/binding-views.ts'
import {
  effectivePassThrough,
  ensureBindings,
  getBinding,
  openPassThrough,
  setBindingsEnabled,
  updateBinding,
  updateBindings,
} from '../../src/store/bindings.ts'
import {
  countDeployments,
  getDeployment,
  recordApplied,
  recordDrift,
  recordFailure,
  recordIntent,
  recordVerified,
  saveCheckpoint,
  stillAsSeen,
} from '../../src/store/deployments.ts'
import { NotFoundError, StaleWriteError, StoreError, TokenInUseError } from '../../src/store/errors.ts'
import { createGatewayView } from '../../src/store/gateway-view.ts'
import { sealOldQueries } from '../../src/store/instance-url.ts'
import {
  createInstances,
  deleteInstance,
  getInstance,
  getToolSnapshot,
  latestToolSnapshot,
  listInstances,
  openDefaultPassThrough,
  openHeaders,
  openInstances,
  saveToolSnapshot,
  setLastProbe,
  updateInstance,
} from '../../src/store/instances.ts'
import { createManualToken, deleteManualToken, listManualTokens } from '../../src/store/manual-tokens.ts'
import {
  clearCredential,
  createPlatform,
  deletePlatform,
  getPlatform,
  listPlatforms,
  openCredential,
  setCredential,
  setCredentialState,
  updatePlatform,
} from '../../src/store/platforms.ts'
import { createProfile, deleteProfile, getProfile, updateProfile } from '../../src/store/profiles.ts'
import { currentRevision } from '../../src/store/revision.ts'
import { getSpace, getSpaces, listSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import type { Store } from '../../src/store/store.ts'
import { touchTokens } from '../../src/store/token-uses.ts'
import {
  activeToken,
  listTokensOfBinding,
  markTokensProven,
  mintTokenFor,
  mintTokensFor,
  openActiveTokens,
  openToken,
  revokeTokens,
  setCustomToken,
} from '../../src/store/tokens.ts'
import { at, makeInstance, makePlatform, makeWorld, markGone, one, remoteSpace, seenOf, unique } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

function codeOf(error: unknown): string {
  return error instanceof StoreError ? error.code : String(error)
}

describe.each(ENGINES)('records on %s', (engine) => {
  let test: TestStore
  let store: Store
  beforeAll(async () => {
    test = await openTestStore(engine)
    store = test.store
  })
  afterAll(() => test.close())

  describe('platforms', () => {
    it('keep what they were given, the credential apart and sealed', async () => {
      const platform = await makePlatform(store, { name: unique('Plattform Ä 平台 🚢') })
      expect(await getPlatform(store, platform.id)).toEqual(platform)
      expect(platform).toMatchObject({
        hasCredential: true,
        credentialState: 'unknown',
        credentialVersion: 1,
        rowVersion: 1,
      })
      expect(platform.settings).toEqual({ edition: 'community', database: { host: 'db' } })
      expect(JSON.stringify(platform)).not.toContain('word')
      expect(await openCredential(store, platform.id)).toEqual({ credential: { password: 'pass "word"' }, version: 1 })
    })

    it('are unique by name and by where they point, and say which is in the way', async () => {
      const first = await makePlatform(store)
      const sameName = await makePlatform(store, { name: first.name }).catch((error: unknown) => error)
      expect(sameName).toMatchObject({ code: 'name_taken', field: 'name', type: 'Conflict' })
      const samePlace = await makePlatform(store, { remoteKey: first.remoteKey }).catch((error: unknown) => error)
      expect(samePlace).toMatchObject({ code: 'already_registered', message: expect.stringContaining(first.name) })
      // Names differ by capitals and accents.
      await makePlatform(store, { name: first.name.toUpperCase() })
    })

    it('of many created at once with one name one is made', async () => {
      const name = unique('race')
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => makePlatform(store, { name })))
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [codeOf(result.reason)] : []))
      expect(refused).toEqual(Array.from({ length: 7 }, () => 'name_taken'))
    })

    it('a stale change is refused and changes nothing', async () => {
      const platform = await makePlatform(store)
      const renamed = await updatePlatform(store, platform.id, 1, { name: unique('renamed') })
      expect(renamed.rowVersion).toBe(2)
      const stale = await updatePlatform(store, platform.id, 1, { name: 'too late' }).catch((error: unknown) => error)
      expect(stale).toBeInstanceOf(StaleWriteError)
      expect(stale).toMatchObject({ currentRowVersion: 2 })
      expect(await getPlatform(store, platform.id)).toEqual(renamed)
      await expect(updatePlatform(store, newId(), null, {})).rejects.toBeInstanceOf(NotFoundError)
    })

    it('that point somewhere else lose the credential', async () => {
      const platform = await makePlatform(store)
      const moved = await updatePlatform(store, platform.id, null, { remoteKey: 'f'.repeat(64) })
      expect(moved).toMatchObject({ hasCredential: false, credentialState: 'none' })
      expect(await openCredential(store, platform.id)).toBeNull()
    })

    it('a verdict on an old credential does not touch the new one', async () => {
      const platform = await makePlatform(store)
      const replaced = await setCredential(store, platform.id, { credential: { password: 'new' }, state: 'valid' })
      expect(replaced).toMatchObject({ credentialVersion: 2, credentialState: 'valid' })
      expect(await setCredentialState(store, platform.id, 'refused', 1)).toBe(false)
      expect((await getPlatform(store, platform.id))?.credentialState).toBe('valid')
      expect(await setCredentialState(store, platform.id, 'refused', 2)).toBe(true)
      expect((await getPlatform(store, platform.id))?.credentialState).toBe('refused')
      expect((await clearCredential(store, platform.id)).hasCredential).toBe(false)
    })

    it('a credential moved to another row does not open', async () => {
      const [a, b] = [await makePlatform(store), await makePlatform(store)]
      await store.write(async (tx) => {
        const row = await tx.platform.findUniqueOrThrow({ where: { id: a.id } })
        await tx.platform.update({ where: { id: b.id }, data: { sealedCredential: row.sealedCredential } })
      })
      await expect(openCredential(store, b.id)).rejects.toThrow(/belongs to another row/)
    })

    it('are listed page by page, each once', async () => {
      const made = [await makePlatform(store), await makePlatform(store), await makePlatform(store)]
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await listPlatforms(store, { limit: 2, cursor })
        expect(page.items.length).toBeLessThanOrEqual(2)
        seen.push(...page.items.map((item) => item.id))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(new Set(seen).size).toBe(seen.length)
      for (const platform of made) expect(seen).toContain(platform.id)
      await expect(listPlatforms(store, { cursor: 'nonsense' })).rejects.toMatchObject({ field: 'cursor' })
    })

    it('with something of ours on them are deleted only when told to forget', async () => {
      const { platform, bindings, spaces, instances } = await makeWorld(store, { spaces: 2, instances: 1 })
      const binding = at(bindings, 0)
      const token = await mintTokenFor(store, binding.id)
      await recordIntent(store, binding.id, { syncId: newId(), identity: { id: newId(), key: 'k' } })
      expect(codeOf(await deletePlatform(store, platform.id).catch((error: unknown) => error))).toBe('has_deployments')
      expect(await getPlatform(store, platform.id)).not.toBeNull()
      await deletePlatform(store, platform.id, { forget: true })
      expect(await getPlatform(store, platform.id)).toBeNull()
      expect(await getSpace(store, at(spaces, 0).id)).toBeNull()
      expect(await getBindingView(store, binding.id)).toBeNull()
      expect(await getInstance(store, one(instances).id)).not.toBeNull()
      // The gateway has to see the revocation: the row is still there.
      const row = await store.db.gatewayToken.findUnique({ where: { id: token.id } })
      expect(row).toMatchObject({ state: 'revoked', revision: await currentRevision(store.db) })
    })
  })

  describe('spaces', () => {
    it('follow the platform: new, changed, vanished and come back', async () => {
      const platform = await makePlatform(store)
      const [a, b, c] = [remoteSpace('a', { ownerName: 'Zoë' }), remoteSpace('b'), remoteSpace('c')]
      expect(await upsertSpaces(store, platform.id, [a, b, c])).toEqual({ added: 3, changed: 0, vanished: 0 })
      expect(await upsertSpaces(store, platform.id, [a, b, c])).toEqual({ added: 0, changed: 0, vanished: 0 })
      const before = (await listSpaces(store, platform.id)).items
      expect(await upsertSpaces(store, platform.id, [{ ...a, name: 'A new name' }, c])).toEqual({
        added: 0,
        changed: 1,
        vanished: 1,
      })
      const gone = (await listSpaces(store, platform.id, { archived: true })).items
      expect(one(gone)).toMatchObject({ remoteId: 'b', problem: expect.stringContaining('does not list') })
      expect(await upsertSpaces(store, platform.id, [{ ...a, name: 'A new name' }, c])).toEqual({
        added: 0,
        changed: 0,
        vanished: 0,
      })
      expect(await upsertSpaces(store, platform.id, [a, b, c])).toEqual({ added: 0, changed: 2, vanished: 0 })
      const after = (await listSpaces(store, platform.id)).items
      expect(after.map(({ id, name, archived, problem }) => ({ id, name, archived, problem }))).toEqual(
        before.map(({ id, name, archived, problem }) => ({ id, name, archived, problem })),
      )
    })

    it('of another platform stay as they are', async () => {
      const [one_, other] = [await makePlatform(store), await makePlatform(store)]
      await upsertSpaces(store, one_.id, [remoteSpace('a')])
      await upsertSpaces(store, other.id, [])
      expect((await listSpaces(store, one_.id)).items[0]?.archived).toBe(false)
    })

    it('are searched by name and owner without regard to capitals, and paged by name', async () => {
      const platform = await makePlatform(store)
      const names = Array.from({ length: 450 }, (_, index) => `Space ${String(index).padStart(3, '0')}`)
      await upsertSpaces(
        store,
        platform.id,
        names.map((name) => remoteSpace(name, { ownerEmail: `${name.slice(6)}@Owner.test` })),
      )
      expect((await listSpaces(store, platform.id, { search: 'SPACE 01', limit: 100 })).items).toHaveLength(10)
      expect((await listSpaces(store, platform.id, { search: '007@owner' })).items).toHaveLength(1)
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await listSpaces(store, platform.id, { limit: 200, cursor })
        seen.push(...page.items.map((item) => item.name))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(seen).toEqual(names)
      const ids = (await listSpaces(store, platform.id, { limit: 500 })).items.map((space) => space.id)
      expect(await getSpaces(store, ids)).toHaveLength(450)
    })

    it('with names longer than the column keep whole characters', async () => {
      const platform = await makePlatform(store)
      await upsertSpaces(store, platform.id, [remoteSpace('long', { name: '🚢'.repeat(300) })])
      expect((await listSpaces(store, platform.id)).items[0]?.name).toBe('🚢'.repeat(255))
    })
  })

  describe('instances', () => {
    it('keep headers sealed, and apart', async () => {
      const instance = await makeInstance(store, {
        headers: { Authorization: 'x' },
        defaultPassThrough: { 'X-User': 'ü' },
      })
      expect(instance).toMatchObject({
        hasHeaders: true,
        hasDefaultPassThrough: true,
        accessMode: 'token',
        lastProbe: null,
      })
      expect(await openHeaders(store, instance.id)).toEqual({ Authorization: 'x' })
      expect(await openDefaultPassThrough(store, instance.id)).toEqual({ 'X-User': 'ü' })
      const changed = await updateInstance(store, instance.id, 1, { headers: null })
      expect(changed).toMatchObject({ hasHeaders: false, hasDefaultPassThrough: true, rowVersion: 2 })
      expect(changed.revision).toBeGreaterThan(instance.revision)
    })

    it('keep the query of their URL sealed, and are read with it', async () => {
      const url = 'http://mcp.test/mcp?key=canary&of=%3F#part'
      const instance = await makeInstance(store, { url, headers: { a: '1' } })
      const row = () => store.db.mcpInstance.findUnique({ where: { id: instance.id } })
      const seen = async () => [
        (await getInstance(store, instance.id))?.url,
        (await openInstances(store, [instance.id])).get(instance.id)?.url,
        (await createGatewayView(store).loadAll()).instances.find(({ id }) => id === instance.id)?.url,
      ]
      expect(instance.url).toBe(url)
      expect(await seen()).toEqual([url, url, url])
      expect(JSON.stringify(await row())).not.toContain('canary')
      expect(await row()).toMatchObject({ url: 'http://mcp.test/mcp' })

      // The same one anew is no move, another key is one.
      await updateInstance(store, instance.id, null, { url })
      expect(await openHeaders(store, instance.id)).toEqual({ a: '1' })
      const other = url.replace('canary', 'canary-2')
      expect((await updateInstance(store, instance.id, null, { url: other })).url).toBe(other)
      expect(await openHeaders(store, instance.id)).toEqual({})
      expect(await seen()).toEqual([other, other, other])
      expect(JSON.stringify(await row())).not.toContain('canary')
      await updateInstance(store, instance.id, null, { url: 'http://mcp.test/other' })
      expect(await row()).toMatchObject({ url: 'http://mcp.test/other', sealedQuery: null })
    })

    it('that an earlier version wrote get their query sealed a day later, and nobody notices', async () => {
      const { id } = await makeInstance(store)
      const url = 'http://mcp.test/mcp?key=canary'
      await store.write((tx) => tx.mcpInstance.updateMany({ where: { id }, data: { url } }))
      const row = () => store.db.mcpInstance.findUnique({ where: { id } })
      const before = await row()
      expect((await getInstance(store, id))?.url).toBe(url)
      const hours = (count: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + count * 3_600_000)
      for (const count of [0, 1, 23]) expect(await sealOldQueries(store, hours(count))).toBe(0)
      expect(await row()).toEqual(before)
      for (const [count, sealed] of [
        [24, 1],
        [25, 0],
      ] as const)
        expect(await sealOldQueries(store, hours(count))).toBe(sealed)
      expect((await getInstance(store, id))?.url).toBe(url)
      const sealedQuery = expect.stringMatching(/^v1:/)
      expect(await row()).toEqual({ ...before, url: 'http://mcp.test/mcp', sealedQuery })
    })

    it('that point somewhere else lose the headers that are not given anew', async () => {
      const instance = await makeInstance(store, { headers: { a: '1' }, defaultPassThrough: { b: '2' } })
      await updateInstance(store, instance.id, null, { url: 'http://other.test/mcp', headers: { c: '3' } })
      expect(await openHeaders(store, instance.id)).toEqual({ c: '3' })
      expect(await openDefaultPassThrough(store, instance.id)).toEqual({})
    })

    it('read many at once are as they stand, however often they were read before', async () => {
      const [kept, changed, gone] = [await makeInstance(store), await makeInstance(store), await makeInstance(store)]
      const ids = [kept.id, changed.id, gone.id]
      expect([...(await openInstances(store, ids)).keys()].sort()).toEqual([...ids].sort())
      await updateInstance(store, changed.id, null, {
        name: unique('renamed'),
        headers: { key: 'a' },
        defaultPassThrough: { tenant: 'b' },
      })
      await deleteInstance(store, gone.id)
      const again = await openInstances(store, ids)
      expect([...again.keys()].sort()).toEqual([kept.id, changed.id].sort())
      const { name } = (await getInstance(store, changed.id)) ?? { name: '' }
      expect(again.get(changed.id)).toMatchObject({ name, own: { key: 'a' }, defaultPassThrough: { tenant: 'b' } })
      expect(again.get(kept.id)).toMatchObject({ own: {}, defaultPassThrough: {} })
    })

    it('are made all or none', async () => {
      const taken = await makeInstance(store)
      const fresh = unique('MCP')
      const input = { transport: 'sse' as const, url: 'http://mcp.test/sse' }
      const error = await createInstances(store, [
        { ...input, name: fresh },
        { ...input, name: taken.name },
      ]).catch((thrown: unknown) => thrown)
      expect(codeOf(error)).toBe('name_taken')
      expect((await listInstances(store, { search: fresh })).items).toHaveLength(0)
      expect(await createInstances(store, [{ ...input, name: fresh }])).toHaveLength(1)
    })

    it('a probe is no change of the admin', async () => {
      const instance = await makeInstance(store)
      const probe = {
        at: new Date().toISOString(),
        ok: true,
        error: null,
        serverName: 's',
        serverVersion: '1',
        protocolVersion: '2025-06-18',
        toolCount: 3,
      }
      await setLastProbe(store, instance.id, probe)
      expect(await getInstance(store, instance.id)).toMatchObject({
        lastProbe: probe,
        rowVersion: 1,
        revision: instance.revision,
      })
    })

    it('deleted are gone for all but the gateway, and their name is free', async () => {
      const { instances, bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      const instance = one(instances)
      const manual = await createManualToken(store, { instanceId: instance.id, name: 'me' })
      await deleteInstance(store, instance.id)
      expect(await getInstance(store, instance.id)).toBeNull()
      expect(await getBinding(store, one(bindings).id)).toBeNull()
      expect((await store.db.gatewayToken.findUnique({ where: { id: manual.id } }))?.state).toBe('revoked')
      await expect(deleteInstance(store, instance.id)).rejects.toBeInstanceOf(NotFoundError)
      await expect(updateInstance(store, instance.id, null, { name: 'x' })).rejects.toBeInstanceOf(NotFoundError)
      await makeInstance(store, { name: instance.name })
    })

    it('keep one snapshot of tools for each set of headers, and know the latest', async () => {
      const instance = await makeInstance(store)
      const tools = Array.from({ length: 300 }, (_, index) => ({
        name: `t${index}`,
        description: '😀'.repeat(200),
        inputSchema: { type: 'object' },
      }))
      const digest = store.digest('headers')
      const first = await saveToolSnapshot(store, { instanceId: instance.id, headerDigest: digest, tools })
      expect(first).toMatchObject({ toolCount: 300, tools })
      const second = await saveToolSnapshot(store, {
        instanceId: instance.id,
        headerDigest: digest,
        tools: tools.slice(1),
      })
      expect(second.id).toBe(first.id)
      expect(second.hash).not.toBe(first.hash)
      expect((await getToolSnapshot(store, instance.id, digest))?.toolCount).toBe(299)
      expect((await latestToolSnapshot(store, instance.id))?.id).toBe(first.id)
      expect(await getToolSnapshot(store, instance.id, store.digest('others'))).toBeNull()
    })
  })

  describe('bindings', () => {
    it('are made once for each cell, with an absent deployment', async () => {
      const { bindings, spaces, instances } = await makeWorld(store, { spaces: 3, instances: 2 })
      expect(bindings).toHaveLength(6)
      const cells = bindings.map(({ instanceId, spaceId }) => ({ instanceId, spaceId }))
      const again = await Promise.all([ensureBindings(store, cells), ensureBindings(store, [...cells].reverse())])
      for (const list of again)
        expect(list.map((each) => each.id).sort()).toEqual(bindings.map((each) => each.id).sort())
      expect(await getDeployment(store, at(bindings, 0).id)).toMatchObject({
        state: 'absent',
        identity: null,
        ownership: null,
      })
      await expect(
        ensureBindings(store, [{ instanceId: one(instances.slice(0, 1)).id, spaceId: newId() }]),
      ).rejects.toBeInstanceOf(NotFoundError)
      await expect(ensureBindings(store, [{ instanceId: newId(), spaceId: at(spaces, 0).id }])).rejects.toBeInstanceOf(
        NotFoundError,
      )
    })

    it('of many that make the same ones at once, none fails', async () => {
      const { platform, instances } = await makeWorld(store, { spaces: 0, instances: 2 })
      await upsertSpaces(
        store,
        platform.id,
        Array.from({ length: 30 }, (_, index) => remoteSpace(`s${index}`)),
      )
      const spaces = (await listSpaces(store, platform.id)).items
      const cells = instances.flatMap((instance) =>
        spaces.map((space) => ({ instanceId: instance.id, spaceId: space.id })),
      )
      const lists = await Promise.all(Array.from({ length: 4 }, () => ensureBindings(store, cells)))
      const ids = new Set(lists.flat().map((binding) => binding.id))
      expect(ids.size).toBe(60)
    })

    it('a change bumps row version and revision; a stale one changes nothing', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      const binding = one(bindings)
      const expiresAt = new Date('2030-01-02T03:04:05.678Z')
      const changed = await updateBinding(store, binding.id, 1, {
        expiresAt,
        toolAllowList: ['echo'],
        tags: ['a', 'b'],
        passThroughHeaders: { x: 'y' },
      })
      expect(changed).toMatchObject({
        expiresAt,
        toolAllowList: ['echo'],
        tags: ['a', 'b'],
        hasOwnPassThrough: true,
        rowVersion: 2,
      })
      expect(changed.revision).toBe(await currentRevision(store.db))
      await expect(updateBinding(store, binding.id, 1, { enabled: false })).rejects.toBeInstanceOf(StaleWriteError)
      expect(await getBinding(store, binding.id)).toEqual(changed)
      await expect(updateBinding(store, newId(), 1, {})).rejects.toBeInstanceOf(NotFoundError)
    })

    it('of two changes on the same version one wins', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      const { id } = one(bindings)
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, (_, index) => updateBinding(store, id, 1, { tags: [String(index)] })),
      )
      expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1)
      expect((await getBinding(store, id))?.rowVersion).toBe(2)
    })

    it('a batch is all or nothing', async () => {
      const { bindings } = await makeWorld(store, { spaces: 3, instances: 1 })
      const changes = bindings.map((binding) => ({ id: binding.id, rowVersion: 1, patch: { enabled: false } }))
      await updateBinding(store, at(bindings, 2).id, 1, { tags: ['x'] })
      await expect(updateBindings(store, changes)).rejects.toBeInstanceOf(StaleWriteError)
      expect((await getBinding(store, at(bindings, 0).id))?.enabled).toBe(true)
      at(changes, 2).rowVersion = 2
      expect((await updateBindings(store, changes)).map((binding) => binding.enabled)).toEqual([false, false, false])
    })

    it('are switched by space, and only those that change are told', async () => {
      const { bindings, spaces, instances } = await makeWorld(store, { spaces: 2, instances: 3 })
      const spaceId = at(spaces, 0).id
      const chosen = instances.slice(0, 2).map((instance) => instance.id)
      const off = await setBindingsEnabled(store, { spaceId, instanceIds: chosen }, false)
      expect(off.bindingIds).toHaveLength(2)
      expect(off.revision).toBe(await currentRevision(store.db))
      const all = await setBindingsEnabled(store, { spaceId }, false)
      expect(all.bindingIds).toHaveLength(1)
      expect((await setBindingsEnabled(store, { spaceId }, false)).bindingIds).toEqual([])
      const states = await Promise.all(bindings.map((binding) => getBinding(store, binding.id)))
      for (const binding of states) expect(binding?.enabled).toBe(binding?.spaceId !== spaceId)
      const on = await setBindingsEnabled(store, { bindingIds: off.bindingIds }, true)
      expect(on.bindingIds.sort()).toEqual(off.bindingIds.sort())
    })

    it('have headers of their own, none at all, or inherit', async () => {
      const { bindings, instances } = await makeWorld(store, { spaces: 3, instances: 1 })
      await updateInstance(store, one(instances).id, null, { defaultPassThrough: { inherited: 'yes' } })
      const [own, none, heir] = [at(bindings, 0).id, at(bindings, 1).id, at(bindings, 2).id]
      await updateBinding(store, own, null, { passThroughHeaders: { own: 'yes' } })
      await updateBinding(store, none, null, { passThroughHeaders: {} })
      expect(Object.fromEntries(await effectivePassThrough(store, [own, none, heir]))).toEqual({
        [own]: { own: 'yes' },
        [none]: {},
        [heir]: { inherited: 'yes' },
      })
      await updateBinding(store, own, null, { passThroughHeaders: null })
      expect(await openPassThrough(store, own)).toBeNull()
    })

    it('are listed with names and states, and filtered', async () => {
      const { platform, bindings, spaces, instances } = await makeWorld(store, { spaces: 3, instances: 2 })
      const drifted = at(bindings, 1)
      await mintTokenFor(store, drifted.id)
      await recordDrift(store, [{ seen: await seenOf(store, drifted.id), fields: ['tools', 'url'] }])
      const all = await listBindings(store, { platformId: platform.id })
      expect(all.items).toHaveLength(6)
      const shown = one((await listBindings(store, { platformId: platform.id, drift: true })).items)
      expect(shown).toMatchObject({
        id: drifted.id,
        platform: { id: platform.id, name: platform.name, kind: 'dify' },
        space: { id: drifted.spaceId },
        instance: { id: drifted.instanceId },
        deployment: { state: 'drifted', driftFields: ['tools', 'url'] },
        token: { origin: 'minted', state: 'active' },
      })
      expect(JSON.stringify(shown)).not.toMatch(/sealed|secret/)
      expect((await listBindings(store, { platformId: platform.id, state: 'absent' })).items).toHaveLength(5)
      expect((await listBindings(store, { instanceId: at(instances, 0).id })).items).toHaveLength(3)
      expect(
        (await listBindings(store, { spaceId: at(spaces, 0).id, instanceId: at(instances, 0).id })).items,
      ).toHaveLength(1)
      const first = await listBindings(store, { platformId: platform.id, limit: 4 })
      const rest = await listBindings(store, {
        platformId: platform.id,
        limit: 4,
        cursor: first.nextCursor ?? undefined,
      })
      expect([...first.items, ...rest.items].map((item) => item.id)).toEqual(all.items.map((item) => item.id))
      expect(rest.nextCursor).toBeNull()
    })
  })

  describe('tokens', () => {
    it('two runs that mint for the same bindings at once get the same tokens, one active each', async () => {
      const { bindings } = await makeWorld(store, { spaces: 3, instances: 2 })
      const ids = bindings.map(({ id }) => id)
      const rounds = await Promise.all([1, 2, 3, 4].map(() => mintTokensFor(store, ids)))
      const secrets = (tokens: Awaited<ReturnType<typeof mintTokensFor>>) => ids.map((id) => tokens.get(id)?.secret)
      for (const tokens of rounds) expect(secrets(tokens)).toEqual(secrets(at(rounds, 0)))
      for (const id of ids) {
        expect((await listTokensOfBinding(store, id)).map(({ state }) => state)).toEqual(['active'])
      }
    })

    it('a minted one is found by its hash only, opens, and retires the one before', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      const { id } = one(bindings)
      const first = await mintTokenFor(store, id, { expiresAt: new Date('2031-01-01') })
      expect(await openToken(store, first.id)).toBe(first.secret)
      expect(
        (await store.db.gatewayToken.findUnique({ where: { lookupHash: store.tokenHash(first.secret) } }))?.id,
      ).toBe(first.id)
      const second = await mintTokenFor(store, id)
      expect((await openActiveTokens(store, [id])).get(id)).toEqual(second)
      expect((await listTokensOfBinding(store, id)).map((token) => token.state).sort()).toEqual(['active', 'retiring'])
      await revokeTokens(store, [first.id])
      expect((await listTokensOfBinding(store, id)).find((token) => token.id === first.id)).toMatchObject({
        state: 'revoked',
        revokedAt: expect.any(Date),
      })
      await revokeTokens(store, [first.id, second.id])
      expect(await activeToken(store, id)).toBeNull()
      await expect(mintTokenFor(store, newId())).rejects.toBeInstanceOf(NotFoundError)
    })

    it('a custom one belongs to one binding', async () => {
      const { bindings, instances } = await makeWorld(store, { spaces: 2, instances: 1 })
      const [a, b] = [at(bindings, 0).id, at(bindings, 1).id]
      const given = `Bearer ${unique('my own secret')}`
      const token = await setCustomToken(store, a, given)
      expect(token).toMatchObject({ origin: 'custom', secret: given.slice(7) })
      // The same again is the same, with its new expiry.
      const again = await setCustomToken(store, a, given.slice(7), { expiresAt: new Date('2032-01-01') })
      expect(again).toMatchObject({ id: token.id, expiresAt: new Date('2032-01-01') })
      await expect(setCustomToken(store, b, given)).rejects.toBeInstanceOf(TokenInUseError)
      await expect(
        createManualToken(store, { instanceId: one(instances).id, name: 'x', token: given }),
      ).rejects.toBeInstanceOf(TokenInUseError)
      // Also when it is no longer in use there: somebody has it.
      await mintTokenFor(store, a)
      await revokeTokens(store, [token.id])
      await expect(setCustomToken(store, b, given)).rejects.toMatchObject({ code: 'token_in_use', field: 'token' })
      const back = await setCustomToken(store, a, given)
      expect(back).toMatchObject({ id: token.id, state: 'active', revokedAt: null })
      expect(await activeToken(store, a)).toMatchObject({ id: token.id })
    })

    it('a weak one is refused with the reason and changes nothing', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      await expect(setCustomToken(store, one(bindings).id, 'aaaaaaaaaaaaaaaaaaaaaaa')).rejects.toMatchObject({
        type: 'InvalidDesiredState',
        field: 'token',
        message: expect.stringContaining('one character repeated'),
      })
      expect(await listTokensOfBinding(store, one(bindings).id)).toEqual([])
    })

    it('of two bindings that want the same one at once, one gets it', async () => {
      const { bindings } = await makeWorld(store, { spaces: 6, instances: 1 })
      const secret = mintToken('tfg')
      const results = await Promise.allSettled(bindings.map((binding) => setCustomToken(store, binding.id, secret)))
      const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
      expect(errors).toHaveLength(5)
      for (const error of errors) expect(error).toBeInstanceOf(TokenInUseError)
    })

    it('being proven and being used is noted, and is no news for the gateway', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      const token = await mintTokenFor(store, one(bindings).id)
      const late = new Date('2026-06-01T00:00:02Z')
      await markTokensProven(store, [token.id])
      await touchTokens(store, [{ tokenId: token.id, at: late }])
      await touchTokens(store, [{ tokenId: token.id, at: new Date('2026-06-01T00:00:01Z') }])
      expect(await activeToken(store, one(bindings).id)).toMatchObject({
        lastUsedAt: late,
        provenAt: expect.any(Date),
        revision: token.revision,
      })
    })

    it('manual ones are listed until deleted', async () => {
      const instance = await makeInstance(store)
      const a = await createManualToken(store, { instanceId: instance.id, name: 'a', headers: { 'X-Me': '1' } })
      const b = await createManualToken(store, { instanceId: instance.id, name: 'b', token: unique('given by hand') })
      expect(new Set((await listManualTokens(store, instance.id)).items.map((token) => token.id))).toEqual(
        new Set([a.id, b.id]),
      )
      await deleteManualToken(store, instance.id, a.id)
      expect(one((await listManualTokens(store, instance.id)).items)).toMatchObject({
        id: b.id,
        name: 'b',
        hasHeaders: false,
      })
      await expect(deleteManualToken(store, instance.id, a.id)).rejects.toBeInstanceOf(NotFoundError)
      await expect(createManualToken(store, { instanceId: newId(), name: 'x' })).rejects.toBeInstanceOf(NotFoundError)
    })

    it('of two calls with one idempotency key at once, one manual token is made', async () => {
      const instance = await makeInstance(store)
      const idempotency = { apiKeyId: newId(), key: 'k', requestHash: 'h'.repeat(64) }
      const input = { instanceId: instance.id, name: 'once' }
      const made = await Promise.all(Array.from({ length: 5 }, () => createManualToken(store, input, idempotency)))
      expect(new Set(made.map(({ id, secret }) => `${id} ${secret}`)).size).toBe(1)
      expect((await listManualTokens(store, instance.id)).items).toHaveLength(1)
      // The same key of another caller is another key.
      await createManualToken(store, input, { ...idempotency, apiKeyId: newId() })
      expect((await listManualTokens(store, instance.id)).items).toHaveLength(2)
    })
  })

  describe('deployments', () => {
    it('walk from intent to removal, and keep the identity', async () => {
      const { bindings, platform } = await makeWorld(store, { spaces: 2, instances: 1 })
      const { id } = at(bindings, 0)
      const syncId = newId()
      const identity = { id: newId(), key: 'my-server' }
      const digests = { desired: { url: 'd' }, written: { url: 'w' } }
      await recordIntent(store, id, { syncId, identity })
      expect(await getDeployment(store, id)).toMatchObject({
        state: 'pending',
        identity,
        ownership: 'created',
        lastSyncId: syncId,
      })
      await saveCheckpoint(store, id, { step: 'uploaded', data: { part: 1 } })
      expect((await getDeployment(store, id))?.checkpoint).toEqual({ step: 'uploaded', data: { part: 1 } })
      await recordApplied(store, id, { syncId, identity, digests, applied: { name: 'x' } })
      expect(await getDeployment(store, id)).toMatchObject({
        state: 'pending',
        digests,
        applied: { name: 'x' },
        checkpoint: null,
        appliedAt: expect.any(Date),
      })
      await recordVerified(store, [await seenOf(store, id)], syncId)
      expect(await getDeployment(store, id)).toMatchObject({ state: 'in_sync', verifiedAt: expect.any(Date) })
      await recordDrift(store, [{ seen: await seenOf(store, id), fields: ['url'] }])
      const first = await getDeployment(store, id)
      await recordDrift(store, [{ seen: await seenOf(store, id), fields: ['url', 'name'] }])
      expect(await getDeployment(store, id)).toMatchObject({
        state: 'drifted',
        driftFields: ['url', 'name'],
        driftSince: first?.driftSince,
      })
      await recordFailure(store, id, { type: 'Timeout', message: 'took too long', syncId })
      expect(await countDeployments(store, { platformId: platform.id })).toMatchObject({
        failed: 1,
        absent: 1,
        total: 2,
        in_sync: 0,
      })
      await markGone(store, id, syncId)
      expect(await getDeployment(store, id)).toMatchObject({
        state: 'removed',
        identity,
        ownership: null,
        digests: null,
        lastErrorType: null,
      })
      await expect(recordFailure(store, newId(), { type: 'Bug', message: '', syncId: null })).rejects.toBeInstanceOf(
        NotFoundError,
      )
    })

    it('what a look found is recorded only over what stood before it', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 2 })
      const [moved, still] = [at(bindings, 0).id, at(bindings, 1).id]
      const seen = [await seenOf(store, moved), await seenOf(store, still)]
      await expect.poll(() => Date.now()).toBeGreaterThan(at(seen, 0).updatedAt.getTime())
      await recordIntent(store, moved, { syncId: newId(), identity: { id: 'remote', key: 'k' } })
      expect(await stillAsSeen(store, seen)).toEqual(new Set([still]))
      const drifts = seen.map((one) => ({ seen: one, fields: ['url'] }))
      expect(await recordDrift(store, drifts)).toEqual(new Set([still]))
      await recordVerified(store, [at(seen, 0), await seenOf(store, still)], null)
      expect(await getDeployment(store, moved)).toMatchObject({ state: 'pending', verifiedAt: null, driftSince: null })
      expect(await getDeployment(store, still)).toMatchObject({ state: 'in_sync', driftSince: null })
    })

    it('an adopted object stays adopted', async () => {
      const { bindings } = await makeWorld(store, { spaces: 1, instances: 1 })
      const { id } = one(bindings)
      const identity = { id: 'remote', key: null }
      await recordIntent(store, id, { syncId: newId(), identity, ownership: 'adopted' })
      await recordApplied(store, id, { syncId: newId(), identity, digests: { desired: {}, written: {} }, applied: {} })
      expect((await getDeployment(store, id))?.ownership).toBe('adopted')
    })
  })

  it('profiles are made, changed with their row version, and deleted', async () => {
    const platform = await makePlatform(store)
    const selection = { instanceIds: [newId()], spaceIds: 'all' as const }
    const profile = await createProfile(store, {
      platformId: platform.id,
      name: unique('nightly'),
      selection,
      schedule: { action: 'sync', cron: '0 3 * * *', timezone: 'Asia/Shanghai', jitterMs: 0 },
    })
    expect(await getProfile(store, profile.id)).toEqual(profile)
    expect(await updateProfile(store, profile.id, 1, { paused: true, driftPolicy: 'heal' })).toMatchObject({
      paused: true,
      driftPolicy: 'heal',
      rowVersion: 2,
      selection,
    })
    await expect(updateProfile(store, profile.id, 1, { paused: false })).rejects.toBeInstanceOf(StaleWriteError)
    const same = await createProfile(store, { platformId: platform.id, name: profile.name, selection }).catch(
      (error: unknown) => error,
    )
    expect(codeOf(same)).toBe('name_taken')
    await deleteProfile(store, profile.id)
    expect(await getProfile(store, profile.id)).toBeNull()
  })

  it('a platform that is created without a credential has none', async () => {
    const platform = await createPlatform(store, {
      kind: 'coze',
      name: unique('COZE'),
      remoteKey: newId().repeat(2).slice(0, 64),
      settings: {},
    })
    expect(platform).toMatchObject({ hasCredential: false, credentialState: 'none', credentialVersion: 0 })
    expect(await setCredentialState(store, platform.id, 'valid', 0)).toBe(false)
  })
})
