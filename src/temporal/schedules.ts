import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Client,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type ScheduleSpec,
} from '@temporalio/client'
import { TypedSearchAttributes } from '@temporalio/common'
import {
  CREDENTIAL_WATCH_WORKFLOW,
  HOUSEKEEPING_WORKFLOW,
  SYNC_WORKFLOW,
  type SyncInput,
  TOKEN_WATCH_WORKFLOW,
  TOOL_WATCH_WORKFLOW,
} from '../../workflows/messages.ts'
import type { Scheduler } from '../api/scheduler.ts'
import type { ProfileSchedule } from '../domain/schedule.ts'
import { allProfiles, type ProfileRecord } from '../store/profiles.ts'
import type { Store } from '../store/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import { SEARCH_ATTRIBUTES } from './search-attributes.ts'
import type { TemporalLink } from './sync-runs.ts'

const CALL_TIMEOUT_MS = 5_000
const PASS_TIMEOUT_MS = 15_000
/** What could not start for longer than this is not made up for: the next run does all of it (engineering.md §B.5). */
const POLICIES = { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '10 minutes' as const }

/** Also the workflow id of its runs, to which Temporal appends the time: `profile-<id>-2026-01-01T00:00:00Z`. */
export function scheduleIdOf(profileId: string): string {
  return `profile-${profileId}`
}

/** One an installation. Also the workflow id of its runs, to which Temporal appends the time. */
export function watchScheduleIdOf(installation: string): string {
  return `credential-watch-${installation}`
}

/** One an installation, as the watch. */
export function housekeepingScheduleIdOf(installation: string): string {
  return `housekeeping-${installation}`
}

/** As watchScheduleIdOf: of the watch on tokens. */
export function tokenWatchScheduleIdOf(installation: string): string {
  return `token-watch-${installation}`
}

/** As watchScheduleIdOf: of the watch on MCP servers' tools. */
export function toolWatchScheduleIdOf(installation: string): string {
  return `tool-watch-${installation}`
}

/** Tells our schedules from those of another installation in the same namespace. */
export function installationOf(store: Store): string {
  return store.digest('schedules').slice(0, 16)
}

export type SchedulesOptions = {
  link: () => TemporalLink | null
  taskQueue: string
  installation: string
  logger: Logger
}

/** The schedules of profiles as Temporal Schedules. */
export function createScheduler(options: SchedulesOptions): Scheduler {
  const told = async (profileId: string, tell: (link: TemporalLink) => Promise<void>) => {
    const link = options.link()
    if (link === null) return 'unavailable' as const
    try {
      await link.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => tell(link))
      return 'applied' as const
    } catch (error) {
      const reason = error instanceof Error ? error.name : 'unknown'
      options.logger.warn({ profileId, reason }, 'Temporal did not take a schedule; it is told again later')
      return 'unavailable' as const
    }
  }
  return {
    apply: (profile) => told(profile.id, (link) => applyProfile(link, options, profile)),
    remove: (profileId) => told(profileId, (link) => removeSchedule(link.client, scheduleIdOf(profileId))),
    async nextRuns(profileId) {
      const link = options.link()
      if (link === null) return null
      try {
        const handle = link.client.schedule.getHandle(scheduleIdOf(profileId))
        const { info, state } = await link.client.withDeadline(Date.now() + CALL_TIMEOUT_MS, () => handle.describe())
        return state.paused ? [] : info.nextActionTimes
      } catch {
        // Shown beside the profile, which stands without it.
        return null
      }
    },
  }
}

/** Reconciles the schedules at start-up and every `intervalMs` (default 10 s). Ends with the signal. */
export async function runSchedules(options: {
  store: Store
  link: () => TemporalLink | null
  taskQueue: string
  /** 0: MCP servers are not asked. */
  watchToolsSeconds: number
  logger: Logger
  signal: AbortSignal
  intervalMs?: number
}): Promise<void> {
  const { store, taskQueue, watchToolsSeconds, logger, signal, intervalMs = 10_000 } = options
  const told = new Map<string, number>()
  while (!signal.aborted) {
    const link = options.link()
    try {
      if (link !== null) {
        await link.client.withDeadline(Date.now() + PASS_TIMEOUT_MS, () =>
          reconcileSchedules(store, link, taskQueue, told, { watchToolsSeconds }),
        )
      }
    } catch (error) {
      logger.warn({ err: error }, 'the schedules could not be reconciled; the next pass follows')
    }
    await sleep(link === null ? 500 : intervalMs, undefined, { signal }).catch(() => undefined)
  }
}

/**
 * One pass of the reconciler: what differs between the store's profiles and Temporal's schedules is made so in Temporal,
 * the watches are there, and schedules of profiles that are gone are deleted. `told`: the row versions that this process has
 * told before (0 for a watch); an empty one (at start-up) tells them all. Compares with what is there every time, so that a
 * schedule deleted by hand comes back.
 */
