import type { Tx } from './client.ts'
import { chunksOf } from './columns.ts'
import type { Prisma } from './generated/sqlite/client.ts'
import type { Value } from './update-each.ts'

/** Parameters a statement: SQLite takes 32,766, MySQL twice as many. */
const MOST_PARAMETERS = 8_000

/**
 * Inserts rows in as few statements as they fit into: a run makes several for each of its targets, and Prisma's createMany takes
 * eight times as long over them. All rows name the same columns. A key that is taken already is an error that isUniqueViolation knows.
 */
export async function insertRowsIn(
  tx: Tx,
  table: Prisma.ModelName,
  rows: readonly Readonly<Record<string, Value>>[],
): Promise<void> {
  const columns = Object.keys(rows[0] ?? {})
  if (columns.length === 0) return
  const row = `(${columns.map(() => '?').join(', ')})`
  for (const chunk of chunksOf(rows, Math.max(1, Math.floor(MOST_PARAMETERS / columns.length)))) {
    await tx.$executeRawUnsafe(
      `INSERT INTO \`${table}\` (${columns.map((column) => `\`${column}\``).join(', ')}) VALUES ${chunk.map(() => row).join(', ')}`,
      ...chunk.flatMap((values) => columns.map((column) => values[column] ?? null)),
    )
  }
}
