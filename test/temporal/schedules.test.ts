import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProfileSchedule } from '../../src/domain/schedule.ts'
import {
  createProfile,
  deleteProfile,
  type NewProfile,
  type ProfileRecord,
  updateProfile,
} from '../../src/store/profiles.ts'
import type { Store } from '../../src/store/store.ts'
import {
  createScheduler,
  housekeepingScheduleIdOf,
  installationOf,
  reconcileSchedules,
  scheduleIdOf,
  watchScheduleIdOf,
} from '../../src/temporal/schedules.ts'
import type { TemporalLink } from '../../src/temporal/sync-runs.ts'
import { makePlatform, unique } from '../store/fixtures.ts'
import { openTestStore, type TestStore } from '../store/test-store.ts'
import { silentLogger } from '../support/logger.ts'
import { startTestTemporal, type TestTemporal } from '../support/temporal.ts'

/** Profiles as real Temporal Schedules. Nobody polls the task queue: only what Temporal was told is looked at. */

const TASK_QUEUE = 'nobody'
const nightly: ProfileSchedule = { action: 'sync', cron: '30 3 * * *', timezone: 'Asia/Shanghai', jitterMs: 60_000 }
const hourly: ProfileSchedule = { action: 'check', intervalMs: 3_600_000, jitterMs: 0 }

let temporal: TestTemporal
let database: TestStore
let store: Store
let link: TemporalLink

beforeAll(async () => {
  ;[temporal, database] = await Promise.all([startTestTemporal(), openTestStore()])
  store = database.store
  link = { client: temporal.client, searchAttributes: true }
})
afterAll(async () => {
  await temporal?.stop()
  await database?.close()
})

async function newProfile(over: Partial<NewProfile> = {}): Promise<ProfileRecord> {
  const platform = await makePlatform(store)
  const selection = { instanceIds: 'all' as const, spaceIds: 'all' as const }
  return await createProfile(store, {
    platformId: platform.id,
    name: unique('p'),
    selection,
    schedule: nightly,
    ...over,
  })
}

function scheduler(current: () => TemporalLink | null = () => link) {
  const options = { taskQueue: TASK_QUEUE, installation: installationOf(store), logger: silentLogger }
  return createScheduler({ link: current, ...options })
}

const described = (profileId: string) => temporal.client.schedule.getHandle(scheduleIdOf(profileId)).describe()
const isThere = (profileId: string) =>
  described(profileId).then(
    () => true,
    () => false,
  )
const reconcile = (told = new Map<string, number>()) => reconcileSchedules(store, link, TASK_QUEUE, told)

/** The list of schedules follows what was done after a moment. */
async function untilListed(profileId: string, paused: boolean | null): Promise<void> {
  await expect
    .poll(
      async () => {
        for await (const summary of temporal.client.schedule.list()) {
          if (summary.scheduleId === scheduleIdOf(profileId)) return summary.state.paused
        }
        return null
      },
      { timeout: 60_000 },
    )
    .toBe(paused)
}

describe('a profile', () => {
  it('becomes a schedule: its times, zone, jitter, no overlap, ten minutes of catching up; only ids in its action', async () => {
    const profile = await newProfile()
    expect(await scheduler().apply(profile)).toBe('applied')
    const schedule = await described(profile.id)
    expect(schedule.spec).toMatchObject({ timezone: 'Asia/Shanghai', jitter: 60_000 })
    expect(schedule.spec.calendars?.[0]).toMatchObject({ hour: [{ start: 3 }], minute: [{ start: 30 }] })
    expect(schedule.policies).toMatchObject({ overlap: 'SKIP', catchupWindow: 600_000 })
    expect(schedule.action).toMatchObject({
      workflowId: `profile-${profile.id}`,
      taskQueue: TASK_QUEUE,
      args: [{ profileId: profile.id, searchAttributes: true }],
    })
    expect(schedule.state.paused).toBe(false)
    const next = (await scheduler().nextRuns(profile.id)) ?? []
    expect(next.length).toBeGreaterThan(1)
    // 03:30 in Shanghai, and up to a minute of jitter.
    expect(next[0]?.toISOString()).toMatch(/T19:3[01]/)
  })

  it('changes it, pauses it with the reason and has no next run then, and takes it away with its schedule', async () => {
    const profile = await newProfile()
    await scheduler().apply(profile)
    const patch = { schedule: hourly, paused: true, pauseReason: 'freeze until Monday' }
    await scheduler().apply(await updateProfile(store, profile.id, null, patch))
    const schedule = await described(profile.id)
    expect(schedule.spec.intervals).toMatchObject([{ every: 3_600_000 }])
    expect(schedule.spec.calendars ?? []).toEqual([])
    expect(schedule.state).toMatchObject({ paused: true, note: 'freeze until Monday' })
    expect(await scheduler().nextRuns(profile.id)).toEqual([])
    await scheduler().apply(await updateProfile(store, profile.id, null, { schedule: null }))
    expect(await isThere(profile.id)).toBe(false)
    expect(await scheduler().remove(profile.id)).toBe('applied')
  })

  it('is not lost while Temporal is away: nothing throws', async () => {
    const profile = await newProfile()
    const away = scheduler(() => null)
    expect(await away.apply(profile)).toBe('unavailable')
    expect(await away.remove(profile.id)).toBe('unavailable')
    expect(await away.nextRuns(profile.id)).toBeNull()
    expect(await isThere(profile.id)).toBe(false)
  })
})

