import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ActivityDeps, DEFAULT_LIMITS } from '../../activities/deps.ts'
import { discoverTools, failInstance } from '../../activities/discover-tools.ts'
import { planSpace } from '../../activities/plan-space.ts'
import { verifySpace } from '../../activities/verify-space.ts'
import { writeObjects } from '../../activities/write-objects.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { createDifyPlatform } from '../../src/platforms/dify/dify-platform.ts'
import { ensureBindings, updateBinding } from '../../src/store/bindings.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import { createTargets, listTargetsForSpace } from '../../src/store/sync-targets.ts'
import { createSync } from '../../src/store/syncs.ts'
import {
  listTokensOfBinding,
  markTokensProven,
  mintTokensFor,
  openActiveTokens,
  setCustomToken,
} from '../../src/store/tokens.ts'
import { at, makeInstance, makePlatform, remoteSpace } from '../store/fixtures.ts'
import { openTestStore } from '../store/test-store.ts'
import { createDifyDatabase, type DifyTestDatabase, type TestWorkspace } from '../support/dify-database.ts'
import { silentLogger } from '../support/logger.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { mockActivity } from './activity-world.ts'

/** Whose token is where, through races that no single run sees. The store, Dify's database and the MCP server are real. */

let dify: DifyTestDatabase
let server: ScriptedServer
let store: Awaited<ReturnType<typeof openTestStore>>
let deps: ActivityDeps
const workspaces: TestWorkspace[] = []

beforeAll(async () => {
  ;[dify, server, store] = await Promise.all([
    createDifyDatabase(),
    startScriptedServer({
      tools: manyTools(2),
      requiredHeader: { name: 'X-Tenant', value: 'right' },
    }),
    openTestStore(),
  ])
  for (const name of ['One', 'Two']) workspaces.push(await dify.addWorkspace({ name }))
  const egress = createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() })
  const platform = createDifyPlatform({ database: { ...dify.connection, tls: 'disable' }, egress })
  deps = {
    store: store.store,
    logger: silentLogger,
    egress,
    holdPlatform: async () => ({ platform, [Symbol.asyncDispose]: async () => undefined }),
    gatewayUrl: () => 'http://127.0.0.1:8080',
    publicUrl: () => 'https://toolferry.test',
    workerId: 'test',
    limits: DEFAULT_LIMITS,
  }
})
afterAll(async () => {
  await store?.close()
  await server?.stop()
  await dify?.drop()
})

let platformId = ''
let instanceId = ''
let spaceIds: string[] = []
let bindingIds: string[] = []

/** A platform, an instance and two cells of their own for every test; each cell has a proven token. */
beforeEach(async () => {
  const platform = await makePlatform(deps.store)
  platformId = platform.id
  await upsertSpaces(
    deps.store,
    platformId,
    workspaces.map(({ tenantId }, index) => ({ ...remoteSpace(`W${index}`), remoteId: tenantId })),
  )
  spaceIds = (await allSpaces(deps.store, platformId)).map((space) => space.id)
  const instance = await makeInstance(deps.store, { url: server.url, defaultPassThrough: { 'X-Tenant': 'right' } })
  instanceId = instance.id
  const bindings = await ensureBindings(
    deps.store,
    spaceIds.map((spaceId) => ({ instanceId, spaceId })),
  )
  bindingIds = spaceIds.map((spaceId) => bindings.find((binding) => binding.spaceId === spaceId)?.id ?? '')
  await prove(bindingIds)
})

async function prove(ids: string[]): Promise<void> {
  const tokens = await mintTokensFor(deps.store, ids)
  await markTokensProven(
    deps.store,
    [...tokens.values()].map((token) => token.id),
  )
}

async function newRun(): Promise<string> {
  const { sync } = await createSync(deps.store, {
    platformId,
    name: 'run',
    selection: { instanceIds: [instanceId], spaceIds },
    requestedBy: 'ann',
  })
  await createTargets(
    deps.store,
    sync.id,
    spaceIds.map((spaceId, index) => ({ instanceId, spaceId, bindingId: at(bindingIds, index) })),
  )
  return sync.id
}

const first = () => ({ spaceId: at(spaceIds, 0) })
const run = <T>(work: () => Promise<T>) => mockActivity().run(work)
const discover = (syncId: string) => run(() => discoverTools(deps, { syncId, instanceId }))
const plan = (syncId: string) => run(() => planSpace(deps, { syncId, ...first() }))
const write = (syncId: string) => run(() => writeObjects(deps, { syncId, ...first() }))
const verify = (syncId: string) => run(() => verifySpace(deps, { syncId, ...first() }))

async function tokenStates(): Promise<string[]> {
  return (await listTokensOfBinding(deps.store, at(bindingIds, 0))).map((token) => token.state).sort()
}

const OWN = 'an-own-token-of-the-admin-4711'

