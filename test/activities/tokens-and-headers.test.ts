import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ActivityDeps, DEFAULT_LIMITS } from '../../activities/deps.ts'
import { discoverTools, failInstance } from '../../activities/discover-tools.ts'
import { planSpace } from '../../activities/plan-space.ts'
import { verifySpace } from '../../activities/verify-space.ts'
import { writeObjects } from '../../activities/write-objects.ts'
import { createEgressPolicy } from '../../src/egress/policy.ts'
import { createDifyPlatform } from '../../src/platforms/dify/dify-platform.ts'
import type { Platform } from '../../src/platforms/platform.ts'
import { ensureBindings, updateBinding } from '../../src/store/bindings.ts'
import { recordFailure } from '../../src/store/deployments.ts'
import { updateInstance } from '../../src/store/instances.ts'
import { allSpaces, upsertSpaces } from '../../src/store/spaces.ts'
import { createTargets, listTargetsForSpace } from '../../src/store/sync-targets.ts'
import { type CellAuthorization, createSync, updateSync } from '../../src/store/syncs.ts'
import { rotateTokensFor } from '../../src/store/token-rotation.ts'
import {
  activeToken,
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
  const dialled = createDifyPlatform({ database: { ...dify.connection, tls: 'disable' }, egress })
  const platform: Platform = {
    ...dialled,
    read: async (...asked) => {
      await beforeRead()
      const reading = await dialled.read(...asked)
      await afterRead()
      return reading
    },
  }
  deps = {
    store: store.store,
    logger: silentLogger,
    egress,
    holdPlatform: async () => ({ platform, [Symbol.asyncDispose]: async () => undefined }),
    gatewayUrl: () => 'http://127.0.0.1:8080',
    publicUrl: () => 'https://toolferry.test',
    workerId: 'test',
    // Former tokens end at once, so that it is seen when.
    limits: { ...DEFAULT_LIMITS, tokenGraceSeconds: 0 },
  }
})
afterAll(async () => {
  await store?.close()
  await server?.stop()
  await dify?.drop()
})

/** What happens elsewhere between a look at the platform and what is made of it. */
let afterRead = async () => {}
/** The same between what is known of the cells and the look. */
let beforeRead = async () => {}

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
  afterRead = async () => {}
  beforeRead = async () => {}
})

async function prove(ids: string[]): Promise<void> {
  const tokens = await mintTokensFor(deps.store, ids)
  await markTokensProven(
    deps.store,
    [...tokens.values()].map((token) => token.id),
  )
}

