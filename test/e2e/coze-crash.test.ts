import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { finished, type OneProcess, startProduct, targetsOf } from '../support/product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'

/**
 * SIGKILL of the product when COZE has done what a call asked for and has not answered yet. Every point by itself is walked
 * through in test/platforms/coze/crash.test.ts; here it is the real process, with its store, its lease and its workflow.
 */

const KILL_AFTER = ['register_plugin_meta', 'refresh_mcp_plugin_apis', 'publish_plugin']

let product: OneProcess
let coze: CozeSimulator
let mcp: ScriptedServer

beforeAll(async () => {
  mcp = await startScriptedServer({ tools: manyTools(3) })
  product = await startProduct({ TOOLFERRY_WORKER_TIMEOUT_SECONDS: '5' })
  coze = await startCozeSimulator({ adminPort: null, allowInsecureOrigins: [product.origin] })
}, 120_000)
afterAll(async () => {
  await product?.stop()
  await coze?.stop()
  await mcp?.stop()
})

/** Kills the process at the first call of the endpoint that COZE has carried out. Resolves when it is dead. */
function killedAfter(endpoint: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const off = coze.onCall(async (call, stage) => {
      if (stage !== 'applied' || call.endpoint !== endpoint || !call.changed) return
      off()
      // Waited for by the simulator: nobody is there any more when it answers.
      await product.kill().then(resolve, reject)
    })
  })
}

it(`one run, killed after ${KILL_AFTER.join(', ')} in turn, ends with one published plugin in every space`, async () => {
  const account = coze.addAccount({ name: '张三' })
  const remoteIds = ['研发', '市场'].map((name) => coze.addSpace({ ownerId: account.userId, name }))
  const platform = await product.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'coze',
    name: 'COZE',
    baseUrl: coze.origin,
    accountType: 'personal',
    cookie: account.cookie,
  })
  const instance = await product.must<{ id: string }>(201, 'POST', '/instances', {
    name: 'Weather',
    transport: 'streamable-http',
    url: mcp.url,
  })
  const spaces = await product.must<{ items: { id: string; remoteId: string }[] }>(
    200,
    'GET',
    `/platforms/${platform.id}/spaces`,
  )
  const spaceIds = spaces.items.filter(({ remoteId }) => remoteIds.includes(remoteId)).map(({ id }) => id)
  let dead = killedAfter(KILL_AFTER[0] ?? '')
  const run = await product.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: platform.id,
    instanceIds: [instance.id],
    spaceIds,
    acceptWarnings: true,
  })
  for (const next of [...KILL_AFTER.slice(1), null]) {
    await dead
    if (next !== null) dead = killedAfter(next)
    await product.restart()
  }
  expect(await finished(product, run.id, 150_000)).toMatchObject({
    state: 'succeeded',
    counts: { total: 2, succeeded: 2, failed: 0, conflict: 0, pending: 0 },
  })
  for (const spaceId of remoteIds) {
    // Also what was deleted: a second plugin that was tidied away would be one too many all the same.
    expect(coze.plugins(spaceId, { deleted: true })).toMatchObject([
      { deleted: false, published: true, status: false, online: { meta: { name: 'Weather' } } },
    ])
    expect(coze.calls({ endpoint: 'register_plugin_meta', spaceId })).toHaveLength(1)
  }
  expect([...coze.livePluginsByUrl().values()]).toEqual([1, 1])
  const targets = await targetsOf(product, run.id)
  expect(targets.map(({ state }) => state)).toEqual(['succeeded', 'succeeded'])
  const bindings = await product.must<{ items: { deployment: { state: string } }[] }>(200, 'GET', '/bindings?limit=50')
  expect(bindings.items.map(({ deployment }) => deployment.state)).toEqual(['in_sync', 'in_sync'])
}, 240_000)
