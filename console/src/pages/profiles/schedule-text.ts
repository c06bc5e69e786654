import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'

const MINUTE_MS = 60_000

/** A schedule on one line: "every 6 hours, sync", "0 3 * * * (Europe/Berlin), check". */
export function useScheduleText(): (schedule: Schemas['Profile']['schedule']) => string {
  const { t } = useTranslation('profiles')
  return (schedule) => {
    if (schedule === null) return t('noSchedule')
    const action = t(`scheduleActions.${schedule.action}`)
    if (schedule.cron !== undefined) return `${schedule.cron} (${schedule.timezone ?? 'UTC'}) · ${action}`
    const minutes = Math.round((schedule.intervalMs ?? 0) / MINUTE_MS)
    const every = minutes % 60 === 0 ? t('everyHours', { count: minutes / 60 }) : t('everyMinutes', { count: minutes })
    return `${every} · ${action}`
  }
}
