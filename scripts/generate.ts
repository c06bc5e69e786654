import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'
import { toSqliteSchema } from './schema-text.ts'

/**
 * Generates the SQLite twin of prisma/schema.prisma and both Prisma clients. Needs no network and no database, and does
 * nothing when its inputs are those of the last time. Run: node scripts/generate.ts
 */

const root = resolve(import.meta.dirname, '..')
const source = resolve(root, 'prisma/schema.prisma')
const twin = resolve(root, 'prisma/generated/sqlite.prisma')
const output = resolve(root, 'src/store/generated')
const stamp = resolve(output, '.stamp')
const clients = [resolve(output, 'mysql/client.ts'), resolve(output, 'sqlite/client.ts')]

const cli = createRequire(import.meta.url).resolve('prisma/package.json')
const schema = readFileSync(source, 'utf8')
const inputs = createHash('sha256')
  .update(schema)
  .update(readFileSync(resolve(import.meta.dirname, 'schema-text.ts')))
  .update(String(JSON.parse(readFileSync(cli, 'utf8')).version))
  .digest('hex')

if (!isFresh()) generate()

function isFresh(): boolean {
  return (
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === inputs &&
    clients.every((file) => existsSync(file)) &&
    existsSync(twin)
  )
}

function generate(): void {
  rmSync(stamp, { force: true })
  mkdirSync(dirname(twin), { recursive: true })
  writeFileSync(twin, toSqliteSchema(schema))
  for (const file of [source, twin]) {
    try {
      execFileSync(
        process.execPath,
        [resolve(dirname(cli), 'build/index.js'), 'generate', '--schema', file, '--no-hints'],
        {
          cwd: root,
          stdio: 'pipe',
          env: {
            ...process.env,
            // Generating needs no schema engine, but the CLI would download one; any existing file keeps it from that.
            PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
            PRISMA_HIDE_UPDATE_MESSAGE: 'true',
            CHECKPOINT_DISABLE: '1',
          },
        },
      )
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer }
      throw new Error(`prisma generate failed for ${file}\n${stdout ?? ''}${stderr ?? ''}`)
    }
  }
  writeFileSync(stamp, inputs)
}
