import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AdminState } from '../../demo/coze-simulator/admin.ts'
import { hashText } from '../../demo/coze-simulator/sessions.ts'
import { startCozeSimulator } from '../../demo/coze-simulator/simulator.ts'
import type { CozeSimulator } from '../../demo/coze-simulator/simulator-types.ts'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { createDeathTrap, type DeathTrap, STAGES, type Stage } from '../support/coze-death-trap.ts'
import { until } from '../support/fault-world.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'

/**
 * SIGKILL of a real worker at every single COZE call of a target, on a MariaDB store: the nth call of a plugin that is made, and
 * of one that is changed, for every n; before COZE had it, before the worker had the answer, and right after. Every n is a COZE
 * account of its own with a pace of its own, so that one kill hits them all, each at its own call. The end is judged in the
 * simulator's admin view. test/platforms/coze/crash.test.ts walks the same points in one process.
 */

/** Every call of a target, in its order. */
const CALLS = {
  made: [
    'library_resource_list',
    'register_plugin_meta',
    'refresh_mcp_plugin_apis',
    'get_plugin_next_version',
    'publish_plugin',
    'get_playground_plugin_list',
  ],
  changed: [
    'library_resource_list',
    'get_plugin_info',
    'get_playground_plugin_list',
    'get_plugin_info',
    'check_and_lock_plugin_edit',
    'update_plugin_meta',
    'refresh_mcp_plugin_apis',
    // Which of the tools somebody has switched off.
    'get_plugin_apis',
    'get_plugin_next_version',
    'publish_plugin',
    'unlock_plugin_edit',
    'get_playground_plugin_list',
  ],
}
type Way = keyof typeof CALLS
const WAYS = ['made', 'changed'] as const

/** One n of one way. A plugin is made in a space of its own in each stage; one is changed in all of them. */
type Trial = { way: Way; n: number; platformId: string; spaces: Record<Stage, { id: string; remoteId: string }> }

let cluster: Cluster
let coze: CozeSimulator
let mcp: ScriptedServer
let trap: DeathTrap
let instanceId = ''

beforeAll(async () => {
  mcp = await startScriptedServer({ tools: manyTools(3) })
  cluster = await startCluster({ apis: 1, workers: 1, gateways: 1, env: { TOOLFERRY_WORKER_TIMEOUT_SECONDS: '3' } })
  coze = await startCozeSimulator({ allowInsecureOrigins: [cluster.origin] })
  trap = createDeathTrap(coze)
  const instance = { name: 'Weather', transport: 'streamable-http', url: mcp.url }
  instanceId = (await cluster.must<{ id: string }>(201, 'POST', '/instances', instance)).id
})
afterAll(async () => {
  await cluster?.stop()
  await coze?.stop()
  await mcp?.stop()
})

async function openTrial(way: Way, n: number): Promise<Trial> {
  const account = coze.addAccount({ name: `${way} ${n}` })
  const places = way === 'made' ? STAGES : STAGES.slice(0, 1)
  const remoteIds = places.map((place) => coze.addSpace({ ownerId: account.userId, name: `${way} ${n} ${place}` }))
  // So that the filter of the list is known to work at the first look, and every run makes the same calls.
  for (const spaceId of remoteIds) coze.addForeignPlugin({ spaceId, pluginType: 11, url: 'https://other.test/mcp' })
  const { id } = await cluster.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'coze',
    name: `COZE ${way} ${n}`,
    baseUrl: coze.origin,
    accountType: 'personal',
    cookie: account.cookie,
  })
  const listed = await cluster.must<{ items: { id: string; remoteId: string }[] }>(
    200,
    'GET',
    `/platforms/${id}/spaces`,
  )
  const spaces = STAGES.map((stage, index) => {
    const space = listed.items.find(({ remoteId }) => remoteId === remoteIds[index % remoteIds.length])
    if (space === undefined) throw new Error('a space was not listed')
    return [stage, space] as const
  })
  return { way, n, platformId: id, spaces: Object.fromEntries(spaces) as Trial['spaces'] }
}

function tokenOf(trial: Trial, stage: Stage | 'first'): string {
  return `canary-crash-${trial.way}-${trial.n}-${stage}-kWq7Zt2Lx9`
}

async function startRun(trial: Trial, stage: Stage, token: string): Promise<string> {
  const spaceId = trial.spaces[stage].id
  const { id } = await cluster.must<{ id: string }>(202, 'POST', '/syncs', {
    platformId: trial.platformId,
    instanceIds: [instanceId],
    spaceIds: [spaceId],
    authorizations: [{ instanceId, spaceId, token }],
    acceptWarnings: true,
  })
  return id
}

