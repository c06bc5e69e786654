import type { IncomingMessage } from 'node:http'
import type { Readiness } from '../api/deps.ts'
import { bearerOf, type Verdict } from '../audit/key-check.ts'
import type { Handler } from './http-server.ts'

export type MetricsAccess = {
  /** In the format of Prometheus. */
  text: () => Promise<string>
  contentType: string
  /** Judges a call's API key. */
  judge: (secret: string, request: IncomingMessage) => Promise<Verdict>
}

/** /healthz and /readyz for a role without the API, and /metrics for who has an API key; anything else is 404. */
export function createHealthHandler(
  readiness: () => Promise<Readiness>,
  metrics: MetricsAccess | null = null,
): Handler {
  return (request, response) => {
    const path = request.url?.split('?')[0]
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      response.end(JSON.stringify(body))
    }
    const showMetrics = async ({ text, contentType, judge }: MetricsAccess) => {
      const secret = bearerOf(request.headers.authorization ?? '')
      const verdict = secret === null ? null : await judge(secret, request)
      if (verdict?.key === null && verdict.waitSeconds !== null) {
        response.setHeader('retry-after', String(verdict.waitSeconds))
        answer(429, { code: 'too_many_failures' })
        return
      }
      if (verdict === null || verdict.key === null) {
        answer(401, { code: 'unauthorized' })
        return
      }
      const page = await text()
      response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' })
      response.end(page)
    }
    const showReadiness = async () => {
      const state = await readiness()
      answer(state.ready ? 200 : 503, state)
    }
    if (path === '/healthz') answer(200, { status: 'ok' })
    else if (path === '/readyz') {
      showReadiness().catch(() => answer(503, { ready: false, parts: [] }))
    } else if (path === '/metrics' && metrics !== null) {
      showMetrics(metrics).catch(() => answer(503, { code: 'store_away' }))
    } else answer(404, { code: 'not_found' })
  }
}
