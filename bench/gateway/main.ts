import { availableParallelism, cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { type Contestant, startContestants } from './contestants.ts'
import { createLoad, type Load, type Round } from './load.ts'
import { processorMs, startScript } from './process.ts'
import { measureRevocation } from './revocation.ts'
import { measureStreams } from './streams.ts'
import { measureTokens } from './tokens.ts'

/** `npm run bench:gateway -- [--rounds 5] [--seconds 1] [--only "nginx,toolferry gateway"] [--skip streams,revocation,tokens]`; `--only tokens` is that part alone */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string' },
    skip: { type: 'string', default: '' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const only = values.only?.split(',') ?? null
const skip = values.skip.split(',')
const onlyTokens = only?.includes('tokens') === true
const runs = (part: string) => (onlyTokens ? part === 'tokens' : !skip.includes(part))

const SCENARIOS = [
  { title: '1 KB POST, c = 1', bytes: 1_024, connections: 1 },
  { title: '1 KB POST, c = 16', bytes: 1_024, connections: 16 },
  { title: '1 KB POST, c = 64', bytes: 1_024, connections: 64 },
  { title: '64 KB POST, c = 16', bytes: 65_536, connections: 16 },
]
const WARM_UP_S = 1
const TOKENS = 100_000
/** Once for each contestant before all scenarios: until its code is compiled, the first rounds would measure the compiler. */
const COMPILE_S = 4

const print = (line = '') => process.stdout.write(`${line}\n`)

const upstream = await startScript('upstream.ts')
const contestants = runs('streams') || runs('requests') ? await startContestants(upstream.port, only) : []
try {
  const load = await createLoad()
  const [cpu] = cpus()
  print(
    `Node ${process.version}, ${availableParallelism()} × ${cpu?.model ?? 'CPU'}, load ${loadavg()[0]?.toFixed(1)} before it began`,
  )
  print(
    `Load generator: ${load.name}. ${rounds} rounds of ${seconds} s, alternating; median and, in brackets, the range.`,
  )
  // First, while the processes are fresh: memory that load has once taken would hide what streams need.
  if (runs('streams')) await streams()
  if (runs('requests')) {
    for (const each of contestants) await load.run(each, bodyOf(1_024), 16, COMPILE_S)
    for (const scenario of SCENARIOS) await requests(load, scenario)
  }
} finally {
  await Promise.all(contestants.map((contestant) => contestant.stop()))
}
try {
  if (runs('revocation')) await revocation(`http://127.0.0.1:${upstream.port}/mcp`)
  if (runs('tokens')) await tokens(`http://127.0.0.1:${upstream.port}/mcp`)
} finally {
  await upstream.stop()
  print(`\nTook ${(performance.now() / 60_000).toFixed(1)} minutes.`)
}

async function requests(load: Load, scenario: (typeof SCENARIOS)[number]): Promise<void> {
  const body = bodyOf(scenario.bytes)
  await compareBytes(body)
  type Kept = Round & { cpuUs: number | null }
  const results = new Map<Contestant, { kept: Kept[]; lost: number }>(
    contestants.map((each) => [each, { kept: [], lost: 0 }]),
  )
  for (const each of contestants) await load.run(each, body, scenario.connections, WARM_UP_S)
  for (let round = 0; round < rounds; round++) {
    // Another one begins each round, so that none always follows the same neighbour.
    for (let index = 0; index < contestants.length; index++) {
      const each = contestants[(index + round) % contestants.length]
      if (each === undefined) continue
      const droppedBefore = (await each.dropped?.()) ?? 0
      const cpuBeforeMs = each.pid === 0 ? 0 : await processorMs(each.pid)
      const result = await load.run(each, body, scenario.connections, seconds)
      const usedMs = each.pid === 0 ? null : (await processorMs(each.pid)) - cpuBeforeMs
      const cpuUs = usedMs === null ? null : (usedMs * 1_000) / (result.requestsPerS * seconds)
      const dropped = ((await each.dropped?.()) ?? 0) - droppedBefore
      const bucket = results.get(each)
      if (dropped > 0 || result.errors > 0) {
        if (bucket !== undefined) bucket.lost += 1
        print(`  (a round of ${each.name} does not count: ${dropped} journal rows dropped, ${result.errors} errors)`)
      } else bucket?.kept.push({ ...result, cpuUs })
    }
  }
  const directP50 = median((results.get(contestants[0] as Contestant)?.kept ?? []).map(({ p50Us }) => p50Us))
  print(`\n### ${scenario.title}\n`)
  print('| | req/s | p50 µs | added p50 µs | p99 µs | CPU µs a request | rounds |')
  print('|---|---:|---:|---:|---:|---:|---:|')
  for (const [{ name }, { kept, lost }] of results) {
    const perS = kept.map(({ requestsPerS }) => requestsPerS)
    const p50 = median(kept.map(({ p50Us }) => p50Us))
    const range = `${whole(Math.min(...perS))}–${whole(Math.max(...perS))}`
    const added = name === 'direct' ? '' : whole(p50 - directP50)
    const cpu = name === 'direct' ? '' : whole(median(kept.map(({ cpuUs }) => cpuUs ?? 0)))
    const p99 = whole(median(kept.map(({ p99Us }) => p99Us)))
    print(
      `| ${name} | ${whole(median(perS))} (${range}) | ${whole(p50)} | ${added} | ${p99} | ${cpu} | ${kept.length}${lost > 0 ? `, ${lost} lost` : ''} |`,
    )
  }
}

async function streams(): Promise<void> {
  print('\n### Event streams: first event (median / worst, ms) and memory\n')
  print('| | 1 | 100 | 500 | KB a stream (500) |')
  print('|---|---:|---:|---:|---:|')
  for (const contestant of contestants) {
    const figures = []
    // The most first, for the same reason.
    for (const count of [500, 100, 1]) figures.unshift(await measureStreams(contestant, count))
    const cells = figures.map(({ firstEventMs, worstMs }) => `${firstEventMs.toFixed(2)} / ${worstMs.toFixed(1)}`)
    print(`| ${contestant.name} | ${cells.join(' | ')} | ${figures.at(-1)?.kbPerStream?.toFixed(0) ?? '–'} |`)
  }
}

async function revocation(upstreamUrl: string): Promise<void> {
  print('\n### Revocation: from sending the PATCH that disables a binding (median / worst, ms)\n')
  print('| | first refusal | open stream ends | PATCH answered (`effective`) |')
  print('|---|---:|---:|---:|')
  for (const { shape, refusalMs, streamEndMs, answeredMs } of await measureRevocation(upstreamUrl)) {
    const cell = (list: number[]) => `${whole(median(list))} / ${whole(Math.max(...list))}`
    print(`| ${shape} | ${cell(refusalMs)} | ${cell(streamEndMs)} | ${cell(answeredMs)} |`)
  }
}

async function tokens(upstreamUrl: string): Promise<void> {
  print(`\n### ${TOKENS.toLocaleString('en')} tokens in a real store: one gateway process\n`)
  print(
    '| | start to /readyz, s | resident, MB | of it its own, MB | at its highest, MB | first refusal, ms | open stream ends, ms | PATCH answered, ms |',
  )
  print('|---|---:|---:|---:|---:|---:|---:|---:|')
  for (const figures of await measureTokens(upstreamUrl, TOKENS)) {
    const { shape, startMs, residentBytes, ownBytes, peakBytes, revocation } = figures
    const megabytes = (bytes: number) => whole(bytes / 1e6)
    const cell = (list: number[]) => `${whole(median(list))} / ${whole(Math.max(...list))}`
    const { refusalMs, streamEndMs, answeredMs } = revocation
    print(
      `| ${shape} | ${(startMs / 1000).toFixed(1)} | ${megabytes(residentBytes)} | ${megabytes(ownBytes)} | ${megabytes(peakBytes)} | ${cell(refusalMs)} | ${cell(streamEndMs)} | ${cell(answeredMs)} |`,
    )
  }
}

/** Every contestant must answer with the very bytes that the upstream sent. */
async function compareBytes(body: Buffer): Promise<void> {
  for (const { name, url, headers } of contestants) {
    const response = await fetch(url, { method: 'POST', headers, body: new Uint8Array(body) })
    const bytes = Buffer.from(await response.arrayBuffer())
    if (response.status !== 200 || !bytes.equals(body)) {
      throw new Error(`${name} answered ${response.status} with ${bytes.length} bytes, other than the upstream's`)
    }
  }
}

/** A tools/call of just that size. */
function bodyOf(bytes: number): Buffer {
  const message = (padding: string) =>
    JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'echo', arguments: { message: padding } },
    })
  return Buffer.from(message('x'.repeat(bytes - message('').length)))
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

function whole(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–'
}
