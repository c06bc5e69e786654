import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ERROR_FACTS } from '../../src/domain/errors.ts'

/** Whatever the product can refuse with, the console says in both languages: add its words to console/src/i18n/{en,zh}/. */

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '')

describe.each(['en', 'zh'])('in %s', (language) => {
  it('the API’s refusals have words in problems.ts', async () => {
    const { messages } = (await import(`../../console/src/i18n/${language}/problems.ts`)) as { messages: object }
    const codes = [
      ...readdirSync(join(root, 'src/api')).flatMap((name) =>
        matches(read(`src/api/${name}`), /new ApiProblem\(\s*\d+,\s*'(\w+)'/g),
      ),
      ...matches(read('src/store/errors.ts'), /^ {2}\| '(\w+)'$/gm),
      ...Object.keys(ERROR_FACTS).map((type) =>
        type.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
      ),
    ]
    expect(codes.length).toBeGreaterThan(40)
    expect([...new Set(codes)].filter((code) => !Object.hasOwn(messages, code))).toEqual([])
  })

  it('the gateway’s refusals have words in gateway-log.ts', async () => {
    const { messages } = (await import(`../../console/src/i18n/${language}/gateway-log.ts`)) as {
      messages: { refusals: object }
    }
    const codes = matches(read('src/gateway/refusal.ts'), /^ {2}(\w+): \{/gm)
    expect(codes.length).toBeGreaterThan(30)
    expect(codes.filter((code) => !Object.hasOwn(messages.refusals, code))).toEqual([])
  })
})
