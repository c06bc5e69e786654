import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { digestOf, isFresh } from './stamp.ts'

/**
 * Builds the console into dist/console, with every file beside it compressed once and for all. Does nothing when its sources
 * are those of the last time. Where the development dependencies are missing (a production install) it leaves what is there.
 * Run: node scripts/console-build.ts
 */

const root = resolve(import.meta.dirname, '..')
const source = resolve(root, 'console')
const output = resolve(root, 'dist/console')
const stamp = resolve(output, '.stamp')
const COMPRESSED = /\.(html|js|css|svg|json)$/

const digest = digestOf([source, resolve(root, 'package-lock.json'), import.meta.filename])
if (!isFresh(stamp, digest, [join(output, 'index.html')])) await build()

async function build(): Promise<void> {
  const vite = await import('vite').catch(() => null)
  if (vite === null) {
    if (!existsSync(output))
      process.stderr.write('The console is not built: npm ci with the development dependencies.\n')
    return
  }
  // Also when a test asks for it: under NODE_ENV=test Ant Design gives every dialog the same id.
  process.env.NODE_ENV = 'production'
  // Beside, then swapped in: a server or another build at the same time never meets half of it.
  const fresh = `${output}.${process.pid}`
  await vite.build({
    root: source,
    configFile: join(source, 'vite.config.ts'),
    logLevel: 'warn',
    build: { outDir: fresh, emptyOutDir: true },
  })
  for (const entry of readdirSync(fresh, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !COMPRESSED.test(entry.name)) continue
    const file = join(entry.parentPath, entry.name)
    const bytes = readFileSync(file)
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }))
    writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } }))
  }
  writeFileSync(join(fresh, '.stamp'), digest)
  const former = `${output}.${process.pid}.old`
  mkdirSync(resolve(root, 'dist'), { recursive: true })
  if (existsSync(output)) renameSync(output, former)
  renameSync(fresh, output)
  rmSync(former, { recursive: true, force: true })
}
