import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contestant } from './contestants.ts'
import { residentBytes } from './process.ts'

export type StreamFigures = { streams: number; firstEventMs: number; worstMs: number; kbPerStream: number | null }

const SETTLE_MS = 500

/** Opens event streams one after the other and holds them: time to the first event, and what the proxy's memory grows by. */
export async function measureStreams(contestant: Contestant, streams: number): Promise<StreamFigures> {
  const beforeBytes = contestant.pid === 0 ? 0 : await residentBytes(contestant.pid)
  const open: ClientRequest[] = []
  const latenciesMs: number[] = []
  for (let index = 0; index < streams; index++) {
    const startedMs = performance.now()
    const req = request(contestant.url, {
      headers: { ...contestant.headers, Accept: 'text/event-stream' },
      agent: false,
    })
    req.on('error', () => {})
    req.end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    if (res.statusCode !== 200) throw new Error(`${contestant.name} answered a stream with ${res.statusCode}`)
    res.on('error', () => {})
    await once(res, 'data')
    res.resume()
    latenciesMs.push(performance.now() - startedMs)
    open.push(req)
  }
  await sleep(SETTLE_MS)
  const afterBytes = contestant.pid === 0 ? 0 : await residentBytes(contestant.pid)
  for (const req of open) req.destroy()
  await sleep(SETTLE_MS)
  latenciesMs.sort((a, b) => a - b)
  return {
    streams,
    firstEventMs: latenciesMs[Math.floor(latenciesMs.length / 2)] ?? 0,
    worstMs: latenciesMs.at(-1) ?? 0,
    // Below some dozens, the process's own ups and downs are larger.
    kbPerStream: contestant.pid === 0 || streams < 100 ? null : (afterBytes - beforeBytes) / streams / 1024,
  }
}
