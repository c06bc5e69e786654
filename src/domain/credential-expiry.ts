/** How a credential with a known end is spoken of: nothing while there is time, then the two warnings, then its end. */
export type CredentialWarning = 'expires_in_7_days' | 'expires_in_1_day' | 'expired'

const DAY_MS = 24 * 3_600_000

/** `expiresAt` is a hint (COZE's sid_guard): the platform has the last word. */
export function credentialWarning(expiresAt: Date | null, nowMs: number): CredentialWarning | null {
  if (expiresAt === null) return null
  const leftMs = expiresAt.getTime() - nowMs
  if (leftMs <= 0) return 'expired'
  if (leftMs <= DAY_MS) return 'expires_in_1_day'
  return leftMs <= 7 * DAY_MS ? 'expires_in_7_days' : null
}
