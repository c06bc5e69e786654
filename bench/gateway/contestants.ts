import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/support/mcp-servers.ts'
import type { Target } from './load.ts'
import { createDatabase } from './mariadb.ts'
import { start, startScript } from './process.ts'
import { createInstallation, droppedRows, type Installation } from './product.ts'

export type Contestant = Target & {
  name: string
  pid: number
  /** Journal rows lost so far; null: it keeps no journal. */
  dropped: (() => Promise<number>) | null
  stop(): Promise<void>
}

const PLAIN = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' }

/** Starts all that are compared, in front of one upstream. nginx is left out, and that is said, where it is not installed. */
export async function startContestants(upstreamPort: number, only: string[] | null): Promise<Contestant[]> {
  const upstream = `http://127.0.0.1:${upstreamPort}`
  const wanted = (name: string) => only === null || only.includes(name)
  const all: Contestant[] = [
    { name: 'direct', url: `${upstream}/mcp`, headers: PLAIN, pid: 0, dropped: null, stop: async () => {} },
  ]
  if (wanted('nginx')) all.push(...(await nginx(upstreamPort)))
  for (const kind of ['tcp-pipe', 'http-proxy', 'fast-proxy', 'reply-from', 'hono']) {
    if (!wanted(kind)) continue
    const { pid, port, stop } = await startScript('proxy.ts', [kind, upstream])
    all.push({ name: kind, url: `http://127.0.0.1:${port}/mcp`, headers: PLAIN, pid, dropped: null, stop })
  }
  for (const role of ['gateway', 'all'] as const) {
    if (wanted(`toolferry ${role}`)) all.push(await ours(role, `${upstream}/mcp`))
  }
  // Several processes on one port need a store that is no file; one process on the same store is what they compare with.
  for (const workers of [1, 2]) {
    if (wanted(workersName(workers))) all.push(...(await onMariaDb(workers, `${upstream}/mcp`)))
  }
  return all
}

function workersName(workers: number): string {
  return `toolferry ${workers} process${workers === 1 ? '' : 'es'} MariaDB`
}

/** Left out, and that is said, where no MariaDB listens. */
async function onMariaDb(workers: number, upstreamUrl: string): Promise<Contestant[]> {
  const database = await createDatabase().catch((error: Error) => {
    process.stdout.write(`${workersName(workers)} is left out: ${error.message}\n`)
    return null
  })
  if (database === null) return []
  try {
    const contestant = await ours('gateway', upstreamUrl, database.url, { TOOLFERRY_GATEWAY_WORKERS: String(workers) })
    const stop = async () => {
      await contestant.stop()
      await database.drop()
    }
    return [{ ...contestant, name: workersName(workers), stop }]
  } catch (error) {
    await database.drop()
    throw error
  }
}

async function ours(
  role: 'gateway' | 'all',
  upstreamUrl: string,
  databaseUrl: string | null = null,
  env: Record<string, string> = {},
): Promise<Contestant> {
  const installation: Installation = await createInstallation(databaseUrl, upstreamUrl)
  const running = await installation.run(role, env)
  return {
    name: `toolferry ${role}`,
    url: `${running.origin}/mcp-gateway/${installation.instanceId}/mcp`,
    headers: installation.headers,
    pid: running.pid,
    dropped: () => droppedRows(running.origin, installation.adminKey),
    async stop() {
      await running.stop()
      await installation.remove()
    },
  }
}

async function nginx(upstreamPort: number): Promise<Contestant[]> {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' })
  } catch {
    process.stdout.write('nginx is not installed (apt-get install nginx-light) and left out.\n')
    return []
  }
  const directory = await mkdtemp(join(tmpdir(), 'toolferry-bench-nginx-'))
  const port = await freePort()
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/${name};`,
  )
  await writeFile(
    join(directory, 'nginx.conf'),
    `worker_processes 1; daemon off; pid ${directory}/pid; error_log ${directory}/error.log;
events { worker_connections 4096; }
http {
  access_log off; ${paths.join(' ')}
  client_body_buffer_size 128k; keepalive_requests 100000000;
  upstream mcp { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://mcp; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 1h; }
  }
}
`,
  )
  const { pid, stop } = start('nginx', ['-p', directory, '-c', join(directory, 'nginx.conf')])
  await sleep(500)
  return [
    {
      name: 'nginx',
      url: `http://127.0.0.1:${port}/mcp`,
      headers: PLAIN,
      pid,
      dropped: null,
      async stop() {
        await stop()
        await rm(directory, { recursive: true, force: true })
      },
    },
  ]
}
