/** A role that serves. `close` ends it in order and leaves nothing behind. */
export type Running = {
  /** Lines for a person, once everything can be used. */
  ready: Promise<string[]>
  close: () => Promise<void>
}

/** Closes parts in the reverse order of their opening; one that fails is reported and does not keep the others open. */
export function createClosers(onError: (error: unknown) => void): {
  add: (close: () => Promise<void>) => void
  closeAll: () => Promise<void>
} {
  const closers: (() => Promise<void>)[] = []
  return {
    add: (close) => closers.push(close),
    closeAll: async () => {
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close().catch(onError)
    },
  }
}
