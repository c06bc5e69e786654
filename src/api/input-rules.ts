import { judgeHeaders } from '../domain/header-rules.ts'
import { judgeCustomToken, normaliseToken } from '../domain/token.ts'
import { ApiProblem, type FieldError, firstErrors, invalidField } from './problem.ts'

/** Rules of inputs that several resources take; each refuses with the field's path and what to do. */

export const EXPIRY_PRESETS = ['7d', '15d', '30d', 'permanent'] as const
export type ExpiryPreset = (typeof EXPIRY_PRESETS)[number]

const PRESET_DAYS: Record<Exclude<ExpiryPreset, 'permanent'>, number> = { '7d': 7, '15d': 15, '30d': 30 }
const DAY_MS = 24 * 60 * 60 * 1000

/** Throws 422 naming every wrong header; values are never repeated. */
export function checkHeaders(headers: Record<string, string>, field: string): void {
  throwFieldErrors(headerErrors(headers, field))
}

export function headerErrors(headers: Record<string, string>, field: string): FieldError[] {
  return judgeHeaders(headers, field).map((problem) => ({ field: problem.field, message: problem.reason }))
}

/** A custom token as it will be used. Throws 422 with the reason if it is weak or cannot be sent. */
export function checkedToken(text: string, field: string): string {
  const token = normaliseToken(text)
  const verdict = judgeCustomToken(token)
  if (!verdict.ok)
    throw new ApiProblem(422, 'weak_token', `${field}: ${verdict.reason}`, {
      hint: 'Give another token, or leave it out to have one made.',
      errors: [{ field, message: verdict.reason }],
    })
  return token
}

/** The date that `expiresAt` or the preset `expiresIn` means; null = never, undefined = neither was given. */
export function expiryOf(
  input: { expiresAt?: string | null | undefined; expiresIn?: ExpiryPreset | undefined },
  path: string,
  nowMs: number,
): Date | null | undefined {
  if (input.expiresIn !== undefined) {
    if (input.expiresAt !== undefined) throw invalidField(`${path}expiresIn`, 'Give expiresAt or expiresIn, not both.')
    return input.expiresIn === 'permanent' ? null : new Date(nowMs + PRESET_DAYS[input.expiresIn] * DAY_MS)
  }
  if (input.expiresAt === undefined || input.expiresAt === null) return input.expiresAt
  const at = new Date(input.expiresAt)
  if (at.getTime() <= nowMs) {
    throw invalidField(`${path}expiresAt`, 'This time has passed already. Give a later one.')
  }
  return at
}

/** A web address that paths are put after: of scheme, host, port and path only, without a slash at its end. Throws 422 for others. */
export function plainAddress(text: string, field: string, example: string): string {
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw invalidField(field, `Give scheme, host, port and path only, like ${example}.`)
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** Names the first of them. */
export function throwFieldErrors(all: readonly FieldError[]): void {
  const errors = firstErrors(all)
  if (errors.length === 0) return
  throw new ApiProblem(422, 'invalid_field', errors.map((error) => `${error.field}: ${error.message}`).join(' '), {
    hint: 'Correct the fields listed in errors.',
    errors,
  })
}
