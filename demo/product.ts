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
  /** The console, signing in once, for ten minutes from the start on; null while it is not ready. */
  consoleUrl: () => string | null
  child: Child
}

/** Getting a Temporal server may mean building it: minutes on a small machine. */
const READY_TIMEOUT_MS = 30 * 60_000
/** Long enough for the embedded Temporal server to close its database. */
export const STOP_GRACE_MS = 40_000

type Ports = { api: number; temporal: number; temporalUi: number }
type ProductOptions = { dataDir: string; forRealDify: boolean }

/** Starts it and waits until every role can serve; `onProgress` gets what it says meanwhile. */
export async function startProduct(
  options: ProductOptions,
  onStarted: (child: Child) => void,
  onProgress: (text: string) => void,
): Promise<Product> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  const usual = {
    api: await freePort(8080),
    temporal: await portOrZero(7233),
    temporalUi: await portOrZero(8233),
  }
  const first = startOnPorts(options, usual, onProgress)
  onStarted(first.child)
  try {
    return await first.ready()
  } catch (error) {
    // Between our look and its start, another program may have taken one of the usual ports.
    if (!first.child.lastLines().some((line) => line.includes('in use'))) throw error
    const second = startOnPorts(options, { api: await freePort(), temporal: 0, temporalUi: 0 }, onProgress)
    onStarted(second.child)
    return second.ready()
  }
}

function startOnPorts(
  { dataDir, forRealDify }: ProductOptions,
  ports: Ports,
  onProgress: (text: string) => void,
): { child: Child; ready: () => Promise<Product> } {
  const logPath = join(dataDir, 'toolferry.log')
  const log = createWriteStream(logPath, { flags: 'a', mode: 0o600 })
  // A full disk costs the log, not the demo.
  log.on('error', () => undefined)
  let consoleUrl: string | null = null
  const child = startChild({
    name: 'Toolferry',
    args: [fileURLToPath(new URL('../src/main.ts', import.meta.url)), 'all'],
    env: {
      ...inheritedEnvironment(forRealDify),
      TOOLFERRY_PORT: String(ports.api),
      TOOLFERRY_DATA_DIR: dataDir,
      TOOLFERRY_TEMPORAL_PORT: String(ports.temporal),
      TOOLFERRY_TEMPORAL_UI_PORT: String(ports.temporalUi),
    },
    onLine: (line) => {
      log.write(`${line}\n`)
      consoleUrl ??= /^\s*Console\s+(http\S+)/.exec(line)?.[1] ?? null
      onProgress(messageOf(line))
    },
  })
  const origin = `http://127.0.0.1:${ports.api}`
  const adminKeyPath = join(dataDir, 'admin.key')
  const ready = async () => {
    let adminKey = ''
    await waitUntilReady(
      child,
      async () => {
        await expectOk(`${origin}/readyz`)
        adminKey = (await readFile(adminKeyPath, 'utf8')).trim()
        // Ours, not another Toolferry that has the port.
        await expectOk(`${origin}/api/v1/me`, adminKey)
      },
      READY_TIMEOUT_MS,
    )
    return { origin, adminKey, adminKeyPath, logPath, consoleUrl: () => consoleUrl, child }
  }
  return { child, ready }
}

async function expectOk(url: string, apiKey?: string): Promise<void> {
  const response = await fetch(url, {
    headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
    signal: AbortSignal.timeout(5_000),
  })
  await response.body?.cancel()
  if (response.status !== 200) throw new Error(`${url} answers ${response.status}`)
}

/**
 * The shell's environment (proxies, PATH, TEMPORAL_*) without settings that would point the demo at another installation.
 * A real Dify must reach the gateway, so there the settings for that are kept; the demo's MCP servers stay on loopback.
 */
function inheritedEnvironment(forRealDify: boolean): Record<string, string> {
  const kept = forRealDify ? ['TOOLFERRY_HOST', 'TOOLFERRY_PUBLIC_URL'] : []
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      entry[0] !== 'DATABASE_URL' &&
      (!entry[0].startsWith('TOOLFERRY_') || kept.includes(entry[0])),
  )
  return { TOOLFERRY_HOST: '127.0.0.1', TOOLFERRY_EGRESS_ALLOW: '127.0.0.0/8', ...Object.fromEntries(entries) }
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
