import { parseArgs } from 'node:util'
import { printTable } from '../sync/table.ts'
import { type MeasuredRun, measureRun } from './run.ts'
import { createScaleWorld, type ScaleWorld } from './world.ts'

/**
 * `npm run bench:scale [-- 100x1000] [--workers 1,2] [--only cold,unchanged,changed] [--profile folder]`: a sync of many targets
 * (instances × workspaces) in the production shape: PostgreSQL as Dify's (127.0.0.1:5432, user postgres), MariaDB as the store
 * (127.0.0.1:3306, user root without a password), Temporal, and each role a process of its own. Once for each number of workers,
 * from nothing. It fails when an unchanged run writes to Dify, or a changed instance touches more than its own targets.
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { workers: { type: 'string' }, only: { type: 'string' }, profile: { type: 'string' } },
})
const [instances = 100, workspaces = 1_000] = (positionals[0] ?? '100x1000').split('x').map(Number)
const only = values.only?.split(',')
const wanted = (run: string): boolean => only === undefined || only.includes(run)
const targets = instances * workspaces

let open: ScaleWorld | null = null
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    // Its databases and processes would stay behind.
    void (open?.stop() ?? Promise.resolve()).finally(() => process.exit(130))
  })
}

const lines: string[][] = []
for (const workers of (values.workers ?? '1,2').split(',').map(Number)) {
  const world = await createScaleWorld({ instances, workspaces, workers })
  open = world
  try {
    await measure(world, (run) => {
      lines.push(cells(workers, run))
      // A run of hours tells what it has, whatever becomes of the next one.
      process.stdout.write(`${JSON.stringify({ instances, workspaces, workers, ...run })}\n`)
    })
  } finally {
    open = null
    await world.stop()
  }
}
printTable([head(), ...lines])

async function measure(world: ScaleWorld, done: (run: MeasuredRun) => void): Promise<void> {
  const { profile } = values
  done(await measureRun(world, { run: 'first run', memory: true, profile }, targets))
  if (wanted('unchanged')) {
    const run = await measureRun(world, { run: 'unchanged second run', profile }, targets)
    done(run)
    if (run.dify.writes !== 0) throw new Error(`an unchanged run wrote ${run.dify.writes} times to Dify`)
  }
  if (wanted('changed')) {
    await world.dify.query(`UPDATE tool_mcp_providers SET tools = '[]' WHERE name = 'Server 1'`)
    const run = await measureRun(world, { run: 'one instance changed', profile }, targets)
    done(run)
    if (run.dify.writes !== workspaces) throw new Error(`${run.dify.writes} writes for ${workspaces} changed targets`)
  }
}

function head(): string[] {
  return [
    'size',
    'workers',
    'run',
    'wall',
    'targets/s',
    'statements in Dify, a target',
    'writes',
    'statements in the store, a target',
    'commits',
    'MCP requests',
    'activities',
    'executions',
    'largest history',
    'all histories',
    'CPU of workers, ms a target',
    'gateway',
    'api',
    'Temporal',
    'MCP servers',
    'memory of each worker at 50 % / 100 %',
  ]
}

function cells(workers: number, run: MeasuredRun): string[] {
  const { history, cpuMs, dify, store } = run
  const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
  const perTarget = (total: number) => (total / targets).toFixed(2)
  return [
    `${instances} × ${workspaces}`,
    String(workers),
    run.run,
    `${(run.wallMs / 1000).toFixed(1)} s`,
    (targets / (run.wallMs / 1000)).toFixed(1),
    perTarget(dify.all),
    String(dify.writes),
    perTarget(store.all),
    String(store.commits),
    String(run.upstreamRequests),
    String(history.activities),
    String(history.executions),
    `${history.events.largest} events, ${mib(history.bytes.largest)}`,
    `${history.events.sum} events, ${mib(history.bytes.sum)}`,
    ...[cpuMs.workers, cpuMs.gateway, cpuMs.api, cpuMs.temporal, cpuMs.mcpServers].map(perTarget),
    run.memory === null
      ? ''
      : run.memory.half.map((half, index) => `${mib(half)} / ${mib(run.memory?.full[index] ?? 0)}`).join(', '),
  ]
}
