import { readEvents, type ServerSentEvent } from './event-stream.ts'

/** Toolferry's HTTP API with an API key, as any script would use it. */
export type ApiClient = {
  get<T>(path: string): Promise<T>
  post<T>(path: string, body?: unknown, headers?: Record<string, string>): Promise<T>
  patch<T>(path: string, body: unknown, headers?: Record<string, string>): Promise<T>
  delete(path: string): Promise<void>
  /** All items of a list, page after page. */
  list<T>(path: string): Promise<T[]>
  /** A live event stream, until it ends or `signal` aborts. */
  events(path: string, signal: AbortSignal): AsyncGenerator<ServerSentEvent>
}

/** A problem+json answer: `code` is stable, the message says what to do. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
  }
}

type Problem = { code?: string; detail?: string; hint?: string | null; errors?: { field: string; message: string }[] }

/** `origin`: http://host:port. `signal` ends every call. */
export function createApiClient(origin: string, apiKey: string, signal: AbortSignal): ApiClient {
  const send = async (
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
    ends: AbortSignal,
  ): Promise<Response> => {
    const response = await fetch(`${origin}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: ends,
    })
    if (!response.ok) throw await toApiError(method, path, response)
    return response
  }
  const call = async <T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> => {
    const response = await send(method, path, body, headers, AbortSignal.any([signal, AbortSignal.timeout(60_000)]))
    return (await response.json()) as T
  }
  return {
    get: (path) => call('GET', path),
    post: (path, body, headers) => call('POST', path, body ?? {}, headers),
    patch: (path, body, headers) => call('PATCH', path, body, headers),
    delete: async (path) => {
      const ends = AbortSignal.any([signal, AbortSignal.timeout(60_000)])
      await (await send('DELETE', path, undefined, {}, ends)).body?.cancel()
    },
    list: async <T>(path: string) => {
      const items: T[] = []
      let cursor: string | null = null
      do {
        const query: string = cursor === null ? 'limit=200' : `limit=200&cursor=${encodeURIComponent(cursor)}`
        const page: { items: T[]; nextCursor: string | null } = await call(
          'GET',
          `${path}${path.includes('?') ? '&' : '?'}${query}`,
        )
        items.push(...page.items)
        cursor = page.nextCursor
      } while (cursor !== null)
      return items
    },
    events: async function* (path, ends) {
      const response = await send(
        'GET',
        path,
        undefined,
        { accept: 'text/event-stream' },
        AbortSignal.any([signal, ends]),
      )
      if (response.body === null) return
      yield* readEvents(response.body)
    },
  }
}

async function toApiError(method: string, path: string, response: Response): Promise<ApiError> {
  const text = await response.text()
  let problem: Problem = {}
  try {
    problem = JSON.parse(text) as Problem
  } catch {
    problem = { detail: text.slice(0, 200) }
  }
  const fields = (problem.errors ?? []).map((error) => `${error.field}: ${error.message}`)
  const parts = [problem.detail, ...fields, problem.hint].filter(
    (part) => part !== undefined && part !== null && part !== '',
  )
  return new ApiError(
    response.status,
    problem.code ?? 'unknown',
    `${method} /api/v1${path} answered ${response.status}${problem.code === undefined ? '' : ` ${problem.code}`}. ${parts.join(' ')}`,
  )
}
