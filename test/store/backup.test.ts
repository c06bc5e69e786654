import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { readModels } from '../../scripts/schema-text.ts'
import { ConfigError } from '../../src/config.ts'
import { newId } from '../../src/domain/ids.ts'
import { createApiKey, createConsoleSession, findApiKey } from '../../src/store/api-keys.ts'
import { insertAudit } from '../../src/store/audit.ts'
import { writeBackup } from '../../src/store/backup.ts'
import { BACKUP_TABLES, NOT_IN_BACKUPS } from '../../src/store/backup-format.ts'
import { migrationsFolder, readMigrations } from '../../src/store/migrate.ts'
import { recordReplica } from '../../src/store/replicas.ts'
import { restoreBackup } from '../../src/store/restore.ts'
import { RESTORING } from '../../src/store/restoring.ts'
import { openStore, type Store, type StoreOptions } from '../../src/store/store.ts'
import { appendSyncEvents } from '../../src/store/sync-events.ts'
import { createTargets } from '../../src/store/sync-targets.ts'
import { createSync, finishSync } from '../../src/store/syncs.ts'
import { mintTokenFor, openToken } from '../../src/store/tokens.ts'
import { createWebhook } from '../../src/store/webhooks.ts'
import { at, makeWorld } from './fixtures.ts'
import { ENGINES, makeDatabase, openTestStore, type TestEngine, type TestStore } from './test-store.ts'

const models = readModels(readFileSync(resolve(import.meta.dirname, '../../prisma/schema.prisma'), 'utf8'))

it('holds every table of the schema but those that belong to a moment', () => {
  expect([...BACKUP_TABLES, ...NOT_IN_BACKUPS].sort()).toEqual(models.map(({ name }) => name).sort())
})

/** Every row of every table that is in a backup, by table. */
async function contentOf(store: Store): Promise<Record<string, string[]>> {
  const content: Record<string, string[]> = {}
  for (const table of BACKUP_TABLES) {
    const name = `${table.charAt(0).toLowerCase()}${table.slice(1)}`
    const model = (store.db as unknown as Record<string, { findMany(): Promise<object[]> }>)[name]
    content[table] = ((await model?.findMany()) ?? []).map((row) => JSON.stringify(row)).sort()
  }
  return content
}

const TRICKY = "naïve “quotes” \\ ' 名称 \u{1f6a2} \u2028 line\nbreak"

