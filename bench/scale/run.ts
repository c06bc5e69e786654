import { setTimeout as sleep } from 'node:timers/promises'
import { processorMs } from '../gateway/process.ts'
import type { Statements } from '../sync/counters.ts'
import { historyOf, type RunHistory } from '../sync/history.ts'
import type { ProbedProcess } from './probed-process.ts'
import type { ScaleWorld } from './world.ts'

/** One run of the product, measured over all its processes. */
export type MeasuredRun = {
  run: string
  targets: number
  wallMs: number
  history: RunHistory
  dify: Statements
  store: Statements
  upstreamRequests: number
  /** Processor time by who used it; `workers` is one figure for all of them. */
  cpuMs: Record<'workers' | 'gateway' | 'api' | 'temporal' | 'mcpServers', number>
  /** Of each worker, in bytes after a collection, when half and all of the targets had landed; null: not looked at. */
  memory: { half: number[]; full: number[] } | null
}

type Wanted = {
  run: string
  /** Looks at memory while the providers come to be. */
  memory?: boolean
  /** A CPU profile of each process goes there. */
  profile?: string | undefined
}

const POLL_MS = 1_000

/** Starts a sync of everything and waits for its end. Rejects when it does not succeed. */
export async function measureRun(world: ScaleWorld, wanted: Wanted, targets: number): Promise<MeasuredRun> {
  const { api, workers, profile } = { ...world, ...wanted }
  if (profile !== undefined) for (const one of [...workers, ...world.others]) await one.profile()
  const before = await countsOf(world)
  const at = performance.now()
  const sync = await api.must<{ id: string; workflowId: string }>(202, 'POST', '/syncs', {
    platformId: world.platformId,
    instanceIds: world.instanceIds,
    spaceIds: 'all',
    acceptWarnings: true,
  })
  const memory = wanted.memory === true ? await memoryOver(world, targets) : null
  await untilSucceeded(world, sync.id)
  const wallMs = performance.now() - at
  const after = await countsOf(world)
  if (profile !== undefined)
    for (const [index, one] of [...workers, ...world.others].entries()) {
      await one.saveProfile(profile, `${wanted.run} ${workers.length} ${index + 1} ${one.role}`)
    }
  const cpuMs = { ...after.cpuMs }
  for (const part of Object.keys(cpuMs) as (keyof typeof cpuMs)[]) cpuMs[part] -= before.cpuMs[part]
  cpuMs.workers -= memory?.collectingMs ?? 0
  return {
    run: wanted.run,
    targets,
    wallMs,
    history: await historyOf(world.temporal.client, sync.workflowId),
    dify: minus(after.dify, before.dify),
    store: minus(after.store, before.store),
    upstreamRequests: after.requests - before.requests,
    cpuMs,
    memory: memory === null ? null : { half: memory.half, full: memory.full },
  }
}

type Snapshot = Pick<MeasuredRun, 'dify' | 'store' | 'cpuMs'> & { requests: number }

async function countsOf({ workers, others, temporal, upstream }: ScaleWorld): Promise<Snapshot> {
  const all = await Promise.all([...workers, ...others].map(async (one) => ({ one, counts: await one.counts() })))
  const cpuOf = (role: ProbedProcess['role']) =>
    all.filter(({ one }) => one.role === role).reduce((sum, { counts }) => sum + counts.cpuMs, 0)
  return {
    dify: all.map(({ counts }) => counts.dify).reduce(plus),
    store: all.map(({ counts }) => counts.store).reduce(plus),
    cpuMs: {
      workers: cpuOf('worker'),
      gateway: cpuOf('gateway'),
      api: cpuOf('api'),
      temporal: await processorMs(temporal.server.pid()),
      mcpServers: await processorMs(upstream.pid),
    },
    requests: await upstream.requests(),
  }
}

async function memoryOver(
  { dify, workers }: ScaleWorld,
  targets: number,
): Promise<{ half: number[]; full: number[]; collectingMs: number }> {
  let collectingMs = 0
  const whenThereAre = async (rows: number): Promise<number[]> => {
    for (;;) {
      const [counted] = await dify.query('SELECT count(*)::int AS rows FROM tool_mcp_providers')
      if (Number(counted?.rows) >= rows) break
      await sleep(POLL_MS)
    }
    const seen = await Promise.all(workers.map((worker) => worker.memory()))
    collectingMs += seen.reduce((sum, one) => sum + one.collectingMs, 0)
    return seen.map(({ used }) => used)
  }
  const half = await whenThereAre(targets / 2)
  return { half, full: await whenThereAre(targets), collectingMs }
}

async function untilSucceeded({ api }: ScaleWorld, syncId: string): Promise<void> {
  for (;;) {
    const sync = await api.must<{ state: string; counts: { failed: number; conflict: number } }>(
      200,
      'GET',
      `/syncs/${syncId}`,
    )
    if (sync.state === 'succeeded') return
    if (sync.state === 'failed' || sync.state === 'partial') {
      throw new Error(`the run is ${sync.state}: ${sync.counts.failed} failed, ${sync.counts.conflict} in conflict`)
    }
    await sleep(POLL_MS)
  }
}

function plus(one: Statements, other: Statements): Statements {
  return { all: one.all + other.all, writes: one.writes + other.writes, commits: one.commits + other.commits }
}

function minus(one: Statements, other: Statements): Statements {
  return { all: one.all - other.all, writes: one.writes - other.writes, commits: one.commits - other.commits }
}
