import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ActivityDeps } from '../../activities/deps.ts'
import { watchTools } from '../../activities/watch-tools.ts'
import { fieldDigest } from '../../src/domain/plan.ts'
import { createDifyPlatform } from '../../src/platforms/dify/dify-platform.ts'
import { sanitiseTools } from '../../src/platforms/dify/tools.ts'
import { ensureBindings } from '../../src/store/bindings.ts'
import { getDeployment, recordApplied, recordVerified } from '../../src/store/deployments.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import { listOpenSyncs } from '../../src/store/syncs.ts'
import { at, makeInstance, makePlatform, remoteSpace, seenOf } from '../store/fixtures.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { type ActivityWorld, openActivityWorld } from './activity-world.ts'

/** The watch on tools against a real MCP server; of the platform only its way to write tools is needed. */

let world: ActivityWorld
let server: ScriptedServer
let deps: ActivityDeps
let tools = manyTools(2)
let bindingId = ''
let platformId = ''

beforeAll(async () => {
  ;[world, server] = await Promise.all([
    openActivityWorld({ spaces: 0, instances: 0 }),
    startScriptedServer({ page: () => ({ tools }) }),
  ])
  const database = {
    engine: 'postgresql' as const,
    host: '127.0.0.1',
    port: 1,
    user: 'x',
    password: 'x',
    database: 'x',
  }
  const platform = createDifyPlatform({ database: { ...database, tls: 'disable' }, egress: world.deps.egress })
  deps = {
    ...world.deps,
    holdPlatform: async () => ({ platform, [Symbol.asyncDispose]: async () => undefined }),
    limits: { ...world.deps.limits, onToolsChanged: 'sync', toolsSettleSeconds: 60 },
  }
  const { store } = deps
  platformId = (await makePlatform(store)).id
  await upsertSpaces(store, platformId, [remoteSpace('Alpha')])
  const spaceId = at(await allSpaces(store, platformId), 0).id
  const instance = await makeInstance(store, { url: server.url })
  bindingId = at(await ensureBindings(store, [{ instanceId: instance.id, spaceId }]), 0).id
  const written = JSON.stringify(sanitiseTools(tools as Parameters<typeof sanitiseTools>[0]).tools)
  await recordApplied(store, bindingId, {
    syncId: platformId,
    identity: { id: 'remote', key: 'key' },
    digests: { desired: { tools: fieldDigest(store.digest, 'tools', written) }, written: {} },
    applied: {},
  })
  await recordVerified(store, [await seenOf(store, bindingId)], null)
})
afterAll(async () => {
  await world?.close()
})

const look = (afterMs = 0) =>
  world.run(() =>
    watchTools(deps, { instanceIds: null }, { now: () => Date.now() + afterMs, sleep: () => Promise.reject() }),
  )
const deployment = async () => await getDeployment(deps.store, bindingId)
const runs = async () => await listOpenSyncs(deps.store, { platformId })

it('notes a change with its time, waits until it has settled, makes one run of it, and forgets it when it is undone', async () => {
  expect(await look()).toMatchObject({ asked: 1, unreachable: 0, changed: 0, started: 0 })
  expect(await deployment()).toMatchObject({ state: 'in_sync', driftFields: [] })

  tools = manyTools(3)
  const first = await look()
  expect(first).toMatchObject({ changed: 1, started: 0, unsettledInstanceIds: [expect.any(String)] })
  expect(first.settleMs).toBeGreaterThan(50_000)
  const since = (await deployment())?.driftSince
  expect(await deployment()).toMatchObject({ state: 'drifted', driftFields: ['upstream-tools'] })
  expect(since).toBeInstanceOf(Date)

  expect(await look(61_000)).toMatchObject({ started: 1, unsettledInstanceIds: [] })
  expect(await look(62_000)).toMatchObject({ changed: 1, started: 0 })
  expect(await runs()).toMatchObject([{ requestedBy: 'tool watch', scheduled: true, writePolicy: 'upsert-only' }])
  expect((await deployment())?.driftSince).toEqual(since)

  tools = manyTools(2)
  expect(await look(63_000)).toMatchObject({ changed: 0, started: 0 })
  expect(await deployment()).toMatchObject({ state: 'in_sync', driftFields: [], driftSince: null })
})

it('takes a server that does not answer for unreachable, and leaves what is known of it', async () => {
  await server.stop()
  const before = await deployment()
  expect(await look()).toMatchObject({ asked: 1, unreachable: 1, changed: 0, started: 0 })
  expect(await deployment()).toEqual(before)
})