async function fill(store: Store): Promise<{ tokenId: string; secret: string; apiKey: string }> {
  const world = await makeWorld(store, { spaces: 3, instances: 2 })
  const token = await mintTokenFor(store, at(world.bindings, 0).id, { expiresAt: new Date('2031-02-03T04:05:06.789Z') })
  const { sync } = await createSync(
    store,
    {
      platformId: world.platform.id,
      name: TRICKY,
      selection: { instanceIds: world.instances.map(({ id }) => id), spaceIds: 'all' },
      requestedBy: 'ann',
    },
    { apiKeyId: newId(), key: 'k', requestHash: 'a'.repeat(64) },
  )
  await createTargets(
    store,
    sync.id,
    world.bindings.map(({ id, instanceId, spaceId }) => ({ bindingId: id, instanceId, spaceId })),
  )
  // More than one page, in a table whose key has two parts.
  await appendSyncEvents(
    store,
    sync.id,
    Array.from({ length: 1_100 }, (_, index) => ({ type: 'x', data: { index } })),
  )
  await createWebhook(store, {
    name: 'ops',
    url: 'https://hooks.test/',
    events: 'all',
    template: null,
    language: null,
    botSecret: null,
    enabled: false,
    signingSecret: 'whsec_Zmlyc3Q=',
  })
  await finishSync(store, sync.id, { state: 'failed', errorMessage: TRICKY, errorType: 'Bug' })
  await insertAudit(store, {
    id: newId(),
    at: new Date(),
    actor: 'ann',
    actorId: null,
    action: 'update',
    resource: 'binding',
    resourceId: null,
    fields: ['a'],
    outcome: 'allowed',
    requestId: null,
  })
  const { secret: apiKey, key } = await createApiKey(store, { name: 'viewer', role: 'viewer' })
  await createConsoleSession(store, {
    apiKeyId: key.id,
    role: 'viewer',
    expiresAt: new Date(Date.now() + 60_000),
    secret: 'session',
  })
  await recordReplica(store, 'g1', 1)
  return { tokenId: token.id, secret: token.secret, apiKey }
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'toolferry-backup-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
const newFile = () => join(folder, `${newId()}.backup`)

describe.each(ENGINES)('a backup of %s', (engine) => {
  let test: TestStore
  let filled: Awaited<ReturnType<typeof fill>>
  const leftovers: (() => Promise<void>)[] = []
  beforeAll(async () => {
    test = await openTestStore(engine)
    filled = await fill(test.store)
  })
  afterAll(() => test.close())
  afterEach(async () => {
    for (const remove of leftovers.splice(0)) await remove()
  })

  const emptyDatabase = async (to: TestEngine): Promise<StoreOptions> => {
    const database = await makeDatabase(to)
    leftovers.push(database.remove)
    return { ...database.options, secrets: test.options.secrets }
  }

  it.each(ENGINES)('is made beside the running product, and fills an empty %s with the same', async (to) => {
    const file = newFile()
    const { rows, sizeBytes } = await writeBackup(test.options, file)
    expect(rows).toBeGreaterThan(1_100)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(file)).size).toBe(sizeBytes)
    const options = await emptyDatabase(to)
    expect(await restoreBackup(options, file)).toMatchObject({ rows })
    const store = await openStore(options)
    try {
      const [before, after] = [await contentOf(test.store), await contentOf(store)]
      for (const table of BACKUP_TABLES) expect(after[table], table).toEqual(before[table])
      expect(Object.values(after).flat()).toHaveLength(rows)
      expect(await openToken(store, filled.tokenId)).toBe(filled.secret)
      expect(await findApiKey(store, filled.apiKey)).toMatchObject({ role: 'viewer' })
      expect(await store.db.consoleSession.count()).toBe(0)
      expect(await store.db.gatewayReplica.count()).toBe(0)
    } finally {
      await store.close()
    }
    // What belongs to the copy is gone.
    expect((await readdir(test.options.config.dataDir)).filter((name) => name.startsWith('backup-'))).toEqual([])
  })

  it('holds no secret in the clear', async () => {
    const file = newFile()
    await writeBackup(test.options, file)
    const text = gunzipSync(await readFile(file)).toString('utf8')
    for (const secret of [filled.secret, filled.apiKey, 'pass "word"', 'pass \\"word\\"', 'whsec_', 'hooks.test']) {
      expect(text).not.toContain(secret)
    }
  })

  it('is one moment, whatever is written meanwhile', async () => {
    const file = newFile()
    let stop = false
    let written = 0
    const { sync } = await createSync(test.store, {
      platformId: newId(),
      name: 'meanwhile',
      selection: { instanceIds: [], spaceIds: 'all' },
      requestedBy: 'ann',
    })
    const writing = (async () => {
      while (!stop) {
        await appendSyncEvents(test.store, sync.id, [{ type: 'y', data: {} }])
        written += 1
        // SQLite answers at once, and would keep everybody else of this process from their turn.
        await setImmediate()
      }
    })()
    await writeBackup(test.options, file)
    stop = true
    await writing
    const lines = gunzipSync(await readFile(file))
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const rows = lines.filter((line) => Array.isArray(line))
    const row = rows.find(([table, cells]) => table === 'Sync' && cells.id === sync.id)
    const events = rows.filter(([table, cells]) => table === 'SyncEvent' && cells.syncId === sync.id)
    // The run counts its events: both are of the same moment.
    expect(events.length).toBe(row?.[1].eventSeq)
    expect(written).toBeGreaterThanOrEqual(events.length)
  })

  it('says what to do when there is no folder to write into', async () => {
    const missing = join(folder, 'missing')
    const into = (path: string) => writeBackup(test.options, join(path, 'a.backup'))
    await expect(into(missing)).rejects.toThrow(ConfigError)
    await expect(into(missing)).rejects.toThrow(`There is no folder ${missing}. Make it`)
    const file = newFile()
    await writeFile(file, 'mine')
    await expect(into(file)).rejects.toThrow(`${file} is no folder.`)
  })

  it('replaces no file, and none is left of one that failed', async () => {
    const file = newFile()
    await writeFile(file, 'mine')
    await expect(writeBackup(test.options, file)).rejects.toThrow(/exists already/)
    expect(await readFile(file, 'utf8')).toBe('mine')
    const wrong = { ...test.options, secrets: { ...test.options.secrets, masterKey: randomBytes(32) } }
    const other = newFile()
    await expect(writeBackup(wrong, other)).rejects.toThrow(/is not the key/)
    expect((await readdir(folder)).filter((name) => other.endsWith(name) || name.endsWith('.part'))).toEqual([])
  })

  describe('is not restored', () => {
    let file: string
    beforeAll(async () => {
      file = newFile()
      await writeBackup(test.options, file)
    })
    const changed = async (change: (lines: string[]) => string[]) => {
      const lines = gunzipSync(await readFile(file))
        .toString('utf8')
        .trimEnd()
        .split('\n')
      const altered = newFile()
      await writeFile(altered, gzipSync(`${change(lines).join('\n')}\n`))
      return altered
    }
    const isStillEmpty = async (options: StoreOptions) => {
      // It can still be filled: nothing has been written.
      await restoreBackup(options, file)
    }

    it('into a store that has something', async () => {
      await expect(
        restoreBackup({ ...(await emptyDatabase(engine)), config: test.options.config }, file),
      ).rejects.toThrow(engine === 'sqlite' ? /in use/ : /not empty/)
      const options = await emptyDatabase(engine)
      await (await openStore(options)).close()
      await expect(restoreBackup(options, file)).rejects.toThrow(/not empty/)
    })

    it('with another master key', async () => {
      const options = await emptyDatabase(engine)
      const wrong = { ...options, secrets: { ...options.secrets, masterKey: randomBytes(32) } }
      await expect(restoreBackup(wrong, file)).rejects.toThrow(/is not the key/)
      await isStillEmpty(options)
    })

    it('when it is cut off, damaged, or something else', async () => {
      const options = await emptyDatabase(engine)
      const bytes = await readFile(file)
      const broken: [string, RegExp][] = []
      for (const [name, content] of [
        ['cut', bytes.subarray(0, bytes.length - 200)],
        ['flipped', Buffer.from(bytes.map((byte, index) => (index === bytes.length >> 1 ? byte ^ 0xff : byte)))],
        ['text', Buffer.from('hello')],
        ['nothing', Buffer.alloc(0)],
      ] as const) {
        const path = `${newFile()}-${name}`
        await writeFile(path, content)
        broken.push([path, /damaged or cut off/])
      }
      broken.push([await changed((lines) => lines.slice(0, -1)), /damaged or cut off/])
      broken.push([await changed((lines) => lines.toSpliced(10, 1)), /damaged or cut off/])
      broken.push([await changed((lines) => ['{"format":"other"}', ...lines.slice(1)]), /not a backup/])
      broken.push([join(folder, 'nowhere'), /There is no file/])
      for (const [path, reason] of broken) await expect(restoreBackup(options, path), path).rejects.toThrow(reason)
      await isStillEmpty(options)
    })

    it('by an older version', async () => {
      const options = await emptyDatabase(engine)
      const newer = await changed(([header = '', ...lines]) => {
        const parsed = JSON.parse(header)
        return [JSON.stringify({ ...parsed, migrations: [...parsed.migrations, '29990101000000_later'] }), ...lines]
      })
      await expect(restoreBackup(options, newer)).rejects.toThrow(/newer version/)
      const format = await changed(([header = '', ...lines]) => [
        JSON.stringify({ ...JSON.parse(header), version: 2 }),
        ...lines,
      ])
      await expect(restoreBackup(options, format)).rejects.toThrow(/format 2/)
      await isStillEmpty(options)
    })
  })

  it('of before an upgrade gets its migrations when the product starts', async () => {
    const file = newFile()
    await writeBackup(test.options, file)
    const ours = (await readMigrations(migrationsFolder(engine))).map(({ name }) => name)
    const [first = ''] = ours
    // As the first version would have made it: its tables and columns alone.
    const initial = await readFile(resolve(migrationsFolder(engine), first, 'migration.sql'), 'utf8')
    const lines = gunzipSync(await readFile(file))
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const [header, ...rows] = lines
    const end = rows.pop().end
    const old = rows.filter(([table]) => new RegExp(`CREATE TABLE .${table}.`).test(initial))
    const columnsOf = (table: string) => {
      const body = new RegExp(`CREATE TABLE .${table}. \\(([\\s\\S]*?)\\n\\)`).exec(initial)?.[1] ?? ''
      return new Set([...body.matchAll(/^ +[`"](\w+)[`"] /gm)].map((match) => match[1]))
    }
    for (const row of old) {
      const columns = columnsOf(row[0])
      row[1] = Object.fromEntries(Object.entries(row[1]).filter(([column]) => columns.has(column)))
    }
    const counts = Object.fromEntries(
      Object.keys(end).map((table) => [table, old.filter(([of]) => of === table).length]),
    )
    const oldFile = newFile()
    const text = [{ ...header, migrations: [first] }, ...old, { end: counts }]
      .map((line) => JSON.stringify(line))
      .join('\n')
    await writeFile(oldFile, gzipSync(text))
    const options = await emptyDatabase(engine)
    await restoreBackup(options, oldFile)
    const store = await openStore(options)
    try {
      expect(await openToken(store, filled.tokenId)).toBe(filled.secret)
      expect(await store.db.webhookDelivery.count()).toBe(0)
      expect((await store.db.webhook.findMany()).map(({ template, rowVersion }) => [template, rowVersion])).toEqual([
        [null, 1],
      ])
    } finally {
      await store.close()
    }
  })

  it('that was restored in part is not started', async () => {
    const options = await emptyDatabase(engine)
    const store = await openStore(options)
    await store.write((tx) => tx.setting.create({ data: { name: RESTORING, value: 'x', updatedAt: new Date() } }))
    await store.close()
    await expect(openStore(options)).rejects.toThrow(/begun and not finished/)
    await expect(writeBackup(options, newFile())).rejects.toThrow(/begun and not finished/)
  })
})

it('says what is not there', async () => {
  const database = await makeDatabase('sqlite')
  await expect(writeBackup(database.options, newFile())).rejects.toThrow(/There is no database/)
  await copyFile('/dev/null', join(database.options.config.dataDir, 'toolferry.db'))
  await expect(writeBackup(database.options, newFile())).rejects.toThrow(/nothing to back up/)
  await database.remove()
})
