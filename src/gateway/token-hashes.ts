/** The hashes of tokens that are in use: an HMAC at every request would cost more than judging it. */
export type TokenHashes = {
  /** As `hash` makes it. */
  of(token: string): string
  /** Remembers a token that is known; to be told only of such, so that made-up ones do not push out those in use. */
  keep(token: string, hash: string): void
  /** Forgets all: tokens that are gone do not stay in memory. */
  clear(): void
}

/** A hash never changes, so this can never be out of date: what a token may do is judged anew at every request. */
export function createTokenHashes(hash: (token: string) => string, maxKept: number): TokenHashes {
  const kept = new Map<string, string>()
  return {
    of: (token) => kept.get(token) ?? hash(token),
    keep(token, known) {
      if (kept.has(token)) return
      // The oldest goes; a token in use comes back with its next request.
      const oldest = kept.keys().next()
      if (kept.size >= maxKept && oldest.done !== true) kept.delete(oldest.value)
      kept.set(token, known)
    },
    clear: () => kept.clear(),
  }
}
