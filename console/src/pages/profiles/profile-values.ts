import type { Schemas } from '../../api/client.ts'

type Profile = Schemas['Profile']

/** A profile as its form holds it. */
export type ProfileValues = {
  name: string
  platformId: string
  allInstances: boolean
  instanceIds?: string[]
  allSpaces: boolean
  spaceIds?: string[]
  writePolicy: NonNullable<Schemas['ProfileInput']['writePolicy']>
  driftPolicy: Profile['driftPolicy']
  onToolsChanged: Profile['onToolsChanged']
  /** Null: as the installation says. */
  rotateAfterDays: number | null
  when: 'never' | 'interval' | 'cron'
  intervalMinutes?: number
  cron?: string
  timezone?: string
  action?: 'sync' | 'check'
  jitterSeconds?: number
}

const MINUTE_MS = 60_000
const SECOND_MS = 1_000

export function toForm(profile: Profile | null): Partial<ProfileValues> {
  const schedule = profile?.schedule ?? null
  const { instanceIds, spaceIds } = profile?.selection ?? { instanceIds: 'all', spaceIds: 'all' }
  return {
    ...(profile === null ? {} : { name: profile.name, platformId: profile.platformId }),
    allInstances: instanceIds === 'all',
    ...(instanceIds === 'all' ? {} : { instanceIds }),
    allSpaces: spaceIds === 'all',
    ...(spaceIds === 'all' ? {} : { spaceIds }),
    writePolicy: (profile?.writePolicy ?? 'upsert-only') as ProfileValues['writePolicy'],
    driftPolicy: profile?.driftPolicy ?? 'report',
    onToolsChanged: profile?.onToolsChanged ?? 'sync',
    rotateAfterDays: profile?.rotateAfterDays ?? null,
    when:
      schedule === null ? (profile === null ? 'interval' : 'never') : schedule.cron === undefined ? 'interval' : 'cron',
    intervalMinutes: Math.round((schedule?.intervalMs ?? 360 * MINUTE_MS) / MINUTE_MS),
    cron: schedule?.cron ?? '0 3 * * *',
    timezone: schedule?.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    action: schedule?.action ?? 'sync',
    jitterSeconds: Math.round((schedule?.jitterMs ?? 60 * SECOND_MS) / SECOND_MS),
  }
}

export function fromForm(
  values: ProfileValues,
): Schemas['ProfilePatch'] & { name: string; selection: Schemas['ProfileSelection'] } {
  return {
    name: values.name,
    selection: {
      instanceIds: values.allInstances ? 'all' : (values.instanceIds ?? []),
      spaceIds: values.allSpaces ? 'all' : (values.spaceIds ?? []),
    },
    writePolicy: values.writePolicy,
    driftPolicy: values.driftPolicy,
    onToolsChanged: values.onToolsChanged,
    rotateAfterDays: values.rotateAfterDays ?? null,
    schedule: scheduleOf(values),
  }
}

function scheduleOf(values: ProfileValues): Schemas['Schedule'] {
  if (values.when === 'never') return null
  const common = { action: values.action ?? 'sync', jitterMs: (values.jitterSeconds ?? 0) * SECOND_MS }
  if (values.when === 'interval') return { ...common, intervalMs: (values.intervalMinutes ?? 0) * MINUTE_MS }
  return { ...common, cron: values.cron ?? '', timezone: values.timezone ?? 'UTC' }
}
