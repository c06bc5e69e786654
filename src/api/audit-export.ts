import { z } from '@hono/zod-openapi'
import { type AuditFilter, type AuditRecord, auditBetween } from '../store/audit.ts'
import { rightOf } from './auth.ts'
import type { Api } from './context.ts'
import type { ApiDeps } from './deps.ts'
import { invalidField } from './problem.ts'
import { defineRoute } from './route.ts'
import { timestamp } from './schemas.ts'

/** The audit as a file: page by page, as fast as the caller takes it. */

const COLUMNS = [
  'id',
  'at',
  'actor',
  'actorId',
  'action',
  'resource',
  'resourceId',
  'fields',
  'outcome',
  'requestId',
] as const satisfies readonly (keyof AuditRecord)[]

const PAGE_ROWS = 500

/** What the list and the file can be narrowed to. */
export const auditFilterQuery = z.object({
  resource: z.string().max(32).optional(),
  resourceId: z.string().max(191).optional(),
  actor: z.string().max(191).optional(),
  action: z.string().max(64).optional(),
})

const exportRoute = defineRoute(
  'admin',
  {
    method: 'get',
    path: '/api/v1/audit/export',
    operationId: 'exportAudit',
    tags: ['observe'],
    summary: 'The audit as a file, the oldest first; exporting it is audited, too',
    request: {
      query: auditFilterQuery.extend({
        format: z.enum(['csv', 'ndjson']).default('csv'),
        from: timestamp.optional().openapi({ description: 'From this moment on.' }),
        to: timestamp.optional().openapi({ description: 'Before this moment.' }),
      }),
    },
    responses: {
      200: {
        description: 'One event a row (CSV, RFC 4180, with a header) or a line (NDJSON)',
        content: {
          'text/csv': { schema: z.string() },
          'application/x-ndjson': { schema: z.string() },
        },
      },
    },
  },
  { resource: 'audit', action: 'export', refusals: true },
)

export function registerAuditExport(app: Api, deps: ApiDeps): void {
  app.openapi(exportRoute, (c) => {
    const { format, from, to, ...filter } = c.req.valid('query')
    const range = {
      from: from === undefined ? new Date(0) : new Date(from),
      // What comes while it is read is not part of it, so it ends.
      to: to === undefined ? new Date() : new Date(to),
    }
    if (range.from >= range.to) throw invalidField('from', 'Give a moment before "to".')
    const lines = format === 'csv' ? csvOf(deps, range, filter) : ndjsonOf(deps, range, filter)
    const day = range.to.toISOString().slice(0, 10)
    return c.body(streamOf(lines, rightOf(deps.store, c.get('principal'))), 200, {
      'content-type': format === 'csv' ? 'text/csv; charset=utf-8; header=present' : 'application/x-ndjson',
      'content-disposition': `attachment; filename="toolferry-audit-${day}.${format}"`,
    })
  })
}

type Range = { from: Date; to: Date }

async function* csvOf(deps: ApiDeps, range: Range, filter: AuditFilter): AsyncGenerator<string> {
  yield csvRow(COLUMNS)
  for await (const page of auditBetween(deps.store, range, PAGE_ROWS, filter)) {
    yield page
      .map((record) =>
        csvRow(
          COLUMNS.map((name) => {
            const value = record[name]
            if (value instanceof Date) return value.toISOString()
            return Array.isArray(value) ? value.join(' ') : (value ?? '')
          }),
        ),
      )
      .join('')
  }
}

async function* ndjsonOf(deps: ApiDeps, range: Range, filter: AuditFilter): AsyncGenerator<string> {
  for await (const page of auditBetween(deps.store, range, PAGE_ROWS, filter)) {
    yield page.map((record) => `${JSON.stringify(record)}\n`).join('')
  }
}

function csvRow(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

/**
 * Quoted always. A spreadsheet takes what begins with one of = + - @, a tab or a line break for a formula, also after spaces: such
 * a cell gets an apostrophe before it (OWASP, "CSV Injection").
 */
export function csvCell(text: string): string {
  const harmless = /^[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(text) ? `'${text}` : text
  return `"${harmless.replaceAll('"', '""')}"`
}

/**
 * Pulled: the next page is read when the caller has taken the one before, and may still have it; else the answer breaks off, so
 * that half a file does not look like a whole one.
 */
function streamOf(texts: AsyncGenerator<string>, mayHave: () => Promise<boolean>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream({
    async pull(controller) {
      if (!(await mayHave())) {
        await texts.return(undefined)
        throw new Error('the key or session of this export has ended')
      }
      const { done, value } = await texts.next()
      if (done === true) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      await texts.return(undefined)
    },
  })
}
