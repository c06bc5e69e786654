import { Context } from '@temporalio/activity'
import { asFailure } from '../../activities/in-activity.ts'
import type { Activities } from '../../activities/index.ts'
import { type ErrorType, ToolferryError } from '../../src/domain/errors.ts'
import { emptyCounts, type TargetCounts } from '../../src/domain/states.ts'
import type { PreparedSync, SpaceOutcome } from '../../workflows/messages.ts'
import { silentLogger } from '../support/logger.ts'

/** Activities that write down how they were called and do what a test says: for the workflow's logic alone. */

export type Name = keyof Activities
export type Input = Record<string, unknown>
export type Call = { name: Name; input: Input; attempt: number; ended: boolean }

/** Replaces an activity's answer; `nth` counts the calls of this activity with these ids, from 1. */
type Reply<K extends Name> = (
  input: Parameters<Activities[K]>[0],
  nth: number,
) => Promise<Awaited<ReturnType<Activities[K]>> | undefined> | Awaited<ReturnType<Activities[K]>> | undefined
export type Replies = { [K in Name]?: Reply<K> }

export type Script = {
  calls: Call[]
  prepared: PreparedSync
  replies: Replies
  /** Resolves once the calls fulfil the condition; looked at whenever one starts or ends. */
  until(condition: (calls: readonly Call[]) => boolean): Promise<void>
  /** The inputs of an activity's calls, in order. */
  inputs(name: Name): Input[]
  /** `plan space-1` and so on, for the phases of spaces in order. */
  phases(): string[]
  /** Runs an activity as the script says. */
  play(name: Name, input: Input, attempt: number): Promise<unknown>
}

const PHASE: Partial<Record<Name, string>> = {
  planSpace: 'plan',
  mintTokens: 'mint',
  writeDifyProviders: 'write',
  writeCozePlugins: 'write',
  verifySpace: 'verify',
  failSpace: 'fail',
}

/** Targets in every space of a script, unless a reply says otherwise. */
export const TARGETS_A_SPACE = 2

export function spaceIds(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `space-${index + 1}`)
}

export function createScript(syncId: string, prepared: Partial<PreparedSync> = {}, replies: Replies = {}): Script {
  const calls: Call[] = []
  const waiting = new Set<{ condition: (calls: readonly Call[]) => boolean; resolve: () => void }>()
  const whole: PreparedSync = {
    syncId,
    platformKind: 'dify',
    action: 'sync',
    dryRun: false,
    instanceIds: ['instance-1', 'instance-2'],
    spaceIds: spaceIds(3),
    concurrency: 2,
    credentialWaitMs: 3_600_000,
    ...prepared,
  }
  const look = () => {
    for (const waiter of waiting) {
      if (!waiter.condition(calls)) continue
      waiting.delete(waiter)
      waiter.resolve()
    }
  }
  return {
    calls,
    prepared: whole,
    replies,
    until: (condition) =>
      new Promise((resolve) => {
        waiting.add({ condition, resolve })
        look()
      }),
    inputs: (name) => calls.filter((call) => call.name === name).map((call) => call.input),
    phases: () =>
      calls.flatMap(({ name, input }) => {
        const phase = PHASE[name]
        return phase === undefined ? [] : [`${phase} ${input.spaceId}`]
      }),
    async play(name, input, attempt) {
      const call: Call = { name, input, attempt, ended: false }
      calls.push(call)
      const nth = calls.filter((one) => one.name === name && sameIds(one.input, input)).length
      look()
      try {
        const reply = replies[name] as ((input: Input, nth: number) => unknown) | undefined
        return (await reply?.(input, nth)) ?? standard(name, input, whole)
      } catch (thrown) {
        throw thrown instanceof ToolferryError ? asFailure(thrown, silentLogger) : thrown
      } finally {
        call.ended = true
        look()
      }
    },
  }
}

