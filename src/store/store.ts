import { createHmac } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type Config, ConfigError, type Secrets } from '../config.ts'
import { readOrMakeKeyFile } from '../crypto/key-file.ts'
import { deriveKey } from '../crypto/keyring.ts'
import type { Sealer } from '../crypto/sealer.ts'
import { mintToken } from '../domain/token.ts'
import type { Logger } from '../telemetry/logger.ts'
import { ensureAdminKey } from './api-keys.ts'
import { type Db, type Engine, type OpenClient, openMysqlClient, openSqliteClient, sqlitePath } from './client.ts'
import { logKeyFile, openPepper, openSealer } from './keys.ts'
import { migrateMysql, migrateSqlite } from './migrate.ts'
import { lockSqliteFile } from './process-lock.ts'
import { refuseHalfRestored } from './restoring.ts'
import { createWrite, type Write } from './transaction.ts'

export type { Db, Tx } from './client.ts'

/** The only shared state of the product: what the repositories beside this file work on. */
export type Store = {
  engine: Engine
  /** For reading. */
  db: Db
  /**
   * A short write transaction; no network inside, no effect outside it. Run again after a deadlock. `retryUnique` also
   * runs it again after a unique violation, for "insert what is missing".
   */
  write: Write
  sealer: Sealer
  logger: Logger
  /** HMAC-SHA-256 of a secret with the installation's pepper, hex: how tokens and keys are looked up. */
  tokenHash(secret: string): string
  /** A keyed digest, hex: compares values without keeping them. */
  digest(text: string): string
  /** Told after every commit of this process that changed what the gateway must see. */
  onRevision(listener: (revision: number) => void): () => void
  /** Told after every commit of this process that appended to the sync's events; read them with listSyncEvents. */
  onSyncEvent(syncId: string, listener: (seq: number) => void): () => void
  /** What the repositories tell the listeners with. */
  emit: { revision(revision: number): void; syncEvent(syncId: string, seq: number): void }
  close(): Promise<void>
}

export type StoreOptions = {
  config: Pick<Config, 'databaseUrl' | 'dataDir'>
  secrets: Pick<Secrets, 'masterKey' | 'retiredMasterKeys' | 'adminKey'>
  logger: Logger
}

/**
 * Opens the store: one process a SQLite file, migrations applied, keys checked, the admin key known. Throws ConfigError
 * with what to do: the file is in use, the database is newer than the code, the master key is wrong or missing.
 */
export async function openStore({ config, secrets, logger }: StoreOptions): Promise<Store> {
  const { client, release } = await openClient(config.databaseUrl)
  try {
    const write = createWrite(client, (error) => logger.error({ err: error }, 'a listener of the store failed'))
    const base = { db: client.reader, write }
    await refuseHalfRestored(base.db)
    const sealer = await openSealer(base, config, secrets, logger)
    const pepper = await openPepper(base, sealer)
    const tokenKey = deriveKey(pepper, 'token hash')
    const digestKey = deriveKey(pepper, 'digest')
    const listeners = new EventEmitter().setMaxListeners(0)
    const on = (event: string, listener: (value: number) => void) => {
      listeners.on(event, listener)
      return () => void listeners.off(event, listener)
    }
    const store: Store = {
      engine: client.engine,
      ...base,
      sealer,
      logger,
      tokenHash: (secret) => createHmac('sha256', tokenKey).update(secret).digest('hex'),
      digest: (text) => createHmac('sha256', digestKey).update(text).digest('hex'),
      onRevision: (listener) => on('revision', listener),
      onSyncEvent: (syncId, listener) => on(`sync:${syncId}`, listener),
      emit: {
        revision: (revision) => void listeners.emit('revision', revision),
        syncEvent: (syncId, seq) => void listeners.emit(`sync:${syncId}`, seq),
      },
      async close() {
        listeners.removeAllListeners()
        await client.close()
        await release()
      },
    }
    const adminKey = secrets.adminKey ?? (await embeddedAdminKey(config, logger))
    await ensureAdminKey(store, adminKey)
    return store
  } catch (error) {
    await client.close()
    await release()
    throw error
  }
}

async function openClient(databaseUrl: string): Promise<{ client: OpenClient; release: () => Promise<void> }> {
  if (!databaseUrl.startsWith('file:')) {
    await migrateMysql(databaseUrl)
    return { client: openMysqlClient(databaseUrl), release: async () => undefined }
  }
  const path = sqlitePath(databaseUrl)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const release = await lockSqliteFile(path)
  try {
    await migrateSqlite(path)
    return { client: openSqliteClient(path), release }
  } catch (error) {
    await release()
    throw error
  }
}

async function embeddedAdminKey(config: StoreOptions['config'], logger: Logger): Promise<string> {
  if (!config.databaseUrl.startsWith('file:')) throw new ConfigError('A MySQL store needs TOOLFERRY_ADMIN_KEY.')
  const path = resolve(config.dataDir, 'admin.key')
  const file = await readOrMakeKeyFile(path, () => mintToken('tfa'))
  logKeyFile(file, path, 'admin API key', logger)
  if (file.text.length < 32)
    throw new ConfigError(`${path} holds fewer than 32 characters. Delete the file to get a new key.`)
  return file.text
}
