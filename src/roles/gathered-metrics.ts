import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client'

/** A process's metrics as prom-client writes them down. */
export type WrittenMetrics = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/**
 * One page of metrics for several processes. What a process had counted when it was last looked at stays in the sums after
 * its end (and while it does not answer), so that a counter does not go back because one process was replaced.
 */
export type GatheredMetrics = {
  /** `now`: what each process that answers says. */
  page(now: ReadonlyMap<number, WrittenMetrics>): Promise<string>
  /** The process has ended; another one takes its place. */
  ended(id: number): void
}

/** `live`: how many processes serve now. */
export function createGatheredMetrics(live: () => number): GatheredMetrics {
  const last = new Map<number, WrittenMetrics>()
  let ended: readonly object[] = []
  const own = new Registry()
  new Gauge({
    name: 'toolferry_gateway_workers',
    help: 'Gateway processes that serve on this port',
    registers: [own],
    collect() {
      this.set(live())
    },
  })
  const restarts = new Counter({
    name: 'toolferry_gateway_worker_restarts_total',
    help: 'Gateway processes that ended by themselves and were replaced',
    registers: [own],
  })
  return {
    async page(now) {
      for (const [id, metrics] of now) last.set(id, metrics)
      const silent = [...last].filter(([id]) => !now.has(id)).map(([, metrics]) => counted(metrics))
      const all = [...now.values(), ...silent, ended, await own.getMetricsAsJSON()]
      return await AggregatorRegistry.aggregate(all).metrics()
    },
    ended(id) {
      restarts.inc()
      const metrics = last.get(id)
      if (metrics === undefined) return
      last.delete(id)
      ended = AggregatorRegistry.aggregate([ended, counted(metrics)]).getMetricsAsArray()
    },
  }
}

/** A gauge tells of now; of a process that is not heard there is no now. */
function counted(metrics: WrittenMetrics): WrittenMetrics {
  return metrics.filter(({ type }) => String(type) !== 'gauge')
}