describe('the reconciler', () => {
  it('makes what Temporal was not told, and changes what changed while it was away', async () => {
    const profile = await newProfile()
    await reconcile()
    expect((await described(profile.id)).state.paused).toBe(false)
    await updateProfile(store, profile.id, null, { paused: true, pauseReason: 'meanwhile' })
    await reconcile()
    expect((await described(profile.id)).state).toMatchObject({ paused: true, note: 'meanwhile' })
  })

  it('lets no schedule that Temporal refuses keep the others from theirs', async () => {
    const bad = await newProfile({ schedule: { ...nightly, cron: 'every full moon' } })
    const good = await newProfile()
    await expect(reconcile()).rejects.toThrow()
    expect(await isThere(good.id)).toBe(true)
    await deleteProfile(store, bad.id)
  })

  it('makes again one that was deleted by hand, and undoes a pause by hand', async () => {
    const [deleted, paused] = [await newProfile(), await newProfile()]
    const told = new Map<string, number>()
    await reconcile(told)
    await untilListed(deleted.id, false)
    await temporal.client.schedule.getHandle(scheduleIdOf(deleted.id)).delete()
    await temporal.client.schedule.getHandle(scheduleIdOf(paused.id)).pause('by hand')
    await untilListed(deleted.id, null)
    await untilListed(paused.id, true)
    await reconcile(told)
    expect(await isThere(deleted.id)).toBe(true)
    expect((await described(paused.id)).state.paused).toBe(false)
  })

  it('deletes that of a profile that is gone, and leaves those of another installation alone', async () => {
    const profile = await newProfile()
    await scheduler().apply(profile)
    const foreign = await newProfile()
    await createScheduler({
      link: () => link,
      taskQueue: TASK_QUEUE,
      installation: 'another',
      logger: silentLogger,
    }).apply(foreign)
    await untilListed(profile.id, false)
    await untilListed(foreign.id, false)
    for (const { id } of [profile, foreign]) await deleteProfile(store, id)
    await reconcile()
    expect(await isThere(profile.id)).toBe(false)
    expect(await isThere(foreign.id)).toBe(true)
  })
})

describe('the watch on credentials', () => {
  const watchId = () => watchScheduleIdOf(installationOf(store))
  const watch = () => temporal.client.schedule.getHandle(watchId())

  /** Of its entry in the list, by which the reconciler goes. */
  async function listedAs(paused: boolean | null): Promise<void> {
    const seen = async () => {
      for await (const { scheduleId, state, memo } of temporal.client.schedule.list()) {
        if (scheduleId !== watchId()) continue
        expect(memo).toEqual({ installation: installationOf(store) })
        return state.paused
      }
      return null
    }
    await expect.poll(seen, { timeout: 60_000 }).toBe(paused)
  }

  it('has a schedule of its own: four times a day, no overlap, ten minutes of catching up, nothing handed over', async () => {
    await reconcile()
    const { spec, policies, action, state } = await watch().describe()
    expect(spec).toMatchObject({ intervals: [{ every: 6 * 3_600_000 }], jitter: 600_000 })
    expect(policies).toMatchObject({ overlap: 'SKIP', catchupWindow: 600_000 })
    expect(action).toMatchObject({
      workflowType: 'CredentialWatchWorkflow',
      workflowId: watchId(),
      taskQueue: TASK_QUEUE,
    })
    expect(action.type === 'startWorkflow' && (action.args ?? [])).toEqual([])
    expect(state.paused).toBe(false)
  })

  it('stands beside housekeeping, which runs every hour', async () => {
    await reconcile()
    const handle = temporal.client.schedule.getHandle(housekeepingScheduleIdOf(installationOf(store)))
    const { spec, policies, action } = await handle.describe()
    expect(spec).toMatchObject({ intervals: [{ every: 3_600_000 }] })
    expect(policies).toMatchObject({ overlap: 'SKIP' })
    expect(action).toMatchObject({ workflowType: 'HousekeepingWorkflow', taskQueue: TASK_QUEUE })
    expect(action.type === 'startWorkflow' && (action.args ?? [])).toEqual([])
  })

  it('is not taken for that of a profile that is gone; deleted or paused by hand it comes back', async () => {
    const told = new Map<string, number>()
    await reconcile(told)
    await listedAs(false)
    await reconcile(told)
    await watch().describe()
    await watch().pause('by hand')
    await listedAs(true)
    await reconcile(told)
    expect((await watch().describe()).state.paused).toBe(false)
    await watch().delete()
    await listedAs(null)
    await reconcile(told)
    expect((await watch().describe()).state.paused).toBe(false)
  })
})
