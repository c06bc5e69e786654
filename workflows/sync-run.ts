import { CancellationScope, condition, isCancellation, log, patched, workflowInfo } from '@temporalio/workflow'
import { ERROR_FACTS, type ErrorType } from '../src/domain/errors.ts'
import { emptyCounts, type SyncPhase, type SyncState, type TargetCounts } from '../src/domain/states.ts'
import { discover, discoverOptions, record, recordAll, space, spaceOptions } from './activity-options.ts'
import { describe } from './failure.ts'
import type {
  Carried,
  ClosedSpace,
  PreparedSync,
  SpaceAuthorization,
  SpaceOutcome,
  SpaceStatus,
  SyncInput,
  SyncStatus,
} from './messages.ts'
import { drainPool } from './pool.ts'

const DISCOVERIES_AT_ONCE = 8

/** The input of the next history has room for 2 MiB; the spaces still to come are in it, too. */
const CLOSED_SPACES_KEPT = 2_000

type SpacePhase = 'plan' | 'mint' | 'write' | 'verify'

const WRITE_ROUNDS = 3
const TOKENS_KEEP_CHANGING = {
  type: 'Conflict' satisfies ErrorType,
  message: 'Its token was replaced again and again while the run was going on. Sync again.',
}

/**
 * The state of one SyncWorkflow, and its steps. What is shown by queries lives here; what is true lives in the store, written
 * by the activities. A target's failure is data; what is thrown here concerns a whole space or the whole platform.
 */
export class SyncRun {
  private readonly input: SyncInput
  private prepared: PreparedSync | null
  private phase: SyncPhase = 'prepare'
  private paused: boolean
  /** Pause signals so far: tells whether one came while a phase was going on. */
  private pauses = 0
  /** Spaces that wait for a new credential. */
  private waiters = 0
  private credentialVersion = 0
  /** The credential that nobody replaced in time: what fails for it from then on does so at once. */
  private waitedInVain: number | null
  private spacesDone: number
  /** Counts of the spaces that are done. */
  private readonly counts: TargetCounts
  private readonly inFlight = new Map<string, SpaceStatus>()
  private readonly closedSpaces: Map<string, ClosedSpace>
  private readonly disabledSpaceIds: Set<string>
  private announcedState: SyncState
  private announcing: Promise<void> | null = null
  /** Enable and disable signals are carried out one after the other, in the order in which they came. */
  private authorizing: Promise<void> = Promise.resolve()
  private ended = false
  private finalState: SyncState | null = null

  constructor(input: SyncInput) {
    this.input = input
    this.prepared = input.carried?.prepared ?? null
    this.paused = input.carried?.paused ?? false
    this.spacesDone = input.carried?.spacesDone ?? 0
    this.counts = { ...(input.carried?.counts ?? emptyCounts()) }
    this.closedSpaces = new Map(input.carried?.closedSpaces.map((closed) => [closed.spaceId, closed]))
    this.disabledSpaceIds = new Set(input.carried?.disabledSpaceIds)
    this.waitedInVain = input.carried?.waitedInVain === true ? this.credentialVersion : null
    this.announcedState = this.paused ? 'paused' : 'running'
  }

  async prepare(): Promise<PreparedSync> {
    if (this.prepared !== null) return this.prepared
    const { syncId, profileId } = this.input
    const prepared = await recordAll.prepareSync({ ...(syncId === undefined ? { profileId } : { syncId }) })
    this.prepared = prepared
    this.announce()
    return prepared
  }

  /** Asks every MCP server for its tools, once, before any space is planned. A server's failure fails its targets, not the run. */
  async discoverAll(prepared: PreparedSync): Promise<void> {
    if (this.input.carried?.discovered === true || prepared.action === 'remove') return
    this.phase = 'discover'
    const total = prepared.instanceIds.length
    const numbered = prepared.instanceIds.map((instanceId, index) => ({ instanceId, number: index + 1 }))
    await drainPool(numbered, DISCOVERIES_AT_ONCE, always, async ({ instanceId, number }) => {
      await this.mayGoOn()
      try {
        await discover.discoverTools.executeWithOptions(
          {
            ...discoverOptions,
            ...aliveness(prepared),
            summary: `MCP server ${number} of ${total}: handshake and tools`,
          },
          [{ syncId: prepared.syncId, instanceId }],
        )
      } catch (failure) {
        if (isCancellation(failure)) throw failure
        const { type, message } = describe(failure)
        await recordAll.failInstance({ syncId: prepared.syncId, instanceId, type, message })
      }
    })
  }

