import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { readOptions } from './options.ts'
import { printTable } from './table.ts'

/**
 * `npm run bench:sync`: what a sync costs beside the least that could do the same, on a local PostgreSQL (127.0.0.1:5432,
 * user postgres). Arguments are sizes, such as 10x20 100x200 (instances × workspaces), and the options of options.ts. Counts are exact; times are this machine's.
 */

type Row = {
  run: string
  instances: number
  workspaces: number
  statements: number
  writes: number
  upstreamRequests: number
  activities: number
  wallMs: number
  /** Of the product's process: everything but the MCP servers, Temporal and the databases. */
  cpuMs: number
  memory: [number, number] | null
}

const RUN_SIZE = fileURLToPath(new URL('run-size.ts', import.meta.url))
const { sizes, options } = readOptions(process.argv.slice(2))

const table: string[][] = [
  [
    'size',
    'run',
    'statements',
    '/target',
    'writes',
    'MCP requests',
    'activities',
    'wall',
    'CPU',
    'over bare',
    'memory 50 % / 100 %',
  ],
]
for (const size of sizes) {
  const [instances = '10', workspaces = '20'] = size.split('x')
  const rows = await measure(instances, workspaces)
  const bare = rows.find((row) => row.run === 'bare script')
  for (const row of rows) table.push(cells(row, bare?.wallMs ?? 0))
}
printTable(table)

function measure(instances: string, workspaces: string): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      ['--expose-gc', RUN_SIZE, instances, workspaces, JSON.stringify(options)],
      { maxBuffer: 16 * 1024 * 1024 },
      (error, stdout) => {
        if (error !== null) return reject(error)
        resolve(
          stdout
            .split('\n')
            .filter((line) => line.startsWith('{'))
            .map((line) => JSON.parse(line)),
        )
      },
    )
    child.stderr?.pipe(process.stderr)
  })
}

function cells(row: Row, bareMs: number): string[] {
  const targets = row.instances * row.workspaces
  const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
  return [
    `${row.instances} × ${row.workspaces}`,
    row.run,
    String(row.statements),
    (row.statements / targets).toFixed(2),
    String(row.writes),
    String(row.upstreamRequests),
    String(row.activities),
    `${(row.wallMs / 1000).toFixed(2)} s`,
    `${(row.cpuMs / 1000).toFixed(2)} s`,
    row.run === 'bare script' ? '' : `${((row.wallMs - bareMs) / targets).toFixed(1)} ms/target`,
    row.memory === null ? '' : row.memory.map(mib).join(' / '),
  ]
}
