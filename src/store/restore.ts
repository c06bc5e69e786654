import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../config.ts'
import { type BackupHeader, type BackupRow, type BackupTable, type Cell, readBackup } from './backup-format.ts'
import { type Engine, type OpenClient, openMysqlClient, openSqliteClient, sqlitePath } from './client.ts'
import { openSealerToRead } from './keys.ts'
import { migrateMysql, migrateSqlite, migrationsFolder, readMigrations } from './migrate.ts'
import { lockSqliteFile } from './process-lock.ts'
import { RESTORING } from './restoring.ts'
import type { StoreOptions } from './store.ts'
import { createWrite, type Write } from './transaction.ts'

/** Rows of one statement, and how much text: far below what either engine takes. */
const MAX_ROWS = 200
const MAX_CHARACTERS = 1_000_000

export type RestoreSummary = { rows: number; madeAt: Date }

/**
 * Fills an empty database (no file yet, or a MySQL database without tables) with what a backup holds; of either engine, whatever
 * engine the backup came from. The tables are made as they were then: what newer migrations change is done to the rows at the next
 * start. Throws ConfigError before anything is written: damaged, from a newer version, another master key, not empty.
 */
export async function restoreBackup(options: StoreOptions, file: string): Promise<RestoreSummary> {
  const engine: Engine = options.config.databaseUrl.startsWith('file:') ? 'sqlite' : 'mysql'
  const header = await checkBackup(file)
  const known = new Set((await readMigrations(migrationsFolder(engine))).map(({ name }) => name))
  if (header.migrations.some((name) => !known.has(name))) {
    throw new ConfigError(`${file} was made by a newer version of Toolferry. Restore it with that version.`)
  }
  await openSealerToRead(header.canary, options.config, options.secrets, options.logger)
  const rows = await intoEmpty(options.config.databaseUrl, new Set(header.migrations), (client) => load(client, file))
  return { rows, madeAt: new Date(header.madeAt) }
}

/** Reads all of it once, so that a damaged one is refused before anything is written. */
async function checkBackup(file: string): Promise<BackupHeader> {
  let header: BackupHeader | null = null
  for await (const part of readBackup(file)) if ('header' in part) header = part.header
  if (header === null) throw new ConfigError(`${file} is empty.`)
  return header
}

async function intoEmpty(
  databaseUrl: string,
  migrations: ReadonlySet<string>,
  work: (client: OpenClient) => Promise<number>,
): Promise<number> {
  if (!databaseUrl.startsWith('file:')) {
    const client = openMysqlClient(databaseUrl)
    try {
      await refuseTables(
        client,
        'SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()',
      )
      await migrateMysql(databaseUrl, migrationsFolder('mysql'), migrations)
      return await work(client)
    } finally {
      await client.close()
    }
  }
  const path = sqlitePath(databaseUrl)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const release = await lockSqliteFile(path)
  try {
    const client = openSqliteClient(path)
    try {
      await refuseTables(client, "SELECT name FROM sqlite_master WHERE type = 'table'")
      await migrateSqlite(path, migrationsFolder('sqlite'), migrations)
      return await work(client)
    } finally {
      await client.close()
    }
  } finally {
    await release()
  }
}

async function refuseTables(client: OpenClient, sql: string): Promise<void> {
  const tables = await client.reader.$queryRawUnsafe<{ name: string }[]>(sql)
  if (tables.length === 0) return
  throw new ConfigError(
    'The database is not empty, and a restore replaces nothing. Move the file away, or drop and create the MySQL database; then restore again.',
  )
}

async function load(client: OpenClient, file: string): Promise<number> {
  const write = createWrite(client, (error) => {
    throw error
  })
  const { engine } = client
  const now = new Date().toISOString()
  await write(async (tx) => {
    // From now until the end of it nothing starts on this database.
    await insert(tx, engine, 'Setting', [{ name: RESTORING, value: file, updatedAt: { at: now } }])
    await tx.revision.deleteMany({})
  })
  let rows = 0
  const flush = async (table: BackupTable, batch: BackupRow[]) => {
    await write((tx) => insert(tx, engine, table, batch))
    rows += batch.length
  }
  await inBatches(file, flush)
  await write((tx) => tx.setting.deleteMany({ where: { name: RESTORING } }))
  return rows
}

async function inBatches(file: string, flush: (table: BackupTable, rows: BackupRow[]) => Promise<void>): Promise<void> {
  let table: BackupTable | null = null
  let batch: BackupRow[] = []
  let characters = 0
  const end = async () => {
    if (table !== null && batch.length > 0) await flush(table, batch)
    batch = []
    characters = 0
  }
  for await (const part of readBackup(file)) {
    if ('header' in part) continue
    if (part.table !== table || batch.length === MAX_ROWS || characters > MAX_CHARACTERS) await end()
    table = part.table
    batch.push(part.row)
    for (const cell of Object.values(part.row)) if (typeof cell === 'string') characters += cell.length
  }
  await end()
}

type Tx = Parameters<Parameters<Write>[0]>[0]

/** Past the clients, which know the tables of today only. */
async function insert(tx: Tx, engine: Engine, table: BackupTable, rows: readonly BackupRow[]): Promise<void> {
  const [first] = rows
  if (first === undefined) return
  const quote = engine === 'mysql' ? '`' : '"'
  const columns = Object.keys(first)
  // Column names come from a file: nothing but a name may reach the statement.
  for (const column of columns) if (!/^[A-Za-z]\w*$/.test(column)) throw new Error('a column has an impossible name')
  const names = columns.map((column) => `${quote}${column}${quote}`).join(', ')
  const places = `(${columns.map(() => '?').join(', ')})`
  await tx.$executeRawUnsafe(
    `INSERT INTO ${quote}${table}${quote} (${names}) VALUES ${rows.map(() => places).join(', ')}`,
    ...rows.flatMap((row) => columns.map((column) => storedAs(engine, row[column] ?? null))),
  )
}

/** As the engine's client writes it itself. */
function storedAs(engine: Engine, cell: Cell): string | number | null {
  if (typeof cell === 'boolean') return cell ? 1 : 0
  if (cell === null || typeof cell !== 'object') return cell
  return engine === 'sqlite' ? cell.at.replace('Z', '+00:00') : cell.at.replace('T', ' ').replace('Z', '')
}
