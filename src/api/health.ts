import { z } from '@hono/zod-openapi'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { defineRoute, json } from './route.ts'

const readinessSchema = z
  .object({
    ready: z.boolean(),
    parts: z.array(z.object({ name: z.string(), ready: z.boolean(), detail: z.string().nullable() })),
  })
  .openapi('Readiness')

const livenessRoute = defineRoute('anyone', {
  method: 'get',
  path: '/healthz',
  operationId: 'health',
  tags: ['health'],
  summary: 'The process is alive',
  responses: { 200: json(z.object({ status: z.literal('ok') }), 'Alive') },
})

const readinessRoute = defineRoute('anyone', {
  method: 'get',
  path: '/readyz',
  operationId: 'readiness',
  tags: ['health'],
  summary: 'Every role of the process can serve',
  responses: { 200: json(readinessSchema, 'Ready'), 503: json(readinessSchema, 'Not ready yet') },
})

const metricsRoute = defineRoute('viewer', {
  method: 'get',
  path: '/metrics',
  operationId: 'metrics',
  tags: ['health'],
  summary: 'Prometheus metrics',
  responses: { 200: { content: { 'text/plain': { schema: z.string() } }, description: 'Prometheus text format' } },
})

export function registerHealth(app: Api, deps: ApiDeps): void {
  app.openapi(livenessRoute, (c) => c.json({ status: 'ok' as const }, 200))
  app.openapi(readinessRoute, async (c) => {
    const readiness = await deps.readiness()
    return readiness.ready ? c.json(readiness, 200) : c.json(readiness, 503)
  })
  app.openapi(metricsRoute, async (c) => {
    c.header('content-type', deps.metrics.contentType)
    return c.text(await deps.metrics.metrics(), 200)
  })
}
