import { ApiError } from './api-client.ts'
import type { Binding, Instance, Platform, PlatformCheck, Probe, Space } from './api-types.ts'
import { callEverywhere, tryCall } from './as-dify.ts'
import { finishCoze, planCoze, registerCoze, startCozeRun } from './coze-run.ts'
import type { McpServer } from './mcp-servers.ts'
import { cellsOf, namer, rowsOf, sameJson, startAndFollow, stateOf, type Walk } from './runs.ts'

/** A real Dify may have hundreds of workspaces: the demo writes to the first few only. */
const REAL_DIFY_SPACES = 3

/** Walks the main job over the HTTP API, checking every claim. Answers the first sync's page in the Temporal Web UI, if there is one. */
export async function guidedRun(walk: Walk): Promise<{ temporalUrl: string | null }> {
  const { world, api, terminal, expectations } = walk

  terminal.step('Register the Dify database')
  const platform = await ensurePlatform(walk)
  const check = await api.post<PlatformCheck>(`/platforms/${platform.id}/check`)
  expectations.expect(check.ok, `${platform.name}: ${check.version ?? 'unknown version'}`, check.error?.message)
  // They speak of containers and proxies, which only a real Dify has.
  if (world.dify.isReal) for (const hint of check.hints) terminal.note(hint)

  const allSpaces = await api.list<Space>(`/platforms/${platform.id}/spaces?refresh=true`)
  const usable = allSpaces.filter((space) => space.problem === null)
  const spaces = world.dify.isReal ? usable.slice(0, REAL_DIFY_SPACES) : usable
  terminal.table(
    ['workspace', 'owner'],
    spaces.map((space) => [space.name, space.ownerName ?? '–']),
  )
  const expected = world.dify.isReal ? spaces.length > 0 : spaces.length === world.dify.workspaces.length
  expectations.expect(expected, `${spaces.length} workspaces can be written to`)

  const coze = await registerCoze(walk)

  terminal.step('Register the MCP servers, each once')
  const instances = await ensureInstances(walk)
  const toolCounts = new Map<string, number>()
  for (const instance of instances) {
    const probe = await api.post<Probe>(`/instances/${instance.id}/probe`)
    toolCounts.set(instance.id, probe.toolCount ?? 0)
    expectations.expect(
      probe.ok && (probe.toolCount ?? 0) > 0,
      `${instance.name}: handshake with ${probe.serverName ?? '?'} ${probe.serverVersion ?? ''}, ${probe.toolCount ?? 0} tools`,
      probe.error?.message,
    )
  }

  const names = namer(instances, spaces)
  const selection = {
    platformId: platform.id,
    instanceIds: instances.map((instance) => instance.id),
    spaceIds: world.dify.isReal ? spaces.map((space) => space.id) : 'all',
    acceptWarnings: true,
  }
  const cells = instances.length * spaces.length

  terminal.step('Plan: what would a sync do? (dry run)')
  const snapshot = () => world.dify.side.snapshot(spaces.map((space) => space.remoteId))
  const before = await snapshot()
  const [plan, cozePlan] = await Promise.all([
    startAndFollow(walk, { ...selection, name: 'Demo: plan', dryRun: true }, names, true),
    planCoze(walk, coze, instances),
  ])
  const allColumns = [...spaces, ...coze.spaces]
  const targets = [...plan.targets, ...cozePlan.targets]
  const planned = cellsOf(instances, allColumns, targets, (target) => [target.instanceId, target.spaceId])
  terminal.table(
    ['instance', ...allColumns.map((space) => space.name)],
    rowsOf(instances, planned, (target) => target.action),
  )
  for (const warning of plan.sync.warnings) terminal.note(warning)
  expectations.expect(plan.sync.state === 'planned', `${cells} targets planned for Dify`, stateOf(plan))
  const cozeCells = instances.length * coze.spaces.length
  expectations.expect(
    cozePlan.sync.state === 'planned' && cozePlan.targets.length === cozeCells,
    `${cozeCells} targets planned for COZE`,
    stateOf(cozePlan),
  )
  expectations.expect(
    sameJson(before, await snapshot()) && world.coze.simulator.calls({ writes: true }).length === 0,
    'nothing was written to Dify or COZE',
  )

  // COZE is called twice a second at most: its run goes on behind the steps with Dify, and is shown after them.
  const cozeRun = await startCozeRun(walk, coze, instances, 'Demo: first sync to COZE')

  terminal.step('Sync: mint a token each, prove it through the gateway, write it into Dify, read it back')
  const first = await startAndFollow(walk, { ...selection, name: 'Demo: first sync' }, names, false)
  const bindings = await api.list<Binding>(`/bindings?platformId=${platform.id}`)
  const standing = cellsOf(instances, spaces, bindings, (binding) => [binding.instance.id, binding.space.id])
  terminal.line()
  terminal.table(
    ['instance', ...spaces.map((space) => space.name)],
    rowsOf(instances, standing, (binding) => binding.deployment.state),
  )
  const inSync = standing.flat().filter((binding) => binding?.deployment.state === 'in_sync')
  expectations.expect(
    first.sync.state === 'succeeded' && inSync.length === cells,
    `${inSync.length} of ${cells} are in sync (${first.liveEvents} live events over SSE)`,
    stateOf(first),
  )
  expectations.expect(
    inSync.every((binding) => (binding?.token?.provenAt ?? null) !== null),
    'each with a token of its own, proven by a handshake through the gateway',
  )

  await useAsDify(walk, spaces, instances, toolCounts)

  terminal.step('Sync again: unchanged means untouched')
  const rows = await snapshot()
  const second = await startAndFollow(walk, { ...selection, name: 'Demo: second sync' }, names, true)
  const unchanged = second.targets.filter((target) => target.state === 'unchanged')
  expectations.expect(
    second.sync.state === 'succeeded' && unchanged.length === cells,
    `${unchanged.length} of ${cells} targets are unchanged`,
    stateOf(second),
  )
  expectations.expect(
    sameJson(rows, await snapshot()),
    `not one of ${rows.length} rows was written: values, updated_at and PostgreSQL's xmin are the same`,
  )
  await finishCoze(walk, coze, cozeRun, { instances, difyPlatformId: platform.id, difySpaces: spaces })
  return { temporalUrl: first.sync.temporalUrl }
}

