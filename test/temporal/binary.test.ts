import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FindTemporalOptions, findTemporalBinary, temporalCacheDir } from '../../src/temporal/binary.ts'
import { downloadTemporal } from '../../src/temporal/binary-download.ts'
import { withFileLock } from '../../src/temporal/file-lock.ts'
import { TEMPORAL_VERSION } from '../../src/temporal/version.ts'

let root: string
let pathDir: string
let progress: string[]
let server: Server | null = null

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'toolferry-ladder-'))
  pathDir = join(root, 'bin')
  await mkdir(pathDir)
  progress = []
})
afterEach(async () => {
  if (server !== null) await new Promise((done) => server?.close(done))
  server = null
  await rm(root, { recursive: true, force: true })
})

function options(change: Partial<FindTemporalOptions> = {}): FindTemporalOptions {
  return {
    // /bin for sh; neither holds a temporal nor a go.
    environment: { PATH: [pathDir, '/bin'].join(delimiter), HOME: root, XDG_CACHE_HOME: join(root, 'cache') },
    onProgress: (line) => progress.push(line),
    download: async () => {
      throw new Error('the network is away')
    },
    ...change,
  }
}

const cachedPath = () => join(root, 'cache', 'toolferry', 'temporal', `temporal-${TEMPORAL_VERSION}`)

async function executable(path: string, body: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${body}\n`)
  await chmod(path, 0o755)
}
const says = (server: string) => `echo 'temporal version 1.5.1 (Server ${server}, UI 2.42.1)'`

/** A go that "builds" a binary of the server version given, whichever order its options have. */
async function fakeGo(serverVersion: string): Promise<void> {
  await executable(
    join(pathDir, 'go'),
    `while [ "$1" != "-o" ]; do shift; done\necho 'some/package' >&2\nprintf '#!/bin/sh\\n%s\\n' "${says(serverVersion)}" > "$2"\nchmod +x "$2"`,
  )
}

describe('the ladder to a Temporal binary', () => {
  it('takes temporal on PATH first', async () => {
    await executable(join(pathDir, 'temporal'), says('1.29.1'))
    expect(await findTemporalBinary(options())).toEqual({
      path: join(pathDir, 'temporal'),
      source: 'path',
      serverVersion: '1.29.1',
    })
  })

  it('passes over one on PATH that is too old, is something else, or does not run', async () => {
    await mkdir(join(root, 'cache', 'toolferry', 'temporal'), { recursive: true })
    await executable(cachedPath(), says('1.30.0'))
    for (const body of [says('1.27.9'), 'echo hello', 'exit 1']) {
      await executable(join(pathDir, 'temporal'), body)
      expect(await findTemporalBinary(options())).toMatchObject({ source: 'cache', path: cachedPath() })
    }
  })

  it('falls from a failed download to a build, and finds it in the cache the next time', async () => {
    await fakeGo('1.29.1')
    expect(await findTemporalBinary(options())).toEqual({
      path: cachedPath(),
      source: 'build',
      serverVersion: '1.29.1',
    })
    expect(progress.join('; ')).toMatch(/download not possible \(the network is away\); .*building .* from source/)
    const build = async () => {
      throw new Error('must not build again')
    }
    expect(await findTemporalBinary(options({ build }))).toMatchObject({ source: 'cache' })
    expect(await readdir(temporalCacheDir(options().environment))).toEqual([`temporal-${TEMPORAL_VERSION}`])
  })

  it('builds once for two who ask at the same time', async () => {
    let builds = 0
    const build: FindTemporalOptions['build'] = async (destination) => {
      builds++
      await executable(destination, says('1.29.1'))
    }
    const found = await Promise.all([findTemporalBinary(options({ build })), findTemporalBinary(options({ build }))])
    expect(builds).toBe(1)
    expect(found.map(({ source }) => source).sort()).toEqual(['build', 'cache'])
  })

  it('keeps nothing of a build that made no usable binary', async () => {
    await fakeGo('1.20.0')
    await expect(findTemporalBinary(options())).rejects.toThrow('build: its server 1.20.0 is older than 1.28')
    expect(await readdir(temporalCacheDir(options().environment))).toEqual([])
  })

  it('says every attempt and what to install when nothing works', async () => {
    await expect(findTemporalBinary(options())).rejects.toMatchObject({
      type: 'Unavailable',
      message: [
        'No Temporal server could be found, downloaded or built:',
        '  - temporal on PATH: not there',
        '  - download: the network is away',
        '  - build: Go is not installed',
        `Install the Temporal CLI ${TEMPORAL_VERSION} or newer so that \`temporal\` is on PATH (https://docs.temporal.io/cli),`,
        'or Go 1.21 or newer so that it can be built, or set TEMPORAL_ADDRESS to a cluster that you already have.',
      ].join('\n'),
    })
  })

  it('says which Go line ended a build', async () => {
    await executable(join(pathDir, 'go'), 'echo "go: no network" >&2\nexit 1')
    await expect(findTemporalBinary(options())).rejects.toThrow('build: go build ended with 1: go: no network')
  })

  it('names the version that tools/temporal pins', async () => {
    const goMod = await readFile(new URL('../../tools/temporal/go.mod', import.meta.url), 'utf8')
    expect(goMod).toContain(`github.com/temporalio/cli v${TEMPORAL_VERSION}`)
  })
})

