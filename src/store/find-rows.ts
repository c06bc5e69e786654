import type { ResultSet } from '@libsql/client'
import type {
  Binding,
  Deployment,
  GatewayToken,
  McpInstance,
  Platform,
  Revision,
  Space,
  SpaceLease,
  Sync,
  SyncTarget,
  ToolSnapshot,
} from './generated/sqlite/client.ts'
import type { LibSqlClient } from './sqlite-client.ts'
import { places } from './update-each.ts'

/** The tables that every activity of a run reads. */
type Tables = {
  Binding: Binding
  Deployment: Deployment
  GatewayToken: GatewayToken
  McpInstance: McpInstance
  Platform: Platform
  Revision: Revision
  Space: Space
  SpaceLease: SpaceLease
  Sync: Sync
  SyncTarget: SyncTarget
  ToolSnapshot: ToolSnapshot
}

type Value = string | number | boolean
/** Columns that are equal to a value, or to one of a list. */
export type Where<Row> = { [Column in keyof Row]?: Value | readonly Value[] }
export type FindOptions<Row, Column> = { columns?: readonly Column[]; orderBy?: keyof Row }

/**
 * Rows as Prisma's findMany answers them, all columns or only those named. For what a run reads again and again: on SQLite the
 * statement goes straight to a connection, which costs a fraction of what it takes Prisma to plan and read it.
 */
export type FindRows = <Name extends keyof Tables, Column extends keyof Tables[Name] = keyof Tables[Name]>(
  table: Name,
  where: Where<Tables[Name]>,
  options?: FindOptions<Tables[Name], Column>,
) => Promise<Pick<Tables[Name], Column>[]>

/** On SQLite. `connection` is of this alone. */
export function findRowsOnSqlite(connection: LibSqlClient): FindRows {
  const find = async (
    table: string,
    where: Record<string, Value | readonly Value[]>,
    { columns, orderBy }: FindOptions<Record<string, unknown>, string> = {},
  ): Promise<Record<string, unknown>[]> => {
    const args: Value[] = []
    const conditions: string[] = []
    for (const [column, value] of Object.entries(where)) {
      const values = isList(value) ? value : [value]
      if (values.length === 0) return []
      args.push(...values)
      conditions.push(isList(value) ? `${quoted(column)} IN (${places(values)})` : `${quoted(column)} = ?`)
    }
    const order = orderBy === undefined ? '' : ` ORDER BY ${quoted(orderBy)}`
    const selected = columns?.map(quoted).join(', ') ?? '*'
    const sql = `SELECT ${selected} FROM ${quoted(table)} WHERE ${conditions.join(' AND ')}${order}`
    return rowsOf(await connection.execute({ sql, args }))
  }
  // What a table's columns are called and hold is as the schema says, from which both the tables and the types were made.
  return find as unknown as FindRows
}

/** What a statement on SQLite answered, as Prisma would have read it. */
export function rowsOf({ rows, columns, columnTypes }: ResultSet): Record<string, unknown>[] {
  return rows.map((row) => {
    const made: Record<string, unknown> = {}
    for (const [index, name] of columns.entries()) made[name] = read(columnTypes[index], row[index])
    return made
  })
}

/** Wherever Prisma is to read: its own findMany. */
export function findRowsByPrisma(models: object): FindRows {
  const find = async (
    table: string,
    where: Record<string, Value | readonly Value[]>,
    { columns, orderBy }: FindOptions<Record<string, unknown>, string> = {},
  ): Promise<unknown> => {
    const model = Reflect.get(models, `${table.charAt(0).toLowerCase()}${table.slice(1)}`) as {
      findMany(query: object): Promise<unknown>
    }
    return await model.findMany({
      where: Object.fromEntries(
        Object.entries(where).map(([column, value]) => [column, isList(value) ? { in: [...value] } : value]),
      ),
      ...(columns === undefined ? {} : { select: Object.fromEntries(columns.map((column) => [column, true])) }),
      ...(orderBy === undefined ? {} : { orderBy: { [orderBy]: 'asc' } }),
    })
  }
  return find as unknown as FindRows
}

function isList(value: Value | readonly Value[]): value is readonly Value[] {
  return Array.isArray(value)
}

function quoted(name: string): string {
  return `\`${name}\``
}

/** By the type that the column was declared with. */
function read(type: string | undefined, value: unknown): unknown {
  if (value === null) return null
  if (type === 'DATETIME') return new Date(String(value))
  return type === 'BOOLEAN' ? Boolean(value) : value
}
