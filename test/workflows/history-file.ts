import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * Histories as files. The SDK's own historyToJSON needs one single protobufjs in node_modules, which npm does not give it
 * (its gRPC library wants another version), so this writes the message as the replayer takes it: numbers for enums and
 * int64 (event ids are small), base64 for bytes. One event a line: short, and a change shows in a diff.
 */

export type HistoryFile = { events: Record<string, unknown>[] }

const FOLDER = fileURLToPath(new URL('../histories/', import.meta.url))

export function historyText(history: { events?: readonly unknown[] | null }): string {
  const lines = (history.events ?? []).map((event) => JSON.stringify(plain(event))).join(',\n')
  return `{"events":[\n${lines}\n]}\n`
}

/** The golden histories by the name of their file. */
export function goldenHistories(): Map<string, HistoryFile> {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'))
  return new Map(
    files.sort().map((file) => [file.replace(/\.json$/, ''), JSON.parse(readFileSync(`${FOLDER}${file}`, 'utf8'))]),
  )
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  if ('toNumber' in value && typeof value.toNumber === 'function') return value.toNumber()
  // Own fields only: a message's prototype holds the defaults. What is empty says nothing.
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (isEmpty(inner) ? [] : [[key, plain(inner)]])),
  )
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0)
}
