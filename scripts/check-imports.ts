import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { checkImports } from './import-rules.ts'

/** Checks the import rule of the architecture over the product's rooms. Run: node scripts/check-imports.ts [root] */

const root = resolve(process.argv[2] ?? resolve(import.meta.dirname, '..'))
const files = globSync('{src,workflows,activities,console}/**/*.{ts,tsx}', {
  cwd: root,
  exclude: ['**/node_modules/**', 'src/store/generated/**', 'console/dist/**'],
}).map((file) => file.replaceAll('\\', '/'))
const violations = files.sort().flatMap((file) => checkImports(file, readFileSync(resolve(root, file), 'utf8')))

for (const { file, line, specifier, rule } of violations) console.error(`${file}:${line} imports ${specifier}: ${rule}`)
if (violations.length > 0) {
  console.error(`The import rule is broken in ${violations.length} place${violations.length === 1 ? '' : 's'}.`)
  process.exitCode = 1
} else {
  console.log(`Import rule: ${files.length} files hold to it.`)
}
