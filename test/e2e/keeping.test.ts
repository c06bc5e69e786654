import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addCoze, addDify, ended, type KeptPlatform, run } from '../support/kept-platforms.ts'
import type { Product, TargetBody } from '../support/product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { SHAPES } from '../support/shapes.ts'

/** Mirror, adoption and a moved gateway over HTTP, on every kind of platform. */

type Adoption = {
  adopted: boolean
  object: { remoteId: string; name: string }
  changes: { field: string; before: string | null; after: string | null; secret: boolean }[]
  binding: { deployment: { state: string; remoteId: string; driftFields: string[] } }
}
type Conflicted = TargetBody & { conflict: { remoteId: string; name: string; because: string } | null }

type Add = (product: Product) => Promise<KeptPlatform>
const DIFYS: Add[] = [(product) => addDify(product, 'postgresql'), (product) => addDify(product, 'mysql')]
const [ONE_PROCESS, SEVERAL_PROCESSES] = SHAPES

describe.each([
  [...ONE_PROCESS, [...DIFYS, addCoze] as Add[]] as const,
  // COZE's two calls a second make this long; what is shared there by several workers is in rotation, removal and coze.
  [...SEVERAL_PROCESSES, DIFYS] as const,
])('%s', (_shape, start, kinds) => {
  let product: Product
  let server: ScriptedServer
  const platforms: KeptPlatform[] = []

  beforeAll(async () => {
    ;[server, product] = await Promise.all([startScriptedServer({ tools: manyTools(3) }), start()])
    for (const add of kinds) platforms.push(await add(product))
  })
  afterAll(async () => {
    await product?.stop()
    await Promise.all(platforms.map((platform) => platform.stop()))
    await server?.stop()
  })

  async function newInstance(name: string): Promise<string> {
    const body = { name, transport: 'streamable-http', url: server.url }
    return (await product.must<{ id: string }>(201, 'POST', '/instances', body)).id
  }

  const short = (targets: TargetBody[]) => targets.map(({ action, state }) => `${action} ${state}`).sort()
  const namesOf = async (platform: KeptPlatform, space: 0 | 1) =>
    (await platform.objects(space)).map(({ name }) => name)

  describe.each(kinds.map((_, index) => index))('platform %i', (index) => {
    let platform: KeptPlatform
    const ids: Record<string, string> = {}

    beforeAll(async () => {
      platform = platforms[index] as KeptPlatform
      for (const name of ['One', 'Two', 'Three']) ids[name] = await newInstance(`${name} ${index}`)
    }, 240_000)

    const selection = (names: string[]) => ({
      platformId: platform.id,
      instanceIds: names.map((name) => ids[name]),
      spaceIds: platform.spaceIds,
    })

    describe('mirror', () => {
      let foreign = ''

      it('removes what the selection no longer holds, and nothing of others', async () => {
        expect((await run(product, selection(['One', 'Two', 'Three']))).run.state).toBe('succeeded')
        foreign = await platform.addForeign(0, { name: 'By hand', url: 'https://by-hand.example.com/mcp' })
        const plan = await run(product, { ...selection(['One', 'Two']), writePolicy: 'mirror', dryRun: true })
        expect([plan.run.state, plan.run.warnings.join().includes('confirmPrune')]).toEqual(['planned', false])
        expect(short(plan.targets)).toEqual([
          'remove pending',
          'remove pending',
          ...Array.from({ length: 4 }, () => 'unchanged unchanged'),
        ])
        const applied = await product.must<{ id: string }>(202, 'POST', `/syncs/${plan.run.id}/apply`)
        const { run: mirrored, targets } = await ended(product, applied.id)
        expect(mirrored).toMatchObject({ state: 'succeeded', counts: { succeeded: 2, unchanged: 4 } })
        expect(short(targets).slice(0, 2)).toEqual(['remove succeeded', 'remove succeeded'])
        expect(await namesOf(platform, 0)).toEqual(['By hand', `One ${index}`, `Two ${index}`])
        expect(await namesOf(platform, 1)).toEqual([`One ${index}`, `Two ${index}`])
        const writes = await platform.writes()
        const again = await run(product, { ...selection(['One', 'Two']), writePolicy: 'mirror' })
        expect(again.run.counts).toMatchObject({ total: 4, unchanged: 4 })
        expect(await platform.writes()).toEqual(writes)
      }, 240_000)

      it('stops before it takes most of it away, until that is confirmed', async () => {
        await run(product, selection(['Three']))
        const writes = await platform.writes()
        const body = { ...selection(['Three']), writePolicy: 'mirror', acceptWarnings: true }
        const refused = await product.call('POST', '/syncs', body)
        expect([refused.status, refused.body.code]).toEqual([409, 'prune_not_confirmed'])
        const plan = await run(product, { ...body, dryRun: true })
        expect(plan.run.warnings.join()).toContain('does not hold 4 of the 6 deployments')
        const unconfirmed = await product.call('POST', `/syncs/${plan.run.id}/apply`)
        expect([unconfirmed.status, unconfirmed.body.code]).toEqual([409, 'prune_not_confirmed'])

        // A profile's run has nobody to ask: it reports, and brings what it can bring.
        const profile = await product.must<{ id: string }>(201, 'POST', '/profiles', {
          platformId: platform.id,
          name: `Mirror ${index}`,
          selection: { instanceIds: [ids.Three], spaceIds: platform.spaceIds },
          writePolicy: 'mirror',
          acceptWarnings: true,
        })
        const triggered = await product.must<{ id: string }>(202, 'POST', `/profiles/${profile.id}/trigger`, {})
        const reported = await ended(product, triggered.id)
        expect(reported.run).toMatchObject({ state: 'succeeded', counts: { unchanged: 2 } })
        expect(reported.run.warnings.join()).toContain('Nothing of it was removed')
        expect(await platform.writes()).toEqual(writes)

        const confirmed = await product.must<{ id: string }>(202, 'POST', `/profiles/${profile.id}/trigger`, {
          confirmPrune: true,
        })
        expect((await ended(product, confirmed.id)).run).toMatchObject({ state: 'succeeded', counts: { succeeded: 4 } })
        expect(await namesOf(platform, 0)).toEqual(['By hand', `Three ${index}`])
        await product.must(204, 'DELETE', `/profiles/${profile.id}`)
      }, 240_000)

      it('what it took away comes back when it is selected again', async () => {
        expect(short((await run(product, selection(['One', 'Three']))).targets)).toEqual([
          'create succeeded',
          'create succeeded',
          'unchanged unchanged',
          'unchanged unchanged',
        ])
        expect((await platform.objects(0)).map(({ id }) => id)).toContain(foreign)
      }, 240_000)
    })

    describe('adoption', () => {
      it('of an object that the store lost: shown field by field first, then ours, then as desired, and still one', async () => {
        const own = (await platform.objects(0)).find(({ name }) => name === `One ${index}`)
        const url = own?.url ?? ''
        await run(product, { ...selection(['Two']), action: 'remove' })
        const byHand = await platform.addForeign(1, {
          name: `Two ${index}`,
          url: url.replace(ids.One ?? '', ids.Two ?? ''),
        })
        const refused = await run(product, { ...selection(['Two']), spaceIds: [platform.spaceIds[1]] })
        const [target] = refused.targets as Conflicted[]
        expect(target).toMatchObject({
          state: 'conflict',
          conflict: { remoteId: byHand, name: `Two ${index}`, because: 'url' },
          error: { message: expect.stringContaining('adopt it') },
        })
        const writes = await platform.writes()
        const path = `/bindings/${target?.bindingId}/adopt`
        const preview = await product.must<Adoption>(200, 'POST', path, { dryRun: true })
        expect(preview).toMatchObject({ adopted: false, object: { remoteId: byHand } })
        expect(preview.changes.map(({ field }) => field)).toContain('authorization')
        expect(preview.changes.find(({ field }) => field === 'authorization')).toMatchObject({
          after: null,
          secret: true,
        })
        expect(preview.binding.deployment.state).toBe('conflict')

        const adopted = await product.must<Adoption>(200, 'POST', path, {})
        expect(adopted).toMatchObject({
          adopted: true,
          changes: preview.changes,
          binding: { deployment: { state: 'drifted', remoteId: byHand } },
        })
        expect(await platform.writes()).toEqual(writes)
        const synced = await run(product, { ...selection(['Two']), spaceIds: [platform.spaceIds[1]] })
        expect(short(synced.targets)).toEqual(['update succeeded'])
        const now = (await platform.objects(1)).filter(({ name }) => name === `Two ${index}`)
        expect(now).toMatchObject([{ id: byHand, authorization: expect.stringMatching(/^Bearer tfg_/) }])
        expect(
          short((await run(product, { ...selection(['Two']), spaceIds: [platform.spaceIds[1]] })).targets),
        ).toEqual(['unchanged unchanged'])
        // And removed like any other of ours.
        await run(product, { ...selection(['Two']), action: 'remove' })
        expect((await platform.objects(1)).map(({ id }) => id)).not.toContain(byHand)
      }, 240_000)

      it('of one that somebody made by hand for the MCP server itself; never of one that is ours, or not there', async () => {
        const byHand = await platform.addForeign(0, { name: `Two ${index}`, url: server.url })
        await run(product, { ...selection(['Two']), spaceIds: [platform.spaceIds[0]], dryRun: true })
        const bindings = await product.must<{
          items: { id: string; space: { id: string }; instance: { id: string } }[]
        }>(200, 'GET', `/bindings?platformId=${platform.id}&limit=200`)
        const bindingOf = (name: string) =>
          bindings.items.find((one) => one.space.id === platform.spaceIds[0] && one.instance.id === ids[name])?.id ?? ''
        const refused = await product.call('POST', `/bindings/${bindingOf('One')}/adopt`, {})
        expect([refused.status, refused.body.code]).toEqual([409, 'has_own_object'])
        const own = (await platform.objects(0)).find(({ name }) => name === `One ${index}`)
        const taken = await product.call('POST', `/bindings/${bindingOf('Two')}/adopt`, { remoteId: own?.id })
        expect([taken.status, taken.body.code]).toEqual([409, 'owned_by_another'])
        const unknown = await product.call('POST', `/bindings/${bindingOf('Two')}/adopt`, {
          remoteId: crypto.randomUUID(),
        })
        expect([unknown.status, unknown.body.code]).toEqual([404, 'nothing_to_adopt'])

        const adopted = await product.must<Adoption>(200, 'POST', `/bindings/${bindingOf('Two')}/adopt`, {})
        expect(adopted.object.remoteId).toBe(byHand)
        const synced = await run(product, { ...selection(['Two']), spaceIds: [platform.spaceIds[0]] })
        expect(short(synced.targets)).toEqual(['update succeeded'])
        const now = (await platform.objects(0)).find(({ id }) => id === byHand)
        expect(now?.url).toContain(`/mcp-gateway/${ids.Two}/mcp`)
        await run(product, { ...selection(['Two']), action: 'remove' })
      }, 240_000)
    })

    describe('a gateway that moves', () => {
      it('is a planned change of every deployment, shown as such, and carried out in place by a normal sync', async () => {
        const before = await platform.objects(1)
        const moved = `http://localhost:${new URL(product.origin).port}`
        await product.must(200, 'PATCH', `/platforms/${platform.id}`, { gatewayUrl: moved })
        const body = selection(['One', 'Three'])
        const plan = await run(product, { ...body, dryRun: true })
        expect(short(plan.targets)).toEqual(Array.from({ length: 4 }, () => 'update pending'))
        for (const { changes } of plan.targets) {
          expect(changes?.map(({ field }) => field)).toEqual(['url'])
          const [url] = changes ?? []
          expect([url?.before?.startsWith(product.origin), url?.after?.startsWith(moved)]).toEqual([true, true])
        }
        const check = await product.must<{ id: string }>(201, 'POST', '/profiles', {
          platformId: platform.id,
          name: `Check ${index}`,
          selection: { instanceIds: [ids.One, ids.Three], spaceIds: platform.spaceIds },
          schedule: { action: 'check', intervalMs: 3_600_000 },
          acceptWarnings: true,
        })
        const triggered = await product.must<{ id: string }>(202, 'POST', `/profiles/${check.id}/trigger`, {})
        await ended(product, triggered.id)
        const drifted = await product.must<{ items: { deployment: { driftFields: string[] } }[] }>(
          200,
          'GET',
          `/bindings?drift=true&platformId=${platform.id}`,
        )
        expect(drifted.items.map(({ deployment }) => deployment.driftFields)).toEqual(
          Array.from({ length: 4 }, () => ['gateway-url']),
        )
        await product.must(204, 'DELETE', `/profiles/${check.id}`)

        expect((await run(product, body)).run).toMatchObject({ state: 'succeeded', counts: { succeeded: 4 } })
        const after = await platform.objects(1)
        expect(after.map(({ id, key, name, authorization }) => ({ id, key, name, authorization }))).toEqual(
          before.map(({ id, key, name, authorization }) => ({ id, key, name, authorization })),
        )
        for (const { url } of after) expect(url.startsWith(moved)).toBe(true)
        expect((await run(product, body)).run.counts).toMatchObject({ unchanged: 4 })
      }, 240_000)
    })
  })

  describe('a space that is cut off by a signal from Temporal', () => {
    it('stays cut off for what is synced there later, until it is let in again', async () => {
      const platform = platforms[0] as KeptPlatform
      const [spaceId] = platform.spaceIds
      const waiting: (() => void)[] = []
      let holds = true
      const slow = await startScriptedServer({
        tools: manyTools(1),
        intercept: (request, _response, message) => {
          if (!holds || message?.method !== 'tools/list') return false
          waiting.push(() => request.socket.destroy())
          return true
        },
      })
      const shown = async () =>
        (
          await product.must<{ items: { id: string; disabledAt: string | null }[] }>(
            200,
            'GET',
            `/platforms/${platform.id}/spaces`,
          )
        ).items.find((space) => space.id === spaceId)?.disabledAt ?? null
      const newSlow = async (name: string) => {
        const body = { name, transport: 'streamable-http', url: slow.url }
        return (await product.must<{ id: string }>(201, 'POST', '/instances', body)).id
      }
      const connection = await Connection.connect({ address: product.temporalAddress })
      try {
        const started = await product.must<{ id: string; workflowId: string }>(202, 'POST', '/syncs', {
          platformId: platform.id,
          instanceIds: [await newSlow('Slow')],
          spaceIds: [spaceId],
          acceptWarnings: true,
        })
        await expect.poll(() => waiting.length, { timeout: 60_000 }).toBeGreaterThan(0)
        const handle = new Client({ connection }).workflow.getHandle(started.workflowId)
        await handle.signal('disableSpaceAuthorization', { spaceId })
        await expect.poll(shown, { timeout: 60_000 }).toMatch(/^20/)
        holds = false
        for (const go of waiting) go()
        expect(short((await ended(product, started.id)).targets)).toEqual(['skip skipped'])
        const later = { platformId: platform.id, instanceIds: [await newSlow('Later')], spaceIds: [spaceId] }
        expect(short((await run(product, later)).targets)).toEqual(['skip skipped'])
        await product.must(200, 'POST', `/spaces/${spaceId}/enable`, {})
        expect(await shown()).toBeNull()
        expect(short((await run(product, later)).targets)).toEqual(['create succeeded'])
      } finally {
        await connection.close()
        await slow.stop()
      }
    }, 240_000)
  })
})
