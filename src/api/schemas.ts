import { z } from '@hono/zod-openapi'
import { ERROR_FACTS, type ErrorType } from '../domain/errors.ts'
import { TARGET_STATES } from '../domain/states.ts'
import { invalidField } from './problem.ts'

/** Shapes that several resources share. */

/** What stands for a sealed value. Sent back for a name that has one, it means: keep it. */
export const MASK = '••••••••'

export const idParam = z.object({ id: z.string().max(64).openapi({ description: 'The id (UUIDv7).' }) })

export const timestamp = z.iso.datetime().openapi({ description: 'ISO 8601, UTC.' })

export const idSchema = z.string().max(64)

/** A name as people write it; surrounding spaces are cut off. */
export const nameSchema = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(191)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
  .regex(/^[^\u0000-\u001f\u007f]*$/, 'must not hold control characters')

/** Header name → value on the way in. The names' and values' rules are src/domain/header-rules.ts. */
export const headersInput = z.record(z.string().max(256), z.string().max(8192)).openapi({
  description: `Write-only values. The mask ${MASK} as a value keeps the one that is sealed (a binding’s own, else its instance’s default of that name).`,
})

/** Header name → mask on the way out. */
export const maskedHeaders = z
  .record(z.string(), z.string())
  .openapi({ description: 'Header names; the values are sealed and shown masked.', example: { Authorization: MASK } })

export const errorSchema = z
  .object({ type: z.string(), message: z.string(), hint: z.string().nullable() })
  .openapi('RecordedError', { description: 'What went wrong and what to do.' })

export const countsSchema = z
  .object({ total: z.int(), ...Object.fromEntries(TARGET_STATES.map((state) => [state, z.int()])) })
  .catchall(z.int())
  .openapi('TargetCounts', { description: 'Targets by state.' })

/** `?flag=true`. */
export const flagQuery = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true')

export function iso(date: Date): string {
  return date.toISOString()
}

export function isoOrNull(date: Date | null): string | null {
  return date === null ? null : date.toISOString()
}

export function maskHeaders(names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, MASK]))
}

/** Puts sealed values where the caller sent the mask. Throws invalid_field when there is none under that name. */
export function unmaskHeaders(
  given: Record<string, string>,
  sealed: Record<string, string> | null,
  field: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      if (value !== MASK) return [name, value]
      const kept = Object.entries(sealed ?? {}).find(([known]) => known.toLowerCase() === name.toLowerCase())
      if (kept === undefined) {
        throw invalidField(
          `${field}.${name}`,
          'The mask keeps a sealed value, and there is none (any more): give the value.',
        )
      }
      return [name, kept[1]]
    }),
  )
}

/** A recorded error with its hint; null when there is none. */
export function shownError(type: string | null, message: string | null): z.infer<typeof errorSchema> | null {
  if (type === null) return null
  const facts = isErrorType(type) ? ERROR_FACTS[type] : null
  return { type, message: message ?? '', hint: facts?.hint.en ?? null }
}

/** The URL without the values of its query, which often are keys. */
export function urlWithoutQueryValues(text: string): string {
  if (!URL.canParse(text)) return text
  const url = new URL(text)
  for (const name of new Set(url.searchParams.keys())) url.searchParams.set(name, MASK)
  return url.href
}

function isErrorType(type: string): type is ErrorType {
  return Object.hasOwn(ERROR_FACTS, type)
}
