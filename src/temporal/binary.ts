import { execFile } from 'node:child_process'
import { access, constants, mkdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { SystemEnvironment } from '../config.ts'
import { ToolferryError } from '../domain/errors.ts'
import { buildTemporal } from './binary-build.ts'
import { downloadTemporal } from './binary-download.ts'
import { withFileLock } from './file-lock.ts'
import { TEMPORAL_VERSION } from './version.ts'

const run = promisify(execFile)

/** The oldest server inside a CLI that we use: 1.28 is the first with all that SDK 1.24 asks for (engineering.md §B.10). */
const OLDEST_SERVER = { major: 1, minor: 28 }

export type TemporalBinary = {
  path: string
  source: 'path' | 'cache' | 'download' | 'build'
  /** Of the server inside, such as `1.29.1`. */
  serverVersion: string
}

/** Makes the binary at `destination`, or throws an Error whose message says why not. */
export type ObtainBinary = (
  destination: string,
  options: { environment: SystemEnvironment; onProgress: (line: string) => void },
) => Promise<void>

export type FindTemporalOptions = {
  environment: SystemEnvironment
  /** Told in plain lines what takes time. */
  onProgress: (line: string) => void
  /** Replaced by tests. */
  download?: ObtainBinary
  build?: ObtainBinary
}

/**
 * The `temporal` binary to run, by the ladder of architecture §11: PATH, our cache, the official download, a build from
 * source. What is downloaded or built lands in the cache in one step; two processes do it once. Throws `Unavailable`
 * naming every attempt and what to install.
 */
export async function findTemporalBinary(options: FindTemporalOptions): Promise<TemporalBinary> {
  const { environment, onProgress } = options
  const failures: string[] = []
  const probe = async (path: string, source: TemporalBinary['source']): Promise<TemporalBinary | null> => {
    const verdict = await judgeBinary(path, environment)
    if ('serverVersion' in verdict) return { path, source, serverVersion: verdict.serverVersion }
    failures.push(`${path}: ${verdict.reason}`)
    return null
  }

  const onPath = await findOnPath(environment)
  if (onPath === null) failures.push('temporal on PATH: not there')
  const installed = onPath === null ? null : await probe(onPath, 'path')
  if (installed !== null) return installed

  const cacheDir = temporalCacheDir(environment)
  const cachedPath = join(cacheDir, `temporal-${TEMPORAL_VERSION}${executableSuffix}`)
  const cached = async () => ((await isExecutable(cachedPath)) ? await probe(cachedPath, 'cache') : null)
  const early = await cached()
  if (early !== null) return early

  const obtain = async (source: 'download' | 'build', make: ObtainBinary): Promise<TemporalBinary | null> => {
    const draft = `${cachedPath}.${process.pid}.${source}`
    try {
      await make(draft, { environment, onProgress })
      const verdict = await judgeBinary(draft, environment)
      if ('reason' in verdict) throw new Error(verdict.reason)
      await rename(draft, cachedPath)
      return { path: cachedPath, source, serverVersion: verdict.serverVersion }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      failures.push(`${source}: ${reason}`)
      onProgress(`Temporal server: ${source} not possible (${reason})`)
      return null
    } finally {
      await rm(draft, { force: true })
    }
  }
  await mkdir(cacheDir, { recursive: true })
  const found = await withFileLock(
    `${cachedPath}.lock`,
    (pid) => onProgress(`Temporal server: waiting for process ${pid}, which is getting it`),
    async () =>
      (await cached()) ??
      (await obtain('download', options.download ?? downloadTemporal)) ??
      (await obtain('build', options.build ?? buildTemporal)),
  )
  if (found !== null) return found
  throw new ToolferryError(
    'Unavailable',
    [
      'No Temporal server could be found, downloaded or built:',
      ...failures.map((failure) => `  - ${failure}`),
      `Install the Temporal CLI ${TEMPORAL_VERSION} or newer so that \`temporal\` is on PATH (https://docs.temporal.io/cli),`,
      'or Go 1.21 or newer so that it can be built, or set TEMPORAL_ADDRESS to a cluster that you already have.',
    ].join('\n'),
  )
}

/** `<user cache dir>/toolferry/temporal`: XDG on Linux, ~/Library/Caches on macOS, LocalAppData on Windows. */
export function temporalCacheDir(environment: SystemEnvironment): string {
  const home = environment.HOME ?? environment.USERPROFILE ?? homedir()
  const base =
    environment.XDG_CACHE_HOME ??
    (process.platform === 'darwin'
      ? join(home, 'Library', 'Caches')
      : process.platform === 'win32'
        ? (environment.LOCALAPPDATA ?? join(home, 'AppData', 'Local'))
        : join(home, '.cache'))
  return join(base, 'toolferry', 'temporal')
}

const executableSuffix = process.platform === 'win32' ? '.exe' : ''

async function findOnPath(environment: SystemEnvironment): Promise<string | null> {
  for (const dir of (environment.PATH ?? environment.Path ?? '').split(delimiter)) {
    const candidate = join(dir, `temporal${executableSuffix}`)
    if (dir !== '' && (await isExecutable(candidate))) return candidate
  }
  return null
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Runs `--version`: `temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)`. A build from source calls itself 0.0.0-DEV, so the server counts. */
async function judgeBinary(
  path: string,
  environment: SystemEnvironment,
): Promise<{ serverVersion: string } | { reason: string }> {
  let output: string
  try {
    output = (await run(path, ['--version'], { env: environment, timeout: 20_000 })).stdout
  } catch {
    return { reason: 'does not run on this machine' }
  }
  const match = /Server (\d+)\.(\d+)\.(\d+)/.exec(output)
  if (match === null) return { reason: 'is not the Temporal CLI' }
  const [, major, minor, patch] = match.map(Number)
  const serverVersion = `${major}.${minor}.${patch}`
  const usable =
    Number(major) > OLDEST_SERVER.major || (major === OLDEST_SERVER.major && Number(minor) >= OLDEST_SERVER.minor)
  const oldest = `${OLDEST_SERVER.major}.${OLDEST_SERVER.minor}`
  return usable ? { serverVersion } : { reason: `its server ${serverVersion} is older than ${oldest}` }
}
