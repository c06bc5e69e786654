import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createApi } from '../../src/api/app.ts'
import { openApiDocument } from '../../src/api/docs.ts'
import { ENVIRONMENT_VARIABLES } from '../../src/config.ts'

/** What the documentation names is there: calls of the API, settings, npm scripts, files. */

const root = resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const DOCUMENTS = [
  'README.md',
  '.env.example',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

/** Every match of the pattern's first group, with the document that has it. */
function named(pattern: RegExp): { file: string; name: string }[] {
  return DOCUMENTS.flatMap((file) => [...read(file).matchAll(pattern)].map(([, name = '']) => ({ file, name })))
}

describe('what the documentation names is there', () => {
  it('calls of the API', () => {
    // Registering routes calls none of what they need.
    const { paths } = openApiDocument(
      createApi({ facts: { version: '' }, consoleDirectory: null, trustedProxies: [] } as never),
      '',
    ) as {
      paths: Record<string, object>
    }
    const known = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/g, '{}')}`),
    )
    const calls = named(/\b((?:GET|POST|PUT|PATCH|DELETE) \/(?:[\w/-]|\{[\w ]+\}|<[\w ]+>)+)/g)
    expect(calls.length).toBeGreaterThan(20)
    const unknown = calls.filter(({ name }) => {
      const [method, path = ''] = name.replaceAll(/\{[^}]+\}|<[^>]+>/g, '{}').split(' ')
      const short = path.replace(/^\/api\/v1/, '')
      return !known.includes(`${method} /api/v1${short}`) && !known.includes(`${method} ${short}`)
    })
    expect(unknown).toEqual([])
  })

  it('settings', () => {
    const compose = read('docker-compose.yml')
    const settings = named(/\b((?:TOOLFERRY|TEMPORAL)_[A-Z][A-Z_]*[A-Z])\b/g)
    expect(settings.length).toBeGreaterThan(50)
    const unknown = settings.filter(({ name }) => !ENVIRONMENT_VARIABLES.includes(name) && !compose.includes(name))
    expect(unknown).toEqual([])
  })

  it('npm scripts', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const runs = named(/\bnpm (?:run )?((?:(?<=run )[\w:-]+)|start|test)\b/g)
    expect(runs.length).toBeGreaterThan(20)
    expect(runs.filter(({ name }) => scripts[name] === undefined)).toEqual([])
  })

  it('files of the source and tests', () => {
    const files = named(/`((?:src|test|workflows|activities|scripts|demo|bench|prisma)\/[\w./*-]+)`/g)
    expect(files.length).toBeGreaterThan(5)
    const missing = files.filter(({ name }) => !name.includes('*') && !existsSync(join(root, name)))
    expect(missing).toEqual([])
  })
})
