import { ToolferryError } from '../domain/errors.ts'
import { newId } from '../domain/ids.ts'
import type { Engine } from './client.ts'

/** How values become columns and pages become cursors. */

export type Page<T> = { items: T[]; nextCursor: string | null }
/** `limit` rows at most (1…500, default 50); `cursor` from the page before. */
export type PageRequest = { limit?: number | undefined; cursor?: string | undefined }

export type JsonObject = Record<string, unknown>

const MAX_PAGE = 500
const DEFAULT_PAGE = 50
/** Rows a statement: far below SQLite's and MySQL's limits on parameters, few enough to keep a transaction short. */
const CHUNK_ROWS = 200

export function parseJson<T>(text: string): T {
  return JSON.parse(text)
}

export function parseJsonOrNull<T>(text: string | null): T | null {
  return text === null ? null : parseJson<T>(text)
}

export function jsonOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value)
}

/** At most `maxCharacters` characters, never half of one. */
export function clip(text: string, maxCharacters: number): string {
  // So many units are no more characters.
  if (text.length <= maxCharacters) return text
  const characters = [...text]
  return characters.length <= maxCharacters ? text : characters.slice(0, maxCharacters).join('')
}

export function clipOrNull(text: string | null, maxCharacters: number): string | null {
  return text === null ? null : clip(text, maxCharacters)
}

let lastMs = Number.NaN
let lastText = ''

/** A time (UTC) as the engine's client writes it itself. */
export function timeText(engine: Engine, at: Date): string {
  const ms = at.getTime()
  // What is written together is of few moments.
  if (ms !== lastMs) {
    lastText = at.toISOString()
    lastMs = ms
  }
  const text = lastText
  return engine === 'sqlite' ? `${text.slice(0, -1)}+00:00` : `${text.slice(0, 10)} ${text.slice(11, -1)}`
}

export function chunksOf<T>(items: readonly T[], size: number = CHUNK_ROWS): T[][] {
  const chunks: T[][] = []
  for (let index = 0; index < items.length; index += size) chunks.push(items.slice(index, index + size))
  return chunks
}

/** Ids for rows made together: their order is that of the list. */
export function newIds(count: number): string[] {
  return Array.from({ length: count }, () => newId())
}

/** Reads rows by many keys, chunk by chunk. */
export async function readInChunks<K, T>(
  keys: readonly K[],
  read: (chunk: K[]) => Promise<T[]>,
  size: number = CHUNK_ROWS,
): Promise<T[]> {
  const rows: T[] = []
  for (const chunk of chunksOf([...new Set(keys)], size)) rows.push(...(await read(chunk)))
  return rows
}

export function pageSize(request: PageRequest): number {
  return Math.max(1, Math.min(request.limit ?? DEFAULT_PAGE, MAX_PAGE))
}

/** Of one row more than asked for: the page, and the cursor of its last row when there is more. */
export function toPage<R, T>(rows: R[], size: number, keyOf: (row: R) => string[], toItem: (row: R) => T): Page<T> {
  const shown = rows.slice(0, size)
  const last = shown.at(-1)
  return {
    items: shown.map(toItem),
    nextCursor: rows.length > size && last !== undefined ? encodeCursor(keyOf(last)) : null,
  }
}

export function encodeCursor(key: string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The key in a cursor of ours. Throws InvalidDesiredState naming the field `cursor`. */
export function decodeCursor(cursor: string | undefined, length: number): string[] | null {
  if (cursor === undefined) return null
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (Array.isArray(key) && key.length === length && key.every((part): part is string => typeof part === 'string'))
      return key
  } catch {
    // Falls through to the refusal.
  }
  throw new ToolferryError(
    'InvalidDesiredState',
    'The cursor is not one that this list gave out. Start again without a cursor.',
    {
      field: 'cursor',
    },
  )
}

/** `id > cursor` for a list in the order of its ids (that is, of creation). */
export function afterId(cursor: string | undefined): { id?: { gt: string } } {
  const key = decodeCursor(cursor, 1)
  return key === null ? {} : { id: { gt: key[0] ?? '' } }
}

/** `id < cursor` for a list with the newest first. */
export function beforeId(cursor: string | undefined): { id?: { lt: string } } {
  const key = decodeCursor(cursor, 1)
  return key === null ? {} : { id: { lt: key[0] ?? '' } }
}
