import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SystemEnvironment } from '../config.ts'
import { TEMPORAL_VERSION } from './version.ts'

const MODULE_DIR = fileURLToPath(new URL('../../tools/temporal', import.meta.url))
const PROGRESS_EVERY_MS = 15_000
/** Packages of a cold build of 1.5.1; for the progress lines only. */
const PACKAGES_ABOUT = 1_300

export type BuildOptions = { environment: SystemEnvironment; onProgress: (line: string) => void }

/**
 * Builds `temporal` from source with the Go tool module in tools/temporal (about 5 minutes on 2 cores, seconds when Go's
 * own cache is warm). Throws an Error that says why not, with Go's last line.
 */
export async function buildTemporal(destination: string, options: BuildOptions): Promise<void> {
  const startedMs = Date.now()
  let packages = 0
  let lastLine = ''
  const tell = () => {
    const seconds = Math.round((Date.now() - startedMs) / 1000)
    options.onProgress(
      `Temporal server: building ${TEMPORAL_VERSION} from source, ${packages} of about ${PACKAGES_ABOUT} packages, ${seconds} s`,
    )
  }
  options.onProgress(`Temporal server: building ${TEMPORAL_VERSION} from source with Go; once, up to 10 minutes`)
  const timer = setInterval(tell, PROGRESS_EVERY_MS)
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      const version = `-X github.com/temporalio/cli/temporalcli.Version=${TEMPORAL_VERSION}`
      const child = spawn(
        'go',
        ['build', '-v', '-ldflags', `-s -w ${version}`, '-o', destination, 'github.com/temporalio/cli/cmd/temporal'],
        { cwd: MODULE_DIR, env: options.environment, stdio: ['ignore', 'ignore', 'pipe'] },
      )
      child.stderr.setEncoding('utf8')
      child.stderr.on('data', (text: string) => {
        const lines = text.split('\n').filter((line) => line.trim() !== '')
        // With -v, Go prints one line a package; its own messages start with "go:" or hold a space.
        packages += lines.filter((line) => !line.includes(' ')).length
        lastLine = lines.at(-1) ?? lastLine
      })
      child.once('error', reject)
      child.once('close', resolve)
    })
    if (code !== 0) throw new Error(`go build ended with ${code}: ${lastLine.slice(0, 200)}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error('Go is not installed')
    throw error
  } finally {
    clearInterval(timer)
  }
}
