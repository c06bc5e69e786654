import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Tx } from '../../src/store/client.ts'
import type { PrismaClient } from '../../src/store/generated/sqlite/client.ts'
import { type LibSqlClient, openSqliteConnection } from '../../src/store/sqlite-client.ts'
import { transactionsOn } from '../../src/store/sqlite-transactions.ts'

let folder = ''
let connection: LibSqlClient

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'toolferry-sqlite-'))
  connection = openSqliteConnection(join(folder, 'test.db'))
  await connection.executeMultiple(`
    PRAGMA foreign_keys = ON;
    CREATE TABLE parent (id TEXT PRIMARY KEY);
    CREATE TABLE child (parent TEXT REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
  `)
})
afterEach(async () => {
  connection.close()
  await rm(folder, { recursive: true, force: true })
})

it('a commit that fails leaves nothing behind: neither what was written nor its transaction', async () => {
  const failing = await connection.transaction()
  await failing.execute("INSERT INTO child VALUES ('nobody')")
  await expect(failing.commit()).rejects.toThrow(/FOREIGN KEY/)
  expect(failing.closed).toBe(true)

  const next = await connection.transaction()
  await next.execute("INSERT INTO parent VALUES ('one')")
  await next.execute("INSERT INTO child VALUES ('one')")
  await next.commit()
  expect((await connection.execute('SELECT parent FROM child')).rows).toEqual([['one']])
})

it.each([
  ['commits', ['one', 'two']],
  ['goes back', ['one']],
])('a transaction inside of one %s by itself, and is kept only if the outer one is', async (how, left) => {
  const parents = async () => (await connection.execute('SELECT id FROM parent ORDER BY id')).rows.flat()
  for (const outerCommits of [false, true]) {
    const outer = await connection.transaction()
    await outer.execute("INSERT INTO parent VALUES ('one')")
    const inner = await connection.transaction()
    await inner.execute("INSERT INTO parent VALUES ('two')")
    await (how === 'commits' ? inner.commit() : inner.rollback())
    expect(await parents()).toEqual(left)
    await (outerCommits ? outer.commit() : outer.rollback())
    expect(await parents()).toEqual(outerCommits ? left : [])
  }
})

it('a write that hangs is rolled back and refused anything more, and the next one has its turn', async () => {
  const transact = transactionsOn(connection, {} as PrismaClient, 20)
  let late: Tx | null = null
  const hanging = transact(async (tx) => {
    late = tx
    await tx.$executeRawUnsafe("INSERT INTO parent VALUES ('one')")
    await new Promise(() => undefined)
  })
  await expect(hanging).rejects.toThrow(/too long/)
  expect(() => (late as unknown as Tx).$executeRawUnsafe("INSERT INTO parent VALUES ('two')")).toThrow(/has ended/)
  await transact((tx) => tx.$executeRawUnsafe("INSERT INTO parent VALUES ('three')"))
  expect((await connection.execute('SELECT id FROM parent')).rows).toEqual([['three']])
})

it('a transaction that begins or ends behind the close is refused, and the process lives', async () => {
  const open = await connection.transaction()
  connection.close()
  await expect(open.commit()).rejects.toThrow(/closed/)
  await expect(connection.transaction()).rejects.toThrow(/closed/)
})

it('who found the database busy can write once it is free', async () => {
  const other = openSqliteConnection(join(folder, 'test.db'))
  try {
    const theirs = await other.transaction()
    await expect(connection.transaction()).rejects.toThrow(/SQLITE_BUSY/)
    await theirs.rollback()
    const ours = await connection.transaction()
    await ours.execute("INSERT INTO parent VALUES ('one')")
    await ours.commit()
    expect((await other.execute('SELECT id FROM parent')).rows).toEqual([['one']])
  } finally {
    other.close()
  }
})

it('a transaction that nobody ended does not outlive its connection', async () => {
  const open = await connection.transaction()
  await open.execute("INSERT INTO parent VALUES ('one')")
  connection.close()
  const other = openSqliteConnection(join(folder, 'test.db'))
  try {
    await (await other.transaction()).rollback()
    expect((await other.execute('SELECT id FROM parent')).rows).toEqual([])
  } finally {
    other.close()
  }
})

it('a full disk is told as that', async () => {
  const transact = transactionsOn(connection, {} as PrismaClient)
  const [[pages]] = (await connection.execute('PRAGMA page_count')).rows as unknown as [[number]]
  await connection.execute(`PRAGMA max_page_count = ${pages + 2}`)
  const large = transact((tx) => tx.$executeRawUnsafe('INSERT INTO parent VALUES (?)', 'x'.repeat(100_000)))
  await expect(large).rejects.toThrow(/full/)
  await transact((tx) => tx.$executeRawUnsafe("INSERT INTO parent VALUES ('one')"))
  expect((await connection.execute('SELECT id FROM parent')).rows).toEqual([['one']])
})
