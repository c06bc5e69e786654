import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config.ts'
import { checkTokenFormat } from '../../src/domain/token.ts'
import { findApiKey, listApiKeys } from '../../src/store/api-keys.ts'
import { openHeaders } from '../../src/store/instances.ts'
import { openStore, type Store, type StoreOptions } from '../../src/store/store.ts'
import type { Logger } from '../../src/telemetry/logger.ts'
import { at, makeInstance } from './fixtures.ts'
import { ADMIN_KEY, ENGINES, makeDatabase } from './test-store.ts'

type Database = Awaited<ReturnType<typeof makeDatabase>>

describe.each(ENGINES)('keys on %s', (engine) => {
  let database: Database
  beforeEach(async () => {
    database = await makeDatabase(engine)
  })
  afterEach(() => database.remove())

  const withSecrets = (secrets: Partial<StoreOptions['secrets']>): StoreOptions => ({
    ...database.options,
    secrets: { ...database.options.secrets, ...secrets },
  })

  async function using<T>(options: StoreOptions, work: (store: Store) => Promise<T>): Promise<T> {
    const store = await openStore(options)
    try {
      return await work(store)
    } finally {
      await store.close()
    }
  }

  it('the pepper stays the same, so hashes and digests do', async () => {
    const read = (store: Store) => Promise.resolve([store.tokenHash('a token'), store.digest('a token')])
    const first = await using(database.options, read)
    expect(await using(database.options, read)).toEqual(first)
    expect(first[0]).toMatch(/^[0-9a-f]{64}$/)
    expect(first[0]).not.toBe(first[1])
  })

  it('a wrong master key is refused with what to do, and changes nothing', async () => {
    await using(database.options, async () => undefined)
    const wrong = openStore(withSecrets({ masterKey: randomBytes(32) }))
    await expect(wrong).rejects.toBeInstanceOf(ConfigError)
    await expect(wrong).rejects.toThrow(/TOOLFERRY_MASTER_KEY is not the key.*TOOLFERRY_RETIRED_MASTER_KEYS/)
    await using(database.options, async () => undefined)
  })

  it('a new master key opens with the former one retired, and from then on tells a third one apart', async () => {
    const former = database.options.secrets.masterKey
    if (former === null) throw new Error('the tests give a master key')
    const hash = await using(database.options, async (store) => store.tokenHash('x'))
    const instanceId = await using(
      database.options,
      async (store) => (await makeInstance(store, { headers: { a: 'b' } })).id,
    )
    const next = randomBytes(32)
    const rotated = withSecrets({ masterKey: next, retiredMasterKeys: [former] })
    await using(rotated, async (store) => {
      expect(store.tokenHash('x')).toBe(hash)
      expect(await openHeaders(store, instanceId)).toEqual({ a: 'b' })
    })
    // Canary and pepper have moved to the new key: the former one is not needed to start any more.
    await using(withSecrets({ masterKey: next }), async (store) => expect(store.tokenHash('x')).toBe(hash))
    await expect(openStore(database.options)).rejects.toThrow(/is not the key/)
  })

  it('the admin key is known, and another one replaces it', async () => {
    await using(database.options, async (store) => {
      expect(await findApiKey(store, ADMIN_KEY)).toMatchObject({ role: 'admin' })
      expect(await findApiKey(store, `${ADMIN_KEY}x`)).toBeNull()
    })
    const changed = 'another admin key with forty characters!'
    await using(withSecrets({ adminKey: changed }), async (store) => {
      expect(await findApiKey(store, ADMIN_KEY)).toBeNull()
      expect(await findApiKey(store, changed)).toMatchObject({ role: 'admin' })
    })
    await using(withSecrets({ adminKey: changed }), async (store) => {
      expect((await listApiKeys(store)).items).toHaveLength(2)
    })
  })

  it('nothing sealed or hashed stands in the clear in the database', async () => {
    await using(database.options, async (store) => {
      await makeInstance(store, { url: 'https://mcp.test/mcp?key=canary-value', headers: { a: 'canary-value' } })
      const settings = await store.db.setting.findMany()
      const keys = await store.db.apiKey.findMany()
      const instances = await store.db.mcpInstance.findMany()
      const all = JSON.stringify([settings, keys, instances])
      expect(all).not.toContain('canary-value')
      expect(all).not.toContain(ADMIN_KEY)
      expect(settings.map((row) => row.name).sort()).toEqual(['keyCanary', 'pepper'])
    })
  })
})

it('several processes may start at once on a fresh MySQL database, and agree', async () => {
  const database = await makeDatabase('mysql')
  try {
    const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(database.options)))
    expect(new Set(stores.map((store) => store.tokenHash('x'))).size).toBe(1)
    expect((await listApiKeys(at(stores, 0))).items).toHaveLength(1)
    for (const store of stores) await store.close()
  } finally {
    await database.remove()
  }
})

it('a failed query tells none of its values', async () => {
  const database = await makeDatabase('sqlite')
  const store = await openStore(database.options)
  try {
    const instance = await makeInstance(store)
    const data = { ...instance, url: 'canary-value' }
    // @ts-expect-error: not the shape of a row, which Prisma explains at length.
    const error = await store.write((tx) => tx.mcpInstance.create({ data })).catch((thrown: unknown) => thrown)
    expect(String(error)).toContain('Unknown argument `hasHeaders`')
    expect(error instanceof Error ? error.stack : '').not.toContain('canary-value')
  } finally {
    await store.close()
    await database.remove()
  }
})

