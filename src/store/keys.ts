import { randomBytes } from 'node:crypto'
import { link, rename } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Config, ConfigError, type Secrets } from '../config.ts'
import { type KeyFile, readKeyFile, readOrMakeKeyFile } from '../crypto/key-file.ts'
import { createKeyring } from '../crypto/keyring.ts'
import { createSealer, SealError, type Sealer } from '../crypto/sealer.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Db } from './client.ts'
import { getSetting, putSettingIfAbsent, setSetting } from './settings.ts'
import type { Write } from './transaction.ts'

/** Which master key a store is opened with, and how a wrong one is told. */

type Place = Pick<Config, 'databaseUrl' | 'dataDir'>
type Keys = Pick<Secrets, 'masterKey' | 'retiredMasterKeys'>
type Base = { db: Db; write: Write }

const CANARY = { table: 'Setting', column: 'value', rowId: 'keyCanary' }
const CANARY_TEXT = 'toolferry'
const PEPPER = { table: 'Setting', column: 'value', rowId: 'pepper' }

/** The canary tells a wrong master key before anything is sealed with it. Canary and pepper of a retired key are sealed anew. */
export async function openSealer(base: Base, config: Place, keys: Keys, logger: Logger): Promise<Sealer> {
  const canary = await getSetting(base.db, CANARY.rowId)
  const sealer = await sealerFor(config, keys, canary !== null, logger)
  const known = canary ?? (await putSettingIfAbsent(base, CANARY.rowId, sealer.seal(CANARY, CANARY_TEXT)))
  checkCanary(sealer, known, config, keys)
  if (sealer.isStale(known)) await setSetting(base, CANARY.rowId, sealer.seal(CANARY, CANARY_TEXT))
  return sealer
}

/** For what reads a store and changes nothing: the sealed canary, and the sealer that opens it. Throws ConfigError. */
export async function openSealerToRead(
  canary: string | null,
  config: Place,
  keys: Keys,
  logger: Logger,
): Promise<{ canary: string; sealer: Sealer }> {
  if (canary === null) throw new ConfigError('The database has never been started: there is no key in it to check.')
  const sealer = await sealerFor(config, keys, true, logger)
  checkCanary(sealer, canary, config, keys)
  return { canary, sealer }
}

export async function readCanary(db: Db): Promise<string | null> {
  return await getSetting(db, CANARY.rowId)
}

/** What hashes and digests are keyed with; made when the store is new. */
export async function openPepper(base: Base, sealer: Sealer): Promise<Buffer> {
  const sealed =
    (await getSetting(base.db, PEPPER.rowId)) ??
    (await putSettingIfAbsent(base, PEPPER.rowId, sealer.seal(PEPPER, randomBytes(32).toString('base64'))))
  const text = sealer.open(PEPPER, sealed)
  if (sealer.isStale(sealed)) await setSetting(base, PEPPER.rowId, sealer.seal(PEPPER, text))
  return Buffer.from(text, 'base64')
}

/**
 * Begins a change of a key that is kept in a file: the new one lies beside it, and from then on seals, while the former one still
 * opens. Begun before and not ended: the same new key.
 */
export async function makeNextMasterKey(config: Place): Promise<void> {
  await readOrMakeKeyFile(nextKeyPath(config), newMasterKey)
}

export async function isMasterKeyChanging(config: Place): Promise<boolean> {
  return (await readKeyFile(nextKeyPath(config))) !== null
}

/** Nothing is sealed with the former key any more: the new one takes its place. Answers where the former one is kept. */
export async function finishMasterKeyChange(config: Place, at: Date = new Date()): Promise<string> {
  const former = `${masterKeyPath(config)}.former-${at.toISOString().replaceAll(/[:.]/g, '-')}`
  await link(masterKeyPath(config), former)
  // Replaces it at once: at no moment is there none.
  await rename(nextKeyPath(config), masterKeyPath(config))
  return former
}

export function logKeyFile(file: KeyFile, path: string, what: string, logger: Logger): void {
  if (file.created) logger.info({ path }, `the ${what} was made: ${path}, which only its owner can read`)
  if (file.permissionsCorrected) logger.warn({ path }, `others could read the ${what}; the permissions were corrected`)
}

function checkCanary(sealer: Sealer, canary: string, config: Place, keys: Keys): void {
  try {
    sealer.open(CANARY, canary)
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    throw new ConfigError(
      keys.masterKey === null
        ? `${masterKeyPath(config)} is not the master key that this database was sealed with. Put the right file back.`
        : 'TOOLFERRY_MASTER_KEY is not the key that this database was sealed with. Give the right one; after a change of keys, also give the former one in TOOLFERRY_RETIRED_MASTER_KEYS.',
    )
  }
}

async function sealerFor(config: Place, keys: Keys, sealedBefore: boolean, logger: Logger): Promise<Sealer> {
  if (keys.masterKey !== null) return createSealer(createKeyring(keys.masterKey, keys.retiredMasterKeys))
  if (!config.databaseUrl.startsWith('file:')) throw new ConfigError('A MySQL store needs TOOLFERRY_MASTER_KEY.')
  const next = await readKeyFile(nextKeyPath(config))
  const present = await embeddedMasterKey(config, sealedBefore, logger)
  if (next === null) return createSealer(createKeyring(present, keys.retiredMasterKeys))
  // A change of keys was begun (npm run toolferry -- reseal) and is to be ended by doing it again.
  const changing = decodeKey(next.text, nextKeyPath(config))
  return createSealer(createKeyring(changing, [present, ...keys.retiredMasterKeys]))
}

async function embeddedMasterKey(config: Place, sealedBefore: boolean, logger: Logger): Promise<Buffer> {
  const path = masterKeyPath(config)
  // Never a new key for a database that has secrets: it would stand where the right one is to be put back.
  const file = sealedBefore ? await readKeyFile(path) : await readOrMakeKeyFile(path, newMasterKey)
  if (file === null) {
    throw new ConfigError(
      `The database has sealed secrets, but its master key ${path} is missing. Put the file back, or give the key in TOOLFERRY_MASTER_KEY.`,
    )
  }
  logKeyFile(file, path, 'master key', logger)
  return decodeKey(file.text, path)
}

function decodeKey(text: string, path: string): Buffer {
  const key = Buffer.from(text, 'base64')
  if (key.length !== 32) throw new ConfigError(`${path} does not hold 32 bytes in base64. Put the right file back.`)
  return key
}

function newMasterKey(): string {
  return randomBytes(32).toString('base64')
}

function masterKeyPath(config: Place): string {
  return resolve(config.dataDir, 'master.key')
}

function nextKeyPath(config: Place): string {
  return resolve(config.dataDir, 'master.key.next')
}
