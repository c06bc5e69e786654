import { once } from 'node:events'
import { constants, createWriteStream } from 'node:fs'
import { access, link, mkdtemp, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { finished } from 'node:stream/promises'
import { pathToFileURL } from 'node:url'
import { createGzip } from 'node:zlib'
import { PrismaLibSql } from '@prisma/adapter-libsql'
import { ConfigError } from '../config.ts'
import {
  BACKUP_FORMAT,
  BACKUP_TABLES,
  BACKUP_VERSION,
  type BackupHeader,
  type BackupRow,
  type BackupTable,
} from './backup-format.ts'
import { type Db, type Engine, openMysqlClient, openSqliteClient, sqlitePath, type Tx } from './client.ts'
import { openSealerToRead, readCanary } from './keys.ts'
import { migrationsFolder, readMigrations } from './migrate.ts'
import { refuseHalfRestored } from './restoring.ts'
import type { StoreOptions } from './store.ts'

const PAGE_ROWS = 500

export type BackupSummary = { rows: number; sizeBytes: number }

/**
 * Writes all of the store, as it is at one moment, into a new file that only its owner can read. The product may go on beside it.
 * Throws ConfigError: the file exists, its folder does not or may not be written, there is no store, its schema is not this version's, the master key is not its key.
 */
export async function writeBackup(options: StoreOptions, file: string): Promise<BackupSummary> {
  const path = resolve(file)
  if ((await stat(path).catch(() => null)) !== null) {
    throw new ConfigError(`${path} exists already. Give a new name: a backup replaces nothing.`)
  }
  await refuseFolder(dirname(path))
  const { databaseUrl } = options.config
  return databaseUrl.startsWith('file:')
    ? await fromSqlite(options, sqlitePath(databaseUrl), path)
    : await fromMysql(options, databaseUrl, path)
}

/** Before anything is read, which may take long. */
async function refuseFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null)
  if (found === null) {
    throw new ConfigError(`There is no folder ${folder}. Make it (mkdir -p), or give a file in one that exists.`)
  }
  if (!found.isDirectory()) throw new ConfigError(`${folder} is no folder. Give a file in one that exists.`)
  await access(folder, constants.W_OK).catch(() => {
    throw new ConfigError(`This user may not write into ${folder}. Allow it, or give a file in another folder.`)
  })
}

/** SQLite makes the consistent copy, beside the process that works on the original; the copy is what is read. */
async function fromSqlite(options: StoreOptions, source: string, path: string): Promise<BackupSummary> {
  if ((await stat(source).catch(() => null)) === null) {
    throw new ConfigError(`There is no database ${source}. Check DATABASE_URL and TOOLFERRY_DATA_DIR.`)
  }
  const folder = await mkdtemp(join(dirname(source), 'backup-'))
  try {
    const copy = join(folder, 'copy.db')
    const url = pathToFileURL(source).href
    const client = new PrismaLibSql({ url }).createClient({ url, timeout: 5000 })
    try {
      await client.execute({ sql: 'VACUUM INTO ?', args: [copy] })
    } finally {
      client.close()
    }
    const { reader, close } = openSqliteClient(copy)
    try {
      return await write(options, 'sqlite', reader, path)
    } finally {
      await close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** As it was at the first reading, whatever others write. */
async function fromMysql(options: StoreOptions, databaseUrl: string, path: string): Promise<BackupSummary> {
  const { snapshot, close } = openMysqlClient(databaseUrl)
  try {
    return await snapshot((tx) => write(options, 'mysql', tx, path))
  } finally {
    await close()
  }
}

async function write(options: StoreOptions, engine: Engine, db: Tx | Db, path: string): Promise<BackupSummary> {
  const migrations = await presentMigrations(db, engine)
  await refuseHalfRestored(db)
  const { canary } = await openSealerToRead(await readCanary(db), options.config, options.secrets, options.logger)
  const header: BackupHeader = {
    format: BACKUP_FORMAT,
    version: BACKUP_VERSION,
    madeAt: new Date().toISOString(),
    engine,
    migrations,
    canary,
  }
  const part = `${path}.part`
  await rm(part, { force: true })
  try {
    const zip = createGzip()
    const file = createWriteStream(part, { flags: 'wx', mode: 0o600, flush: true })
    zip.on('error', (error) => file.destroy(error))
    const written = finished(zip.pipe(file))
    // Whoever waits for it below reports it.
    written.catch(() => undefined)
    const line = async (value: unknown) => {
      if (!zip.write(`${JSON.stringify(value)}\n`)) await Promise.race([once(zip, 'drain'), written])
    }
    await line(header)
    const counts: Partial<Record<BackupTable, number>> = {}
    for (const table of BACKUP_TABLES) {
      counts[table] = 0
      for await (const rows of pages(db, table)) {
        counts[table] += rows.length
        for (const row of rows) await line([table, cellsOf(row)])
      }
    }
    await line({ end: counts })
    zip.end()
    await written
    // Unlike a rename, it replaces nothing that has come meanwhile.
    await link(part, path)
    const rows = Object.values(counts).reduce((sum, count) => sum + count, 0)
    return { rows, sizeBytes: (await stat(path)).size }
  } finally {
    await rm(part, { force: true })
  }
}

/** Names of the applied migrations. Throws ConfigError unless they are exactly this version's. */
async function presentMigrations(db: Tx | Db, engine: Engine): Promise<string[]> {
  const quote = engine === 'mysql' ? '`' : '"'
  const sql = `SELECT migration_name AS name FROM ${quote}_prisma_migrations${quote} WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`
  const rows = await db.$queryRawUnsafe<{ name: string }[]>(sql).catch(() => {
    throw new ConfigError('The database has no tables of Toolferry: there is nothing to back up.')
  })
  const names = rows.map(({ name }) => name).sort()
  const ours = (await readMigrations(migrationsFolder(engine))).map(({ name }) => name)
  if (names.join() !== ours.join()) {
    throw new ConfigError(
      'The database was made by another version of Toolferry. Back it up with the version that runs on it.',
    )
  }
  return names
}

/** The order and the columns by which a table is read page by page: its primary key. */
const KEYS: Partial<Record<BackupTable, readonly string[]>> = {
  Setting: ['name'],
  Deployment: ['bindingId'],
  SyncEvent: ['syncId', 'seq'],
  SpaceLease: ['spaceId'],
}

type Row = Record<string, string | number | boolean | Date | null>
type Readable = { findMany(query: object): Promise<Row[]> }

async function* pages(db: Tx | Db, table: BackupTable): AsyncGenerator<Row[]> {
  const key = KEYS[table] ?? ['id']
  const name = `${table.charAt(0).toLowerCase()}${table.slice(1)}`
  // Every table in the same way: the clients have a type for each, and none for any.
  const model = (db as unknown as Record<string, Readable>)[name]
  if (model === undefined) throw new Error(`there is no table ${table}`)
  for (let last: Row | undefined; ; ) {
    const rows = await model.findMany({
      orderBy: key.map((column) => ({ [column]: 'asc' })),
      take: PAGE_ROWS,
      ...(last === undefined ? {} : { cursor: cursorOf(key, last), skip: 1 }),
    })
    if (rows.length > 0) yield rows
    if (rows.length < PAGE_ROWS) return
    last = rows.at(-1)
  }
}

function cursorOf(key: readonly string[], row: Row): object {
  const values = Object.fromEntries(key.map((column) => [column, row[column]]))
  return key.length === 1 ? values : { [key.join('_')]: values }
}

function cellsOf(row: Row): BackupRow {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [column, value instanceof Date ? { at: value.toISOString() } : value]),
  )
}
