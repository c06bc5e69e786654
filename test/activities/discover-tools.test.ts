import type { Info } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { discoverTools } from '../../activities/discover-tools.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { updateInstance } from '../../src/store/instances.ts'
import type { Store } from '../../src/store/store.ts'
import { at } from '../store/fixtures.ts'
import { type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'
import { type ActivityWorld, mockActivity, openActivityWorld } from './activity-world.ts'

/** How long an MCP server is waited for, and how long our own store. */

/** More than twice as many as are asked for at once. */
const SPACES = 20

let world: ActivityWorld
let server: ScriptedServer
let instanceId: string

beforeAll(async () => {
  ;[world, server] = await Promise.all([openActivityWorld({ spaces: SPACES, instances: 1 }), startScriptedServer()])
  instanceId = at(world.instances, 0).id
})
afterAll(async () => {
  await server?.stop()
  await world?.close()
})
beforeEach(() => answers())

const answers = () => updateInstance(world.deps.store, instanceId, null, { url: server.url })
const isAway = () => updateInstance(world.deps.store, instanceId, null, { url: 'http://127.0.0.1:9/mcp' })

/** How an attempt ends, and what it lets the next one know. `failures`: of the MCP server, in the attempts before. */
async function attempt(failures: number | undefined, store: Store = world.deps.store) {
  const { id: syncId } = await world.newSync()
  const env = mockActivity({ attempt: 20, heartbeatDetails: failures } as Partial<Info>)
  let told: unknown
  env.on('heartbeat', (details) => {
    told = details
  })
  const failure: unknown = await env
    .run(() => discoverTools({ ...world.deps, store }, { syncId, instanceId }))
    .then(
      () => null,
      (error: unknown) => error,
    )
  if (failure !== null && !(failure instanceof ApplicationFailure)) throw failure
  return { type: failure?.type ?? null, final: failure?.nonRetryable ?? null, told }
}

/** Away as soon as the tools are to be kept. */
function awayAtTheEnd(): Store {
  return { ...world.deps.store, write: () => Promise.reject(new Error('the store is away')) }
}

describe('an MCP server that is away', () => {
  it('is asked again, and counted', async () => {
    await isAway()
    expect(await attempt(undefined)).toEqual({ type: 'UpstreamUnreachable', final: false, told: 1 })
    expect(await attempt(2)).toEqual({ type: 'UpstreamUnreachable', final: false, told: 3 })
  })

  it('is given up at its fourth failure, however long our own store was away before', async () => {
    await isAway()
    expect(await attempt(3)).toMatchObject({ type: 'UpstreamUnreachable', final: true })
  })

  it.each([
    ['asked for every workspace', 2, true],
    ['not asked for the rest of them in the last attempt, which would take as long as it may', 3, false],
  ])('is %s', async (_, failures, all) => {
    const broken = await startScriptedServer({ requiredHeader: { name: 'x-never', value: 'sent', status: 503 } })
    try {
      await updateInstance(world.deps.store, instanceId, null, { url: broken.url })
      for (const [index, { id }] of world.bindings.entries()) {
        await updateBinding(world.deps.store, id, null, { passThroughHeaders: { 'X-Tenant': String(index) } })
      }
      expect(await attempt(failures)).toMatchObject({ type: 'UpstreamUnreachable', final: failures === 3 })
      expect(new Set(broken.requests.map(({ headers }) => headers['x-tenant'])).size === SPACES).toBe(all)
    } finally {
      await broken.stop()
    }
  })
})

describe('a store that is away', () => {
  it('is waited for, whatever the MCP server did before, and does not count against it', async () => {
    expect(await attempt(3, awayAtTheEnd())).toEqual({ type: 'Bug', final: false, told: undefined })
    const away = new Proxy(world.deps.store, {
      get: () => () => Promise.reject(new Error('the store is away')),
    })
    expect(await attempt(3, away)).toEqual({ type: 'Bug', final: false, told: undefined })
  })

  it('once it is back the server is asked', async () => {
    expect(await attempt(3)).toEqual({ type: null, final: null, told: undefined })
  })
})
