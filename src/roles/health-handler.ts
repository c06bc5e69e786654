import type { Readiness } from '../api/deps.ts'
import type { Handler } from './http-server.ts'

/** /healthz and /readyz for a role without the API; anything else is 404. */
export function createHealthHandler(readiness: () => Readiness): Handler {
  return (request, response) => {
    const path = request.url?.split('?')[0]
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      response.end(JSON.stringify(body))
    }
    if (path === '/healthz') answer(200, { status: 'ok' })
    else if (path === '/readyz') {
      const state = readiness()
      answer(state.ready ? 200 : 503, state)
    } else answer(404, { code: 'not_found' })
  }
}