describe('the official download', () => {
  /** Serves one archive at every address, after a redirect as the release host answers. */
  async function serve(archive: Buffer, status = 200): Promise<string> {
    const started = createServer((request, response) => {
      if (request.url?.startsWith('/moved') !== true) {
        response.writeHead(302, { location: `/moved${request.url}` }).end()
        return
      }
      response.writeHead(status, { 'content-length': archive.length }).end(archive)
    })
    server = started
    await new Promise<void>((done) => started.listen(0, '127.0.0.1', done))
    const address = started.address()
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  }

  async function makeArchive(): Promise<Buffer> {
    const dir = join(root, 'archive')
    await mkdir(dir)
    await executable(join(dir, 'temporal'), says('1.29.1'))
    await writeFile(join(dir, 'LICENSE'), 'text')
    return execFileSync('tar', ['-cz', '-C', dir, 'temporal', 'LICENSE'])
  }

  const everywhere = (sum: string) =>
    Object.fromEntries(['linux', 'darwin'].flatMap((os) => ['amd64', 'arm64'].map((arch) => [`${os}_${arch}`, sum])))

  it('is unpacked into the cache when its SHA-256 is the pinned one', async () => {
    const archive = await makeArchive()
    const baseUrl = await serve(archive)
    const sha256 = everywhere(createHash('sha256').update(archive).digest('hex'))
    const found = await findTemporalBinary(
      options({ download: (destination, given) => downloadTemporal(destination, { ...given, baseUrl, sha256 }) }),
    )
    expect(found).toEqual({ path: cachedPath(), source: 'download', serverVersion: '1.29.1' })
    expect(await readdir(temporalCacheDir(options().environment))).toEqual([`temporal-${TEMPORAL_VERSION}`])
  })

  it('is thrown away when anything else arrived', async () => {
    const baseUrl = await serve(await makeArchive())
    const destination = join(root, 'temporal')
    const { environment, onProgress } = options()
    await expect(downloadTemporal(destination, { environment, onProgress, baseUrl })).rejects.toThrow('SHA-256 differs')
    expect((await readdir(root)).sort()).toEqual(['archive', 'bin'])
  })

  it('says what the host answered, or that it cannot be reached', async () => {
    const { environment, onProgress } = options()
    const baseUrl = await serve(Buffer.from('no'), 503)
    const attempt = () => downloadTemporal(join(root, 'temporal'), { environment, onProgress, baseUrl })
    await expect(attempt()).rejects.toThrow(`${new URL(baseUrl).host} answered 503`)
    await new Promise((done) => server?.close(done))
    server = null
    await expect(attempt()).rejects.toThrow(`${new URL(baseUrl).host} cannot be reached (ECONNREFUSED)`)
  })
})

describe('a file lock', () => {
  it('is taken over from a dead holder and waited for from a live one', async () => {
    const path = join(root, 'lock')
    await writeFile(path, JSON.stringify({ pid: process.pid, start: 'of a process long gone' }))
    const waited: number[] = []
    const order: string[] = []
    let second: Promise<void> = Promise.resolve()
    await withFileLock(
      path,
      (pid) => waited.push(pid),
      async () => {
        order.push('first in')
        await new Promise<void>((toldToWait) => {
          second = withFileLock(
            path,
            (pid) => {
              waited.push(pid)
              toldToWait()
            },
            async () => void order.push('second in'),
          )
        })
        order.push('first out')
      },
    )
    await second
    expect(waited).toEqual([process.pid])
    expect(order).toEqual(['first in', 'first out', 'second in'])
  })
})
