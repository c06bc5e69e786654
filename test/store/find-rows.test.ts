import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setBindingsEnabled } from '../../src/store/bindings.ts'
import { saveToolSnapshot } from '../../src/store/instances.ts'
import { setCredential } from '../../src/store/platforms.ts'
import { createTargets } from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import { mintTokensFor } from '../../src/store/tokens.ts'
import { at, makeWorld, type World } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

describe.each(ENGINES)('rows found on %s', (engine) => {
  let test: TestStore
  let world: World
  let syncId: string
  beforeAll(async () => {
    test = await openTestStore(engine)
    const { store } = test
    world = await makeWorld(store, { spaces: 2, instances: 2 })
    const { platform, instances, bindings } = world
    const bindingIds = bindings.map(({ id }) => id)
    await mintTokensFor(store, bindingIds)
    await setBindingsEnabled(store, { bindingIds: bindingIds.slice(0, 1) }, false)
    await setCredential(store, platform.id, {
      credential: { password: 'p' },
      expiresAt: new Date('2033-03-03T03:03:03.333Z'),
    })
    await saveToolSnapshot(store, { instanceId: at(instances, 0).id, headerDigest: 'd', tools: [] })
    const selection = { instanceIds: instances.map(({ id }) => id), spaceIds: 'all' as const }
    const { sync } = await createSync(store, { platformId: platform.id, name: 'a run', selection, requestedBy: 'test' })
    syncId = sync.id
    const cells = bindings.map(({ id, spaceId, instanceId }, index) => ({
      spaceId,
      instanceId,
      bindingId: id,
      removes: index === 0,
    }))
    await createTargets(store, syncId, cells)
  })
  afterAll(() => test.close())

  it('are those that Prisma reads: texts, numbers, times, booleans, nulls', async () => {
    const { db } = test.store
    const { findRows } = db
    const { platform, spaces, instances, bindings } = world
    const [id, ids] = [platform.id, { in: bindings.map((binding) => binding.id) }]
    const instanceIds = instances.map((instance) => instance.id)
    const found = {
      platform: await findRows('Platform', { id }),
      space: await findRows('Space', { id: at(spaces, 0).id }),
      instance: await findRows('McpInstance', { id: instanceIds }, { orderBy: 'id' }),
      snapshot: await findRows('ToolSnapshot', { instanceId: instanceIds, headerDigest: ['d'] }),
      binding: await findRows('Binding', { id: ids.in }, { orderBy: 'id' }),
      deployment: await findRows('Deployment', { bindingId: ids.in }, { orderBy: 'bindingId' }),
      token: await findRows('GatewayToken', { bindingId: ids.in, state: 'active' }, { orderBy: 'id' }),
      sync: await findRows('Sync', { id: syncId }),
      target: await findRows('SyncTarget', { syncId, removes: false }, { orderBy: 'id' }),
    }
    expect(found).toEqual({
      platform: await db.platform.findMany({ where: { id } }),
      space: await db.space.findMany({ where: { id: at(spaces, 0).id } }),
      instance: await db.mcpInstance.findMany({ where: { id: { in: instanceIds } }, orderBy: { id: 'asc' } }),
      snapshot: await db.toolSnapshot.findMany({ where: { instanceId: { in: instanceIds } } }),
      binding: await db.binding.findMany({ where: { id: ids }, orderBy: { id: 'asc' } }),
      deployment: await db.deployment.findMany({ where: { bindingId: ids }, orderBy: { bindingId: 'asc' } }),
      token: await db.gatewayToken.findMany({ where: { bindingId: ids, state: 'active' }, orderBy: { id: 'asc' } }),
      sync: await db.sync.findMany({ where: { id: syncId } }),
      target: await db.syncTarget.findMany({ where: { syncId, removes: false }, orderBy: { id: 'asc' } }),
    })
    const counts = Object.fromEntries(Object.entries(found).map(([name, rows]) => [name, rows.length]))
    expect(counts).toEqual({
      platform: 1,
      space: 1,
      instance: 2,
      snapshot: 1,
      binding: 4,
      deployment: 4,
      token: 4,
      sync: 1,
      target: 3,
    })
    expect(at(found.binding, 0).createdAt).toBeInstanceOf(Date)
    expect(found.binding.map(({ enabled }) => enabled)).toEqual([false, true, true, true])
  })

  it('have the columns asked for only, and there are none of an empty list', async () => {
    const [row] = await test.store.db.findRows(
      'Platform',
      { id: world.platform.id },
      { columns: ['id', 'credentialExpiresAt'] },
    )
    expect(row).toEqual({ id: world.platform.id, credentialExpiresAt: new Date('2033-03-03T03:03:03.333Z') })
    expect(await test.store.db.findRows('Binding', { id: [] })).toEqual([])
    expect(await test.store.db.findRows('Binding', { id: ['nobody'] })).toEqual([])
  })
})
