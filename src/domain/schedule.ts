/** When a profile runs, and what such a run does. Pure: checking only; Temporal computes the times. */

export type ProfileSchedule = {
  /** `check` looks and notes drift; with the drift policy `heal` it is a sync. */
  action: 'sync' | 'check'
  /** Random delay of each run, ms. */
  jitterMs: number
} & ({ cron: string; timezone: string } | { intervalMs: number })

export const SHORTEST_INTERVAL_MS = 5_000
export const LONGEST_INTERVAL_MS = 366 * 24 * 3_600_000

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** The five fields of a cron expression: its name, the smallest and the largest value, names for values. */
const FIELDS = [
  { name: 'minute', min: 0, max: 59, words: [] },
  { name: 'hour', min: 0, max: 23, words: [] },
  { name: 'day of month', min: 1, max: 31, words: [] },
  { name: 'month', min: 1, max: 12, words: MONTHS },
  { name: 'day of week', min: 0, max: 7, words: DAYS },
] as const

/** Null when Temporal will take it; else what is wrong, for people. Five fields, as in crontab(5); no `@daily`, no seconds. */
export function cronProblem(cron: string): string | null {
  const parts = cron.trim().split(/\s+/)
  if (parts.length !== FIELDS.length) {
    return 'must have five fields: minute, hour, day of month, month, day of week'
  }
  for (const [index, field] of FIELDS.entries()) {
    const wrong = (parts[index] ?? '').split(',').find((item) => !isCronItem(item.toLowerCase(), field))
    if (wrong !== undefined) return `"${wrong}" is no ${field.name} (${field.min} to ${field.max})`
  }
  return null
}

/** An IANA time zone name that this runtime knows. */
export function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    // Offsets like +02:00 are taken by Intl, but are no names.
    return /^[A-Za-z]/.test(name)
  } catch {
    return false
  }
}

function isCronItem(item: string, field: (typeof FIELDS)[number]): boolean {
  const [range = '', step, ...more] = item.split('/')
  if (more.length > 0) return false
  if (step !== undefined && !(/^\d{1,2}$/.test(step) && Number(step) >= 1)) return false
  if (range === '*') return true
  const ends = range.split('-').map((text) => cronValue(text, field))
  const [first, last = first] = ends
  if (ends.length > 2 || first === undefined || first === null || last === undefined || last === null) return false
  return first <= last
}

function cronValue(text: string, field: (typeof FIELDS)[number]): number | null {
  const word = (field.words as readonly string[]).indexOf(text)
  // Months count from 1, days of the week from 0.
  if (word >= 0) return word + field.min
  const number = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN
  return number >= field.min && number <= field.max ? number : null
}
