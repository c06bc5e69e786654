import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { EnvHttpProxyAgent, interceptors, request } from 'undici'
import type { SystemEnvironment } from '../config.ts'
import { TEMPORAL_VERSION } from './version.ts'

const run = promisify(execFile)

/** SHA-256 of the official release archives of TEMPORAL_VERSION (checksums.txt of the release). */
const ARCHIVE_SHA256: Record<string, string> = {
  linux_amd64: 'ddc95e08b0b076efd4ea9733a3f488eb7d2be875f8834e616cd2a37358b4852d',
  linux_arm64: 'bd1b0db9f18b051026de8bf6cc1505f2510f14bbb7a8b9a4a91fff46c77454f5',
  darwin_amd64: 'bbb73e2a31135abe50a1f1cdb35030c42961df618e8ce9c60ae89f201540c5d9',
  darwin_arm64: 'cca01b7ea35ad56e2a328d9ae596bf716bd22313ef63c7a761c88354457c2415',
}

export type DownloadOptions = {
  environment: SystemEnvironment
  onProgress: (line: string) => void
  /** Replaced by tests. */
  baseUrl?: string
  sha256?: Record<string, string>
}

/**
 * Fetches the official archive, checks it against the pinned SHA-256 and unpacks `temporal` to `destination`. Gives up
 * after 8 s without an answer, 20 s without a byte, or 10 minutes in all. Throws an Error that says why.
 */
export async function downloadTemporal(destination: string, options: DownloadOptions): Promise<void> {
  const platform = `${process.platform}_${process.arch === 'x64' ? 'amd64' : process.arch}`
  const expected = (options.sha256 ?? ARCHIVE_SHA256)[platform]
  if (expected === undefined) throw new Error(`no official archive is known for ${platform}`)
  const base = options.baseUrl ?? 'https://github.com/temporalio/cli/releases/download'
  const url = `${base}/v${TEMPORAL_VERSION}/temporal_cli_${TEMPORAL_VERSION}_${platform}.tar.gz`
  options.onProgress(`Temporal server: downloading ${TEMPORAL_VERSION}`)

  const workDir = await mkdtemp(join(dirname(destination), 'download-'))
  const agent = proxyAgent(options.environment)
  try {
    const archive = join(workDir, 'archive.tar.gz')
    const digest = await fetchTo(archive, url, agent, options.onProgress)
    if (digest !== expected) throw new Error('what arrived is not the official archive (SHA-256 differs)')
    await run('tar', ['-xzf', archive, '-C', workDir, 'temporal'])
    await rename(join(workDir, 'temporal'), destination)
  } finally {
    await agent.destroy()
    await rm(workDir, { recursive: true, force: true })
  }
}

/** Undici's own agent would read process.env; ours is told. */
function proxyAgent(environment: SystemEnvironment): EnvHttpProxyAgent {
  return new EnvHttpProxyAgent({
    httpProxy: environment.http_proxy ?? environment.HTTP_PROXY ?? '',
    httpsProxy: environment.https_proxy ?? environment.HTTPS_PROXY ?? '',
    noProxy: environment.no_proxy ?? environment.NO_PROXY ?? '',
    connect: { timeout: 8_000 },
  })
}

async function fetchTo(
  path: string,
  url: string,
  agent: EnvHttpProxyAgent,
  onProgress: (line: string) => void,
): Promise<string> {
  const response = await request(url, {
    dispatcher: agent.compose(interceptors.redirect({ maxRedirections: 5 })),
    headersTimeout: 8_000,
    bodyTimeout: 20_000,
    signal: AbortSignal.timeout(600_000),
  }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${new URL(url).host} cannot be reached (${error.code ?? error.name})`)
  })
  if (response.statusCode !== 200) {
    await response.body.dump()
    throw new Error(`${new URL(url).host} answered ${response.statusCode}`)
  }
  const sizeBytes = Number(response.headers['content-length'] ?? 0)
  const hash = createHash('sha256')
  let receivedBytes = 0
  let toldPercent = 0
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      receivedBytes += chunk.length
      const percent = sizeBytes === 0 ? 0 : Math.floor((receivedBytes / sizeBytes) * 100)
      if (percent >= toldPercent + 20) {
        toldPercent = percent
        onProgress(`Temporal server: ${percent} % downloaded`)
      }
      done(null, chunk)
    },
  })
  try {
    await pipeline(response.body, meter, createWriteStream(path))
  } catch (error) {
    throw new Error(`the download broke off (${(error as NodeJS.ErrnoException).code ?? 'error'})`)
  }
  return hash.digest('hex')
}
