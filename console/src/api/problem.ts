import type { components } from './schema.d.ts'

/** What the API answers instead of a result (problem+json), or why there was no answer. */
export type Problem = Pick<
  components['schemas']['Problem'],
  'status' | 'code' | 'detail' | 'hint' | 'errors' | 'requestId'
>

export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail === '' ? problem.code : problem.detail)
    this.problem = problem
  }
}

/** Any thrown thing as a problem; what is none of the API's is a bug of this page. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem
  const detail = error instanceof Error ? error.message : String(error)
  return { status: 0, code: 'console_bug', detail, hint: null, errors: [], requestId: '' }
}
