import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { proposeDifyIdentity } from '../../src/platforms/dify/normalise.ts'
import { callAsDify } from './call-as-dify.ts'
import type { Cluster } from './cluster.ts'
import { createDifyDatabase, type DifyTestDatabase, type TestWorkspace } from './dify-database.ts'
import { type Product, type SyncBody, type TargetBody, targetsOf } from './product.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from './scripted-mcp-server.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** One Dify with a faulty network in front of it, and MCP servers that can be made to wait, registered at a cluster. */
export type FaultWorld = {
  dify: DifyTestDatabase
  /** What the product goes through to reach Dify's database. */
  network: TcpProxy
  platformId: string
  workspaces: TestWorkspace[]
  /** Of the workspaces, in their order. */
  spaceIds: string[]
  instanceIds: string[]
  /** Every MCP server leaves requests with this JSON-RPC method unanswered until the release. */
  hold: (method: 'tools/list') => Hold
  /** As `hold`, for handshakes after the tools were asked for: those that prove a token. */
  holdProofs: () => Hold
  startSync: (body?: Record<string, unknown>) => Promise<string>
  stop: () => Promise<void>
}

export type Hold = { held: () => number; release: () => void }

export async function startFaultWorld(
  cluster: Pick<Product, 'must'>,
  size: { name: string; instances: number; workspaces: number },
): Promise<FaultWorld> {
  const holds = new Map<string, (() => void)[]>()
  const dify = await createDifyDatabase()
  const { host, port } = dify.connection
  const network = await startTcpProxy({ host, port })
  const workspaces: TestWorkspace[] = []
  for (let index = 1; index <= size.workspaces; index++) {
    workspaces.push(await dify.addWorkspace({ name: `${size.name} ${String(index).padStart(2, '0')}` }))
  }
  const servers: ScriptedServer[] = []
  for (let index = 1; index <= size.instances; index++) {
    const tools = manyTools(index)
    let listed = false
    const server = await startScriptedServer({
      tools,
      intercept: (request, response, message) => {
        const method = message?.method === 'initialize' && listed ? 'proof' : (message?.method ?? '')
        if (method === 'tools/list') listed = true
        const waiting = holds.get(method)
        if (waiting === undefined || response.destroyed) return false
        // Never answered: whoever asked is told by the cut connection, and asks again.
        waiting.push(() => request.socket.destroy())
        return true
      },
    })
    servers.push(server)
  }

  const platform = await cluster.must<{ id: string }>(201, 'POST', '/platforms', {
    kind: 'dify',
    name: size.name,
    edition: 'community',
    database: { ...dify.connection, host: network.host, port: network.port, password: 'unused', tls: 'disable' },
  })
  const spaces = await cluster.must<{ items: { id: string; name: string }[] }>(
    200,
    'GET',
    `/platforms/${platform.id}/spaces?refresh=true&limit=200`,
  )
  const byName = spaces.items.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const instanceIds: string[] = []
  for (const [index, server] of servers.entries()) {
    const body = { name: `${size.name} server ${index + 1}`, transport: 'streamable-http', url: server.url }
    instanceIds.push((await cluster.must<{ id: string }>(201, 'POST', '/instances', body)).id)
  }
  return {
    dify,
    network,
    platformId: platform.id,
    workspaces,
    spaceIds: byName.map((space) => space.id),
    instanceIds,
    hold: (method) => holdRequests(holds, method),
    holdProofs: () => holdRequests(holds, 'proof'),
    startSync: async (body = {}) => {
      const { id } = await cluster.must<{ id: string }>(202, 'POST', '/syncs', {
        platformId: platform.id,
        instanceIds,
        spaceIds: 'all',
        acceptWarnings: true,
        ...body,
      })
      return id
    },
    stop: async () => {
      await network.stop()
      await Promise.all(servers.map((server) => server.stop()))
      await dify.drop()
    },
  }
}

function holdRequests(holds: Map<string, (() => void)[]>, method: string): Hold {
  const waiting: (() => void)[] = []
  holds.set(method, waiting)
  return {
    held: () => waiting.length,
    release: () => {
      holds.delete(method)
      for (const go of waiting) go()
    },
  }
}

const WAIT_MS = 150_000

/** Asks until the answer is not null or false; then it is answered. */
export async function until<T>(
  what: string | (() => string),
  ask: () => Promise<T | null | false> | T | null | false,
  timeoutMs = WAIT_MS,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== null && answer !== false) return answer
    if (Date.now() > deadline) throw new Error(`waited in vain until ${typeof what === 'string' ? what : what()}`)
    await sleep(50)
  }
}

