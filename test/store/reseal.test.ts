import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readModels } from '../../scripts/schema-text.ts'
import { newId } from '../../src/domain/ids.ts'
import { updateBinding } from '../../src/store/bindings.ts'
import { getInstance, openHeaders } from '../../src/store/instances.ts'
import { finishMasterKeyChange, isMasterKeyChanging, makeNextMasterKey } from '../../src/store/keys.ts'
import { openCredential } from '../../src/store/platforms.ts'
import { resealAll, SEALED_COLUMNS } from '../../src/store/reseal.ts'
import { openStore, type Store, type StoreOptions } from '../../src/store/store.ts'
import { createSync, openAuthorizations } from '../../src/store/syncs.ts'
import { mintTokenFor, openToken } from '../../src/store/tokens.ts'
import { createWebhook, openWebhook } from '../../src/store/webhooks.ts'
import { at, makeInstance, makeWorld } from './fixtures.ts'
import { ENGINES, makeDatabase } from './test-store.ts'

type Database = Awaited<ReturnType<typeof makeDatabase>>

it('knows every column of the schema that holds sealed values', () => {
  const schema = readFileSync(resolve(import.meta.dirname, '../../prisma/schema.prisma'), 'utf8')
  const sealed = readModels(schema).flatMap(({ name, fields }) => {
    const columns = fields.map((field) => field.name).filter((column) => column.startsWith('sealed'))
    return columns.length === 0 ? [] : [{ table: name, columns }]
  })
  expect(sealed.length).toBeGreaterThan(4)
  expect(sealed).toEqual(SEALED_COLUMNS.map(({ table, columns }) => ({ table, columns: [...columns] })))
})

