/** The product's HTTP API as a user calls it, with a memory of every answer: what must hold no secret. */

export type Answer<T = Record<string, unknown>> = { status: number; headers: Headers; body: T; text: string }

export type ApiClient = {
  call: <T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>
  /** As `call`, and an unexpected status is an error that shows the answer. */
  must: <T = Record<string, unknown>>(status: number, method: string, path: string, body?: unknown) => Promise<T>
  /** Every answer's text so far, with its headers. */
  answers: () => string[]
}

/** `origins`: asked in turn, as behind a load balancer. Paths of the gateway go to `gatewayOrigin`. */
export function createApiClient(options: {
  origins: () => string[]
  gatewayOrigin: () => string
  adminKey: () => string
}): ApiClient {
  const answers: string[] = []
  let turn = 0

  const call: ApiClient['call'] = async (method, path, body, headers = {}) => {
    const origins = options.origins()
    turn += 1
    const api = `${origins[turn % origins.length]}/api/v1`
    const response = await fetch(`${path.startsWith('/mcp-gateway') ? options.gatewayOrigin() : api}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${options.adminKey()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    answers.push(`${method} ${path} ${response.status} ${JSON.stringify([...response.headers])} ${text}`)
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: response.headers.get('content-type')?.includes('json') === true ? JSON.parse(text) : null,
    }
  }

  return {
    call,
    must: async (status, method, path, body) => {
      const answer = await call(method, path, body)
      if (answer.status !== status)
        throw new Error(`${method} ${path}: ${answer.status}, not ${status}\n${answer.text}`)
      return answer.body as never
    },
    answers: () => answers,
  }
}
