import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import { ConfigError } from '../config.ts'

/**
 * A backup: gzip of lines of JSON. First a header, then a line for each row (`["Platform", {…}]`, a time as {"at": ISO 8601}), last
 * an end that counts them. The same for both engines. Sealed values stay sealed.
 */

export const BACKUP_FORMAT = 'toolferry-backup'
export const BACKUP_VERSION = 1

/** What a backup holds, in the order in which it is restored. */
export const BACKUP_TABLES = [
  'Setting',
  'Revision',
  'Platform',
  'McpInstance',
  'ToolSnapshot',
  'Space',
  'Binding',
  'Deployment',
  'GatewayToken',
  'Sync',
  'SyncTarget',
  'SyncEvent',
  'SyncProfile',
  'ApiKey',
  'Webhook',
  'WebhookDelivery',
  'IdempotencyKey',
  'AuditEvent',
  'GatewayLogEntry',
  // Their epochs go on rising: a worker that has slept since before the backup must not be taken for the newest.
  'SpaceLease',
] as const
export type BackupTable = (typeof BACKUP_TABLES)[number]

/** What belongs to processes and browsers of that moment only. */
export const NOT_IN_BACKUPS = ['GatewayReplica', 'CallBudget', 'ConsoleSession', 'ToolHint'] as const

export type Cell = string | number | boolean | null | { at: string }
export type BackupRow = Record<string, Cell>

const headerSchema = z.object({
  format: z.literal(BACKUP_FORMAT),
  version: z.literal(BACKUP_VERSION),
  madeAt: z.iso.datetime(),
  engine: z.enum(['sqlite', 'mysql']),
  /** Those that had been applied. */
  migrations: z.array(z.string()).min(1),
  /** The sealed key canary: tells before anything is written whether the master key fits. */
  canary: z.string(),
})
export type BackupHeader = z.infer<typeof headerSchema>

const endSchema = z.object({ end: z.record(z.string(), z.int()) })
const rowSchema = z.tuple([z.enum(BACKUP_TABLES), z.record(z.string(), z.unknown())])

export type BackupPart = { header: BackupHeader } | { table: BackupTable; row: BackupRow }

/**
 * The header, then every row. Throws ConfigError when it is not a backup, of a later format, damaged or cut off; so what was read
 * is complete only when this ends.
 */
export async function* readBackup(path: string): AsyncGenerator<BackupPart> {
  const source = createReadStream(path)
  const unzipped = source.pipe(createGunzip())
  // A pipe does not carry errors on.
  source.on('error', (error) => unzipped.destroy(error))
  const counts = new Map<string, number>()
  let state: 'header' | 'rows' | 'ended' = 'header'
  try {
    for await (const line of linesOf(unzipped)) {
      const parsed: unknown = JSON.parse(line)
      if (state === 'header') {
        yield { header: headerOf(parsed, path) }
        state = 'rows'
        continue
      }
      const row = rowSchema.safeParse(parsed)
      if (state === 'rows' && row.success) {
        const [table, cells] = row.data
        counts.set(table, (counts.get(table) ?? 0) + 1)
        // We wrote it so.
        yield { table, row: cells as BackupRow }
        continue
      }
      const end = endSchema.safeParse(parsed)
      if (state !== 'rows' || !end.success || !sameCounts(end.data.end, counts)) throw damaged(path)
      state = 'ended'
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new ConfigError(`There is no file ${path}.`)
    }
    throw damaged(path)
  }
  if (state !== 'ended') throw damaged(path)
}

/** At line feeds alone: node's readline also breaks at U+2028 and U+2029, which JSON leaves as they are. */
async function* linesOf(source: Readable): AsyncGenerator<string> {
  let begun: string[] = []
  for await (const chunk of source.setEncoding('utf8')) {
    const [first = '', ...rest] = String(chunk).split('\n')
    begun.push(first)
    for (const next of rest) {
      yield begun.join('')
      begun = [next]
    }
  }
  const last = begun.join('')
  if (last !== '') yield last
}

function headerOf(parsed: unknown, path: string): BackupHeader {
  const header = headerSchema.safeParse(parsed)
  if (header.success) return header.data
  const later = z.object({ format: z.literal(BACKUP_FORMAT), version: z.int() }).safeParse(parsed)
  if (!later.success) throw new ConfigError(`${path} is not a backup of Toolferry.`)
  throw new ConfigError(
    `${path} is a backup of format ${later.data.version}; this version of Toolferry reads format ${BACKUP_VERSION}. Use the version that made it, or a newer one.`,
  )
}

function sameCounts(written: Record<string, number>, seen: ReadonlyMap<string, number>): boolean {
  return BACKUP_TABLES.every((table) => (written[table] ?? 0) === (seen.get(table) ?? 0))
}

function damaged(path: string): ConfigError {
  return new ConfigError(
    `${path} is damaged or cut off, or not a backup of Toolferry. Nothing can be restored from it.`,
  )
}