async function useAsDify(
  walk: Walk,
  spaces: Space[],
  instances: Instance[],
  toolCounts: Map<string, number>,
): Promise<void> {
  const { world, api, terminal, expectations } = walk
  terminal.step('Use the tools the way Dify does')
  if (!world.dify.side.canDecrypt) {
    terminal.note('The private keys of a real Dify are not ours to have, so its rows cannot be opened here.')
    for (const space of spaces) {
      const providers = await world.dify.side.providers(space.remoteId)
      const found = providers.filter((provider) => instances.some((instance) => instance.name === provider.name))
      expectations.expect(
        found.length === instances.length && found.every((provider) => provider.authed && provider.tools.length > 0),
        `${space.name}: ${found.map((provider) => `${provider.name} (${provider.tools.length} tools)`).join(', ')}`,
      )
    }
    terminal.note(
      'Open Tools → MCP in Dify to see and call them. Its containers must reach the gateway: start the demo with TOOLFERRY_HOST\n' +
        'and TOOLFERRY_PUBLIC_URL set to an address of this machine that they reach.',
    )
    return
  }
  terminal.note('row → decrypt with the workspace’s private key → connect with its URL and header → list → call')
  await callEverywhere(world.dify.side, spaces, instances, toolCounts, expectations)

  const [cutOff, ...others] = spaces
  const instance = instances[0]
  if (cutOff === undefined || instance === undefined) return
  terminal.step(`Cut off one workspace: ${cutOff.name}`)
  await api.post(`/spaces/${cutOff.id}/disable`)
  const refused = await tryCall(world.dify.side, cutOff, instance)
  expectations.expect(
    refused !== 'ok' && refused.status === 403,
    `${cutOff.name} is refused${refused === 'ok' ? '' : `: HTTP ${refused.status} ${refused.reason}`}`,
    refused === 'ok' ? 'the call went through' : 'expected HTTP 403',
  )
  for (const space of others) {
    const outcome = await tryCall(world.dify.side, space, instance)
    expectations.expect(
      outcome === 'ok',
      `${space.name} goes on working`,
      outcome === 'ok' ? undefined : `HTTP ${outcome.status}`,
    )
  }
  await api.post(`/spaces/${cutOff.id}/enable`)
  const again = await tryCall(world.dify.side, cutOff, instance)
  expectations.expect(
    again === 'ok',
    `${cutOff.name} is enabled again and works`,
    again === 'ok' ? undefined : `HTTP ${again.status}`,
  )
}

async function ensurePlatform({ world, api, terminal }: Walk): Promise<Platform> {
  const body = {
    kind: 'dify',
    name: world.dify.isReal ? 'Dify' : 'Demo Dify',
    edition: 'community',
    database: world.dify.address,
  }
  try {
    return await api.post<Platform>('/platforms', body)
  } catch (error) {
    // Only a real Dify is registered already: its records outlive the demo.
    if (!(error instanceof ApiError) || error.status !== 409) throw error
    const known = (await api.list<Platform>('/platforms')).find((platform) => platform.name === body.name)
    if (known === undefined) throw error
    terminal.note('It is registered since an earlier run.')
    return known
  }
}

async function ensureInstances({ world, api, terminal }: Walk): Promise<Instance[]> {
  const known = new Map((await api.list<Instance>('/instances')).map((instance) => [instance.name, instance]))
  const unknown = world.servers.filter((server) => !known.has(server.name))
  for (const server of world.servers) {
    const instance = known.get(server.name)
    if (instance === undefined) continue
    // The servers of the demo get new ports at every start.
    await api.patch(`/instances/${instance.id}`, { url: server.url }, { 'if-match': `"${instance.rowVersion}"` })
  }
  const [imported, ...created] = unknown.toReversed()
  for (const server of created.toReversed()) await api.post('/instances', instanceOf(server))
  if (imported !== undefined) {
    await api.post('/instances/import', {
      mcpServers: { [imported.name]: { type: imported.transport, url: imported.url } },
    })
    terminal.note(`${imported.name} came in through the import of an mcpServers JSON.`)
  }
  const all = await api.list<Instance>('/instances')
  return world.servers.map((server) => {
    const instance = all.find((candidate) => candidate.name === server.name)
    if (instance === undefined) throw new Error(`The instance ${server.name} was not registered.`)
    return instance
  })
}

function instanceOf(server: McpServer) {
  return { name: server.name, description: server.description, transport: server.transport, url: server.url }
}
