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
