import { ConfigError } from '../config.ts'
import type { Db } from './client.ts'
import { getSetting } from './settings.ts'

/** Stands among the settings while a backup is being restored: what is there is not all yet. */
export const RESTORING = 'restoring'

/** Throws ConfigError when a restore was begun and not finished: half a store must not be started. */
export async function refuseHalfRestored(db: Db): Promise<void> {
  if ((await getSetting(db, RESTORING)) === null) return
  throw new ConfigError(
    'A restore into this database was begun and not finished. Empty it (delete the file, or drop and create the MySQL database) and restore again.',
  )
}
