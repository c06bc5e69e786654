import createClient from 'openapi-fetch'
import { currentLanguage } from '../i18n/language.ts'
import { type Problem, ProblemError } from './problem.ts'
import type { components, paths } from './schema.d.ts'

/** The API with its types from the OpenAPI document: `call(api.GET('/api/v1/platforms', { params: … }))`. */
export const api = createClient<paths>({ baseUrl: window.location.origin })

/** A body of the API by its name there: `Schemas['Platform']`. */
export type Schemas = components['schemas']

api.use({
  onRequest({ request }) {
    request.headers.set('accept-language', currentLanguage())
    // With the session's cookie every write must be JSON, also one without a body.
    if (request.method === 'GET' || request.method === 'DELETE' || request.headers.has('content-type')) return request
    request.headers.set('content-type', 'application/json')
    return new Request(request, { body: '{}' })
  },
})

type Answer<T> = { data?: T; error?: unknown; response: Response }

/** The body of a good answer; everything else is thrown as a ProblemError. */
export async function call<T>(answer: Promise<Answer<T>>): Promise<NonNullable<T>> {
  const { data, error, response } = await answer.catch(() => {
    throw new ProblemError(NETWORK)
  })
  if (response.ok) return data as NonNullable<T>
  throw new ProblemError(isProblem(error) ? error : { ...UNREADABLE, status: response.status })
}

const NETWORK: Problem = { status: 0, code: 'network', detail: '', hint: null, errors: [], requestId: '' }
const UNREADABLE: Problem = { ...NETWORK, code: 'unreadable_answer' }

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'detail' in body
}
