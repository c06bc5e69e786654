import { openStore } from '../../src/store/store.ts'
import { createLogger } from '../../src/telemetry/logger.ts'

/** A process of its own that opens the store named in its arguments, says so, and holds it until it is killed. */

const [databaseUrl, dataDir] = process.argv.slice(2)
if (databaseUrl === undefined || dataDir === undefined) throw new Error('usage: hold-store <database url> <data dir>')
try {
  await openStore({
    config: { databaseUrl, dataDir },
    secrets: { masterKey: null, retiredMasterKeys: [], adminKey: null },
    logger: createLogger({ level: 'silent', role: 'test' }),
  })
  process.stdout.write('open\n')
  setInterval(() => undefined, 60_000)
} catch (error) {
  process.stdout.write(`refused: ${error instanceof Error ? error.message : String(error)}\n`)
}
