import { type SeenToken, supersedeFormer } from '../src/store/token-rotation.ts'
import type { ActivityDeps } from './deps.ts'

/**
 * Former tokens of bindings whose platform was seen to hold these ones: their grace period begins, if these are still the active
 * ones. What is still under way with a former one is not cut off; the watch on tokens ends it once it has gone unused
 * (retire-tokens.ts).
 */
export async function endFormerTokens(deps: ActivityDeps, seen: readonly SeenToken[]): Promise<void> {
  await supersedeFormer(deps.store, seen, deps.limits.tokenGraceSeconds)
}
