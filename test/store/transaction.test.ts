import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import type { OpenClient } from '../../src/store/client.ts'
import { insertRowsIn } from '../../src/store/insert-rows.ts'
import { bumpRevision, currentRevision } from '../../src/store/revision.ts'
import { getSetting, putSettingIfAbsent, setSetting } from '../../src/store/settings.ts'
import type { Tx } from '../../src/store/store.ts'
import { afterCommit, createWrite, isUniqueViolation } from '../../src/store/transaction.ts'
import { makeInstance } from './fixtures.ts'
import { ENGINES, openTestStore, type TestStore } from './test-store.ts'

describe.each(ENGINES)('writes on %s', (engine) => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore(engine)
  })
  afterAll(() => test.close())

  it('100 concurrent read-modify-writes all count', async () => {
    const name = newId()
    await setSetting(test.store, name, '0')
    const add = async (tx: Tx) => {
      await tx.setting.updateMany({ where: { name }, data: { updatedAt: new Date() } })
      const value = Number(await getSetting(tx, name)) + 1
      await tx.setting.update({ where: { name }, data: { value: String(value) } })
      return value
    }
    const seen = await Promise.all(
      Array.from({ length: 100 }, (_, index) => test.store.write(add, { shared: index % 5 !== 0 })),
    )
    expect(new Set(seen).size).toBe(100)
    expect(await getSetting(test.store.db, name)).toBe('100')
  })

  it('100 at once have a revision each', async () => {
    const before = await currentRevision(test.store.db)
    const seen = await Promise.all(
      Array.from({ length: 100 }, () => test.store.write((tx) => bumpRevision(test.store, tx))),
    )
    expect(new Set(seen).size).toBe(100)
    expect(await currentRevision(test.store.db)).toBe(before + 100)
  })

  it('one that is not shared waits for none that came after it', async () => {
    const [name, gate] = [newId(), Promise.withResolvers<void>()]
    const first = setSetting(test.store, name, 'x')
    const long = test.store.write(() => gate.promise, { shared: true })
    await first
    expect(await getSetting(test.store.db, name)).toBe('x')
    gate.resolve()
    await long
  })

  it.each([false, true])(
    'of many at once those that fail do so alone, and nothing of theirs stays (shared: %s)',
    async (shared) => {
      const names = Array.from({ length: 30 }, () => newId())
      const told: number[] = []
      const results = await Promise.allSettled(
        names.map((name, index) =>
          test.store.write(
            async (tx) => {
              await tx.setting.create({ data: { name, value: 'x', updatedAt: new Date() } })
              afterCommit(tx, () => told.push(index))
              if (index % 7 === 3) throw new Error(`no to ${index}`)
              return index
            },
            { shared },
          ),
        ),
      )
      const failing = names.flatMap((_, index) => (index % 7 === 3 ? [index] : []))
      expect(results.flatMap((result, index) => (result.status === 'rejected' ? [index] : []))).toEqual(failing)
      for (const [index, result] of results.entries()) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ message: `no to ${index}` })
        else expect(result.value).toBe(index)
        expect(await getSetting(test.store.db, names[index] ?? '')).toBe(result.status === 'rejected' ? null : 'x')
      }
      expect(told.toSorted((a, b) => a - b)).toEqual(
        results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : [])),
      )
    },
  )

  it('every one has ended when its revision can be read, and none is told before', async () => {
    const before = await currentRevision(test.store.db)
    const seen = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const revision = await test.store.write((tx) => bumpRevision(test.store, tx), { shared: true })
        return { revision, readable: await currentRevision(test.store.db) }
      }),
    )
    for (const { revision, readable } of seen) {
      expect(revision).toBeGreaterThan(before)
      expect(readable).toBeGreaterThanOrEqual(revision)
    }
  })

  it('a reader inside a write neither waits nor sees what is not committed', async () => {
    const name = newId()
    await test.store.write(async (tx) => {
      await tx.setting.create({ data: { name, value: 'x', updatedAt: new Date() } })
      expect(await getSetting(test.store.db, name)).toBeNull()
      expect(await getSetting(tx, name)).toBe('x')
    })
    expect(await getSetting(test.store.db, name)).toBe('x')
  })

  it('rolls back as a whole, and tells nobody', async () => {
    const told: number[] = []
    const stop = test.store.onRevision((revision) => told.push(revision))
    const before = await currentRevision(test.store.db)
    await expect(
      test.store.write(async (tx) => {
        await bumpRevision(test.store, tx)
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    expect(await currentRevision(test.store.db)).toBe(before)
    const revision = await test.store.write((tx) => bumpRevision(test.store, tx))
    stop()
    await test.store.write((tx) => bumpRevision(test.store, tx))
    expect(told).toEqual([revision])
  })

  it('tells the listeners of a revision when it can be read', async () => {
    const readable: Promise<number>[] = []
    const stop = test.store.onRevision(() => readable.push(currentRevision(test.store.db)))
    const revision = await test.store.write((tx) => bumpRevision(test.store, tx))
    stop()
    expect(await Promise.all(readable)).toEqual([revision])
  })

  it('a listener that throws does not fail the write', async () => {
    const name = newId()
    await test.store.write(async (tx) => {
      await tx.setting.create({ data: { name, value: 'x', updatedAt: new Date() } })
      afterCommit(tx, () => {
        throw new Error('a listener')
      })
    })
    expect(await getSetting(test.store.db, name)).toBe('x')
  })

  it('refuses a write inside a write instead of waiting for itself', async () => {
    await expect(test.store.write(() => setSetting(test.store, 'nested', 'x'))).rejects.toThrow(/inside store.write/)
    await setSetting(test.store, 'after', 'x')
  })

  it('a failed write does not hold up the next', async () => {
    const results = await Promise.allSettled([
      test.store.write(() => Promise.reject(new Error('one'))),
      setSetting(test.store, 'two', 'x'),
      test.store.write(() => Promise.reject(new Error('three'))),
      setSetting(test.store, 'four', 'x'),
    ])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled'])
  })

  it('put-if-absent has one winner', async () => {
    const name = newId()
    const values = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map((value) => putSettingIfAbsent(test.store, name, value)),
    )
    expect(new Set(values)).toEqual(new Set([await getSetting(test.store.db, name)]))
  })

  it('two that lock two rows crosswise both end', async () => {
    const [a, b] = [newId(), newId()]
    await setSetting(test.store, a, '0')
    await setSetting(test.store, b, '0')
    const add = (first: string, second: string) =>
      test.store.write(async (tx) => {
        for (const name of [first, second]) {
          const rows = await tx.setting.updateMany({ where: { name }, data: { updatedAt: new Date() } })
          expect(rows.count).toBe(1)
        }
        const row = await tx.setting.findUniqueOrThrow({ where: { name: a } })
        await tx.setting.update({ where: { name: a }, data: { value: String(Number(row.value) + 1) } })
      })
    await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? add(a, b) : add(b, a))))
    expect(await getSetting(test.store.db, a)).toBe('20')
  })

  it('a unique violation is recognised', async () => {
    const name = newId()
    await setSetting(test.store, name, 'x')
    const error = await test.store
      .write((tx) => tx.setting.create({ data: { name, value: 'y', updatedAt: new Date() } }))
      .catch((thrown: unknown) => thrown)
    expect(isUniqueViolation(error)).toBe(true)
  })

  it('a unique violation of a statement of our own is, too, and only that', async () => {
    const name = newId()
    const insert = (row: Record<string, string | Date | null>) =>
      test.store.write((tx) => insertRowsIn(tx, 'Setting', [row]))
    const failure = (row: Record<string, string | Date | null>) => insert(row).catch((thrown: unknown) => thrown)
    await insert({ name, value: 'x', updatedAt: new Date() })
    expect(isUniqueViolation(await failure({ name, value: 'y', updatedAt: new Date() }))).toBe(true)
    const other = await failure({ name: newId(), value: null, updatedAt: new Date() })
    expect(other).toBeInstanceOf(Error)
    expect(isUniqueViolation(other)).toBe(false)
  })

  it('what a statement of our own writes is what Prisma reads and finds, and the other way round', async () => {
    const [ours, theirs, updatedAt] = [newId(), newId(), new Date('2031-02-03T04:05:06.078Z')]
    const seen = await test.store.write(async (tx) => {
      await insertRowsIn(tx, 'Setting', [{ name: ours, value: 'x', updatedAt }])
      await tx.setting.create({ data: { name: theirs, value: 'x', updatedAt } })
      return {
        byPrisma: await tx.setting.findMany({ where: { updatedAt } }),
        byStatement: await tx.$queryRawUnsafe<{ name: string; updatedAt: Date }[]>(
          'SELECT `name`, `value`, `updatedAt` FROM `Setting` WHERE `updatedAt` = ?',
          updatedAt,
        ),
      }
    })
    const byName = (one: { name: string }, other: { name: string }) => one.name.localeCompare(other.name)
    const both = [ours, theirs].map((name) => ({ name, value: 'x', updatedAt })).sort(byName)
    expect(seen.byPrisma.toSorted(byName)).toEqual(both)
    expect(seen.byStatement.toSorted(byName)).toEqual(both)
  })

  it('times are stored in UTC with their milliseconds', async () => {
    const instance = await makeInstance(test.store)
    const rows = await test.store.db.$queryRawUnsafe<{ text: string }[]>(
      engine === 'mysql'
        ? `SELECT CAST(createdAt AS CHAR) AS text FROM McpInstance WHERE id = '${instance.id}'`
        : `SELECT CAST(createdAt AS TEXT) AS text FROM McpInstance WHERE id = '${instance.id}'`,
    )
    expect(rows[0]?.text.replace(' ', 'T').slice(0, 23)).toBe(instance.createdAt.toISOString().slice(0, 23))
  })
})

