import { z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { ZodError } from 'zod'
import { ToolferryError } from '../domain/errors.ts'
import { clip } from '../store/columns.ts'
import { StoreError, type StoreErrorCode } from '../store/errors.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { ApiEnv } from './context.ts'

/** Every refusal of the API as application/problem+json (RFC 9457) with a stable `code`. */

export type FieldError = { field: string; message: string }

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: 'urn:toolferry:problem:not_found' }),
    title: z.string(),
    status: z.int(),
    code: z.string().openapi({ description: 'Stable; programs decide by it.', example: 'not_found' }),
    detail: z.string().openapi({ description: 'What happened, for people.' }),
    hint: z.string().nullable().openapi({ description: 'What to do.' }),
    errors: z.array(z.object({ field: z.string(), message: z.string() })),
    requestId: z.string(),
  })
  .openapi('Problem')

type Issue = ZodError['issues'][number]

type ProblemOptions = { hint?: string; errors?: FieldError[]; headers?: Record<string, string> }

const TITLES: Record<number, string> = {
  400: 'Invalid request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Body too large',
  415: 'Unsupported media type',
  422: 'Not usable',
  428: 'Precondition required',
  429: 'Too many requests',
  500: 'Internal error',
  502: 'Bad answer from another server',
  503: 'Not available',
  504: 'Timed out',
}

const STORE_HINTS: Record<StoreErrorCode, string> = {
  not_found: 'Check the id; lists show what is there.',
  stale_write: 'Read it again and repeat the change with the new version in If-Match.',
  name_taken: 'Choose another name.',
  already_registered: 'Use the one that exists, or delete it first.',
  token_in_use: 'Give another token, or leave it out to have one made.',
  idempotency_key_reused: 'Use a new Idempotency-Key for a new request.',
  being_deleted: 'Wait for the end of its removal. Deleting it again goes on with what is left.',
  owned_by_another: 'Remove it from that binding first, or adopt another object.',
  last_admin_key: 'Make another admin key first.',
  has_deployments:
    'Delete it again: its removal goes on with what is left. Or drop the records only, with ?forget=true.',
}

export function notFound(what: string, id: string): ApiProblem {
  const shown = /^[\w.:-]{1,64}$/.test(id) ? ` ${id}` : ''
  return new ApiProblem(404, 'not_found', `There is no ${what}${shown}.`, {
    hint: 'Check the id; lists show what is there.',
  })
}

/** An instance or a platform that is on its way out takes nothing new. `errors`: where the request has chosen it. */
export function beingDeleted(what: string, errors: FieldError[] = []): ApiProblem {
  const hint = errors.length === 0 ? '' : 'Take it out of the selection. '
  return new ApiProblem(
    409,
    'being_deleted',
    `${what} is being deleted: nothing new can be brought there or taken from it.`,
    { hint: `${hint}${STORE_HINTS.being_deleted}`, errors },
  )
}

/** One wrong field of a request that is otherwise well formed. */
export function invalidField(field: string, message: string): ApiProblem {
  return new ApiProblem(422, 'invalid_field', `${field}: ${message}`, { errors: [{ field, message }] })
}

/** Errors of one answer: a body may hold a hundred thousand, from whoever is not even asked who it is. */
const MAX_ERRORS = 100
const MAX_FIELD_CHARS = 200

/** The first issues of a failed validation, each with the field's path (`database.port`, `spaceIds[0]`); never a value. */
export function fieldErrors(error: ZodError): FieldError[] {
  return firstErrors(error.issues.slice(0, MAX_ERRORS).flatMap((issue) => fieldErrorsOf(issue, [])))
}

export function firstErrors(errors: readonly FieldError[]): FieldError[] {
  return errors.slice(0, MAX_ERRORS)
}

export function invalidRequest(errors: FieldError[]): ApiProblem {
  const named = errors.map((error) => error.field).join(', ')
  return new ApiProblem(400, 'invalid_request', `The request is not valid: ${named}.`, {
    hint: 'Correct the fields listed in errors; the API document shows their form.',
    errors,
  })
}

