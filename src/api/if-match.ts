import { z } from '@hono/zod-openapi'
import { ApiProblem, invalidRequest } from './problem.ts'

/** Row versions as HTTP preconditions: `ETag: W/"3"` out, `If-Match: W/"3"` (or "3") in. */

export const ifMatchHeader = z.object({
  'if-match': z.string().max(64).optional().openapi({ description: 'The rowVersion as read, like W/"3" or "3".' }),
})

export function etag(rowVersion: number): string {
  return `W/"${rowVersion}"`
}

/** The row version in If-Match; null without the header. */
export function optionalIfMatch(header: string | undefined): number | null {
  if (header === undefined) return null
  const version = /^(?:W\/)?"?(\d{1,9})"?$/.exec(header.trim())?.[1]
  if (version === undefined) {
    throw invalidRequest([{ field: 'If-Match', message: 'must be a row version like W/"3", as the ETag gave it' }])
  }
  return Number(version)
}

/** As optionalIfMatch, and 428 without the header: two admins must not overwrite each other unseen. */
export function requiredIfMatch(header: string | undefined): number {
  const version = optionalIfMatch(header)
  if (version !== null) return version
  throw new ApiProblem(
    428,
    'precondition_required',
    'This change needs the header If-Match with the version that was read.',
    {
      hint: 'Read it, then send its ETag (or "rowVersion" in quotes) as If-Match.',
      errors: [{ field: 'If-Match', message: 'is missing' }],
    },
  )
}
