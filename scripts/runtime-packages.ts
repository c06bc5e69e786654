import { cpSync, existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'

/**
 * Copies what the roles run on out of an install that has everything: the packages that production reaches, for this
 * machine, without what is only read while something is made. `npm ci --omit=dev` would bring optional peers, too (the whole
 * of Prisma's CLI), and every platform's builds. Run: node scripts/runtime-packages.ts <folder>
 */

type Package = {
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

const root = resolve(import.meta.dirname, '..')
const target = resolve(process.argv[2] ?? usage())
const packages: Record<string, Package> = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
const { getPrebuiltTargetName } = createRequire(import.meta.url)('@temporalio/core-bridge/common.js')

/** Node.js runs no TypeScript that lies in node_modules. */
const NEVER_READ = /\.map$|\.[cm]?ts$/
const LEFT_OUT: [name: string, path: RegExp][] = [
  // Core's sources, and its builds for other machines.
  ['@temporalio/core-bridge', new RegExp(`^(sdk-core|src|bridge-macros)$|^releases/(?!${getPrebuiltTargetName()})`)],
  // A compiler of queries for each engine, in two sizes and two kinds of modules: the generated clients import these.
  ['@prisma/client', /^runtime\/query_compiler_(?!fast_bg\.(mysql|sqlite)\.(wasm-base64\.)?mjs$)/],
]
/** What bundles workflows, which the image has bundled; and its C library is glibc. */
const NOT_THERE = /^@swc\/core-|^@libsql\/.*-musl/

for (const path of reachable()) {
  const leftOut = LEFT_OUT.filter(([name]) => path.endsWith(`node_modules/${name}`)).map(([, pattern]) => pattern)
  // Packages inside a package come, or not, on their own account.
  const patterns = [NEVER_READ, /^node_modules$/, ...leftOut]
  cpSync(join(root, path), join(target, path), {
    recursive: true,
    filter: (file) => !patterns.some((pattern) => pattern.test(relative(join(root, path), file))),
  })
}

/** Where all packages lie that production needs; an optional one for another machine is not there. */
function reachable(): string[] {
  const found = new Set<string>()
  const visit = (path: string): void => {
    const own = packages[path] ?? {}
    const peers = Object.keys(own.peerDependencies ?? {}).filter((name) => !own.peerDependenciesMeta?.[name]?.optional)
    for (const name of [...Object.keys({ ...own.dependencies, ...own.optionalDependencies }), ...peers]) {
      const at = locate(path, name)
      if (at === null || found.has(at) || NOT_THERE.test(name)) continue
      found.add(at)
      visit(at)
    }
  }
  visit('')
  return [...found].filter((path) => existsSync(join(root, path)))
}

/** Where the package at `path` finds `name`, as Node.js looks for it: in its own node_modules, then further up. */
function locate(path: string, name: string): string | null {
  for (let at = path; ; at = dirname(at)) {
    const candidate = join(at, 'node_modules', name)
    if (candidate in packages) return candidate
    if (at === '' || at === '.') return null
  }
}

function usage(): never {
  process.stderr.write('Usage: node scripts/runtime-packages.ts <folder>\n')
  process.exit(2)
}
