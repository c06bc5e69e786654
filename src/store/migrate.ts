import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PrismaLibSql } from '@prisma/adapter-libsql'
import { createConnection } from 'mysql2/promise'
import { ConfigError } from '../config.ts'
import { type Engine, mysqlTarget } from './client.ts'

/**
 * Applies prisma/migrations/<engine>/<name>/migration.sql in the order of their names and keeps Prisma's own books
 * (`_prisma_migrations` with SHA-256 checksums), so that `prisma migrate deploy` and this are interchangeable.
 */

export type Migration = { name: string; sql: string; checksum: string }
type Applied = { migration_name: string; checksum: string; finished_at: unknown; rolled_back_at: unknown }

/** What the migrator needs of a database. */
type Target = {
  /** Makes the table of applied migrations if it is not there, and reads it. */
  applied(): Promise<Applied[]>
  /** Runs one migration and books it; a failed one must leave its booking unfinished or nothing at all. */
  apply(migration: Migration): Promise<void>
}

const LOCK_WAIT_SECONDS = 60

/**
 * Throws ConfigError: the database is newer than this program, or an applied migration was changed. `only`: no other migrations
 * than these.
 */
export async function migrateSqlite(
  path: string,
  folder: string = migrationsFolder('sqlite'),
  only: ReadonlySet<string> | null = null,
): Promise<void> {
  const url = pathToFileURL(path).href
  const client = new PrismaLibSql({ url }).createClient({ url, timeout: 5000 })
  try {
    // Kept by the file. Set here, while this is the only connection.
    await client.execute('PRAGMA journal_mode = WAL')
    await migrate(folder, only, {
      async applied() {
        await client.execute(SQLITE_BOOKS)
        const { rows } = await client.execute('SELECT * FROM "_prisma_migrations"')
        return rows.map((row) => toApplied({ ...row }))
      },
      async apply({ name, sql, checksum }) {
        // SQLite can roll back DDL: a migration is there as a whole, with its booking, or not at all.
        const now = Date.now()
        const booking = `INSERT INTO "_prisma_migrations" ("id", "checksum", "finished_at", "migration_name", "started_at", "applied_steps_count") VALUES ('${randomUUID()}', '${checksum}', ${now}, '${name}', ${now}, 1);`
        await client.executeMultiple(`BEGIN IMMEDIATE;\n${sql}\n;${booking}\nCOMMIT;`)
      },
    })
  } finally {
    client.close()
  }
}

/** As migrateSqlite; of several processes one migrates and the others wait for it. */
export async function migrateMysql(
  databaseUrl: string,
  folder: string = migrationsFolder('mysql'),
  only: ReadonlySet<string> | null = null,
): Promise<void> {
  const { ssl, ...target } = mysqlTarget(databaseUrl)
  const connection = await createConnection({
    ...target,
    ...(typeof ssl === 'object' ? { ssl: { ...ssl, verifyIdentity: ssl.rejectUnauthorized } } : {}),
    multipleStatements: true,
    timezone: 'Z',
    connectTimeout: 10_000,
  }).catch((error: unknown) => {
    throw new ConfigError(
      `The MySQL database "${target.database}" at ${target.host}:${target.port} cannot be opened (${codeOf(error)}). Check DATABASE_URL, and that the database exists and the user may use it.`,
    )
  })
  const lock = `toolferry migrate ${createHash('sha256').update(target.database).digest('hex').slice(0, 32)}`
  try {
    const [answer] = await connection.query('SELECT GET_LOCK(?, ?) AS got', [lock, LOCK_WAIT_SECONDS])
    if (!Array.isArray(answer) || !isRecord(answer[0]) || Number(answer[0].got) !== 1) {
      throw new ConfigError(
        `Another process has been migrating the database for ${LOCK_WAIT_SECONDS} s. Look at it, then start again.`,
      )
    }
    await migrate(folder, only, {
      async applied() {
        await connection.query(MYSQL_BOOKS)
        const [rows] = await connection.query('SELECT * FROM `_prisma_migrations`')
        return Array.isArray(rows) ? rows.map((row) => toApplied({ ...row })) : []
      },
      async apply({ name, sql, checksum }) {
        // MySQL commits DDL at once: an unfinished booking tells of a migration that stopped half-way.
        const id = randomUUID()
        await connection.query(
          'INSERT INTO `_prisma_migrations` (id, checksum, migration_name, started_at, applied_steps_count) VALUES (?, ?, ?, UTC_TIMESTAMP(3), 0)',
          [id, checksum, name],
        )
        await connection.query(sql)
        await connection.query(
          'UPDATE `_prisma_migrations` SET finished_at = UTC_TIMESTAMP(3), applied_steps_count = 1 WHERE id = ?',
          [id],
        )
      },
    })
  } finally {
    // The lock goes with the connection.
    await connection.end()
  }
}

/** The engine's migrations in their order. The checksum is that of the file's bytes, as Prisma has it. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names.sort().map(async (name) => {
      const bytes = await readFile(resolve(folder, name, 'migration.sql'))
      return { name, sql: bytes.toString('utf8'), checksum: createHash('sha256').update(bytes).digest('hex') }
    }),
  )
}

export function migrationsFolder(engine: Engine): string {
  return resolve(import.meta.dirname, '../../prisma/migrations', engine)
}

async function migrate(folder: string, only: ReadonlySet<string> | null, target: Target): Promise<void> {
  const ours = await readMigrations(folder)
  const booked = (await target.applied()).filter((row) => row.rolled_back_at === null)
  const known = new Map(ours.map((migration) => [migration.name, migration]))
  for (const row of booked) {
    const migration = known.get(row.migration_name)
    if (migration === undefined) {
      throw new ConfigError(
        `The database is newer than this program: it has the migration ${row.migration_name}. Start the newer version again, or restore a backup from before the upgrade.`,
      )
    }
    if (row.finished_at === null) {
      throw new ConfigError(
        `The migration ${row.migration_name} was begun and not finished. Restore the backup from before the upgrade and start again.`,
      )
    }
    if (migration.checksum !== row.checksum) {
      throw new ConfigError(
        `The migration ${row.migration_name} was changed after it had been applied. Put back the file as it was released.`,
      )
    }
  }
  const done = new Set(booked.map((row) => row.migration_name))
  for (const migration of ours) {
    if (!done.has(migration.name) && (only === null || only.has(migration.name))) await target.apply(migration)
  }
}

function toApplied({ migration_name, checksum, finished_at, rolled_back_at }: Record<string, unknown>): Applied {
  return { migration_name: String(migration_name), checksum: String(checksum), finished_at, rolled_back_at }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function codeOf(error: unknown): string {
  return isRecord(error) && typeof error.code === 'string' ? error.code : 'unknown error'
}

const SQLITE_BOOKS = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    TEXT PRIMARY KEY NOT NULL,
    "checksum"              TEXT NOT NULL,
    "finished_at"           DATETIME,
    "migration_name"        TEXT NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        DATETIME,
    "started_at"            DATETIME NOT NULL DEFAULT current_timestamp,
    "applied_steps_count"   INTEGER UNSIGNED NOT NULL DEFAULT 0
)`

const MYSQL_BOOKS = `CREATE TABLE IF NOT EXISTS \`_prisma_migrations\` (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             DATETIME(3),
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          DATETIME(3),
    started_at              DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    applied_steps_count     INTEGER UNSIGNED NOT NULL DEFAULT 0
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`
