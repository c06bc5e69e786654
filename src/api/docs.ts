import type { OpenAPIHono } from '@hono/zod-openapi'
import { html, raw } from 'hono/html'
import type { Api, ApiEnv } from './context.ts'

/**
 * /openapi.json and /docs. The page is a plain list of every call, made here, so that it reads without the internet; where
 * the internet is, Scalar replaces it. Scalar's script is no part of its Hono package, so it comes from a public CDN, pinned
 * by version and hash: it runs on the origin of the API.
 */

const SCALAR = {
  url: 'https://cdn.jsdelivr.net/npm/@scalar/api-reference@1.72.1/dist/browser/standalone.js',
  integrity: 'sha384-U11tb2XnKvmwt8RlTvnwUnYgrN+ur4Xyh9htLhjajWNR/Oyl5AX5DEz00qRmlrmK',
}

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' https://cdn.jsdelivr.net",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const START_SCRIPT = `
const script = document.createElement('script')
script.src = ${JSON.stringify(SCALAR.url)}
script.integrity = ${JSON.stringify(SCALAR.integrity)}
script.crossOrigin = 'anonymous'
script.onload = () => {
  document.getElementById('plain').hidden = true
  Scalar.createApiReference('#scalar', { url: '/openapi.json', withDefaultFonts: false, telemetry: false })
}
document.head.append(script)
`

const STYLE = `
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color-scheme: light dark }
#plain { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
td { padding: .2rem .8rem .2rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child, td:last-child { overflow-wrap: normal }
code { font-family: ui-monospace, monospace }
`

type Operation = { tags?: string[]; summary?: string; 'x-required-role'?: string }

export function registerDocs(app: Api, version: string): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', { type: 'http', scheme: 'bearer' })
  app.openAPIRegistry.registerComponent('securitySchemes', 'session', {
    type: 'apiKey',
    in: 'cookie',
    name: 'toolferry',
  })
  let document: ReturnType<typeof openApiDocument> | null = null
  const cached = () => {
    document ??= openApiDocument(app, version)
    return document
  }
  app.get('/openapi.json', (c) => c.json(cached()))
  app.get('/docs/start.js', (c) => c.body(START_SCRIPT, 200, { 'content-type': 'text/javascript; charset=utf-8' }))
  app.get('/docs', (c) => {
    c.header('content-security-policy', CONTENT_SECURITY_POLICY)
    return c.html(page(cached()))
  })
}

export function openApiDocument(app: OpenAPIHono<ApiEnv>, version: string) {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Toolferry',
      version,
      description:
        'Register an MCP server once; it appears in every workspace of your agent platforms. Authorization: Bearer <api key>. Roles: viewer < operator < admin.',
    },
    servers: [{ url: '/' }],
  })
}

function page(document: ReturnType<typeof openApiDocument>) {
  const rows = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>).map(
      ([method, operation]) =>
        html`<tr><td><code>${method.toUpperCase()}</code></td><td><code>${path}</code></td><td>${operation.summary}</td><td>${operation['x-required-role']}</td></tr>`,
    ),
  )
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Toolferry API</title><style>${raw(STYLE)}</style></head>
<body>
<main id="plain">
<h1>Toolferry API</h1>
<p>The whole description, with every schema: <a href="/openapi.json">openapi.json</a>. The last column is the role a call needs.</p>
<table>${rows}</table>
</main>
<div id="scalar"></div>
<script src="/docs/start.js" defer></script>
</body>
</html>`
}