describe('the embedded store', () => {
  let database: Database
  let embedded: StoreOptions
  let lines: string[]
  const children: ChildProcess[] = []

  beforeEach(async () => {
    database = await makeDatabase('sqlite')
    lines = []
    const note = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`)
    const logger: Logger = { debug: note, info: note, warn: note, error: note, child: () => logger }
    embedded = { ...database.options, secrets: { masterKey: null, retiredMasterKeys: [], adminKey: null }, logger }
  })
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    }
    await database.remove()
  })

  async function hold(): Promise<{ child: ChildProcess; said: string }> {
    const { databaseUrl, dataDir } = embedded.config
    const child = spawn(process.execPath, [resolve(import.meta.dirname, 'hold-store.ts'), databaseUrl, dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const [said] = await once(createInterface({ input: child.stdout }), 'line')
    return { child, said: String(said) }
  }

  it('makes its keys, for its owner only, and logs where they are but not what', async () => {
    const store = await openStore(embedded)
    const { dataDir } = embedded.config
    const adminKey = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim()
    const masterKey = (await readFile(join(dataDir, 'master.key'), 'utf8')).trim()
    expect((await stat(join(dataDir, 'admin.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(dataDir, 'master.key'))).mode & 0o777).toBe(0o600)
    expect(checkTokenFormat(adminKey)).toBe('tfa')
    expect(Buffer.from(masterKey, 'base64')).toHaveLength(32)
    expect(await findApiKey(store, adminKey)).toMatchObject({ role: 'admin' })
    expect(lines.join('\n')).toContain(join(dataDir, 'admin.key'))
    expect(lines.join('\n')).not.toContain(adminKey)
    expect(lines.join('\n')).not.toContain(masterKey)
    await store.close()
  })

  it('opens again with them, and takes back what others could read', async () => {
    const first = await openStore(embedded)
    const hash = first.tokenHash('x')
    await first.close()
    await chmod(join(embedded.config.dataDir, 'master.key'), 0o644)
    const second = await openStore(embedded)
    expect(second.tokenHash('x')).toBe(hash)
    expect((await stat(join(embedded.config.dataDir, 'master.key'))).mode & 0o777).toBe(0o600)
    expect(lines.join('\n')).toMatch(/others could read/)
    await second.close()
  })

  it('says that its master key is missing or wrong instead of making a new one', async () => {
    await (await openStore(embedded)).close()
    const path = join(embedded.config.dataDir, 'master.key')
    const key = await readFile(path)
    await rm(path)
    await expect(openStore(embedded)).rejects.toThrow(/master\.key is missing/)
    await expect(stat(path)).rejects.toThrow(/ENOENT/)
    await writeFile(path, randomBytes(32).toString('base64'), { mode: 0o600 })
    await expect(openStore(embedded)).rejects.toThrow(/master\.key is not the master key/)
    await writeFile(path, 'short', { mode: 0o600 })
    await expect(openStore(embedded)).rejects.toThrow(/32 bytes/)
    await writeFile(path, key, { mode: 0o600 })
    await (await openStore(embedded)).close()
  })

  it('belongs to one process: a second one is refused, told why and by whom', async () => {
    const store = await openStore(embedded)
    const second = await hold()
    expect(second.said).toMatch(/^refused: .*is in use by process \d+/)
    expect(second.said).toContain(String(process.pid))
    expect(second.said).toContain('DATABASE_URL=mysql://')
    // Not even in the same process.
    await expect(openStore(embedded)).rejects.toThrow(/is in use by process/)
    await store.close()
    expect((await hold()).said).toBe('open')
  })

  it('a holder that was killed does not stand in the way, whoever has its pid now', async () => {
    const holder = await hold()
    expect(holder.said).toBe('open')
    await expect(openStore(embedded)).rejects.toThrow(new RegExp(`in use by process ${holder.child.pid}`))
    holder.child.kill('SIGKILL')
    await once(holder.child, 'exit')
    const pidPath = `${embedded.config.databaseUrl.slice('file:'.length)}.pid`
    expect(await readFile(pidPath, 'utf8')).toBe(`${holder.child.pid}\n`)
    // The pid of a process that lives, as after a reboot.
    await writeFile(pidPath, '1\n')
    const store = await openStore(embedded)
    expect(await readFile(pidPath, 'utf8')).toBe(`${process.pid}\n`)
    await store.close()
    await expect(stat(pidPath)).rejects.toThrow(/ENOENT/)
  })

  it('what was committed is there after a SIGKILL', async () => {
    const holder = await hold()
    holder.child.kill('SIGKILL')
    await once(holder.child, 'exit')
    const store = await openStore(embedded)
    const adminKey = (await readFile(join(embedded.config.dataDir, 'admin.key'), 'utf8')).trim()
    expect(await findApiKey(store, adminKey)).toMatchObject({ role: 'admin' })
    await store.close()
  })
})