/** Follows runs in the store: many at once would keep the API busy. Answers a promise for the end of each. */
function ends(ids: readonly string[]): Promise<Record<string, unknown>>[] {
  const over = ids.map(() => Promise.withResolvers<Record<string, unknown>>())
  const open = new Set(ids.keys())
  const watching = until('all runs are over', async () => {
    const rows = await cluster.store.query(
      'SELECT id, state, counts FROM Sync WHERE id IN (?) AND finishedAt IS NOT NULL',
      [[...open].map((index) => ids[index])],
    )
    for (const { id, state, counts } of rows) {
      const index = ids.indexOf(id)
      open.delete(index)
      over[index]?.resolve({ state, counts: typeof counts === 'string' ? JSON.parse(counts) : counts })
    }
    return open.size === 0
  })
  watching.catch((error) => {
    for (const { reject } of over) reject(error)
  })
  return over.map(({ promise }) => promise)
}

/** One kill, with the nth call of every trial in that stage. Answers the runs, by trial, and which trials had such a call. */
async function killAtEveryCall(trials: readonly Trial[], stage: Stage) {
  const points = trials.map((trial) => trap.set(trial.spaces[stage].remoteId, trial.n, stage))
  const over = ends(await Promise.all(trials.map((trial) => startRun(trial, stage, tokenOf(trial, stage)))))
  await Promise.all(points.map((point, index) => Promise.race([point.reached, over[index]])))
  await trap.spring(() => cluster.killWorkers())
  await cluster.workers[0]?.start({ ready: false })
  return { over, hit: points.map((point) => point.endpoint()) }
}

it('one plugin stands where a target was, published and as desired, wherever the worker died', async () => {
  // One more than there are calls: it is not met by the kill.
  const numbers = (way: Way) => Array.from({ length: CALLS[way].length + 1 }, (_, index) => openTrial(way, index + 1))
  const trials = await Promise.all(WAYS.flatMap(numbers))
  const changed = trials.filter(({ way }) => way === 'changed')
  const first = await Promise.all(changed.map((trial) => startRun(trial, 'unsent', tokenOf(trial, 'first'))))
  for (const run of await Promise.all(ends(first))) expect(run).toMatchObject({ state: 'succeeded' })

  const waiting: Promise<unknown>[] = []
  for (const stage of STAGES) {
    const { over, hit } = await killAtEveryCall(trials, stage)
    for (const way of WAYS) {
      const reached = hit.filter((_, index) => trials[index]?.way === way)
      expect(reached, `${way}, ${stage}`).toEqual([...CALLS[way], null])
    }
    for (const [index, trial] of trials.entries()) {
      const ended = over[index]?.then((run) => {
        expect(run, `${trial.way} ${trial.n} ${stage}`).toMatchObject({ state: 'succeeded', counts: { succeeded: 1 } })
      })
      // Nobody knows what became of it: a minute's looking, which goes on beside the next kills.
      if (hit[index] === 'register_plugin_meta' && ended !== undefined) waiting.push(ended)
      else await ended
    }
  }
  await Promise.all(waiting)

  const state = (await (await fetch(`${coze.adminOrigin}/state.json`)).json()) as AdminState
  for (const trial of trials) {
    for (const stage of trial.way === 'made' ? STAGES : STAGES.slice(-1)) {
      const what = `${trial.way} ${trial.n} ${stage}`
      const { remoteId } = trial.spaces[stage]
      // Also what was deleted: a second plugin that was tidied away would be one too many all the same.
      const plugins = state.spaces
        .find((space) => space.spaceId === remoteId)
        ?.plugins.filter(({ foreign }) => !foreign)
      expect(plugins, what).toMatchObject([
        {
          deleted: false,
          published: true,
          status: false,
          agentHeaders: [{ name: 'Authorization', value: hashText(`Bearer ${tokenOf(trial, stage)}`) }],
        },
      ])
      const registered = coze.calls({ endpoint: 'register_plugin_meta', spaceId: remoteId })
      expect(
        registered.filter((call) => call.changed),
        what,
      ).toHaveLength(1)
    }
  }
  expect(state.load.maxWritesInFlightInOneSpace).toBe(1)
  expect(state.load.maxInFlightOfOneUser).toBeLessThanOrEqual(2)
  const cells = (trials.length - changed.length) * STAGES.length + changed.length
  const { store } = cluster
  expect(await store.query(`SELECT bindingId FROM Deployment WHERE state = 'in_sync'`)).toHaveLength(cells)
  expect(await store.query(`SELECT id FROM GatewayToken WHERE state = 'active'`)).toHaveLength(cells)
  // One that the last kill kept from being let go ends by itself.
  await expect
    .poll(() => store.query('SELECT spaceId FROM SpaceLease WHERE until > UTC_TIMESTAMP(3)'), { timeout: 60_000 })
    .toEqual([])
}, 420_000)
