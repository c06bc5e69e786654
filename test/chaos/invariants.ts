import { WorkflowNotFoundError } from '@temporalio/client'
import { callAsDify } from '../support/call-as-dify.ts'
import type { ChaosWorld } from './world.ts'

/** What must hold whatever happened before; each function answers what does not, in words. */

type Row = Record<string, unknown>

type Cell = {
  bindingId: string
  platform: 'dify' | 'coze'
  remoteSpaceId: string
  instanceId: string
  state: string
  remoteId: string | null
  enabled: boolean
  start: string | null
}

/** A tool or plugin as its platform would use it. */
type Standing = { remoteId: string; remoteSpaceId: string; url: string; headers: Record<string, string> }

/** No run goes on for ever, none leaves a target, a lease or a call slot behind. */
export async function stuck(world: ChaosWorld): Promise<string[]> {
  const { store, temporal } = world.cluster
  const wrong: string[] = []
  for (const run of await store.query('SELECT id, state FROM Sync WHERE finishedAt IS NULL')) {
    wrong.push(`the run ${run.id} is still ${run.state}`)
  }
  for (const run of await store.query('SELECT id, state FROM Sync WHERE finishedAt IS NOT NULL')) {
    const open = await isOpenInTemporal(world, `sync-${run.id}`)
    if (open) wrong.push(`the run ${run.id} is ${run.state}, and goes on in Temporal (${temporal.address})`)
  }
  const targets = await store.query(
    `SELECT t.id, t.state, s.id AS syncId, s.state AS syncState FROM SyncTarget t JOIN Sync s ON s.id = t.syncId
     WHERE t.state IN ('pending', 'running') AND s.finishedAt IS NOT NULL AND s.dryRun = false`,
  )
  for (const row of targets) wrong.push(`a target of the ${row.syncState} run ${row.syncId} is ${row.state}`)
  const leases = await store.query('SELECT spaceId FROM SpaceLease WHERE until > UTC_TIMESTAMP(3)')
  for (const { spaceId } of leases) wrong.push(`the space ${spaceId} is still leased`)
  const slots = await store.query(
    `SELECT id FROM CallBudget WHERE (id LIKE '%#1' OR id LIKE '%#2') AND nextAt > UTC_TIMESTAMP(3)`,
  )
  for (const { id } of slots) wrong.push(`the call slot ${id} is still taken`)
  return wrong
}

