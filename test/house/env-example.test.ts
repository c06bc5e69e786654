import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ENVIRONMENT_VARIABLES, readConfig } from '../../src/config.ts'

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
