import { watching } from './activity-options.ts'
import type { CredentialWatchResult } from './messages.ts'

/** Started by a schedule of its own: asks every platform whose credential can end whether it still holds. */
export async function CredentialWatchWorkflow(): Promise<CredentialWatchResult> {
  return await watching.watchCredentials()
}
