import type { ActivityDeps } from './deps.ts'
import { discoverTools, failInstance } from './discover-tools.ts'
import { mintTokens } from './mint-tokens.ts'
import { planSpace } from './plan-space.ts'
import { prepareSync } from './prepare-sync.ts'
import { failSpace, recordOutcome, recordState, setSpaceAuthorization } from './run-records.ts'
import { verifySpace } from './verify-space.ts'
import { watchCredentials } from './watch-credentials.ts'
import { writeObjects } from './write-objects.ts'

export type Activities = ReturnType<typeof createActivities>

type Space = { syncId: string; spaceId: string }

/** The activities under the names that ops see in the Temporal Web UI, one a phase. */
export function createActivities(deps: ActivityDeps) {
  return {
    prepareSync: (input: Parameters<typeof prepareSync>[1]) => prepareSync(deps, input),
    discoverTools: (input: Parameters<typeof discoverTools>[1]) => discoverTools(deps, input),
    failInstance: (input: Parameters<typeof failInstance>[1]) => failInstance(deps, input),
    planSpace: (input: Space) => planSpace(deps, input),
    mintTokens: (input: Space) => mintTokens(deps, input),
    writeDifyProviders: (input: Space) => writeObjects(deps, input),
    writeCozePlugins: (input: Space) => writeObjects(deps, input),
    verifySpace: (input: Space) => verifySpace(deps, input),
    failSpace: (input: Parameters<typeof failSpace>[1]) => failSpace(deps, input),
    recordState: (input: Parameters<typeof recordState>[1]) => recordState(deps, input),
    setSpaceAuthorization: (input: Parameters<typeof setSpaceAuthorization>[1]) => setSpaceAuthorization(deps, input),
    recordOutcome: (input: Parameters<typeof recordOutcome>[1]) => recordOutcome(deps, input),
    watchCredentials: () => watchCredentials(deps),
  }
}