  /** Walks the spaces. Answers those not begun, when the history has grown long enough to continue as new. */
  async walkSpaces(prepared: PreparedSync): Promise<string[]> {
    this.phase = prepared.dryRun ? 'plan' : 'write'
    const todo = this.input.carried?.remainingSpaceIds ?? prepared.spaceIds
    const { notStarted } = await drainPool(
      todo,
      prepared.concurrency,
      () => !this.shouldContinueAsNew(),
      (spaceId) => this.walkSpace(prepared, spaceId),
    )
    return notStarted
  }

  carry(prepared: PreparedSync, remainingSpaceIds: string[]): SyncInput {
    const carried: Carried = {
      prepared: { ...prepared, spaceIds: [] },
      remainingSpaceIds,
      spacesDone: this.spacesDone,
      counts: this.counts,
      paused: this.paused,
      discovered: true,
      closedSpaces: this.newestClosedSpaces(),
      disabledSpaceIds: [...this.disabledSpaceIds],
      ...(this.waitedInVain === this.credentialVersion ? { waitedInVain: true } : {}),
    }
    return { ...this.input, carried }
  }

  /** Whether the last change of paused / waiting has reached the store. */
  isSettled(): boolean {
    return this.announcing === null
  }

  setPaused(paused: boolean): void {
    this.paused = paused
    if (paused) this.pauses += 1
    this.announce()
  }

  credentialWasReplaced(): void {
    this.credentialVersion += 1
  }

  /**
   * Handles the enable/disable signals: the store is written by an activity, which also audits and counts. Never throws: a
   * handler that does would end or block the whole run, and these signals are also sent by hand.
   */
  async setAuthorization(request: unknown, enabled: boolean): Promise<void> {
    if (!isSpaceAuthorization(request)) {
      log.warn('An enable or disable signal was ignored: it wants {"spaceId": "…"}.')
      return
    }
    const turn = this.authorizing.then(() => this.authorize(request, enabled))
    this.authorizing = turn
    await turn
  }

  /** Nothing more will be prepared: handlers that wait for that give up. */
  end(): void {
    this.ended = true
    this.phase = 'record'
  }

  finish(state: SyncState): void {
    this.phase = 'done'
    this.finalState = state
  }

  status(): SyncStatus {
    const counts = { ...this.counts }
    for (const { counts: open } of this.inFlight.values()) if (open !== null) addCounts(counts, open)
    return {
      syncId: this.prepared?.syncId ?? this.input.syncId ?? null,
      state: this.currentState(),
      phase: this.phase,
      counts,
      spacesTotal: this.spacesDone + this.inFlight.size + this.notYetSeen(),
      spacesDone: this.spacesDone,
      spacesInFlight: [...this.inFlight.keys()],
      disabledSpaceIds: [...this.disabledSpaceIds],
    }
  }

  spaceStatus(spaceId: string): SpaceStatus {
    const open = this.inFlight.get(spaceId)
    if (open !== undefined) return open
    const closed = this.closedSpaces.get(spaceId)
    if (closed === undefined) {
      return { spaceId, phase: this.isDoneLongSince(spaceId) ? 'done' : 'waiting', counts: null, errorType: null }
    }
    return { spaceId, phase: 'done', counts: { ...emptyCounts(), ...closed.counts }, errorType: closed.errorType }
  }

  /** In their order: the newest ones, and the newest of those that failed. */
  private newestClosedSpaces(): ClosedSpace[] {
    const kept = this.input.closedSpacesKept ?? CLOSED_SPACES_KEPT
    const closed = [...this.closedSpaces.values()]
    const newest = new Set([...closed.slice(-kept), ...closed.filter(hasFailed).slice(-kept)])
    return closed.filter((space) => newest.has(space))
  }

