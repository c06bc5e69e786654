import { deliverNotice, giveUpNotice } from './deliver-notice.ts'
import type { ActivityDeps } from './deps.ts'
import { discoverTools, failInstance } from './discover-tools.ts'
import { startDueRotations } from './due-rotations.ts'
import { purgeOld, watchTokens } from './housekeeping.ts'
import { mintTokens } from './mint-tokens.ts'
import { planSpace } from './plan-space.ts'
import { prepareSync } from './prepare-sync.ts'
import { retireTokens } from './retire-tokens.ts'
import { failSpace, recordOutcome, recordState, setSpaceAuthorization } from './run-records.ts'
import { verifySpace } from './verify-space.ts'
import { watchCredentials } from './watch-credentials.ts'
import { watchExpiry } from './watch-expiry.ts'
import { watchTools } from './watch-tools.ts'
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
    deliverNotice: (input: Parameters<typeof deliverNotice>[1]) => deliverNotice(deps, input),
    giveUpNotice: (input: Parameters<typeof giveUpNotice>[1]) => giveUpNotice(deps, input),
    watchTokens: () => watchTokens(deps),
    purgeOld: () => purgeOld(deps),
    watchCredentials: () => watchCredentials(deps),
    retireTokens: () => retireTokens(deps),
    watchExpiry: () => watchExpiry(deps),
    startDueRotations: () => startDueRotations(deps),
    watchTools: (input: Parameters<typeof watchTools>[1]) => watchTools(deps, input),
  }
}
