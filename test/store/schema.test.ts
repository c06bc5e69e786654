import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModels, type SchemaField, type SchemaModel } from '../../scripts/schema-text.ts'
import { openTestStore, type TestStore } from './test-store.ts'

/** prisma/schema.prisma is the source; the migrations are plain SQL. Here both are held against each other. */

const models = readModels(readFileSync(resolve(import.meta.dirname, '../../prisma/schema.prisma'), 'utf8'))
const BOOKS = '_prisma_migrations'

/** Texts that people search in: capitals and accents do not count there. */
const CASELESS = ['Space.name', 'Space.ownerName', 'Space.ownerEmail']

type Column = { name: string; type: string; nullable: boolean; default: string | null; collation?: string | null }
type Index = { name: string; unique: boolean; columns: string[] }

function expectedIndexes(model: SchemaModel): Index[] {
  return [
    ...model.uniques.map((columns) => ({ name: `${model.name}_${columns.join('_')}_key`, unique: true, columns })),
    ...model.indexes.map((columns) => ({ name: `${model.name}_${columns.join('_')}_idx`, unique: false, columns })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1))
}

it('the reader of the schema sees every model and field', () => {
  expect(models.length).toBeGreaterThan(20)
  const platform = models.find((model) => model.name === 'Platform')
  expect(platform?.primaryKey).toEqual(['id'])
  expect(platform?.uniques).toEqual([['name'], ['remoteKey']])
  expect(platform?.fields.find((field) => field.name === 'credentialVersion')).toMatchObject({
    type: 'Int',
    default: '0',
  })
  expect(models.find((model) => model.name === 'SyncEvent')?.primaryKey).toEqual(['syncId', 'seq'])
})

describe('SQLite', () => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('sqlite')
  })
  afterAll(() => test.close())

  type Info = { name: string; type: string; notnull: bigint; dflt_value: string | null; pk: bigint }
  const TYPES: Record<string, string> = { String: 'TEXT', Int: 'INTEGER', Boolean: 'BOOLEAN', DateTime: 'DATETIME' }

  it('has the tables of the schema and no others', async () => {
    const rows = await test.store.db.$queryRawUnsafe<{ name: string }[]>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    expect(rows.map((row) => row.name).sort()).toEqual([BOOKS, ...models.map((model) => model.name)].sort())
  })

  it.each(models)('$name agrees', async (model) => {
    const info = await test.store.db.$queryRawUnsafe<Info[]>(`PRAGMA table_info("${model.name}")`)
    const columns: Column[] = info.map((row) => ({
      name: row.name,
      type: row.type,
      nullable: Number(row.notnull) === 0,
      default: row.dflt_value,
    }))
    expect(columns).toEqual(
      model.fields.map((field) => ({
        name: field.name,
        type: TYPES[field.type],
        nullable: field.nullable,
        default: field.default,
      })),
    )
    const key = info.filter((row) => Number(row.pk) > 0).sort((a, b) => Number(a.pk) - Number(b.pk))
    expect(key.map((row) => row.name)).toEqual(model.primaryKey)

    type List = { name: string; unique: bigint; origin: string }
    const list = await test.store.db.$queryRawUnsafe<List[]>(`PRAGMA index_list("${model.name}")`)
    const indexes: Index[] = []
    for (const row of list.filter((each) => each.origin === 'c')) {
      const parts = await test.store.db.$queryRawUnsafe<{ name: string }[]>(`PRAGMA index_info("${row.name}")`)
      indexes.push({ name: row.name, unique: Number(row.unique) === 1, columns: parts.map((part) => part.name) })
    }
    expect(indexes.sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(expectedIndexes(model))
  })
})

describe('MySQL', () => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('mysql')
  })
  afterAll(() => test.close())

  it('has the tables of the schema and no others, all of them transactional', async () => {
    const rows = await test.store.db.$queryRawUnsafe<{ name: string; engine: string }[]>(
      'SELECT TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()',
    )
    expect(rows.map((row) => row.name).sort()).toEqual([BOOKS, ...models.map((model) => model.name)].sort())
    expect(new Set(rows.map((row) => row.engine))).toEqual(new Set(['InnoDB']))
  })

  it.each(models)('$name agrees', async (model) => {
    const columns = await test.store.db.$queryRawUnsafe<(Omit<Column, 'nullable'> & { nullable: string })[]>(
      `SELECT COLUMN_NAME AS name, COLUMN_TYPE AS type, IS_NULLABLE AS nullable, COLUMN_DEFAULT AS \`default\`,
       COLLATION_NAME AS collation FROM information_schema.COLUMNS
       WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${model.name}' ORDER BY ORDINAL_POSITION`,
    )
    expect(
      columns.map((column) => ({
        name: column.name,
        type: column.type.replace(/^int\(\d+\)$/, 'int'),
        nullable: column.nullable === 'YES',
        // MariaDB spells "no default" of a nullable column as NULL in words.
        default: column.default === 'NULL' ? null : column.default,
        collation: column.collation,
      })),
    ).toEqual(model.fields.map((field) => expectedColumn(model, field)))

    type Part = { name: string; nonUnique: bigint; column: string }
    const parts = await test.store.db.$queryRawUnsafe<Part[]>(
      `SELECT INDEX_NAME AS name, NON_UNIQUE AS nonUnique, COLUMN_NAME AS \`column\` FROM information_schema.STATISTICS
       WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${model.name}' ORDER BY INDEX_NAME, SEQ_IN_INDEX`,
    )
    const indexes = new Map<string, Index>()
    for (const part of parts) {
      const index = indexes.get(part.name) ?? { name: part.name, unique: Number(part.nonUnique) === 0, columns: [] }
      index.columns.push(part.column)
      indexes.set(part.name, index)
    }
    expect(indexes.get('PRIMARY')?.columns).toEqual(model.primaryKey)
    indexes.delete('PRIMARY')
    expect([...indexes.values()].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(expectedIndexes(model))
  })

  function expectedColumn(model: SchemaModel, field: SchemaField): Column {
    const native: Record<string, string> = { Int: 'int', Boolean: 'tinyint(1)' }
    const type = field.native?.toLowerCase() ?? native[field.type] ?? '?'
    const defaults: Record<string, string> = { true: '1', false: '0' }
    const text = field.type === 'String'
    const caseless = CASELESS.includes(`${model.name}.${field.name}`)
    return {
      name: field.name,
      type,
      nullable: field.nullable,
      default: field.default === null ? null : (defaults[field.default] ?? field.default),
      collation: text ? (caseless ? 'utf8mb4_unicode_ci' : 'utf8mb4_bin') : null,
    }
  }
})
