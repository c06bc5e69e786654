import type { ProfileRecord } from '../store/profiles.ts'

/** The API's port to the schedules. The store says what is wanted; what Temporal could not be told now it is told later. */
export type Scheduler = {
  /** Makes, changes or deletes the schedule of the profile, as the profile says. Never throws. */
  apply(profile: ProfileRecord): Promise<'applied' | 'unavailable'>
  /** Deletes the schedule of a deleted profile. Never throws. */
  remove(profileId: string): Promise<'applied' | 'unavailable'>
  /** When it runs next, jitter included; none while it is paused; null when Temporal is away or has no such schedule. */
  nextRuns(profileId: string): Promise<Date[] | null>
}
