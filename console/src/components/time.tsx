import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
]

/** A moment as its distance from now, the exact time on hover; null: a dash. Renews itself. */
export function Time({ at, absolute = false }: { at: string | null; absolute?: boolean }) {
  const { i18n } = useTranslation()
  // Only renews it: a moment since the last renewal would lie in that one's future.
  useNow(absolute || at === null ? null : 15_000)
  if (at === null) return <span className="muted">–</span>
  const exact = formatTime(at, i18n.language)
  return (
    <time dateTime={at} title={exact} className="num">
      {absolute ? exact : relativeTime(at, Date.now(), i18n.language)}
    </time>
  )
}

/** The date and time as the language writes it, in the browser's time zone. */
export function formatTime(at: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(at))
}

export function relativeTime(at: string, nowMs: number, language: string): string {
  const distanceMs = new Date(at).getTime() - nowMs
  const [unit, sizeMs] = UNITS.find(([, size]) => Math.abs(distanceMs) >= size) ?? ['second', 1_000]
  return new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' }).format(
    Math.trunc(distanceMs / sizeMs),
    unit,
  )
}

/** The time in milliseconds, again every `everyMs`; null: it stands still. */
export function useNow(everyMs: number | null): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (everyMs === null) return
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}
