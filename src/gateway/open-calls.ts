import type { Call } from './call.ts'
import type { Exchange } from './exchange.ts'

/**
 * The calls that are not over. A list and no Set: a Set makes itself a new table every few calls, which its last one points
 * to. A table that has grown old is not looked into until everything is, and so nothing that any later one held would go.
 */
export class OpenCalls {
  readonly #list: Call[] = []

  add(call: Call): void {
    call.place = this.#list.push(call) - 1
  }

  /** The last one takes its place. */
  delete(call: Call): void {
    const last = this.#list.pop()
    if (last === undefined || last === call) return
    last.place = call.place
    this.#list[call.place] = last
  }

  /** As they are now: what is done with them may end them. */
  all(): Call[] {
    return this.#list.slice()
  }

  /** Those that have gone upstream. */
  exchanges(): Exchange[] {
    return this.#list.flatMap(({ exchange }) => (exchange === null ? [] : [exchange]))
  }
}
