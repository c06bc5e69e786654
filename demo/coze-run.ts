import type { Binding, Instance, Platform, Space, Sync } from './api-types.ts'
import { pluginOf, tryTool } from './as-coze.ts'
import { COZE_GATEWAY_URL } from './coze.ts'
import { type FollowedSync, followSync } from './follow-sync.ts'
import { cellsOf, namer, rowsOf, sameJson, startAndFollow, startSync, stateOf, type Walk } from './runs.ts'
import type { Terminal } from './terminal.ts'

/** The COZE side of the guided run: the same MCP servers as published plugins in every space of an enterprise. */

const PLATFORM_NAME = 'Demo COZE'

export type CozeTarget = { platformId: string; spaces: Space[] }

/** Registers the enterprise with the user's cookie; the spaces offered are those that the user may write to. */
export async function registerCoze({ world, api, terminal, expectations }: Walk): Promise<CozeTarget> {
  const { simulator, enterpriseId, user, writable, memberOnly } = world.coze
  terminal.step('Register a COZE enterprise with a cookie')
  if (world.dify.isReal) {
    // The records of a real Dify outlive the demo; those of an earlier run's simulator are about nothing.
    const known = (await api.list<Platform>('/platforms')).find((platform) => platform.name === PLATFORM_NAME)
    if (known !== undefined) await api.delete(`/platforms/${known.id}?forget=true`)
  }
  const platform = await api.post<Platform>('/platforms', {
    kind: 'coze',
    name: PLATFORM_NAME,
    baseUrl: simulator.origin,
    accountType: 'team',
    enterpriseId,
    cookie: `Cookie: ${user.cookie}`,
    gatewayUrl: COZE_GATEWAY_URL,
  })
  const spaces = await api.list<Space>(`/platforms/${platform.id}/spaces`)
  terminal.table(
    ['space', `role of ${user.name}`],
    spaces.map((space) => [space.name, space.role ?? '–']),
  )
  const offered = spaces.map((space) => space.remoteId).toSorted()
  expectations.expect(
    sameJson(offered, writable.toSorted()) && spaces.every((space) => space.problem === null),
    `${spaces.length} spaces can be written to; ${memberOnly.name}, where the user is a member only, is not offered`,
    `offered: ${spaces.map((space) => space.name).join(', ')}`,
  )
  return { platformId: platform.id, spaces }
}

/** A dry run, without a word of its own. */
export function planCoze(walk: Walk, coze: CozeTarget, instances: Instance[]): Promise<FollowedSync> {
  const silent: Terminal = { ...walk.terminal, progress: () => undefined }
  const body = { ...selectionOf(coze, instances), name: 'Demo: plan for COZE', dryRun: true }
  return startAndFollow({ ...walk, terminal: silent }, body, namer(instances, coze.spaces), true)
}

export function startCozeRun({ api }: Walk, coze: CozeTarget, instances: Instance[], name: string): Promise<Sync> {
  return startSync(api, { ...selectionOf(coze, instances), name })
}

export type BesideDify = {
  instances: Instance[]
  difyPlatformId: string
  difySpaces: Space[]
}

