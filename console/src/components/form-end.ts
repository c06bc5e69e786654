import { toProblem } from '../api/problem.ts'

/**
 * Why a form would be refused each time it is sent again: somebody else has changed its record, which it holds as it was, or the
 * record is gone. Null: it may be tried again.
 */
export type FormEnd = 'stale' | 'gone' | null

export function formEnd(error: unknown): FormEnd {
  if (error === null) return null
  const { status, code } = toProblem(error)
  if (status === 404) return 'gone'
  return code === 'stale_write' ? 'stale' : null
}

/** What the button says that leaves the form. */
export function leaveText(end: FormEnd): `common:${'cancel' | 'close' | 'backToList'}` {
  if (end === null) return 'common:cancel'
  return end === 'stale' ? 'common:close' : 'common:backToList'
}
