/**
 * How a binding's former token ends: unused for its grace period, since its platform was seen to hold the new one. A token's life:
 *
 * | by                                                         | state    | is known by            | opens the gateway |
 * | ---------------------------------------------------------- | -------- | ---------------------- | ----------------- |
 * | minted, or given by the admin (src/store/tokens.ts)        | active   | `createdAt`            | yes               |
 * | an MCP handshake through the gateway (mint-tokens.ts)      | active   | `provenAt`             | yes               |
 * | another one took its place (src/store/token-rotation.ts)   | retiring | `retiringAt`           | yes               |
 * | the platform was seen to hold that one (former-tokens.ts)  | retiring | `supersededAt`         | yes               |
 * | the watch, once `retirementOf` says `over`; or an admin    | revoked  | `revokedAt`            | no                |
 */

export type Former = { supersededAt: Date | null; lastUsedAt: Date | null; graceSeconds: number | null }

/** A use reaches the store a moment after it was made: this long a quiet token is not yet believed to be unused. */
export const USE_LAG_MS = 10_000

export type Retirement = {
  /** `waiting`: its platform may still hold it. `over`: it may end now. */
  stage: 'waiting' | 'grace' | 'still_used' | 'over'
  /** When it ends unless it is used again; null while it waits. */
  endsAt: Date | null
}

/**
 * Where a retiring token stands. Pure.
 *
 * | its platform holds the new one | unused for the grace period | superseded that long ago | then       |
 * | ------------------------------ | --------------------------- | ------------------------ | ---------- |
 * | not seen yet                   | any                         | –                        | waiting    |
 * | yes                            | yes                         | yes                      | over       |
 * | yes                            | no                          | yes                      | still_used |
 * | yes                            | no                          | no                       | grace      |
 */
export function retirementOf(former: Former, defaultGraceSeconds: number, now: Date): Retirement {
  const { supersededAt, lastUsedAt } = former
  if (supersededAt === null) return { stage: 'waiting', endsAt: null }
  const graceMs = (former.graceSeconds ?? defaultGraceSeconds) * 1000
  const quietSinceMs = Math.max(supersededAt.getTime(), lastUsedAt?.getTime() ?? 0)
  // Without grace nobody asks whether it is used.
  const endsAt = new Date(graceMs === 0 ? supersededAt.getTime() : quietSinceMs + graceMs + USE_LAG_MS)
  if (endsAt <= now) return { stage: 'over', endsAt }
  const graceIsOver = supersededAt.getTime() + graceMs + USE_LAG_MS <= now.getTime()
  return { stage: graceIsOver ? 'still_used' : 'grace', endsAt }
}