/** Waits until a statement of the product that looks like this waits for somebody's lock in Dify's database. */
export async function untilBlocked(world: FaultWorld, like: string): Promise<void> {
  await until(`${like} waits for a lock`, async () => {
    const waiting = await world.dify.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'toolferry'
         AND wait_event_type = 'Lock' AND query LIKE $1`,
      [`%${like}%`],
    )
    return waiting.length > 0
  })
}

/** Somebody else's transaction that keeps a table of Dify's to itself; the answer lets go of it. */
export async function lockTable(world: FaultWorld, table: string, mode: string): Promise<() => Promise<void>> {
  const client = await world.dify.connect()
  await client.query('BEGIN')
  await client.query(`LOCK TABLE ${table} IN ${mode} MODE`)
  return async () => {
    await client.query('ROLLBACK')
    await client.end()
  }
}

export type PendingActivity = { type: string; started: boolean; attempt: number }

/** What Temporal says is going on in a run. */
export async function pendingActivities(cluster: Cluster, syncId: string): Promise<PendingActivity[]> {
  const { raw } = await cluster.temporal.client.workflow.getHandle(`sync-${syncId}`).describe()
  return (raw.pendingActivities ?? []).map((one) => ({
    type: one.activityType?.name ?? '',
    // PENDING_ACTIVITY_STATE_STARTED
    started: one.state === 2,
    attempt: one.attempt ?? 0,
  }))
}

/** Waits until an activity of this type is in a worker's hands, at least for the `attempt`-th time. */
export async function untilIn(cluster: Cluster, syncId: string, type: string, attempt = 1): Promise<void> {
  let pending: PendingActivity[] = []
  const seen = () => `${type} is going on; pending: ${JSON.stringify(pending)}\n${cluster.output().slice(-3000)}`
  await until(seen, async () => {
    pending = await pendingActivities(cluster, syncId)
    return pending.some((one) => one.type === type && one.started && one.attempt >= attempt)
  })
}

/** Waits until that activity has failed or was given up `times` times. */
export async function untilTried(cluster: Cluster, syncId: string, type: string, times: number): Promise<void> {
  let pending: PendingActivity[] = []
  const seen = () =>
    `${type} was tried ${times} times; pending: ${JSON.stringify(pending)}\n${cluster.output().slice(-3000)}`
  await until(seen, async () => {
    pending = await pendingActivities(cluster, syncId)
    return pending.some((one) => one.type === type && one.attempt > times)
  })
}

/**
 * What must hold after every fault: one provider for each binding that was brought there and no other, each readable by Dify,
 * with the very token that the store has for it and that the gateway takes; nothing pending, no lease held.
 */
export async function assertAgreement(
  cluster: Cluster,
  world: FaultWorld,
  options: { foreignRows?: string[] } = {},
): Promise<void> {
  const { store } = cluster
  const deployments = await store.query(
    `SELECT d.bindingId, d.state, d.remoteId, d.ownership, d.checkpoint, s.remoteId AS tenantId, b.enabled, t.start
     FROM Deployment d JOIN Space s ON s.id = d.spaceId JOIN Binding b ON b.id = d.bindingId
     LEFT JOIN GatewayToken t ON t.bindingId = b.id AND t.state = 'active' WHERE d.platformId = ?`,
    [world.platformId],
  )
  const written = deployments.filter((row) => row.state === 'in_sync')
  expect(deployments.filter((row) => row.state === 'pending').map((row) => row.bindingId)).toEqual([])
  const foreign = new Set(options.foreignRows ?? [])
  const rows = (await world.dify.rows()).filter((row) => !foreign.has(row.id))
  expect(rows.map((row) => `${row.tenant_id} ${row.id}`).sort()).toEqual(
    written.map((row) => `${row.tenantId} ${row.remoteId}`).sort(),
  )
  const cells = rows.map((row) => `${row.tenant_id} ${row.server_identifier}`)
  expect(new Set(cells).size).toBe(cells.length)

  const starts = new Map(written.map((row) => [String(row.remoteId), String(row.start)]))
  const enabled = new Map(written.map((row) => [String(row.remoteId), row.enabled === 1]))
  for (const workspace of world.workspaces) {
    const checked = await world.dify.checkRows(workspace)
    const own = checked.filter((row) => !foreign.has(row.id))
    for (const row of own) {
      expect(row.headers.Authorization?.startsWith(`Bearer ${starts.get(row.id)}`), row.name).toBe(true)
    }
    const [one] = own
    if (one === undefined) continue
    const answer = await callAsDify(one.url, one.headers, 'tool-1', { text: 'x' })
    expect(answer.status).toBe(enabled.get(one.id) ? 200 : 403)
  }

  const open = await store.query(
    `SELECT t.id FROM SyncTarget t JOIN Sync s ON s.id = t.syncId
     WHERE s.platformId = ? AND t.state IN ('pending', 'running')`,
    [world.platformId],
  )
  expect(open).toEqual([])
  const leases = await store.query(
    'SELECT l.spaceId FROM SpaceLease l JOIN Space s ON s.id = l.spaceId WHERE s.platformId = ? AND l.until > UTC_TIMESTAMP(3)',
    [world.platformId],
  )
  expect(leases).toEqual([])
}

/** The run's end: succeeded, every target in one of these states. */
export async function expectSucceeded(
  cluster: Cluster,
  run: SyncBody,
  states: TargetBody['state'][] = ['succeeded'],
): Promise<void> {
  const targets = await targetsOf(cluster, run.id)
  const odd = targets.filter((target) => !states.includes(target.state))
  expect({ state: run.state, error: run.error, odd }).toEqual({ state: 'succeeded', error: null, odd: [] })
}

/** Another's provider where one of ours will be: the same workspace and identifier. */
export function foreignProvider(
  world: FaultWorld,
  workspace: number,
  instance: number,
): { id: string; sql: string; values: unknown[] } {
  const id = crypto.randomUUID()
  const { tenantId, accountId } = world.workspaces[workspace] ?? { tenantId: '', accountId: '' }
  const { key } = proposeDifyIdentity(world.instanceIds[instance] ?? '')
  return {
    id,
    sql: `INSERT INTO tool_mcp_providers (id, tenant_id, user_id, name, server_identifier, server_url, server_url_hash,
            encrypted_credentials, authed, tools, timeout, sse_read_timeout, created_at, updated_at)
          VALUES ($1, $2, $3, 'made by hand', $4, 'x', $5, '{}', false, '[]', 30, 300, now(), now())`,
    values: [id, tenantId, accountId, key, id],
  }
}