/** Answers whatever was thrown. What is not expected is logged with the request id and answered without details. */
export function answerError(error: unknown, c: Context<ApiEnv>, logger: Logger): Response {
  const problem = toProblem(error, c.req.header('accept-language') ?? '')
  // Whoever asked is gone; the work was ended with the request, and nobody reads the answer.
  if (problem === null && c.req.raw.signal.aborted) {
    return respond(c, new ApiProblem(503, 'client_gone', 'The caller closed the connection.'))
  }
  if (problem === null) {
    logger.error({ err: describe(error), requestId: c.get('requestId'), path: c.req.routePath }, 'request failed')
    return respond(
      c,
      new ApiProblem(500, 'internal_error', 'An unexpected error happened; nothing more can be said here.', {
        hint: 'Give the request id to whoever runs this server: the process log has the details.',
      }),
    )
  }
  return respond(c, problem)
}

function toProblem(error: unknown, language: string): ApiProblem | null {
  if (error instanceof ApiProblem) return error
  if (error instanceof StoreError) {
    return new ApiProblem(error.code === 'not_found' ? 404 : 409, error.code, error.message, {
      hint: STORE_HINTS[error.code],
      errors: error.field === undefined ? [] : [{ field: error.field, message: error.message }],
    })
  }
  if (error instanceof ToolferryError) {
    if (error.type === 'Bug') return null
    const hint = language.toLowerCase().startsWith('zh') ? error.facts.hint.zh : error.facts.hint.en
    const headers: Record<string, string> =
      error.retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(error.retryAfterMs / 1000)) }
    return new ApiProblem(error.facts.httpStatus, snakeCase(error.type), error.message, {
      hint,
      headers,
      errors: error.field === undefined ? [] : [{ field: error.field, message: error.message }],
    })
  }
  if (error instanceof HTTPException) {
    if (error.status === 400) {
      return new ApiProblem(400, 'malformed_json', 'The body is not valid JSON.', {
        hint: 'Send a JSON document with Content-Type: application/json.',
      })
    }
    if (error.status === 415) {
      return new ApiProblem(415, 'unsupported_media_type', 'The body must be JSON.', {
        hint: 'Send Content-Type: application/json.',
      })
    }
  }
  return null
}

function respond(c: Context<ApiEnv>, problem: ApiProblem): Response {
  for (const [name, value] of Object.entries(problem.headers)) c.header(name, value)
  c.header('cache-control', 'no-store')
  const body: z.infer<typeof problemSchema> = {
    type: `urn:toolferry:problem:${problem.code}`,
    title: TITLES[problem.status] ?? 'Problem',
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    hint: problem.hint,
    errors: problem.errors,
    requestId: c.get('requestId') ?? '',
  }
  return c.body(JSON.stringify(body), problem.status as ContentfulStatusCode, {
    'content-type': 'application/problem+json',
  })
}

function fieldErrorsOf(issue: Issue, parents: PropertyKey[]): FieldError[] {
  const path = [...parents, ...issue.path]
  const field = fieldPath(path)
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MAX_ERRORS).map((key) => ({
      field: clip(field === '' ? key : `${field}.${key}`, MAX_FIELD_CHARS),
      message: 'There is no such property; check its spelling.',
    }))
  }
  if (issue.code === 'invalid_union') {
    // The alternative that was meant is the one whose fault lies deeper inside.
    const meant = issue.errors.find((branch) => branch.some((inner) => inner.path.length > 0))
    if (meant !== undefined) return meant.flatMap((inner) => fieldErrorsOf(inner, path))
  }
  return [{ field: field === '' ? 'body' : clip(field, MAX_FIELD_CHARS), message: issue.message }]
}

function fieldPath(path: PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}

function snakeCase(name: string): string {
  return name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}

/** Name, code and stack without the message: a message of an unexpected error may hold what the caller sent. */
function describe(error: unknown): object {
  if (!(error instanceof Error)) return { name: typeof error }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const cause = error.cause === undefined ? undefined : describe(error.cause)
  return { name: error.name, code, stack: frames.slice(0, 12).join('\n'), cause }
}

export class ApiProblem extends Error {
  override readonly name = 'ApiProblem'
  readonly status: number
  readonly code: string
  readonly hint: string | null
  readonly errors: FieldError[]
  readonly headers: Record<string, string>

  constructor(status: number, code: string, detail: string, options: ProblemOptions = {}) {
    super(detail)
    this.status = status
    this.code = code
    this.hint = options.hint ?? null
    this.errors = options.errors ?? []
    this.headers = options.headers ?? {}
  }
}
