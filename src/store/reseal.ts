import { SealError } from '../crypto/sealer.ts'
import type { Store } from './store.ts'

/** Every column that holds sealed values. Canary and pepper, among the settings, are sealed anew when the store is opened. */
export const SEALED_COLUMNS = [
  { table: 'Platform', columns: ['sealedCredential'] },
  { table: 'McpInstance', columns: ['sealedHeaders', 'sealedDefaultPassThrough', 'sealedQuery'] },
  { table: 'Binding', columns: ['sealedPassThrough'] },
  { table: 'GatewayToken', columns: ['sealedToken', 'sealedHeaders'] },
  { table: 'Sync', columns: ['sealedAuthorizations'] },
  { table: 'Webhook', columns: ['sealedUrl', 'sealedSecrets'] },
] as const

export type Resealed = {
  /** Values that are sealed with the present key now. */
  resealed: number
  /** Values that no given key opens, left as they are. */
  unreadable: { table: string; column: string; rowId: string }[]
  /** False: other processes went on sealing with the former key. */
  complete: boolean
}

const ROWS_CHUNK = 200
/** Processes that go on meanwhile may seal a few more with the former key: they are looked for again. */
const MAX_PASSES = 5

/**
 * Seals with the present master key what another one has sealed, in short transactions. May be stopped and run again at any time,
 * and beside other processes: a value that somebody changes meanwhile is left to them.
 */
export async function resealAll(store: Store): Promise<Resealed> {
  let resealed = 0
  for (let pass = 1; ; pass++) {
    const done: Resealed = { resealed: 0, unreadable: [], complete: false }
    for (const { table, columns } of SEALED_COLUMNS) {
      for (const column of columns) await resealColumn(store, table, column, done)
    }
    resealed += done.resealed
    const complete = done.resealed === 0
    if (complete || pass === MAX_PASSES) return { resealed, unreadable: done.unreadable, complete }
  }
}

type Row = { id: string; value: string }

async function resealColumn(store: Store, table: string, column: string, done: Resealed): Promise<void> {
  const quote = store.engine === 'mysql' ? '`' : '"'
  const name = (text: string) => `${quote}${text}${quote}`
  const stale = `SELECT ${name('id')} AS ${name('id')}, ${name(column)} AS ${name('value')} FROM ${name(table)}
    WHERE ${name('id')} > ? AND ${name(column)} NOT LIKE ? ORDER BY ${name('id')} LIMIT ${ROWS_CHUNK}`
  const replace = `UPDATE ${name(table)} SET ${name(column)} = ? WHERE ${name('id')} = ? AND ${name(column)} = ?`
  for (let after = ''; ; ) {
    const rows = await store.db.$queryRawUnsafe<Row[]>(stale, after, `v1:${store.sealer.keyId}:%`)
    const changes = rows.flatMap(({ id, value }) => {
      const place = { table, column, rowId: id }
      try {
        return [{ id, value, anew: store.sealer.seal(place, store.sealer.open(place, value)) }]
      } catch (error) {
        if (!(error instanceof SealError)) throw error
        done.unreadable.push(place)
        return []
      }
    })
    done.resealed += await store.write(async (tx) => {
      let changed = 0
      for (const { id, value, anew } of changes) changed += await tx.$executeRawUnsafe(replace, anew, id, value)
      return changed
    })
    const last = rows.at(-1)
    if (last === undefined || rows.length < ROWS_CHUNK) return
    after = last.id
  }
}
