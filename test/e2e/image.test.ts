import { execFile } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { addCoze, addDify, type KeptPlatform, run as runSync } from '../support/kept-platforms.ts'
import { manyTools, type ScriptedServer, startScriptedServer } from '../support/scripted-mcp-server.ts'

/** What the Dockerfile puts into the image, laid out without Docker: it is enough to run every role, and holds little else. */

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

const dockerfile = read('Dockerfile')
const stages = dockerfile.split(/^FROM .*$/m).slice(1)
const copies = [...(stages.at(-1) ?? '').matchAll(/^COPY (--from=made )?(\S+) (\S+)$/gm)].map(
  ([, made, from = '', to = '']) => ({ made: made !== undefined, from, to }),
)
const ignored = read('.dockerignore').trim().split('\n')

describe('what the image holds', () => {
  /** `made` is the first stage's root, `app` the image's /app. */
  let folder: string
  let app: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'toolferry-image-'))
    app = join(folder, 'app')
    const made = join(folder, 'made')
    const script = (name: string, args: string[], env: Record<string, string> = {}) =>
      run(process.execPath, [join(root, 'scripts', name), ...args], { env: { ...process.env, ...env } })
    for (const name of ['bundle-workflows', 'runtime-packages', 'load-roles'])
      expect(stages[0]).toContain(`node scripts/${name}.ts`)
    await script('bundle-workflows.ts', [join(made, 'app/dist/workflow-bundle.js')])
    await script('runtime-packages.ts', [join(made, 'runtime')])
    await script('load-roles.ts', [], { NODE_COMPILE_CACHE: join(made, 'compile-cache') })
    cpSync(join(root, 'src/store/generated'), join(made, 'app/src/store/generated'), { recursive: true })
    for (const { made: isMade, from, to } of copies) {
      const source = isMade ? join(made, from) : join(root, from)
      if (!isMade) expect(ignored).toContain(`!${from}`)
      mkdirSync(dirname(join(app, to)), { recursive: true })
      // As Docker sees the folder: without what .dockerignore takes away again.
      const left = ignored.map((path) => resolve(root, path))
      cpSync(source, to.endsWith('/') ? join(app, to, from) : join(app, to), {
        recursive: true,
        filter: (path) => !left.includes(path),
      })
    }
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('are the packages that production needs, for this machine, and no more', () => {
    const at = (path: string) => existsSync(join(app, 'node_modules', path))
    const wanted = Object.keys(JSON.parse(read('package.json')).dependencies)
    expect(wanted.filter((name) => !at(`${name}/package.json`))).toEqual([])
    // By an optional peer of a package, by a package that only bundles, and for the console.
    for (const name of ['prisma', 'typescript', '@swc/core-linux-x64-gnu', 'react'])
      expect([name, at(name)]).toEqual([name, false])
    expect(globSync('node_modules/@temporalio/core-bridge/{sdk-core,releases/*}', { cwd: app })).toHaveLength(1)
    expect(globSync('node_modules/@prisma/client/runtime/query_compiler_*', { cwd: app })).toHaveLength(4)
    expect(globSync('node_modules/**/*.{map,ts,mts,cts}', { cwd: app })).toEqual([])
  })

  it('has every module compiled that a role loads', () => {
    // The cache is good for the user who made it.
    expect(stages[0]).toMatch(/^USER node\nRUN NODE_COMPILE_CACHE=\/compile-cache node scripts\/load-roles\.ts$/m)
    expect(dockerfile).toMatch(/^COPY --from=made \/compile-cache \.\/compile-cache$/m)
    expect(dockerfile).toMatch(/NODE_COMPILE_CACHE=\/app\/compile-cache/)
    const modules = globSync('{src,activities,workflows}/**/*.ts', { cwd: app })
    expect(globSync('compile-cache/*/*', { cwd: app }).length).toBeGreaterThan(modules.length)
  })

  describe('with a role a process', () => {
    let product: Cluster
    let server: ScriptedServer
    const platforms: KeptPlatform[] = []

    beforeAll(async () => {
      ;[server, product] = await Promise.all([
        startScriptedServer({ tools: manyTools(2) }),
        startCluster({ apis: 1, workers: 1, gateways: 1, main: join(app, 'src/main.ts') }),
      ])
      platforms.push(await addDify(product, 'postgresql'), await addDify(product, 'mysql'), await addCoze(product))
    })
    afterAll(async () => {
      await product?.stop()
      await Promise.all(platforms.map((platform) => platform.stop()))
      await server?.stop()
    })

    it('is enough to bring an MCP server to every kind of platform', async () => {
      const body = { name: 'Ferried', transport: 'streamable-http', url: server.url }
      const { id } = await product.must<{ id: string }>(201, 'POST', '/instances', body)
      for (const platform of platforms) {
        const done = await runSync(product, { platformId: platform.id, instanceIds: [id], spaceIds: platform.spaceIds })
        expect([platform.label, done.run.state]).toEqual([platform.label, 'succeeded'])
        expect((await platform.objects(0)).map(({ name }) => name)).toEqual(['Ferried'])
      }
    })

    it('is enough for a backup, which is a SQLite file', async () => {
      const file = join(folder, 'store.backup')
      const { masterKey, adminKey } = product.secrets
      const { stdout } = await run(process.execPath, [join(app, 'src/cli.ts'), 'backup', file], {
        env: {
          DATABASE_URL: product.store.url,
          TOOLFERRY_MASTER_KEY: masterKey?.toString('base64'),
          TOOLFERRY_ADMIN_KEY: adminKey ?? '',
        },
      })
      expect(stdout).toContain(`${relative(process.cwd(), file)}`.split('/').at(-1))
      expect(readFileSync(file).length).toBeGreaterThan(1_000)
    })

    it('ends by SIGTERM with 0, every role', async () => {
      for (const role of [...product.gateways, ...product.apis, ...product.workers]) expect(await role.stop()).toBe(0)
      await product.restart()
    })
  })
})