  /** Whether an earlier history has walked the space, and did not carry it on. */
  private isDoneLongSince(spaceId: string): boolean {
    const { carried } = this.input
    if (carried === undefined || carried.closedSpaces.length === carried.spacesDone) return false
    return !carried.remainingSpaceIds.includes(spaceId)
  }

  private notYetSeen(): number {
    if (this.prepared === null) return 0
    const todo = this.input.carried?.remainingSpaceIds ?? this.prepared.spaceIds
    return todo.length - this.inFlight.size - (this.spacesDone - (this.input.carried?.spacesDone ?? 0))
  }

  private async walkSpace(prepared: PreparedSync, spaceId: string): Promise<void> {
    const total = this.status().spacesTotal
    const number = this.spacesDone + this.inFlight.size + 1
    const status: SpaceStatus = { spaceId, phase: 'waiting', counts: null, errorType: null }
    this.inFlight.set(spaceId, status)
    const target = { syncId: prepared.syncId, spaceId }
    const step = (phase: SpacePhase) => this.runPhase(prepared, status, phase, `space ${number} of ${total}: ${phase}`)
    try {
      let outcome = await step('plan')
      if (!prepared.dryRun && outcome.toWrite > 0) {
        // Written in one round, unless an admin sets another token in between: that one is proven first, too.
        for (let round = 1; round <= WRITE_ROUNDS && outcome.toWrite > 0; round++) {
          if (prepared.action === 'sync') outcome = await step('mint')
          if (outcome.toWrite > 0) outcome = await step('write')
        }
        if (outcome.toWrite > 0) await record.failSpace({ ...target, ...TOKENS_KEEP_CHANGING, verifies: true })
        outcome = await step('verify')
      }
      addCounts(this.counts, outcome.counts)
    } catch (failure) {
      if (isCancellation(failure)) throw failure
      const { type, message } = describe(failure)
      status.errorType = type
      const outcome = await record.failSpace({ syncId: prepared.syncId, spaceId, type, message })
      addCounts(this.counts, outcome.counts)
      status.counts = outcome.counts
    }
    this.inFlight.delete(spaceId)
    this.closedSpaces.set(spaceId, {
      spaceId,
      counts: withoutZeros(status.counts ?? emptyCounts()),
      errorType: status.errorType,
    })
    this.spacesDone += 1
  }

  /** One phase of one space, repeated over pauses and new credentials until it is through. */
  private async runPhase(
    prepared: PreparedSync,
    status: SpaceStatus,
    phase: SpacePhase,
    summary: string,
  ): Promise<SpaceOutcome> {
    const target = { syncId: prepared.syncId, spaceId: status.spaceId }
    const options = { ...spaceOptions, ...aliveness(prepared), summary }
    for (;;) {
      await this.mayGoOn()
      status.phase = phase
      const { credentialVersion, pauses } = this
      try {
        const outcome = await execute(prepared, phase, options, target)
        status.counts = outcome.counts
        if (outcome.interrupted === null) return outcome
        // The store said "paused" before our signal came: the signal follows, or the reconciler sends it again.
        await condition(() => this.pauses > pauses, '1 minute')
      } catch (failure) {
        if (isCancellation(failure)) throw failure
        const { type } = describe(failure)
        if (!ERROR_FACTS[type].waitsForCredential) throw failure
        await this.waitForCredential(prepared, credentialVersion, failure)
      }
    }
  }

  /** Not while paused. An activity reads "paused" from the store, so it starts only once our own last word has got there. */
  private async mayGoOn(): Promise<void> {
    await condition(() => !this.paused && this.announcing === null)
  }

  /** Once for each credential: else a thousand spaces, one after the other, would each wait as long. */
  private async waitForCredential(prepared: PreparedSync, seenVersion: number, failure: unknown): Promise<void> {
    if (this.waitedInVain === seenVersion && this.credentialVersion === seenVersion) throw failure
    this.waiters += 1
    this.announce()
    const replaced = await condition(() => this.credentialVersion > seenVersion, prepared.credentialWaitMs)
    this.waiters -= 1
    this.announce()
    if (replaced) return
    // Runs that began before wait in every space.
    if (patched('wait-once-for-a-credential')) this.waitedInVain = seenVersion
    throw failure
  }

