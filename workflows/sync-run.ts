import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  workflowInfo,
} from '@temporalio/workflow'
import { ERROR_FACTS, type ErrorType } from '../src/domain/errors.ts'
import { emptyCounts, type SyncPhase, type SyncState, type TargetCounts } from '../src/domain/states.ts'
import { discover, discoverOptions, record, space, spaceOptions } from './activity-options.ts'
import type {
  Carried,
  PreparedSync,
  SpaceAuthorization,
  SpaceOutcome,
  SpaceStatus,
  SyncInput,
  SyncStatus,
} from './messages.ts'
import { drainPool } from './pool.ts'

const DISCOVERIES_AT_ONCE = 4

type SpacePhase = 'plan' | 'mint' | 'write' | 'verify'

/**
 * The state of one SyncWorkflow, and its steps. What is shown by queries lives here; what is true lives in the store, written
 * by the activities. A target's failure is data; what is thrown here concerns a whole space or the whole platform.
 */
export class SyncRun {
  private readonly input: SyncInput
  private prepared: PreparedSync | null
  private phase: SyncPhase = 'prepare'
  private paused: boolean
  private waitingForCredential = false
  private credentialVersion = 0
  private spacesDone: number
  /** Counts of the spaces that are done. */
  private readonly counts: TargetCounts
  private readonly inFlight = new Map<string, SpaceStatus>()
  private readonly closedSpaces = new Map<string, SpaceStatus>()
  private readonly disabledSpaceIds = new Set<string>()
  private announcedState: SyncState = 'running'
  private announcing: Promise<void> | null = null
  private ended = false

  constructor(input: SyncInput) {
    this.input = input
    this.prepared = input.carried?.prepared ?? null
    this.paused = input.carried?.paused ?? false
    this.spacesDone = input.carried?.spacesDone ?? 0
    this.counts = { ...(input.carried?.counts ?? emptyCounts()) }
    this.announcedState = this.paused ? 'paused' : 'running'
  }

  get totals(): TargetCounts {
    return { ...this.counts }
  }

  async prepare(): Promise<PreparedSync> {
    if (this.prepared !== null) return this.prepared
    const { syncId, profileId } = this.input
    const prepared = await record.prepareSync({ ...(syncId === undefined ? { profileId } : { syncId }) })
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
      try {
        await discover.discoverTools.executeWithOptions(
          { ...discoverOptions, summary: `MCP server ${number} of ${total}: handshake and tools` },
          [{ syncId: prepared.syncId, instanceId }],
        )
      } catch (failure) {
        if (isCancellation(failure)) throw failure
        const { type, message } = describe(failure)
        await record.failInstance({ syncId: prepared.syncId, instanceId, type, message })
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
    }
    return { ...this.input, carried }
  }

  /** Waits until the last change of paused / waiting has reached the store. */
  async settle(): Promise<void> {
    while (this.announcing !== null) await this.announcing
  }

  setPaused(paused: boolean): void {
    this.paused = paused
    this.announce()
  }

  credentialWasReplaced(): void {
    this.credentialVersion += 1
  }

  /** Handles the enable/disable signals: the store is written by an activity, which also audits and counts. */
  async setAuthorization(request: SpaceAuthorization, enabled: boolean): Promise<void> {
    await CancellationScope.nonCancellable(async () => {
      await condition(() => this.prepared !== null || this.ended)
      if (this.prepared === null) return
      if (enabled) this.disabledSpaceIds.delete(request.spaceId)
      else this.disabledSpaceIds.add(request.spaceId)
      await record.setSpaceAuthorization({
        syncId: this.prepared.syncId,
        spaceId: request.spaceId,
        enabled,
        actor: request.actor ?? 'temporal',
      })
    })
  }

  /** Nothing more will be prepared: handlers that wait for that give up. */
  end(): void {
    this.ended = true
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
    return (
      this.inFlight.get(spaceId) ??
      this.closedSpaces.get(spaceId) ?? { spaceId, phase: 'waiting', counts: null, errorType: null }
    )
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
    const step = (phase: SpacePhase) => this.runPhase(prepared, status, phase, `space ${number} of ${total}: ${phase}`)
    try {
      let outcome = await step('plan')
      if (!prepared.dryRun && outcome.toWrite > 0) {
        if (prepared.action === 'sync') outcome = await step('mint')
        if (outcome.toWrite > 0) outcome = await step('write')
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
    status.phase = 'done'
    this.inFlight.delete(spaceId)
    this.closedSpaces.set(spaceId, status)
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
    const options = { ...spaceOptions, summary }
    for (;;) {
      // An activity reads "paused" from the store, so it starts only once our own last word has got there.
      await condition(() => !this.paused && this.announcing === null)
      status.phase = phase
      const credentialVersion = this.credentialVersion
      try {
        const outcome = await execute(prepared, phase, options, target)
        status.counts = outcome.counts
        if (outcome.interrupted === null) return outcome
        // The store said "paused" before our signal came: the signal follows, or the reconciler sends it again.
        await condition(() => this.paused, '1 minute')
      } catch (failure) {
        if (isCancellation(failure)) throw failure
        const { type } = describe(failure)
        if (!ERROR_FACTS[type].waitsForCredential) throw failure
        await this.waitForCredential(prepared, credentialVersion, failure)
      }
    }
  }

  private async waitForCredential(prepared: PreparedSync, seenVersion: number, failure: unknown): Promise<void> {
    this.waitingForCredential = true
    this.announce()
    const replaced = await condition(() => this.credentialVersion > seenVersion, prepared.credentialWaitMs)
    this.waitingForCredential = false
    this.announce()
    if (!replaced) throw failure
  }

  private currentState(): SyncState {
    if (this.paused) return 'paused'
    return this.waitingForCredential ? 'waiting_for_credential' : 'running'
  }

  /** Carries paused / waiting / running into the store, one at a time and ending with the newest. */
  private announce(): void {
    const syncId = this.prepared?.syncId
    if (syncId === undefined || this.announcing !== null || this.announcedState === this.currentState()) return
    this.announcing = CancellationScope.nonCancellable(async () => {
      while (this.announcedState !== this.currentState()) {
        const state = this.currentState()
        await record.recordState({ syncId, state })
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

/** The product's error type and message inside whatever an activity threw. */
export function describe(failure: unknown): { type: ErrorType; message: string } {
  const inner = failure instanceof ActivityFailure ? failure.cause : failure
  if (inner instanceof ApplicationFailure && inner.type != null && inner.type in ERROR_FACTS) {
    return { type: inner.type as ErrorType, message: inner.message }
  }
  const timedOut = inner instanceof Error && inner.name === 'TimeoutFailure'
  if (timedOut) return { type: 'Timeout', message: 'The step took longer than it may, or its worker went away.' }
  return { type: 'Bug', message: 'The step failed in a way that was not expected; the worker’s log has the details.' }
}

function addCounts(sum: TargetCounts, more: TargetCounts): void {
  for (const state of Object.keys(sum) as (keyof TargetCounts)[]) sum[state] += more[state]
}

function always(): boolean {
  return true
}
