import { readFileSync } from 'node:fs'
import { connect } from 'node:net'

/** A load generator for machines without wrk: each connection sends its next request when the last answer is whole. */
type Plan = { url: string; headers: Record<string, string>; bodyFile: string; connections: number; seconds: number }
const plan = JSON.parse(process.argv[2] ?? '') as Plan
const { hostname, port, pathname } = new URL(plan.url)
const body = readFileSync(plan.bodyFile)
const head = [
  `POST ${pathname} HTTP/1.1`,
  `Host: ${hostname}:${port}`,
  ...Object.entries(plan.headers).map(([name, value]) => `${name}: ${value}`),
  `Content-Length: ${body.length}`,
]
const request = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
const latenciesUs: number[] = []
let errors = 0
const untilMs = performance.now() + plan.seconds * 1_000

function run(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    socket.setNoDelay(true)
    let startedMs = 0
    let held: Buffer = Buffer.alloc(0)
    let needed = -1
    const next = () => {
      if (performance.now() >= untilMs) {
        socket.destroy()
        resolve()
        return
      }
      startedMs = performance.now()
      needed = -1
      held = Buffer.alloc(0)
      socket.write(request)
    }
    socket.once('connect', next)
    socket.on('data', (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      if (needed === -1) {
        const end = held.indexOf('\r\n\r\n')
        if (end === -1) return
        const text = held.subarray(0, end).toString('latin1')
        const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1]
        if (length === undefined) throw new Error('the generator reads answers with Content-Length only; install wrk')
        if (!/^HTTP\/1\.1 2/.test(text)) errors += 1
        needed = end + 4 + Number(length)
      }
      if (held.length < needed) return
      latenciesUs.push((performance.now() - startedMs) * 1_000)
      next()
    })
    socket.once('error', () => {
      errors += 1
      resolve()
    })
  })
}

const beganMs = performance.now()
await Promise.all(Array.from({ length: plan.connections }, run))
const seconds = (performance.now() - beganMs) / 1_000
latenciesUs.sort((a, b) => a - b)
const at = (share: number) => Math.round(latenciesUs[Math.floor(latenciesUs.length * share)] ?? 0)
process.stdout.write(
  JSON.stringify({ requestsPerS: latenciesUs.length / seconds, p50Us: at(0.5), p99Us: at(0.99), errors }),
)
