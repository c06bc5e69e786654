import { createWriteStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Child, freePort, startChild, waitUntilReady } from './children.ts'

/** Toolferry itself, in one process (`src/main.ts all`), as `npm start` runs it. */
export type Product = {
  origin: string
  /** Its first admin API key, and the file that it stands in. */
  adminKey: string
  adminKeyPath: string
  logPath: string
  child: Child
}

/** Getting a Temporal server may mean building it: minutes on a small machine. */
const READY_TIMEOUT_MS = 30 * 60_000
/** Long enough for the embedded Temporal server to close its database. */
export const STOP_GRACE_MS = 40_000

/** Starts it and waits until every role can serve; `onProgress` gets what it says meanwhile. */
export async function startProduct(
  dataDir: string,
  onStarted: (child: Child) => void,
  onProgress: (text: string) => void,
): Promise<Product> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const port = await freePort(8080)
  const logPath = join(dataDir, 'toolferry.log')
  const log = createWriteStream(logPath, { flags: 'a', mode: 0o600 })
  const child = startChild({
    name: 'Toolferry',
    args: [fileURLToPath(new URL('../src/main.ts', import.meta.url)), 'all'],
    env: {
      ...inheritedEnvironment(),
      TOOLFERRY_HOST: '127.0.0.1',
      TOOLFERRY_PORT: String(port),
      TOOLFERRY_DATA_DIR: dataDir,
      TOOLFERRY_TEMPORAL_PORT: String(await portOrZero(7233)),
      TOOLFERRY_TEMPORAL_UI_PORT: String(await portOrZero(8233)),
    },
    onLine: (line) => {
      log.write(`${line}\n`)
      onProgress(messageOf(line))
    },
  })
  onStarted(child)
  const origin = `http://127.0.0.1:${port}`
  await waitUntilReady(
    child,
    async () => {
      const response = await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(5_000) })
      await response.body?.cancel()
      if (response.status !== 200) throw new Error(`/readyz answers ${response.status}`)
    },
    READY_TIMEOUT_MS,
  )
  const adminKeyPath = join(dataDir, 'admin.key')
  const adminKey = (await readFile(adminKeyPath, 'utf8')).trim()
  return { origin, adminKey, adminKeyPath, logPath, child }
}

/** The shell's environment (proxies, PATH, TEMPORAL_*) without settings that would point the demo at another installation. */
function inheritedEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !entry[0].startsWith('TOOLFERRY_') && entry[0] !== 'DATABASE_URL',
  )
  return Object.fromEntries(entries)
}

async function portOrZero(preferred: number): Promise<number> {
  return (await freePort(preferred)) === preferred ? preferred : 0
}

/** The text of a JSON log line; another line as it is. */
function messageOf(line: string): string {
  try {
    const entry = JSON.parse(line) as { msg?: unknown }
    return typeof entry.msg === 'string' ? entry.msg : line
  } catch {
    return line
  }
}
