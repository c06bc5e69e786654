import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type PgliteServer, startPgliteServer } from '../../demo/dify/pglite-server.ts'

let db: PGlite
let server: PgliteServer
const clients: pg.Client[] = []

beforeAll(async () => {
  db = await PGlite.create()
  server = await startPgliteServer(db, { user: 'dify', password: `a 'quoted' pass word`, database: 'dify' })
})

beforeEach(async () => {
  await db.exec(
    'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); INSERT INTO t VALUES (1, 0)',
  )
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)))
  await server.close()
  await db.close()
})

test('clients waiting behind a transaction each get their own rows', async () => {
  const [writer, ...readers] = await connectMany(5)
  await writer.query('BEGIN')
  const reads = readers.map((reader, index) => reader.query(`SELECT $1::int AS a${index}`, [index]))
  await writer.query('UPDATE t SET v = $1', [7])
  await writer.query('COMMIT')
  expect((await Promise.all(reads)).map((result) => result.rows)).toEqual(
    [{ a0: 0 }, { a1: 1 }, { a2: 2 }, { a3: 3 }].map((row) => [row]),
  )
})

test('parallel transactions with FOR UPDATE lose no update, errors among them reach only their own client', async () => {
  const writers = await connectMany(6)
  const refused = await Promise.all(
    writers.map(async (writer) => {
      let duplicates = 0
      for (let i = 0; i < 15; i++) {
        await writer.query('BEGIN')
        const row = await writer.query<{ v: number }>('SELECT v FROM t WHERE id = $1 FOR UPDATE', [1])
        await writer.query('UPDATE t SET v = $1 WHERE id = $2', [(row.rows[0]?.v ?? 0) + 1, 1])
        await writer.query('COMMIT')
        await writer.query('INSERT INTO t VALUES ($1, 0)', [1]).catch((error: pg.DatabaseError) => {
          if (error.code === '23505' && error.constraint === 't_pkey') duplicates++
        })
      }
      return duplicates
    }),
  )
  expect(refused).toEqual(writers.map(() => 15))
  expect((await db.query('SELECT v FROM t')).rows).toEqual([{ v: 90 }])
})

test('no client can set a timer that ends the one session when it idles, in a transaction or outside', async () => {
  const [client, other] = await connectMany(2)
  const set = `SELECT set_config('idle_session_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)`
  const shown = `SELECT current_setting('idle_session_timeout') AS a, current_setting('idle_in_transaction_session_timeout') AS b`
  await client.query(set, ['50'])
  expect((await other.query(shown)).rows).toEqual([{ a: '0', b: '0' }])
  await client.query('BEGIN')
  await client.query(set, ['50'])
  // Long after both would have fired.
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect((await client.query(shown)).rows).toEqual([{ a: '0', b: '0' }])
  await client.query('COMMIT')
  expect((await other.query('SELECT v FROM t WHERE id = 1')).rows).toEqual([{ v: 0 }])
})

test('a client that vanishes inside a transaction is rolled back and blocks nobody', async () => {
  const [dying, waiting, reader] = await connectMany(3)
  await dying.query('BEGIN')
  await dying.query('UPDATE t SET v = 999')
  const abandoned = waiting.query('SELECT 1').catch((error: Error) => error.message)
  const read = reader.query('SELECT v FROM t WHERE id = $1', [1])
  vanish(waiting)
  vanish(dying)
  expect((await read).rows).toEqual([{ v: 0 }])
  expect(await abandoned).toMatch(/terminated|closed/i)
})

test('no client can set a timer that ends the one session when it idles, in a transaction or outside', async () => {
  const [client, other] = await connectMany(2)
  const set = `SELECT set_config('idle_session_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)`
  const shown = `SELECT current_setting('idle_session_timeout') AS a, current_setting('idle_in_transaction_session_timeout') AS b`
  await client.query(set, ['50'])
  expect((await other.query(shown)).rows).toEqual([{ a: '0', b: '0' }])
  await client.query('BEGIN')
  await client.query(set, ['50'])
  // Long after both would have fired.
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect((await client.query(shown)).rows).toEqual([{ a: '0', b: '0' }])
  await client.query('COMMIT')
  expect((await other.query('SELECT v FROM t WHERE id = 1')).rows).toEqual([{ v: 0 }])
})

test('a client that vanishes inside a failed transaction blocks nobody', async () => {
  const [dying, reader] = await connectMany(2)
  await dying.query('BEGIN')
  await expect(dying.query('SELECT nothing_like_that')).rejects.toThrow(/does not exist/)
  vanish(dying)
  expect((await reader.query('SELECT v FROM t')).rows).toEqual([{ v: 0 }])
})

test('session advisory locks are taken and given back, though shared by all clients', async () => {
  const [first, second] = await connectMany(2)
  expect((await first.query('SELECT pg_try_advisory_lock(1, 2) AS got')).rows).toEqual([{ got: true }])
  expect((await second.query('SELECT pg_try_advisory_lock(1, 2) AS got')).rows).toEqual([{ got: true }])
  expect((await first.query('SELECT pg_advisory_unlock(1, 2) AS ok')).rows).toEqual([{ ok: true }])
  expect((await second.query('SELECT pg_advisory_unlock(1, 2) AS ok')).rows).toEqual([{ ok: true }])
})

test('a large value passes in both directions', async () => {
  const [client] = await connectMany(1)
  const text = 'ü'.repeat(1_500_000)
  const result = await client.query<{ text: string }>('SELECT $1::text AS text', [text])
  expect(result.rows[0]?.text === text).toBe(true)
})

test.each([
  ['a wrong password', { password: 'wrong' }, '28P01'],
  ['an unknown user', { user: 'nobody' }, '28P01'],
  ['an unknown database', { database: 'other' }, '3D000'],
])('%s is refused with the code of PostgreSQL', async (_, options, code) => {
  const client = new pg.Client({ ...account(), ...options })
  await expect(client.connect()).rejects.toMatchObject({ code })
})

test('the plain pool works: more callers than connections', async () => {
  const pool = new pg.Pool({ ...account(), max: 3 })
  const results = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query('SELECT $1::int AS i', [i])))
  await pool.end()
  expect(results.map((result) => result.rows[0].i)).toEqual(Array.from({ length: 40 }, (_, i) => i))
})

function account() {
  return {
    host: server.host,
    port: server.port,
    user: server.user,
    password: server.password,
    database: server.database,
  }
}

/** At most the first three can be named without a check. */
async function connectMany(count: number): Promise<[pg.Client, pg.Client, pg.Client, ...pg.Client[]]> {
  const made = await Promise.all(Array.from({ length: count }, connect))
  clients.push(...made)
  return made as [pg.Client, pg.Client, pg.Client, ...pg.Client[]]
}

async function connect(): Promise<pg.Client> {
  const client = new pg.Client(account())
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Ends the TCP connection without a word, as a killed process does. */
function vanish(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}
