import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export type Target = { url: string; headers: Record<string, string> }
/** `errors`: answers other than 2xx, and connections that failed. */
export type Round = { requestsPerS: number; p50Us: number; p99Us: number; errors: number }
export type Load = {
  name: string
  run(target: Target, body: Buffer, connections: number, seconds: number): Promise<Round>
}

/** wrk where it is installed (apt-get install wrk), else the generator in generator.ts; both processes of their own. */
export async function createLoad(): Promise<Load> {
  const directory = await mkdtemp(join(tmpdir(), 'toolferry-bench-'))
  const version = wrkVersion()
  return version === null
    ? { name: 'bench/gateway/generator.ts (node:net, one thread)', run: (...args) => generate(directory, ...args) }
    : { name: `${version}, one thread`, run: (...args) => wrk(directory, ...args) }
}

function wrkVersion(): string | null {
  try {
    execFileSync('wrk', ['-v'], { encoding: 'utf8', stdio: 'pipe' })
    return 'wrk'
  } catch (error) {
    const { stdout = '', code } = error as { stdout?: string; code?: string }
    if (code === 'ENOENT') return null
    return /^wrk \S+/.exec(stdout)?.[0] ?? 'wrk'
  }
}

async function wrk(
  directory: string,
  { url, headers }: Target,
  body: Buffer,
  connections: number,
  seconds: number,
): Promise<Round> {
  const bodyFile = join(directory, `body-${body.length}`)
  await writeFile(bodyFile, body)
  const script = join(directory, 'post.lua')
  await writeFile(
    script,
    [
      'wrk.method = "POST"',
      `local file = io.open(${JSON.stringify(bodyFile)}, "rb")`,
      'wrk.body = file:read("*all")',
      'file:close()',
      ...Object.entries(headers).map(
        ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
      ),
      'done = function(summary, latency, requests)',
      '  local e = summary.errors',
      '  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))',
      'end',
    ].join('\n'),
  )
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', script, url]
  const { stdout } = await promisify(execFile)('wrk', args)
  const numbers = /RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(stdout)?.slice(1).map(Number)
  if (numbers === undefined) throw new Error(`wrk gave no result\n${stdout}`)
  const [requests = 0, durationUs = 1, p50Us = 0, p99Us = 0, errors = 0] = numbers
  return { requestsPerS: (requests / durationUs) * 1e6, p50Us, p99Us, errors }
}

async function generate(
  directory: string,
  target: Target,
  body: Buffer,
  connections: number,
  seconds: number,
): Promise<Round> {
  const bodyFile = join(directory, `body-${body.length}`)
  await writeFile(bodyFile, body)
  const script = new URL('generator.ts', import.meta.url).pathname
  const plan = JSON.stringify({ ...target, bodyFile, connections, seconds })
  const { stdout } = await promisify(execFile)(process.execPath, [script, plan])
  return JSON.parse(stdout) as Round
}
