import { useTranslation } from 'react-i18next'
import { useNow } from '../../components/time.tsx'

/** How long something took, or has been taking until now. */
export function Duration({ from, to, running }: { from: string | null; to: string | null; running: boolean }) {
  const { i18n } = useTranslation()
  const now = useNow(running ? 1_000 : null)
  if (from === null) return <span className="muted">–</span>
  const ms = Math.max(0, (to === null ? now : new Date(to).getTime()) - new Date(from).getTime())
  return <span className="num">{formatDuration(ms, i18n.language)}</span>
}

/** "350 ms", "12 sec", "3 min 4 sec", "2 hr 5 min" as the language writes it. */
export function formatDuration(ms: number, language: string): string {
  const unit = (value: number, name: string) =>
    new Intl.NumberFormat(language, { style: 'unit', unit: name, unitDisplay: 'short' }).format(value)
  if (ms < 1_000) return unit(Math.round(ms), 'millisecond')
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return unit(seconds, 'second')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${unit(minutes, 'minute')} ${unit(seconds % 60, 'second')}`
  return `${unit(Math.floor(minutes / 60), 'hour')} ${unit(minutes % 60, 'minute')}`
}
