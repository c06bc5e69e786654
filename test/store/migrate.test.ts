import { createHash } from 'node:crypto'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config.ts'
import { openMysqlClient, openSqliteClient, sqlitePath } from '../../src/store/client.ts'
import { migrateMysql, migrateSqlite, migrationsFolder } from '../../src/store/migrate.ts'
import { at, one } from './fixtures.ts'
import { ENGINES, makeDatabase } from './test-store.ts'

type Row = { migration_name: string; checksum: string; finished_at: unknown; applied_steps_count: unknown }

describe.each(ENGINES)('migrations on %s', (engine) => {
  let database: Awaited<ReturnType<typeof makeDatabase>>
  let folder: string

  beforeEach(async () => {
    database = await makeDatabase(engine)
    folder = await mkdtemp(join(tmpdir(), 'toolferry-migrations-'))
    await cp(migrationsFolder(engine), folder, { recursive: true })
  })
  afterEach(async () => {
    await database.remove()
    await rm(folder, { recursive: true, force: true })
  })

  function migrate(from: string = folder): Promise<void> {
    const { databaseUrl } = database.options.config
    return engine === 'sqlite' ? migrateSqlite(sqlitePath(databaseUrl), from) : migrateMysql(databaseUrl, from)
  }

  async function query<T>(sql: string): Promise<T[]> {
    const { databaseUrl } = database.options.config
    const client = engine === 'sqlite' ? openSqliteClient(sqlitePath(databaseUrl)) : openMysqlClient(databaseUrl)
    try {
      return await client.reader.$queryRawUnsafe<T[]>(sql)
    } finally {
      await client.close()
    }
  }

  async function addMigration(name: string, sql: string): Promise<void> {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'migration.sql'), sql)
  }

  /** The migrations in the folder, in their order. */
  async function ours(): Promise<string[]> {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()
  }

  it('are booked as Prisma books them, and applied once', async () => {
    await migrate()
    await migrate()
    const rows = await query<Row>('SELECT * FROM _prisma_migrations')
    expect(rows.map((row) => row.migration_name).sort()).toEqual(await ours())
    for (const row of rows) {
      const file = await readFile(join(folder, row.migration_name, 'migration.sql'))
      expect(row.checksum).toBe(createHash('sha256').update(file).digest('hex'))
      expect(row.finished_at).not.toBeNull()
      expect(Number(row.applied_steps_count)).toBe(1)
    }
    expect(await query('SELECT * FROM Revision')).toHaveLength(1)
  })

  it('a later one is applied to a database that exists', async () => {
    await migrate()
    await addMigration(
      '20990101000000_more',
      'CREATE TABLE Later (id INTEGER NOT NULL);\nINSERT INTO Later VALUES (7);',
    )
    await migrate()
    expect(Number(one(await query<{ id: unknown }>('SELECT id FROM Later')).id)).toBe(7)
    expect(await query('SELECT * FROM _prisma_migrations')).toHaveLength((await ours()).length)
  })

  it('refuses a changed one, and a database newer than the code', async () => {
    await addMigration('20990101000000_more', 'CREATE TABLE Later (id INTEGER NOT NULL);')
    await migrate()
    await expect(migrate(migrationsFolder(engine))).rejects.toThrow(/newer than this program.*20990101000000_more/)
    await appendFile(join(folder, '20990101000000_more', 'migration.sql'), '\n-- one more line')
    await expect(migrate()).rejects.toThrow(/20990101000000_more was changed/)
    await expect(migrate()).rejects.toBeInstanceOf(ConfigError)
  })

  it('several at once apply each one once', async () => {
    await migrate()
    await addMigration(
      '20990101000000_more',
      'CREATE TABLE Later (id INTEGER NOT NULL);\nINSERT INTO Later VALUES (7);',
    )
    // SQLite has its process lock before the migrator; here only MySQL's lock is put to the test.
    await (engine === 'mysql' ? Promise.all([migrate(), migrate(), migrate()]) : migrate())
    expect(await query('SELECT id FROM Later')).toHaveLength(1)
  })

  it('a failing one leaves a database that says so, or none of it', async () => {
    await migrate()
    await addMigration(
      '20990101000000_bad',
      'CREATE TABLE Half (id INTEGER NOT NULL);\nINSERT INTO Nowhere VALUES (1);',
    )
    await expect(migrate()).rejects.toThrow()
    const rows = await query<Row>("SELECT * FROM _prisma_migrations WHERE migration_name LIKE '%bad'")
    if (engine === 'sqlite') {
      expect(rows).toEqual([])
      await expect(query('SELECT * FROM Half')).rejects.toThrow()
    } else {
      expect(at(rows, 0).finished_at).toBeNull()
      await expect(migrate()).rejects.toThrow(/begun and not finished/)
    }
  })
})