describe('a token that is replaced while a run is going on', () => {
  it('set between write and verify: the one that Dify holds stays good', async () => {
    const syncId = await newRun()
    await discover(syncId)
    await plan(syncId)
    await write(syncId)
    await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-a`)
    await verify(syncId)
    expect(await tokenStates()).toEqual(['active', 'retiring'])
  })

  it('set between proof and write: it is not written before it is proven', async () => {
    const syncId = await newRun()
    await discover(syncId)
    await plan(syncId)
    await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-b`)
    expect(await write(syncId)).toMatchObject({ toWrite: 1, counts: { succeeded: 0 } })
    const rows = await dify.rows(at(workspaces, 0).tenantId)
    expect(rows.some((row) => row.server_identifier === identifierOf())).toBe(false)
  })

  it('set before a mint: the mint keeps it', async () => {
    await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-c`)
    const minted = await mintTokensFor(deps.store, bindingIds)
    expect(minted.get(at(bindingIds, 0))?.secret).toBe(`${OWN}-c`)
    expect((await openActiveTokens(deps.store, bindingIds)).get(at(bindingIds, 0))?.secret).toBe(`${OWN}-c`)
  })

  it('written by a run that ended before its verify: the next run ends the former one', async () => {
    const one = await newRun()
    await discover(one)
    await plan(one)
    await write(one)
    await verify(one)
    const own = await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-d`)
    await markTokensProven(deps.store, [own.id])
    const two = await newRun()
    await discover(two)
    await plan(two)
    expect(await write(two)).toMatchObject({ counts: { succeeded: 1 } })
    expect(await tokenStates()).toEqual(['active', 'retiring'])

    const three = await newRun()
    await discover(three)
    expect(await plan(three)).toMatchObject({ counts: { unchanged: 1 } })
    expect(await tokenStates()).toEqual(['active', 'revoked'])
  })
})

describe('an MCP server that refuses one workspace’s headers', () => {
  beforeEach(async () => {
    await updateBinding(deps.store, at(bindingIds, 1), null, { passThroughHeaders: { 'X-Tenant': 'wrong' } })
  })
  const states = async (syncId: string) => {
    const targets = await Promise.all(spaceIds.map((spaceId) => listTargetsForSpace(deps.store, syncId, spaceId)))
    return targets.flat().map((target) => [target.state, target.errorType])
  }

  it('fails that workspace alone', async () => {
    const syncId = await newRun()
    await discover(syncId)
    expect(await states(syncId)).toEqual([
      ['pending', null],
      ['failed', 'UpstreamUnauthorized'],
    ])
  })

  it('given up altogether: what it had answered before stays', async () => {
    const syncId = await newRun()
    await updateBinding(deps.store, at(bindingIds, 1), null, { passThroughHeaders: { 'X-Tenant': 'right' } })
    await discover(syncId)
    await updateBinding(deps.store, at(bindingIds, 1), null, { passThroughHeaders: { 'X-Tenant': 'wrong' } })
    await run(() => failInstance(deps, { syncId, instanceId, type: 'UpstreamUnreachable', message: 'It is away.' }))
    expect(await states(syncId)).toEqual([
      ['pending', null],
      ['failed', 'UpstreamUnreachable'],
    ])
  })

  it('is not asked for a workspace that is disabled', async () => {
    await updateBinding(deps.store, at(bindingIds, 1), null, { enabled: false })
    const syncId = await newRun()
    await discover(syncId)
    expect(await states(syncId)).toEqual([
      ['pending', null],
      ['pending', null],
    ])
  })
})

describe('a failure on a binding that is deployed', () => {
  it('is shown on its deployment, too', async () => {
    const one = await newRun()
    await discover(one)
    await plan(one)
    await write(one)
    await verify(one)
    const key = await dify.query('SELECT encrypt_public_key AS key FROM tenants WHERE id = $1', [
      at(workspaces, 0).tenantId,
    ])
    await dify.query('UPDATE tenants SET encrypt_public_key = NULL WHERE id = $1', [at(workspaces, 0).tenantId])
    const two = await newRun()
    await discover(two)
    await plan(two)
    const deployment = await deps.store.db.deployment.findUnique({ where: { bindingId: at(bindingIds, 0) } })
    expect(deployment).toMatchObject({ state: 'failed', lastErrorType: 'InvalidDesiredState', ownership: 'created' })
    await dify.query('UPDATE tenants SET encrypt_public_key = $2 WHERE id = $1', [
      at(workspaces, 0).tenantId,
      key[0]?.key,
    ])
  })
})

/** The identifier that the adapter proposes for this test's instance. */
function identifierOf(): string {
  const platform = createDifyPlatform({ database: { ...dify.connection, tls: 'disable' }, egress: deps.egress })
  return platform.proposeIdentity(instanceId)?.key ?? ''
}
