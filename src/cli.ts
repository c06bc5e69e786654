import { ConfigError, readConfig } from './config.ts'
import { ToolferryError } from './domain/errors.ts'
import { writeBackup } from './store/backup.ts'
import { finishMasterKeyChange, isMasterKeyChanging, makeNextMasterKey } from './store/keys.ts'
import { type Resealed, resealAll } from './store/reseal.ts'
import { restoreBackup } from './store/restore.ts'
import { openStore, type StoreOptions } from './store/store.ts'
import { createLogger } from './telemetry/logger.ts'

/** What is done to a store by hand: `npm run toolferry -- <command>`. Reads the same environment as the product. */

const USAGE = `Usage: npm run toolferry -- <command>
  backup <file>    write all of the store into a new file; the product may go on beside it
  restore <file>   fill an empty database with a backup
  reseal           seal everything with the present master key; the former one can go then`

const say = (line: string) => process.stdout.write(`${line}\n`)

async function main(): Promise<void> {
  const [command, file, ...rest] = process.argv.slice(2)
  process.umask(0o077)
  const { config, secrets } = readConfig('all')
  const options: StoreOptions = { config, secrets, logger: createLogger({ level: 'warn', role: 'cli' }) }
  if (command === 'reseal' && file === undefined) return await reseal(options)
  if (command === 'backup' && file !== undefined && rest.length === 0) {
    const { rows, sizeBytes } = await writeBackup(options, file)
    return void say(
      `${file}: ${rows} rows, ${sizeBytes} bytes. Its secrets are sealed: without the master key it cannot be used, so keep that elsewhere.`,
    )
  }
  if (command === 'restore' && file !== undefined && rest.length === 0) {
    const { rows, madeAt } = await restoreBackup(options, file)
    return void say(
      `${rows} rows restored, as they were on ${madeAt.toISOString()}. Start Toolferry, then plan a sync of every platform ("dryRun": true).`,
    )
  }
  throw new ConfigError(USAGE)
}

/** With keys in files (the embedded default) it also makes the new key, and puts it in the place of the former one. */
async function reseal(options: StoreOptions): Promise<void> {
  const { config, secrets } = options
  const keptInFile = secrets.masterKey === null
  if (keptInFile && !(await isMasterKeyChanging(config))) {
    // First of all the present key has to be the right one.
    await (await openStore(options)).close()
    await makeNextMasterKey(config)
  }
  const store = await openStore(options)
  let done: Resealed
  try {
    done = await resealAll(store)
  } finally {
    await store.close()
  }
  say(`${done.resealed} sealed values are sealed with the present master key now.`)
  if (done.unreadable.length > 0) {
    const places = done.unreadable.map(({ table, column, rowId }) => `  ${table}.${column} of ${rowId}`)
    throw new ConfigError(
      [
        `${done.unreadable.length} values were sealed with a key that is not given, and stay as they are. Give that key in TOOLFERRY_RETIRED_MASTER_KEYS and run this again, or set these values anew:`,
        ...places,
      ].join('\n'),
    )
  }
  if (!done.complete) {
    throw new ConfigError(
      'Other processes go on sealing with the former key. Restart them with the present one first (and the former one in TOOLFERRY_RETIRED_MASTER_KEYS), then run this again.',
    )
  }
  if (keptInFile) {
    const former = await finishMasterKeyChange(config)
    say(`The former key is ${former}: keep it with the backups that were made before, elsewhere, and delete it here.`)
  } else {
    say(
      'No other key is needed once every process runs with the present one: then take the former one out of TOOLFERRY_RETIRED_MASTER_KEYS, and keep it with the backups that were made before.',
    )
  }
}

try {
  await main()
} catch (error) {
  const known = error instanceof ConfigError || error instanceof ToolferryError
  process.stderr.write(`${known ? error.message : error instanceof Error ? error.stack : String(error)}\n`)
  process.exitCode = 1
}