/** Every activity of the product, played by the script of the workflow that calls it. */
export function scriptedActivities(scripts: ReadonlyMap<string, Script>): Activities {
  const play =
    (name: Name) =>
    async (input: Input = {}) => {
      const { workflowExecution, attempt } = Context.current().info
      const script = scripts.get(workflowExecution?.workflowId ?? '')
      if (script === undefined) throw new Error(`there is no script for ${workflowExecution?.workflowId}`)
      return await script.play(name, input, attempt)
    }
  const names: Record<Name, true> = {
    prepareSync: true,
    discoverTools: true,
    failInstance: true,
    planSpace: true,
    mintTokens: true,
    writeDifyProviders: true,
    writeCozePlugins: true,
    verifySpace: true,
    failSpace: true,
    recordState: true,
    setSpaceAuthorization: true,
    recordOutcome: true,
    deliverNotice: true,
    giveUpNotice: true,
    watchTokens: true,
    purgeOld: true,
    watchCredentials: true,
    retireTokens: true,
    watchExpiry: true,
    startDueRotations: true,
    watchTools: true,
  }
  return Object.fromEntries((Object.keys(names) as Name[]).map((name) => [name, play(name)])) as unknown as Activities
}

export type Gate = {
  open(): void
  /** For inside an activity: waits, alive by heartbeats, and ends with CancelledFailure when it is cancelled. */
  pass(): Promise<undefined>
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  return {
    open: resolve,
    async pass() {
      const context = Context.current()
      const heartbeat = setInterval(() => context.heartbeat(), 200)
      try {
        await Promise.race([promise, context.cancelled])
      } finally {
        clearInterval(heartbeat)
      }
      return undefined
    },
  }
}

export function refuse(type: ErrorType, message = `refused with ${type}`): never {
  throw new ToolferryError(type, message)
}

export function counts(over: Partial<TargetCounts>): TargetCounts {
  const { total: _, ...states } = over
  return { ...emptyCounts(), ...over, total: Object.values(states).reduce((sum, count) => sum + count, 0) }
}

export function outcome(over: Partial<TargetCounts>, interrupted: 'paused' | null = null): SpaceOutcome {
  const all = counts(over)
  return { counts: all, toWrite: all.pending + all.running, interrupted }
}

function standard(name: Name, input: Input, prepared: PreparedSync): unknown {
  switch (name) {
    case 'prepareSync':
      return prepared
    case 'discoverTools':
      return { headerSets: 1, tools: 3 }
    case 'planSpace':
    case 'mintTokens':
      return outcome({ pending: TARGETS_A_SPACE })
    case 'writeDifyProviders':
    case 'writeCozePlugins':
    case 'verifySpace':
      return outcome({ succeeded: TARGETS_A_SPACE })
    case 'failSpace':
      return outcome({ failed: TARGETS_A_SPACE })
    case 'setSpaceAuthorization':
      return { changed: 1 }
    case 'recordOutcome': {
      const state =
        input.outcome === 'finished'
          ? prepared.dryRun
            ? 'planned'
            : 'succeeded'
          : (input.outcome as 'cancelled' | 'failed')
      return { state, counts: emptyCounts() }
    }
    case 'watchCredentials':
      return { valid: 1, ended: 0, unknown: 0, warned: 0 }
    case 'deliverNotice':
      return { state: 'delivered' }
    case 'giveUpNotice':
      return { state: 'failed' }
    case 'watchTokens':
      return { expiring: 2 }
    case 'purgeOld':
      return { purged: 3 }
    case 'retireTokens':
      return { ended: 2, stillUsed: 1 }
    case 'watchExpiry':
      return { warned: 1 }
    case 'startDueRotations':
      return { rotations: 1 }
    case 'watchTools':
      return { asked: 2, unreachable: 0, changed: 0, started: 0, unsettledInstanceIds: [], settleMs: 1 }
    case 'failInstance':
    case 'recordState':
      return undefined
  }
}

function sameIds(one: Input, other: Input): boolean {
  return one.spaceId === other.spaceId && one.instanceId === other.instanceId
}
