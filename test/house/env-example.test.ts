import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { ENVIRONMENT_VARIABLES, readConfig, SECRET_VARIABLES } from '../../src/config.ts'

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8')

/** `#NAME=value` lines; a comment has a space after its #. */
const documented = new Map(
  [...read('.env.example').matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
)
const composeVariables = new Set([...read('docker-compose.yml').matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name))

describe('.env.example', () => {
  it('documents every variable that the product or docker-compose.yml reads, and no other', () => {
    const known = new Set([...ENVIRONMENT_VARIABLES, ...composeVariables])
    expect([...documented.keys()].sort()).toEqual([...known].sort())
    expect(ENVIRONMENT_VARIABLES.length).toBeGreaterThan(20)
  })

  it('shows the defaults', () => {
    const own = Object.fromEntries([...documented].filter(([name]) => ENVIRONMENT_VARIABLES.includes(name)))
    expect(readConfig('all', own)).toEqual(readConfig('all', {}))
    const blank = Object.entries(own).filter(([, value]) => value === '')
    const shown = Object.entries(own).filter(([, value]) => value !== '')
    // Each shown value is the default of its own: another in its place is seen.
    for (const [name, value] of shown) {
      const other = /^\d+$/.test(value) ? '4' : value === 'info' ? 'debug' : `${value}x`
      expect(readConfig('all', { ...own, [name]: other })).not.toEqual(readConfig('all', {}))
    }
    expect(blank.length + shown.length).toBe(ENVIRONMENT_VARIABLES.length)
  })
})

describe('a secret in a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'toolferry-secrets-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const secrets = {
    DATABASE_URL: 'mysql://toolferry:pass-1@db:3306/toolferry',
    TOOLFERRY_MASTER_KEY: Buffer.alloc(32, 1).toString('base64'),
    TOOLFERRY_RETIRED_MASTER_KEYS: Buffer.alloc(32, 2).toString('base64'),
    TOOLFERRY_ADMIN_KEY: 'k'.repeat(40),
    TEMPORAL_API_KEY: 'key-1',
  }
  const [, named = ''] = /^# (DATABASE_URL, [\s\S]*?) may each/m.exec(read('.env.example')) ?? []

  it('is read as the variable would be, for those that .env.example names', () => {
    expect(named.split(/, | and /)).toEqual(SECRET_VARIABLES)
    expect(Object.keys(secrets)).toEqual(SECRET_VARIABLES)
    const files = Object.entries(secrets).map(([name, value]) => {
      const file = join(folder, name)
      writeFileSync(file, `${value}\n`)
      return [`${name}_FILE`, file]
    })
    expect(readConfig('api', Object.fromEntries(files))).toEqual(readConfig('api', secrets))
  })

  it('may hold several retired keys, one a line; a key that is not all of base64 is refused', () => {
    const keys = [2, 3].map((byte) => Buffer.alloc(32, byte))
    const file = join(folder, 'retired')
    writeFileSync(file, keys.map((key) => `${key.toString('base64')}\n`).join(''))
    const { retiredMasterKeys } = readConfig('api', {
      ...secrets,
      TOOLFERRY_RETIRED_MASTER_KEYS: undefined,
      TOOLFERRY_RETIRED_MASTER_KEYS_FILE: file,
    }).secrets
    expect(retiredMasterKeys).toEqual(keys)
    const two = keys.map((key) => key.toString('base64')).join('')
    expect(() => readConfig('api', { TOOLFERRY_MASTER_KEY: two })).toThrow(/TOOLFERRY_MASTER_KEY must be 32 bytes/)
  })

  it('that stands where its file should be named is not repeated', () => {
    const given = { DATABASE_URL_FILE: 'mysql://toolferry:hunter2@db/toolferry' }
    expect(() => readConfig('api', given)).toThrow(/^DATABASE_URL_FILE: (?!.*hunter2)/)
  })

  it('is refused when it is not there or given twice, by the name of its variable', () => {
    const file = join(folder, 'none')
    expect(() => readConfig('api', { TOOLFERRY_ADMIN_KEY_FILE: file })).toThrow(
      `TOOLFERRY_ADMIN_KEY_FILE: ${file} cannot be read (ENOENT).`,
    )
    expect(() => readConfig('api', { TEMPORAL_API_KEY_FILE: file, TEMPORAL_API_KEY: 'key-1' })).toThrow(
      'TEMPORAL_API_KEY and TEMPORAL_API_KEY_FILE are both set',
    )
  })
})