  private async authorize(request: SpaceAuthorization, enabled: boolean): Promise<void> {
    const { spaceId, actor, instanceIds, revision } = request
    await CancellationScope.nonCancellable(async () => {
      await condition(() => this.prepared !== null || this.ended)
      if (this.prepared === null) return
      if (enabled) this.disabledSpaceIds.delete(spaceId)
      else this.disabledSpaceIds.add(spaceId)
      try {
        const { syncId } = this.prepared
        const some = {
          ...(instanceIds === undefined ? {} : { instanceIds }),
          ...(revision === undefined ? {} : { revision }),
        }
        await record.setSpaceAuthorization({ syncId, spaceId, enabled, actor: actor ?? 'temporal', ...some })
      } catch (failure) {
        log.error('An enable or disable signal could not be carried out.', { errorType: describe(failure).type })
      }
    })
  }

  private currentState(): SyncState {
    if (this.finalState !== null) return this.finalState
    if (this.paused) return 'paused'
    return this.waiters > 0 ? 'waiting_for_credential' : 'running'
  }

  /** Carries paused / waiting / running into the store, one at a time and ending with the newest. */
  private announce(): void {
    const syncId = this.prepared?.syncId
    if (syncId === undefined || this.announcing !== null || this.ended) return
    if (this.announcedState === this.currentState()) return
    this.announcing = CancellationScope.nonCancellable(async () => {
      while (this.announcedState !== this.currentState() && !this.ended) {
        const state = this.currentState()
        try {
          await record.recordState({ syncId, state })
        } catch (failure) {
          // Only what is shown is lost: the run must neither stop for that nor wait for ever for an announcement.
          log.error('The state of the run could not be recorded.', { state, errorType: describe(failure).type })
        }
        this.announcedState = state
      }
      this.announcing = null
    })
  }

  private shouldContinueAsNew(): boolean {
    const info = workflowInfo()
    const limit = this.input.continueAfterEvents
    return info.continueAsNewSuggested || (limit !== undefined && info.historyLength > limit)
  }
}

function hasFailed({ errorType }: ClosedSpace): boolean {
  return errorType !== null
}

/** How soon a worker that went away is noticed: what its configuration says, in runs that know of it. */
function aliveness(prepared: PreparedSync): { heartbeatTimeout?: number } {
  return prepared.heartbeatTimeoutMs === undefined ? {} : { heartbeatTimeout: prepared.heartbeatTimeoutMs }
}

function execute(
  prepared: PreparedSync,
  phase: SpacePhase,
  options: typeof spaceOptions,
  target: { syncId: string; spaceId: string },
): Promise<SpaceOutcome> {
  switch (phase) {
    case 'plan':
      return space.planSpace.executeWithOptions(options, [target])
    case 'mint':
      return space.mintTokens.executeWithOptions(options, [target])
    case 'write':
      return prepared.platformKind === 'dify'
        ? space.writeDifyProviders.executeWithOptions(options, [target])
        : space.writeCozePlugins.executeWithOptions(options, [target])
    case 'verify':
      return space.verifySpace.executeWithOptions(options, [target])
  }
}

function isSpaceAuthorization(request: unknown): request is SpaceAuthorization {
  if (typeof request !== 'object' || request === null || !('spaceId' in request)) return false
  const { spaceId } = request
  const actor = 'actor' in request ? request.actor : undefined
  const instanceIds = 'instanceIds' in request ? request.instanceIds : undefined
  const revision = 'revision' in request ? request.revision : undefined
  return (
    typeof spaceId === 'string' &&
    (actor === undefined || typeof actor === 'string') &&
    (instanceIds === undefined || Array.isArray(instanceIds)) &&
    (revision === undefined || typeof revision === 'number')
  )
}

function withoutZeros(counts: TargetCounts): Partial<TargetCounts> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

function addCounts(sum: TargetCounts, more: TargetCounts): void {
  for (const state of Object.keys(sum) as (keyof TargetCounts)[]) sum[state] += more[state]
}

function always(): boolean {
  return true
}