async function newRun(
  action: 'sync' | 'remove' = 'sync',
  over: Partial<Parameters<typeof createSync>[1]> = {},
): Promise<string> {
  const { sync } = await createSync(deps.store, {
    platformId,
    name: 'run',
    action,
    ...over,
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

async function activeId(): Promise<string> {
  return (await activeToken(deps.store, at(bindingIds, 0)))?.id ?? ''
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

  it.each([
    ['plan', plan],
    ['verify', verify],
  ] as const)('minted while %s looks at the platform: the one that Dify holds stays good', async (phase, look) => {
    const one = await newRun()
    await discover(one)
    await plan(one)
    await write(one)
    const syncId = phase === 'plan' ? await newRun() : one
    if (phase === 'plan') await discover(syncId)
    afterRead = async () => {
      const [bindingId, tokenId] = [at(bindingIds, 0), await activeId()]
      await rotateTokensFor(deps.store, [{ bindingId, tokenId }], { graceSeconds: null, notBefore: new Date(0) })
    }
    await look(syncId)
    expect(await tokenStates()).toEqual(['active', 'retiring'])
  })

  it('set before a mint: the mint keeps it', async () => {
    await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-c`)
    const minted = await mintTokensFor(deps.store, bindingIds)
    expect(minted.get(at(bindingIds, 0))?.secret).toBe(`${OWN}-c`)
    expect((await openActiveTokens(deps.store, bindingIds)).get(at(bindingIds, 0))?.secret).toBe(`${OWN}-c`)
  })

  it('set, and taken back before a run has written it: it ends, since the platform never left the one before', async () => {
    const first = await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-e`)
    await markTokensProven(deps.store, [first.id])
    const one = await newRun()
    await discover(one)
    await plan(one)
    await write(one)
    await verify(one)
    await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-f`)
    await setCustomToken(deps.store, at(bindingIds, 0), `${OWN}-e`)

    const two = await newRun()
    await discover(two)
    expect(await plan(two)).toMatchObject({ counts: { unchanged: 1 } })
    expect(await tokenStates()).toEqual(['active', 'revoked', 'revoked'])
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

describe('an object that somebody deleted in Dify', () => {
  it('and a removal does not find, while another run makes it again: it stays ours, with the token that it has', async () => {
    const made = async (syncId: string) => {
      await discover(syncId)
      await plan(syncId)
      await write(syncId)
    }
    const first = await newRun()
    await made(first)
    await verify(first)
    const { tenantId } = at(workspaces, 0)
    await dify.query('DELETE FROM tool_mcp_providers WHERE tenant_id = $1 AND server_identifier = $2', [
      tenantId,
      identifierOf(),
    ])
    const [again, removal] = [await newRun(), await newRun('remove')]
    afterRead = async () => {
      afterRead = async () => {}
      await made(again)
    }
    expect(await plan(removal)).toMatchObject({ counts: { unchanged: 1 } })
    await verify(again)
    expect(await tokenStates()).toEqual(['active'])
    const deployment = await deps.store.db.deployment.findUnique({ where: { bindingId: at(bindingIds, 0) } })
    expect(deployment).toMatchObject({ state: 'in_sync', ownership: 'created' })
  })

  it('gets a token that works when a removal ends the one that was minted for it before it is written', async () => {
    const [first, removal] = [await newRun(), await newRun('remove')]
    await recordFailure(deps.store, at(bindingIds, 0), { type: 'Unavailable', message: 'Away.', syncId: first })
    await discover(first)
    await plan(first)
    const loaded = deps.holdPlatform
    deps.holdPlatform = async (id) => {
      deps.holdPlatform = loaded
      // The write has read the token, and not begun with its target.
      await plan(removal)
      return await loaded(id)
    }
    expect(await write(first)).toMatchObject({ toWrite: 1, counts: { succeeded: 0 } })
    expect(await dify.rows(at(workspaces, 0).tenantId)).not.toContainEqual(
      expect.objectContaining({ server_identifier: identifierOf() }),
    )
    expect(await tokenStates()).toEqual(['revoked'])
    await prove([at(bindingIds, 0)])
    expect(await write(first)).toMatchObject({ toWrite: 0, counts: { succeeded: 1 } })
  })
})

describe('two runs in one space', () => {
  const deployment = async () => await deps.store.db.deployment.findUnique({ where: { bindingId: at(bindingIds, 0) } })
  /** Everything up to the write, whose effect verify looks at. */
  const upToWrite = async (syncId: string) => {
    await discover(syncId)
    await plan(syncId)
    await write(syncId)
  }
  const rotateAndWrite = async () => {
    beforeRead = async () => {}
    afterRead = async () => {}
    const former = { bindingId: at(bindingIds, 0), tokenId: await activeId() }
    await rotateTokensFor(deps.store, [former], { graceSeconds: null, notBefore: new Date(0) })
    await markTokensProven(deps.store, [await activeId()])
    const other = await newRun()
    await upToWrite(other)
    return other
  }

  it('what the other writes while this one reads back is neither drift nor a conflict of this one’s', async () => {
    const one = await newRun()
    await upToWrite(one)
    let other = ''
    beforeRead = async () => {
      other = await rotateAndWrite()
    }
    expect(await verify(one)).toMatchObject({ counts: { succeeded: 1, conflict: 0 } })
    expect(await deployment()).toMatchObject({
      state: 'pending',
      driftFields: null,
      driftSince: null,
      lastSyncId: other,
    })
    await verify(other)
    expect(await deployment()).toMatchObject({ state: 'in_sync' })
  })

  it('what the other writes while this one plans is not drift', async () => {
    const one = await newRun()
    await upToWrite(one)
    await verify(one)
    const check = await newRun()
    await discover(check)
    beforeRead = async () => void (await rotateAndWrite())
    await plan(check)
    expect(await deployment()).toMatchObject({ state: 'pending', driftFields: null, driftSince: null })
  })

  it.each([
    ['reads back', verify],
    ['plans', plan],
  ] as const)('what the other removes while this one %s stays removed', async (_, look) => {
    const one = await newRun()
    await upToWrite(one)
    const looking = look === verify ? one : await newRun()
    if (look === plan) await discover(looking)
    const removal = await newRun('remove')
    afterRead = async () => {
      afterRead = async () => {}
      await plan(removal)
      await write(removal)
    }
    await look(looking)
    expect(await deployment()).toMatchObject({ state: 'removed', ownership: null, lastSyncId: removal })
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

  it('is asked for many workspaces at once: a thousand one after the other take longer than the step may', async () => {
    let asking = 0
    const both = Promise.withResolvers<void>()
    const slow = await startScriptedServer({
      tools: manyTools(1),
      // Answers nobody until two workspaces ask.
      before: async (message) => {
        if (message?.method !== 'initialize') return
        asking += 1
        if (asking === 2) both.resolve()
        await both.promise
      },
    })
    try {
      await updateInstance(deps.store, instanceId, null, { url: slow.url })
      const syncId = await newRun()
      const hurried = { ...deps, limits: { ...deps.limits, mcpTimeoutMs: 3_000 } }
      const found = await run(() => discoverTools(hurried, { syncId, instanceId }))
      expect(found).toEqual({ headerSets: 2, tools: 1 })
    } finally {
      both.resolve()
      await slow.stop()
    }
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

  it('given up altogether: what it had answered stays, whatever the clock of the API says', async () => {
    const syncId = await newRun()
    await updateSync(deps.store, syncId, { state: 'running' })
    // The API's machine is an hour ahead of the worker's.
    const createdAt = new Date(Date.now() + 3_600_000)
    await deps.store.write((tx) => tx.sync.update({ where: { id: syncId }, data: { createdAt } }))
    await discover(syncId)
    await run(() => failInstance(deps, { syncId, instanceId, type: 'UpstreamUnreachable', message: 'It is away.' }))
    expect(await states(syncId)).toEqual([
      ['pending', null],
      ['failed', 'UpstreamUnauthorized'],
    ])
    // Nor is it asked once more.
    expect(await discover(syncId)).toMatchObject({ headerSets: 1, tools: 0 })
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

describe('a plan with an authorization', () => {
  const planned = (over: Partial<CellAuthorization>) =>
    newRun('sync', { dryRun: true, authorizations: spaceIds.map((spaceId) => ({ instanceId, spaceId, ...over })) })
  const change = (patch: Parameters<typeof updateBinding>[3]) =>
    Promise.all(bindingIds.map((id) => updateBinding(deps.store, id, null, patch)))
  const later = () => new Date(Date.now() + 3_600_000)

  it.each<[string, Parameters<typeof updateBinding>[3], () => Partial<CellAuthorization>]>([
    ['renews one that has expired', { expiresAt: new Date(1) }, () => ({ expiresAt: later() })],
    ['takes the end of one away', { expiresAt: new Date(1) }, () => ({ expiresAt: null })],
    ['enables one', { enabled: false }, () => ({ enabled: true })],
    ['enables every one', { enabled: false }, () => ({ spaceId: 'all', enabled: true })],
  ])('that %s asks the MCP server for its tools', async (_what, before, given) => {
    await change(before)
    const syncId = await planned(given())
    expect(await discover(syncId)).toEqual({ headerSets: 1, tools: 2 })
    expect(await plan(syncId)).toMatchObject({ counts: { pending: 1, failed: 0 } })
  })

  it.each<[string, Partial<CellAuthorization>]>([
    ['disables one', { enabled: false }],
    ['disables every one', { spaceId: 'all', enabled: false }],
    ['ends one', { expiresAt: new Date(1) }],
  ])('that %s does not ask it', async (_what, given) => {
    const syncId = await planned(given)
    expect(await discover(syncId)).toEqual({ headerSets: 0, tools: 0 })
    expect(await plan(syncId)).toMatchObject({ counts: { skipped: 1, failed: 0 } })
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
