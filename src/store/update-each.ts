import type { Tx } from './client.ts'
import { chunksOf } from './columns.ts'

export type Value = string | number | boolean | Date | null

type Table = { name: 'Deployment'; key: 'bindingId' } | { name: 'SyncTarget' | 'Binding'; key: 'id' }

/** Rows a statement: each is looked for in the list of all of them, so this is not to be large. */
const ROWS_AT_ONCE = 50

/**
 * Changes rows of which each gets values of its own, in one statement for many: one for each row is most of what a run would
 * cost. All rows name the same columns; `onlyIn` are the states that a row must be in. Answers how many rows there were.
 */
export async function updateEachIn(
  tx: Tx,
  table: Table,
  rows: readonly { key: string; values: Record<string, Value> }[],
  onlyIn?: readonly string[],
): Promise<number> {
  let count = 0
  for (const chunk of chunksOf(rows, ROWS_AT_ONCE)) {
    const columns = Object.keys(chunk[0]?.values ?? {})
    const sets: string[] = []
    const values: Value[] = []
    for (const column of columns) {
      const first = chunk[0]?.values[column] ?? null
      if (chunk.every((row) => isSame(row.values[column] ?? null, first))) {
        sets.push(`\`${column}\` = ?`)
        values.push(first)
        continue
      }
      sets.push(`\`${column}\` = CASE \`${table.key}\`${' WHEN ? THEN ?'.repeat(chunk.length)} END`)
      for (const row of chunk) values.push(row.key, row.values[column] ?? null)
    }
    values.push(...chunk.map((row) => row.key), ...(onlyIn ?? []))
    count += await tx.$executeRawUnsafe(
      `UPDATE \`${table.name}\` SET ${sets.join(', ')} WHERE \`${table.key}\` IN (${places(chunk)})${
        onlyIn === undefined ? '' : ` AND \`state\` IN (${places(onlyIn)})`
      }`,
      ...values,
    )
  }
  return count
}

function isSame(one: Value, other: Value): boolean {
  return one instanceof Date && other instanceof Date ? one.getTime() === other.getTime() : one === other
}

/** The places of a list of values in a statement. */
export function places(list: readonly unknown[]): string {
  return list.map(() => '?').join(', ')
}