async function isOpenInTemporal({ cluster }: ChaosWorld, workflowId: string): Promise<boolean> {
  try {
    return (await cluster.temporal.client.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING'
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false
    throw error
  }
}

/** What the admin was told is done is so. */
export async function lastWords(world: ChaosWorld): Promise<string[]> {
  const rows = await world.cluster.store.query('SELECT id, enabled FROM Binding')
  const enabled = new Map(rows.map((row) => [String(row.id), row.enabled === 1]))
  return [...world.wished]
    .filter(([bindingId, wished]) => enabled.get(bindingId) !== wished)
    .map(([bindingId, wished]) => `the binding ${bindingId} was ${wished ? 'enabled' : 'disabled'} last, and is not`)
}

/** One object for each (instance, space), the one that the store knows, with the token that the store knows. */
export async function agreement(world: ChaosWorld): Promise<string[]> {
  const wrong: string[] = []
  const cells = await cellsOf(world)
  const standing = await standingObjects(world)
  const known = new Map(cells.filter(({ remoteId }) => remoteId !== null).map((cell) => [cell.remoteId, cell]))
  const seen = new Map<string, number>()
  for (const object of standing) {
    const { pathname } = new URL(object.url)
    const place = `${object.remoteSpaceId} ${pathname}`
    seen.set(place, (seen.get(place) ?? 0) + 1)
    const cell = known.get(object.remoteId)
    if (cell === undefined) {
      wrong.push(`nobody knows the object ${object.remoteId} in ${object.remoteSpaceId}`)
      continue
    }
    if (cell.state === 'removed') wrong.push(`${object.remoteId} was removed, and is there`)
    if (!pathname.includes(cell.instanceId)) wrong.push(`${object.remoteId} is of another instance than ${pathname}`)
    // One that is cut off keeps its object as it was, whatever token it was given since.
    if (cell.state === 'in_sync' && cell.enabled && !object.headers.Authorization?.startsWith(`Bearer ${cell.start}`)) {
      wrong.push(`${object.remoteId} has another token than its binding ${cell.bindingId}`)
    }
  }
  for (const [place, count] of seen) if (count !== 1) wrong.push(`${count} objects at ${place}`)
  const there = new Set(standing.map(({ remoteId }) => remoteId))
  for (const cell of cells) {
    if (cell.state === 'in_sync' && !there.has(cell.remoteId ?? '')) {
      wrong.push(`the ${cell.platform} object of the binding ${cell.bindingId} is in_sync, and is not there`)
    }
    // One that was cut off in mid-write waits for its space to be let in again.
    if (cell.state === 'pending' && cell.enabled)
      wrong.push(`the deployment of the binding ${cell.bindingId} is still pending`)
  }
  return wrong
}

/** Every credential on a platform works when its binding is enabled, and is refused when it is not. */
export async function access(world: ChaosWorld): Promise<string[]> {
  const cells = new Map((await cellsOf(world)).map((cell) => [cell.remoteId, cell]))
  const wrong: string[] = []
  for (const { remoteId, url, headers } of await standingObjects(world)) {
    const cell = cells.get(remoteId)
    if (cell === undefined) continue
    const answer = await callAsDify(url, headers, 'tool-1', { text: 'x' })
    const expected = cell.enabled ? [200] : [403, 401]
    if (expected.includes(answer.status)) continue
    wrong.push(
      `${cell.platform} ${remoteId} of the ${cell.enabled ? 'enabled' : 'disabled'} binding ${cell.bindingId} (${cell.state}): ${answer.status} ${answer.text.slice(0, 80)}`,
    )
  }
  return wrong
}

/** Once all is enabled and synced: one active token a binding, and no other that is good for anything. */
export async function tokens(world: ChaosWorld): Promise<string[]> {
  const { store } = world.cluster
  const rows = await store.query(
    `SELECT t.id, t.state, t.bindingId, b.id AS known FROM GatewayToken t LEFT JOIN Binding b ON b.id = t.bindingId
     WHERE t.state <> 'revoked'`,
  )
  const wrong: string[] = []
  const active = new Map<string, number>()
  for (const { id, state, bindingId, known } of rows) {
    if (known === null) wrong.push(`the token ${id} is ${state} and of no binding`)
    else if (state === 'active') active.set(bindingId, (active.get(bindingId) ?? 0) + 1)
    else wrong.push(`the token ${id} of the binding ${bindingId} is still ${state}`)
  }
  for (const { bindingId } of await cellsOf(world)) {
    const count = active.get(bindingId) ?? 0
    if (count !== 1) wrong.push(`the binding ${bindingId} has ${count} active tokens`)
  }
  return wrong
}

/** Nothing that was given as a secret was printed. */
export function leaks(world: ChaosWorld, secrets: readonly string[]): string[] {
  const output = world.cluster.output()
  return secrets
    .filter((secret) => output.includes(secret))
    .map((secret) => `a secret was logged: ${secret.slice(0, 8)}…`)
}

export async function cellsOf(world: ChaosWorld): Promise<Cell[]> {
  const rows: Row[] = await world.cluster.store.query(
    `SELECT b.id, b.enabled, b.instanceId, d.state, d.remoteId, s.remoteId AS remoteSpaceId, p.kind, t.start
     FROM Binding b JOIN Space s ON s.id = b.spaceId JOIN Platform p ON p.id = s.platformId
     LEFT JOIN Deployment d ON d.bindingId = b.id LEFT JOIN GatewayToken t ON t.bindingId = b.id AND t.state = 'active'`,
  )
  return rows.map((row) => ({
    bindingId: String(row.id),
    platform: row.kind === 'coze' ? 'coze' : 'dify',
    remoteSpaceId: String(row.remoteSpaceId),
    instanceId: String(row.instanceId),
    state: String(row.state),
    remoteId: row.remoteId === null ? null : String(row.remoteId),
    enabled: row.enabled === 1,
    start: row.start === null ? null : String(row.start),
  }))
}

async function standingObjects({ dify, coze, platforms }: ChaosWorld): Promise<Standing[]> {
  const inDify = await Promise.all(
    dify.workspaces.map(async (workspace) => {
      const rows = await dify.dify.checkRows(workspace)
      return rows.map(({ id, url, headers }) => ({ remoteId: id, remoteSpaceId: workspace.tenantId, url, headers }))
    }),
  )
  const inCoze = platforms.coze.spaces.flatMap(({ remoteId: remoteSpaceId }) =>
    coze.plugins(remoteSpaceId).map(({ pluginId, draft, online, agentHeaders }) => ({
      remoteId: pluginId,
      remoteSpaceId,
      url: (online ?? draft).meta.url,
      headers: Object.fromEntries((agentHeaders ?? []).map(({ name, value }) => [name, value])),
    })),
  )
  return [...inDify.flat(), ...inCoze]
}