export async function reconcileSchedules(
  store: Store,
  link: TemporalLink,
  taskQueue: string,
  told: Map<string, number>,
  options: { watchToolsSeconds: number } = { watchToolsSeconds: 300 },
): Promise<void> {
  const place = { taskQueue, installation: installationOf(store) }
  const there = new Map<string, boolean>()
  for await (const { scheduleId, state, memo } of link.client.schedule.list()) {
    if (memo?.installation === place.installation) there.set(scheduleId, state.paused)
  }
  // After the list: a profile that came in between is only told once more, one that went is found by the next pass.
  const profiles = await allProfiles(store)
  const troubles: unknown[] = []
  for (const profile of profiles) {
    const paused = there.get(scheduleIdOf(profile.id))
    const wanted = profile.schedule === null ? undefined : profile.paused
    if (told.get(profile.id) === profile.rowVersion && paused === wanted) continue
    try {
      await applyProfile(link, place, profile)
      told.set(profile.id, profile.rowVersion)
    } catch (error) {
      // One that Temporal refuses must not keep the others from theirs.
      troubles.push(error)
    }
  }
  const watches = watchesOf(place.installation, options)
  for (const watch of watches) {
    if (told.has(watch.scheduleId) && there.get(watch.scheduleId) === false) continue
    try {
      await putSchedule(link.client, watch.scheduleId, place.installation, describeWatch(watch, taskQueue))
      told.set(watch.scheduleId, 0)
    } catch (error) {
      troubles.push(error)
    }
  }
  const known = new Set([
    ...watches.map(({ scheduleId }) => scheduleId),
    ...profiles.map((profile) => scheduleIdOf(profile.id)),
  ])
  for (const scheduleId of there.keys()) {
    if (!known.has(scheduleId)) await removeSchedule(link.client, scheduleId)
  }
  if (troubles.length > 0) throw troubles[0]
}

type Place = { taskQueue: string; installation: string }

async function applyProfile(link: TemporalLink, place: Place, profile: ProfileRecord): Promise<void> {
  const { client } = link
  const scheduleId = scheduleIdOf(profile.id)
  if (profile.schedule === null) return await removeSchedule(client, scheduleId)
  await putSchedule(client, scheduleId, place.installation, describe(link, place.taskQueue, profile, profile.schedule))
}

type Wanted = ReturnType<typeof describe> | ReturnType<typeof describeWatch>

async function putSchedule(client: Client, scheduleId: string, installation: string, wanted: Wanted): Promise<void> {
  try {
    await client.schedule.create({ scheduleId, memo: { installation }, ...wanted })
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
    await client.schedule.getHandle(scheduleId).update(() => wanted)
  }
}

type Watch = { scheduleId: string; workflowType: string; everyMs: number; jitterMs: number; summary: string }

const MINUTE_MS = 60_000

/** What every installation looks after on its own. */
function watchesOf(installation: string, options: { watchToolsSeconds: number }): Watch[] {
  const toolsEveryMs = options.watchToolsSeconds * 1000
  const watches: Watch[] = [
    {
      scheduleId: watchScheduleIdOf(installation),
      workflowType: CREDENTIAL_WATCH_WORKFLOW,
      // Four times a day, so that the last day's warning comes in time.
      everyMs: 360 * MINUTE_MS,
      jitterMs: 10 * MINUTE_MS,
      summary: 'Do the platforms’ credentials still hold?',
    },
    {
      scheduleId: housekeepingScheduleIdOf(installation),
      workflowType: HOUSEKEEPING_WORKFLOW,
      // So that there is never much to do.
      everyMs: 60 * MINUTE_MS,
      jitterMs: 10 * MINUTE_MS,
      summary: 'Tokens that end soon, and what has been kept long enough',
    },
    {
      scheduleId: tokenWatchScheduleIdOf(installation),
      workflowType: TOKEN_WATCH_WORKFLOW,
      everyMs: 10 * MINUTE_MS,
      jitterMs: MINUTE_MS,
      summary: 'Which tokens have gone unused, expire soon, or are old enough to be replaced?',
    },
    {
      scheduleId: toolWatchScheduleIdOf(installation),
      workflowType: TOOL_WATCH_WORKFLOW,
      everyMs: toolsEveryMs,
      jitterMs: toolsEveryMs / 10,
      summary: 'Do the MCP servers still offer the tools that were deployed?',
    },
  ]
  return watches.filter(({ everyMs }) => everyMs > 0)
}

function describeWatch(watch: Watch, taskQueue: string) {
  return {
    spec: { intervals: [{ every: watch.everyMs }], jitter: watch.jitterMs },
    action: {
      type: 'startWorkflow' as const,
      workflowType: watch.workflowType,
      workflowId: watch.scheduleId,
      taskQueue,
      args: [],
      staticSummary: watch.summary,
    },
    policies: POLICIES,
    state: { paused: false, note: 'by this installation' },
  }
}

function describe(link: TemporalLink, taskQueue: string, profile: ProfileRecord, schedule: ProfileSchedule) {
  const input: SyncInput = { profileId: profile.id, searchAttributes: link.searchAttributes }
  const attributes = new TypedSearchAttributes([
    { key: SEARCH_ATTRIBUTES.platform, value: profile.platformId },
    { key: SEARCH_ATTRIBUTES.runKind, value: 'scheduled' },
  ])
  return {
    spec: specOf(schedule),
    action: {
      type: 'startWorkflow' as const,
      workflowType: SYNC_WORKFLOW,
      workflowId: scheduleIdOf(profile.id),
      taskQueue,
      args: [input],
      staticSummary: schedule.action === 'check' ? 'Scheduled drift check' : 'Scheduled sync',
      ...(link.searchAttributes ? { typedSearchAttributes: attributes } : {}),
    },
    policies: POLICIES,
    state: { paused: profile.paused, note: profile.paused ? (profile.pauseReason ?? 'paused') : 'by its profile' },
  }
}

function specOf(schedule: ProfileSchedule): ScheduleSpec {
  const jitter = schedule.jitterMs === 0 ? {} : { jitter: schedule.jitterMs }
  if ('cron' in schedule) return { cronExpressions: [schedule.cron], timezone: schedule.timezone, ...jitter }
  return { intervals: [{ every: schedule.intervalMs }], ...jitter }
}

async function removeSchedule(client: Client, scheduleId: string): Promise<void> {
  try {
    await client.schedule.getHandle(scheduleId).delete()
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error
  }
}