/** Follows the run to its end, uses the plugins as COZE does, cuts one space off, and syncs again. */
export async function finishCoze(walk: Walk, coze: CozeTarget, started: Sync, beside: BesideDify): Promise<void> {
  const { world, api, terminal, expectations } = walk
  const { instances, difyPlatformId, difySpaces } = beside
  const { simulator } = world.coze
  const cells = instances.length * coze.spaces.length
  const allCells = instances.length * difySpaces.length + cells

  terminal.step('Meanwhile in COZE: the same servers, as published plugins')
  terminal.note('register → refresh → publish → read back, at most two calls a second')
  const run = await followSync(api, started.id, terminal, namer(instances, coze.spaces))
  const lists = await Promise.all(
    [difyPlatformId, coze.platformId].map((id) => api.list<Binding>(`/bindings?platformId=${id}`)),
  )
  const spaces = [...difySpaces, ...coze.spaces]
  const standing = cellsOf(instances, spaces, lists.flat(), (binding) => [binding.instance.id, binding.space.id])
  terminal.line()
  terminal.table(
    ['instance', ...spaces.map((space) => space.name)],
    rowsOf(instances, standing, (binding) => binding.deployment.state),
  )
  const inSync = standing.flat().filter((binding) => binding?.deployment.state === 'in_sync')
  expectations.expect(
    run.sync.state === 'succeeded' && inSync.length === allCells,
    `${inSync.length} of ${allCells} are in sync, in Dify and COZE`,
    stateOf(run),
  )
  const plugins = coze.spaces.flatMap((space) => instances.map((instance) => pluginOf(world.coze, space, instance)))
  const live = plugins.filter((plugin) => plugin?.published === true && !plugin.status)
  const once = [...simulator.livePluginsByUrl().values()]
  expectations.expect(
    live.length === cells && once.length === cells && once.every((count) => count === 1),
    `${live.length} published plugins, one for each server and space`,
    `${once.length} addresses have ${once.join(', ')} plugins`,
  )

  await useAsCoze(walk, coze, instances)

  terminal.step('Sync to COZE again: unchanged means untouched')
  const last = simulator.calls().at(-1)?.n ?? 0
  const before = simulator.plugins()
  const body = { ...selectionOf(coze, instances), name: 'Demo: second sync to COZE' }
  const second = await startAndFollow(walk, body, namer(instances, coze.spaces), true)
  const unchanged = second.targets.filter((target) => target.state === 'unchanged')
  expectations.expect(
    second.sync.state === 'succeeded' && unchanged.length === cells,
    `${unchanged.length} of ${cells} targets are unchanged`,
    stateOf(second),
  )
  const calls = simulator.calls({ after: last })
  const writes = simulator.calls({ after: last, writes: true })
  expectations.expect(
    calls.length > 0 && writes.length === 0 && sameJson(before, simulator.plugins()),
    `${calls.length} calls read what is there, none writes`,
    `${writes.length} writes: ${writes.map((call) => call.endpoint).join(', ')}`,
  )
}

async function useAsCoze({ world, api, terminal, expectations }: Walk, coze: CozeTarget, instances: Instance[]) {
  // A server whose name is known to have an echo: the first that the demo starts.
  const [instance] = instances
  const [cutOff] = coze.spaces
  if (instance === undefined || cutOff === undefined) return
  const echo = (space: Space) => {
    const plugin = pluginOf(world.coze, space, instance)
    if (plugin === null) return Promise.resolve({ success: false, resp: '', reason: 'there is no such plugin' })
    return tryTool(world.coze, plugin, 'echo', { message: `ferried to ${space.name}` })
  }
  const works = async (space: Space, claim: string) => {
    const answer = await echo(space)
    const said = `ferried to ${space.name}`
    expectations.expect(answer.success && answer.resp.includes(said), claim, answer.reason || answer.resp.slice(0, 120))
  }

  terminal.step('Use a tool the way COZE does, then cut off one space')
  terminal.note('COZE’s cloud calls the plugin’s address with the plugin’s header')
  for (const space of coze.spaces) {
    await works(space, `${instance.name} in ${space.name}: echo → Echo: ferried to ${space.name}`)
  }
  await api.post(`/spaces/${cutOff.id}/disable`)
  const refused = await echo(cutOff)
  expectations.expect(
    !refused.success && refused.reason.includes('HTTP 403'),
    `${cutOff.name} is refused: ${refused.reason}`,
    'expected HTTP 403',
  )
  for (const space of coze.spaces.slice(1)) await works(space, `${space.name} goes on working`)
  await api.post(`/spaces/${cutOff.id}/enable`)
  await works(cutOff, `${cutOff.name} is enabled again and works`)
}

function selectionOf({ platformId, spaces }: CozeTarget, instances: Instance[]) {
  return {
    platformId,
    instanceIds: instances.map((instance) => instance.id),
    spaceIds: spaces.map((space) => space.id),
    acceptWarnings: true,
  }
}
