import { Histogram, type Registry } from 'prom-client'

type Written = Awaited<ReturnType<Histogram<'instance' | 'status'>['get']>>
type Series = { labels: { instance: string; status: string }; sum: number; counts: number[] }

/**
 * A histogram by MCP server and HTTP status that counts in plain arrays, and is a prom-client one to whoever reads it: that puts its
 * labels together and looks for them at every observation, which is most of what a measurement costs.
 */
export class LatencyHistogram extends Histogram<'instance' | 'status'> {
  readonly #name: string
  readonly #help: string
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, Map<number, Series>>()

  /** `bounds`: the upper ones of the buckets, ascending; seconds. */
  constructor(options: { name: string; help: string; bounds: readonly number[]; registers: Registry[] }) {
    const { name, help, bounds, registers } = options
    super({ name, help, labelNames: ['instance', 'status'], buckets: [...bounds], registers })
    this.#name = name
    this.#help = help
    this.#bounds = bounds
  }

  count(instance: string, status: number, seconds: number): void {
    const series = this.#series.get(instance)?.get(status) ?? this.#begin(instance, status)
    let bucket = 0
    while (bucket < this.#bounds.length && seconds > (this.#bounds[bucket] ?? 0)) bucket += 1
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
    series.sum += seconds
  }

  /** As prom-client gives it. */
  override async get(): Promise<Written> {
    const values = [...this.#series.values()].flatMap((ofInstance) =>
      [...ofInstance.values()].flatMap((series) => this.#valuesOf(series)),
    )
    return { name: this.#name, help: this.#help, type: 'histogram', aggregator: 'sum', values } as object as Written
  }

  /** What a registry writes its page from, where a metric has it. */
  getForPromString(): Promise<Written> {
    return this.get()
  }

  #valuesOf({ labels, sum, counts }: Series) {
    let upTo = 0
    const buckets = counts.map((count, index) => {
      upTo += count
      return {
        metricName: `${this.#name}_bucket`,
        labels: { le: this.#bounds[index] ?? '+Inf', ...labels },
        value: upTo,
      }
    })
    return [
      ...buckets,
      { metricName: `${this.#name}_sum`, labels, value: sum },
      { metricName: `${this.#name}_count`, labels, value: upTo },
    ]
  }

  #begin(instance: string, status: number): Series {
    const byStatus = this.#series.get(instance) ?? new Map<number, Series>()
    this.#series.set(instance, byStatus)
    const counts = new Array<number>(this.#bounds.length + 1).fill(0)
    const series = { labels: { instance, status: String(status) }, sum: 0, counts }
    byStatus.set(status, series)
    return series
  }
}
