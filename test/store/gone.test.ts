import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { getDeployment, recordFailure, recordIntent, recordVerified } from '../../src/store/deployments.ts'
import { landRemoval, recordGone } from '../../src/store/gone.ts'
import { acquireLease } from '../../src/store/leases.ts'
import type { Store } from '../../src/store/store.ts'
import { listSyncEvents } from '../../src/store/sync-events.ts'
import { createTargets, getTarget, listTargetsForSpace, type TargetRecord } from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import { beginTargetWrite } from '../../src/store/target-writes.ts'
import { listTokensOfBinding, mintTokensFor } from '../../src/store/tokens.ts'
import { at, makeWorld, one, seenOf } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

/** What is recorded of an object that stands on its platform no more, and what others do meanwhile. */
describe.each(ENGINES)('an object that is gone, on %s', (engine) => {
  let opened: TestStore
  let store: Store
  beforeAll(async () => {
    opened = await openTestStore(engine)
    store = opened.store
  })
  afterAll(() => opened.close())

  type Cell = { target: TargetRecord; bindingId: string; tokenId: string; epoch: number }

  /** Deployed cells, one a space, each with a token and a target of one run, under the lease of its space. */
  async function deployed(spaces: number): Promise<Cell[]> {
    const world = await makeWorld(store, { spaces, instances: 1 })
    const instanceId = one(world.instances).id
    const { sync } = await createSync(store, {
      platformId: world.platform.id,
      name: 'run',
      selection: { instanceIds: [instanceId], spaceIds: 'all' },
      requestedBy: 'test',
    })
    const bindingIds = world.bindings.map(({ id }) => id)
    const tokens = await mintTokensFor(store, bindingIds)
    await createTargets(
      store,
      sync.id,
      world.bindings.map(({ id, spaceId }) => ({ bindingId: id, instanceId, spaceId })),
    )
    for (const id of bindingIds) await recordIntent(store, id, { syncId: sync.id, identity })
    await recordVerified(store, await Promise.all(bindingIds.map((id) => seenOf(store, id))), null)
    const cells: Cell[] = []
    for (const { id, spaceId } of world.bindings) {
      const target = one(await listTargetsForSpace(store, sync.id, spaceId))
      const epoch = (await acquireLease(store, spaceId, 'us', 600_000)) ?? 0
      cells.push({ target, bindingId: id, tokenId: tokens.get(id)?.id ?? '', epoch })
    }
    return cells
  }

  const identity = { id: newId(), key: 'k' }
  const asOf = async (bindingId: string) => {
    const deployment = await getDeployment(store, bindingId)
    if (deployment === null) throw new Error('it is not there')
    return deployment
  }
  const begin = ({ target, bindingId, tokenId, epoch }: Cell) =>
    beginTargetWrite(store, target, epoch, { bindingId, tokenId, identity, mayUse: () => true })
  const stateOf = async ({ bindingId }: Cell) => {
    const [deployment, tokens] = [await asOf(bindingId), await listTokensOfBinding(store, bindingId)]
    return [deployment.state, deployment.ownership, ...tokens.map(({ state }) => state)]
  }

  it('ends with its tokens, and keeps its identity for a return', async () => {
    const cell = at(await deployed(1), 0)
    expect(await recordGone(store, cell.bindingId, null, await asOf(cell.bindingId))).toBe(true)
    expect(await stateOf(cell)).toEqual(['removed', null, 'revoked'])
    expect(await asOf(cell.bindingId)).toMatchObject({ identity })
  })

  it('is left alone when somebody has begun to make it again since the look, or has found out more', async () => {
    const [first, second] = await deployed(2)
    if (first === undefined || second === undefined) throw new Error('two were wanted')
    const [seen, other] = [await asOf(first.bindingId), await asOf(second.bindingId)]
    expect(await begin(first)).toBe('begun')
    await recordFailure(store, second.bindingId, { type: 'Unavailable', message: 'It is away.', syncId: null })
    expect(await recordGone(store, first.bindingId, null, seen)).toBe(false)
    expect(await recordGone(store, second.bindingId, null, other)).toBe(false)
    expect(await stateOf(first)).toEqual(['pending', 'created', 'active'])
    expect(await stateOf(second)).toEqual(['failed', 'created', 'active'])
    for (const { bindingId } of [first, second]) {
      expect(await recordGone(store, bindingId, null, await asOf(bindingId))).toBe(true)
    }
  })

  it('whoever comes first, of a write that begins and a look that ends it, the other one sees it', async () => {
    const cells = await deployed(25)
    const seen = new Map<string, Awaited<ReturnType<typeof asOf>>>()
    for (const { bindingId } of cells) seen.set(bindingId, await asOf(bindingId))
    const look = ({ bindingId }: Cell) => {
      const before = seen.get(bindingId)
      if (before === undefined) throw new Error('it was not looked at')
      return recordGone(store, bindingId, null, before)
    }
    const both = await Promise.all(
      cells.map(async (cell, index) => {
        if (index % 2 === 0) return await Promise.all([begin(cell), look(cell)])
        const [gone, begun] = await Promise.all([look(cell), begin(cell)])
        return [begun, gone] as const
      }),
    )
    for (const [index, [begun, gone]] of both.entries()) {
      const states = await stateOf(at(cells, index))
      if (gone) expect([begun, ...states]).toEqual(['replaced', 'removed', null, 'revoked'])
      else expect([begun, ...states]).toEqual(['begun', 'pending', 'created', 'active'])
    }
  })

  it('was removed by us: recorded with the target’s end, and not over what another holder has made since', async () => {
    const [mine, overtaken] = await deployed(2)
    if (mine === undefined || overtaken === undefined) throw new Error('two were wanted')
    const end = { state: 'succeeded' as const, note: null }
    await landRemoval(store, mine.target, mine.epoch, mine.bindingId, end)
    expect(await stateOf(mine)).toEqual(['removed', null, 'revoked'])
    expect(await getTarget(store, mine.target.id)).toMatchObject({ state: 'succeeded' })
    const told = (await listSyncEvents(store, mine.target.syncId, 0)).map(({ data }) => data)
    expect(told).toMatchObject([{ targetId: mine.target.id, state: 'succeeded' }])

    const later = new Date(Date.now() + 700_000)
    expect(await acquireLease(store, overtaken.target.spaceId, 'another', 60_000, later)).toBe(2)
    const late = landRemoval(store, overtaken.target, overtaken.epoch, overtaken.bindingId, end)
    await expect(late).rejects.toMatchObject({ type: 'SpaceBusy' })
    expect(await stateOf(overtaken)).toEqual(['in_sync', 'created', 'active'])
    expect(await getTarget(store, overtaken.target.id)).toMatchObject({ state: 'pending' })
  })
})