async function using<T>(options: StoreOptions, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(options)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

/** Something sealed in every column, and how to read all of it. */
async function fill(store: Store): Promise<(store: Store) => Promise<unknown>> {
  const world = await makeWorld(store, { spaces: 2, instances: 1 })
  const url = 'http://mcp.test/mcp?key=canary'
  const instance = await makeInstance(store, { url, headers: { a: 'b' }, defaultPassThrough: { c: 'd' } })
  const binding = at(world.bindings, 0)
  await updateBinding(store, binding.id, null, { passThroughHeaders: { e: 'f' } })
  const token = await mintTokenFor(store, binding.id)
  const { sync } = await createSync(store, {
    platformId: world.platform.id,
    name: 'plan',
    selection: { instanceIds: [], spaceIds: 'all' },
    requestedBy: 'ann',
    dryRun: true,
    authorizations: [{ instanceId: instance.id, spaceId: at(world.spaces, 0).id, passThroughHeaders: { g: 'h' } }],
  })
  const webhook = await createWebhook(store, {
    name: 'ops',
    url: 'https://hooks.test/path',
    events: 'all',
    template: null,
    language: null,
    botSecret: 'bot',
    enabled: true,
    signingSecret: 'whsec_Zmlyc3Q=',
  })
  return async (opened) => ({
    credential: (await openCredential(opened, world.platform.id))?.credential,
    url: (await getInstance(opened, instance.id))?.url,
    headers: await openHeaders(opened, instance.id),
    token: await openToken(opened, token.id),
    authorizations: await openAuthorizations(opened, sync.id),
    webhook: await openWebhook(opened, webhook.id),
    hash: opened.tokenHash('x'),
  })
}

/** The key ids that sealed values stand under. */
async function keyIds(store: Store): Promise<string[]> {
  const tables = await Promise.all([
    store.db.platform.findMany(),
    store.db.mcpInstance.findMany(),
    store.db.binding.findMany(),
    store.db.gatewayToken.findMany(),
    store.db.sync.findMany(),
    store.db.webhook.findMany(),
    store.db.setting.findMany(),
  ])
  const found = JSON.stringify(tables).matchAll(/"v1:([0-9a-f]{8}):/g)
  return [...new Set([...found].map(([, id = '']) => id))]
}

describe.each(ENGINES)('resealing on %s', (engine) => {
  let database: Database
  let former: Buffer
  const next = randomBytes(32)
  beforeEach(async () => {
    database = await makeDatabase(engine)
    if (database.options.secrets.masterKey === null) throw new Error('the tests give a master key')
    former = database.options.secrets.masterKey
  })
  afterEach(() => database.remove())

  const withKeys = (masterKey: Buffer, retiredMasterKeys: Buffer[] = []): StoreOptions => ({
    ...database.options,
    secrets: { ...database.options.secrets, masterKey, retiredMasterKeys },
  })

  it('moves everything to the new key, and the former one is needed no more', async () => {
    const { read, before, rowVersions } = await using(database.options, async (store) => {
      const read = await fill(store)
      return { read, before: await read(store), rowVersions: await store.db.binding.findMany() }
    })
    await using(withKeys(next, [former]), async (store) => {
      expect(await keyIds(store)).toHaveLength(2)
      const { resealed, unreadable } = await resealAll(store)
      expect(resealed).toBeGreaterThanOrEqual(9)
      expect(unreadable).toEqual([])
      expect(await keyIds(store)).toEqual([store.sealer.keyId])
      expect(await resealAll(store)).toEqual({ resealed: 0, unreadable: [], complete: true })
    })
    await using(withKeys(next), async (store) => {
      expect(await read(store)).toEqual(before)
      // Nothing else has changed: nobody's next change is refused as stale.
      const plain = (rows: object[]) => rows.map((row) => ({ ...row, sealedPassThrough: null }))
      expect(plain(await store.db.binding.findMany())).toEqual(plain(rowVersions))
    })
  })

  it('goes on where it was cut off, also over many rows', async () => {
    const ids = await using(database.options, async (store) => {
      const { id: first } = await makeInstance(store)
      const row = await store.db.mcpInstance.findUnique({ where: { id: first } })
      if (row === null) throw new Error('the instance is not there')
      const copies = Array.from({ length: 230 }, (_, index) => {
        const id = newId()
        const place = { table: 'McpInstance', column: 'sealedHeaders', rowId: id }
        return {
          ...row,
          id,
          name: `copy ${index}`,
          sealedHeaders: store.sealer.seal(place, JSON.stringify({ n: index })),
        }
      })
      await store.write((tx) => tx.mcpInstance.createMany({ data: copies }))
      return copies.map(({ id }) => id)
    })
    await using(withKeys(next, [former]), async (store) => {
      let writes = 0
      const cutOff: Store = {
        ...store,
        write: (work, options) => {
          writes += 1
          return writes === 2 ? Promise.reject(new Error('cut off')) : store.write(work, options)
        },
      }
      await expect(resealAll(cutOff)).rejects.toThrow('cut off')
    })
    await using(withKeys(next, [former]), async (store) => {
      const { resealed } = await resealAll(store)
      expect(resealed).toBeGreaterThan(0)
      expect(resealed).toBeLessThanOrEqual(230)
    })
    await using(withKeys(next), async (store) => {
      for (const [index, id] of ids.entries()) expect(await openHeaders(store, id)).toEqual({ n: index })
    })
  })

  it('leaves alone what somebody changes meanwhile', async () => {
    const id = await using(database.options, async (store) => (await makeInstance(store, { headers: { a: '1' } })).id)
    await using(withKeys(next, [former]), async (store) => {
      const place = { table: 'McpInstance', column: 'sealedHeaders', rowId: id }
      let changed = false
      const racing: Store = {
        ...store,
        write: async (work, options) => {
          if (!changed) {
            changed = true
            const sealedHeaders = store.sealer.seal(place, '{"a":"2"}')
            await store.write((tx) => tx.mcpInstance.updateMany({ where: { id }, data: { sealedHeaders } }))
          }
          return await store.write(work, options)
        },
      }
      await resealAll(racing)
      expect(await openHeaders(store, id)).toEqual({ a: '2' })
    })
  })

  it('names what no given key opens, and leaves it as it is', async () => {
    const lost = await using(database.options, async (store) => {
      const { id } = await makeInstance(store, { headers: { a: '1' } })
      await makeInstance(store, { headers: { a: '2' } })
      const text = `v1:00000000:${randomBytes(40).toString('base64')}`
      await store.write((tx) => tx.mcpInstance.updateMany({ where: { id }, data: { sealedHeaders: text } }))
      return { id, text }
    })
    await using(withKeys(next, [former]), async (store) => {
      const { unreadable } = await resealAll(store)
      expect(unreadable).toEqual([{ table: 'McpInstance', column: 'sealedHeaders', rowId: lost.id }])
      const row = await store.db.mcpInstance.findUnique({ where: { id: lost.id } })
      expect(row?.sealedHeaders).toBe(lost.text)
    })
  })

  it('is refused with a wrong former key, before anything is changed', async () => {
    const read = await using(database.options, fill)
    await expect(openStore(withKeys(next, [randomBytes(32)]))).rejects.toThrow(/is not the key/)
    await using(database.options, async (store) => expect(await keyIds(store)).toEqual([store.sealer.keyId]))
    expect(await using(database.options, read)).toBeDefined()
  })
})

describe('a key that is kept in a file', () => {
  let database: Database
  let embedded: StoreOptions
  beforeEach(async () => {
    database = await makeDatabase('sqlite')
    embedded = { ...database.options, secrets: { ...database.options.secrets, masterKey: null } }
  })
  afterEach(() => database.remove())
  const key = (name = 'master.key') => readFile(resolve(embedded.config.dataDir, name), 'utf8')
  const keyFiles = async () => (await readdir(embedded.config.dataDir)).filter((name) => name.startsWith('master.key'))

  it('is changed step by step, and the store opens after each of them', async () => {
    const { read, before } = await using(embedded, async (store) => {
      const read = await fill(store)
      return { read, before: await read(store) }
    })
    const first = await key()
    expect(await isMasterKeyChanging(embedded.config)).toBe(false)
    await makeNextMasterKey(embedded.config)
    const second = await key('master.key.next')
    await makeNextMasterKey(embedded.config)
    expect(await key('master.key.next')).toBe(second)
    expect(await isMasterKeyChanging(embedded.config)).toBe(true)
    // As a product that is started in between: values of both keys, and nothing amiss.
    expect(await using(embedded, read)).toEqual(before)
    await using(embedded, resealAll)
    expect(await using(embedded, read)).toEqual(before)
    const kept = await finishMasterKeyChange(embedded.config)
    expect([await key(), await readFile(kept, 'utf8')]).toEqual([second, first])
    expect((await keyFiles()).length).toBe(2)
    expect(await using(embedded, read)).toEqual(before)
    await using(embedded, async (store) => expect(await keyIds(store)).toEqual([store.sealer.keyId]))
  })
})
