import { type ErrorType, ToolferryError } from '../src/domain/errors.ts'
import type { Platform } from '../src/platforms/platform.ts'
import { type CredentialState, type PlatformRecord, setCredentialState } from '../src/store/platforms.ts'
import type { ActivityDeps } from './deps.ts'

/** What an error says of the credential; nothing for most. */
export const STATE_AFTER: Partial<Record<ErrorType, CredentialState>> = {
  CredentialExpired: 'expired',
  CredentialRefused: 'refused',
  HumanVerificationNeeded: 'refused',
}

/**
 * Works with a platform's adapter. What the platform says about its credential is shown at once: refused or expired when
 * it throws so (the run then waits for a new one), valid when the work succeeds.
 */
export async function onPlatform<T>(
  deps: ActivityDeps,
  record: PlatformRecord,
  work: (platform: Platform) => Promise<T>,
): Promise<T> {
  const note = (state: CredentialState) => setCredentialState(deps.store, record.id, state, record.credentialVersion)
  try {
    // Forgetting a credential does not count as a new one.
    await using held = await deps.holdPlatform(record.id, record.hasCredential ? record : undefined)
    const result = await work(held.platform)
    if (record.credentialState !== 'valid') await note('valid')
    return result
  } catch (error) {
    const state = error instanceof ToolferryError ? STATE_AFTER[error.type] : undefined
    if (state !== undefined) await note(state)
    throw error
  }
}
