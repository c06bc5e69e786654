import { listRetiringTokens, revokeTokens } from '../src/store/tokens.ts'
import type { ActivityDeps } from './deps.ts'

/** Former tokens of bindings whose platform demonstrably uses the active one. */
export async function endFormerTokens(deps: ActivityDeps, bindingIds: readonly string[]): Promise<void> {
  const retiring = await listRetiringTokens(deps.store, bindingIds)
  await revokeTokens(
    deps.store,
    retiring.map((token) => token.id),
  )
}