it('on SQLite what was going on when the store was closed has failed, and is not tried again', async () => {
  const opened = await openTestStore('sqlite')
  const { store } = opened
  const [gate, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let runs = 0
  const some = ['one', 'two', 'three'].map((name) =>
    store.write(
      async (tx) => {
        runs += 1
        begun.resolve()
        await gate.promise
        await tx.setting.create({ data: { name, value: 'x', updatedAt: new Date() } })
      },
      { shared: true },
    ),
  )
  const ended = Promise.allSettled(some)
  await begun.promise
  await opened.close()
  gate.resolve()
  expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(runs).toBe(1)
})

it('those that wait together for a transaction that cannot begin are each tried by themselves', async () => {
  const refused = Object.assign(new Error('database is locked'), { code: 'P2034' })
  let begun = 0
  const tx = {}
  const client = {
    engine: 'sqlite',
    closed: () => false,
    transact: async (work: (tx: object) => Promise<unknown>) => {
      begun += 1
      if (begun === 1) throw refused
      return await work(tx)
    },
  } as unknown as OpenClient
  const write = createWrite(client, () => undefined)
  const some = [1, 2, 3].map((number) => write(async () => number, { shared: true }))
  expect(await Promise.all(some)).toEqual([1, 2, 3])
})

it('on SQLite nothing of a transaction can be used once it has ended', async () => {
  const test = await openTestStore('sqlite')
  try {
    let late: Tx | null = null
    await test.store.write(async (tx) => {
      late = tx
    })
    const use = (how: (tx: Tx) => unknown) => () => how(late as unknown as Tx)
    expect(use((tx) => tx.setting)).toThrow(/has ended/)
    expect(use((tx) => tx.$executeRawUnsafe('DELETE FROM Setting'))).toThrow(/has ended/)
  } finally {
    await test.close()
  }
})

it('on SQLite nothing can be written outside of write()', async () => {
  const test = await openTestStore('sqlite')
  try {
    await expect(
      test.store.db.$queryRawUnsafe("INSERT INTO Setting VALUES ('x', 'y', 'z') RETURNING name"),
    ).rejects.toThrow(/readonly|read-only|query_only/i)
  } finally {
    await test.close()
  }
})
