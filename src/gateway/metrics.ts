import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { LatencyHistogram } from './latency-histogram.ts'

/** What the gateway tells of itself while it works. */
export type GatewayMetrics = {
  /** A request to an instance is over. `status`: what the client got; 499 when it left before. */
  finished(instanceId: string, status: number, seconds: number): void
  /** A change of rights is being obeyed, at most `seconds` after it was committed. */
  changed(seconds: number): void
}

/** Read when Prometheus asks. */
export type GatewayState = {
  openRequests(): number
  openStreams(): number
  /** Since the store was last read. */
  snapshotAgeSeconds(): number
  credentials(): number
  journalDropped(): number
}

const LATENCY_BUCKETS_S = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120]
const LAG_BUCKETS_S = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 10]

/** Registers the gateway's metrics. A registry takes one gateway; a second one throws. */
export function createGatewayMetrics(registry: Registry, state: GatewayState): GatewayMetrics {
  const registers = [registry]
  const requests = new LatencyHistogram({
    name: 'toolferry_gateway_request_seconds',
    help: 'Time from the arrival of a request to the end of its answer (of a stream: its whole life)',
    bounds: LATENCY_BUCKETS_S,
    registers,
  })
  const lag = new Histogram({
    name: 'toolferry_gateway_revocation_lag_seconds',
    help: 'How old a change of rights was at most when this gateway obeyed it',
    buckets: LAG_BUCKETS_S,
    registers,
  })
  // `ofSeveral`: what one figure for several processes of one machine is made of.
  const gauge = (name: string, help: string, read: () => number, ofSeveral: 'sum' | 'max' = 'sum'): void => {
    new Gauge({
      name: `toolferry_gateway_${name}`,
      help,
      aggregator: ofSeveral,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  gauge('open_requests', 'Requests to MCP servers that are open now, streams included', state.openRequests)
  gauge('open_streams', 'Event streams that are open now', state.openStreams)
  gauge('snapshot_age_seconds', 'Time since the store was last read', state.snapshotAgeSeconds, 'max')
  gauge('credentials', 'Gateway tokens in memory', state.credentials, 'max')
  new Counter({
    name: 'toolferry_gateway_journal_dropped_total',
    help: 'Journal rows lost to a full queue or a store that kept refusing them',
    registers,
    collect() {
      this.reset()
      this.inc(state.journalDropped())
    },
  })
  return {
    finished: (instanceId, status, seconds) => requests.count(instanceId, status, seconds),
    changed: (seconds) => lag.observe(seconds),
  }
}
