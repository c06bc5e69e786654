import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import type { MiddlewareHandler } from 'hono'
import type { ApiEnv } from './context.ts'

/**
 * The console's files, as dist/console holds them: read once, served from memory in the smallest form the browser takes.
 * Hashed files are for ever; every other path of a page answers index.html, so that links into the console work.
 */

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
}

const ENCODINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const

/** Stands in index.html where the page's nonce goes. */
const NONCE_MARK = '__CSP_NONCE__'

/** What is never a page of the console. */
const NOT_CONSOLE = /^\/(api|docs|mcp-gateway|\.well-known|openapi\.json|healthz|readyz|metrics)(\/|$)/

type File = { type: string; plain: Buffer; encoded: { encoding: string; bytes: Buffer }[] }

/** Serves the console from `directory`; without one (not built) every path is the API's. */
export function consoleFiles(directory: string): MiddlewareHandler<ApiEnv> {
  const files = readFiles(directory)
  const index = files.get('/index.html')?.plain.toString('utf8') ?? null

  return async (c, next) => {
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    if (index === null || !isRead || NOT_CONSOLE.test(c.req.path)) return next()
    const file = c.req.path === '/index.html' ? undefined : files.get(c.req.path)
    if (file !== undefined) {
      const accepted = c.req.header('accept-encoding') ?? ''
      const encoded = file.encoded.find(({ encoding }) => accepted.includes(encoding))
      if (encoded !== undefined) c.header('content-encoding', encoded.encoding)
      c.header('vary', 'accept-encoding')
      c.header('content-type', file.type)
      c.header(
        'cache-control',
        c.req.path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'public, max-age=3600',
      )
      return c.body(new Uint8Array(encoded?.bytes ?? file.plain))
    }
    // A missing script must not come back as a page: the browser would only say that its type is wrong.
    if (c.req.path.startsWith('/assets/') || !(c.req.header('accept') ?? '').includes('text/html')) return next()
    const nonce = randomBytes(16).toString('base64url')
    c.header('content-security-policy', contentSecurityPolicy(nonce))
    c.header('cache-control', 'no-store')
    return c.html(index.replaceAll(NONCE_MARK, nonce))
  }
}

/** No inline script and nothing from elsewhere; styles that scripts make carry the page's nonce. */
function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function readFiles(directory: string): Map<string, File> {
  const files = new Map<string, File>()
  if (!existsSync(directory)) return files
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const type = TYPES[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const path = join(entry.parentPath, entry.name)
    const encoded = ENCODINGS.flatMap(([encoding, suffix]) =>
      existsSync(path + suffix) ? [{ encoding, bytes: readFileSync(path + suffix) }] : [],
    )
    files.set(`/${relative(directory, path).split(sep).join('/')}`, { type, plain: readFileSync(path), encoded })
  }
  return files
}
