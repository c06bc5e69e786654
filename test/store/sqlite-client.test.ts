import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type LibSqlClient, openSqliteConnection } from '../../src/store/sqlite-client.ts'

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
