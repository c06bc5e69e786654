import type { Logger } from '../telemetry/logger.ts'

/** MCP servers say on a client's event stream that their tools have changed: whoever keeps the platforms right hears of it. */

export type ToolHints = {
  /** Never blocks and never throws: it is called in mid-stream. */
  announced(instanceId: string): void
  /** Writes what waits. */
  close(): Promise<void>
}

export type ToolHintsOptions = {
  /** Notes that the instance's tools may have changed. */
  write: (instanceId: string) => Promise<void>
  logger: Logger
  /** At most one note an instance in this time, ms; what comes meanwhile is noted when it is over, so the last change is not missed. */
  gapMs?: number
}

/** Where an event begins, a server names its method: what a stream carries is not read through for it. */
const PREFIX_BYTES = 512
const CHANGED = Buffer.from('list_changed')
/** As JSON, in which some servers write \/ for a slash. */
const TOOLS_CHANGED = /"notifications\\?\/tools\\?\/list_changed"/

/**
 * Whether a part of an event stream begins with `notifications/tools/list_changed`. A hint only: one that is cut in two, or comes in
 * one part behind another event of some length, is missed, and a text that quotes the method passes.
 */
export function announcesTools(part: Buffer): boolean {
  const start = part.length <= PREFIX_BYTES ? part : part.subarray(0, PREFIX_BYTES)
  return start.includes(CHANGED) && TOOLS_CHANGED.test(start.toString('latin1'))
}

export function createToolHints({ write, logger, gapMs = 60_000 }: ToolHintsOptions): ToolHints {
  /** By instance, while its gap lasts: what comes then waits for its end. */
  const gaps = new Map<string, { timer: NodeJS.Timeout; again: boolean }>()
  const writing = new Set<Promise<void>>()
  let closed = false

  const note = (instanceId: string): void => {
    const timer = setTimeout(() => {
      const again = gaps.get(instanceId)?.again === true
      gaps.delete(instanceId)
      if (again) note(instanceId)
    }, gapMs).unref()
    gaps.set(instanceId, { timer, again: false })
    send(instanceId)
  }

  const send = (instanceId: string): void => {
    const written = write(instanceId)
      // The next look of the watch finds it without.
      .catch((error: unknown) =>
        logger.warn({ err: error, instanceId }, 'that tools may have changed could not be noted'),
      )
      .finally(() => writing.delete(written))
    writing.add(written)
  }

  return {
    announced(instanceId) {
      if (closed) return
      const gap = gaps.get(instanceId)
      if (gap === undefined) note(instanceId)
      else gap.again = true
    },
    async close() {
      closed = true
      for (const [instanceId, { timer, again }] of gaps) {
        clearTimeout(timer)
        if (again) send(instanceId)
      }
      gaps.clear()
      await Promise.all(writing)
    },
  }
}
