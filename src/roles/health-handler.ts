import type { Readiness } from '../api/deps.ts'
import type { Handler } from './http-server.ts'

export type MetricsAccess = {
  /** In the format of Prometheus. */
  text: () => Promise<string>
  contentType: string
  isKey: (secret: string) => Promise<boolean>
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
    const showMetrics = async ({ text, contentType, isKey }: MetricsAccess) => {
      const secret = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
      if (secret === undefined || !(await isKey(secret))) {
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
