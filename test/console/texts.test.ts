import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseSync } from 'vite'
import { describe, expect, it } from 'vitest'

/** The console's texts: both languages have the same, every key that is used exists, and no text stands in the code. */

const SOURCE = join(import.meta.dirname, '../../console/src')
const LANGUAGES = ['en', 'zh']

const catalogues = Object.fromEntries(
  await Promise.all(
    LANGUAGES.map(async (language) => {
      const folder = join(SOURCE, 'i18n', language)
      const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))
      const entries = await Promise.all(
        files.map(async (name) => {
          const { messages } = (await import(join(folder, name))) as { messages: object }
          return [basename(name, '.ts'), flat(messages)] as const
        }),
      )
      return [language, Object.fromEntries(entries)] as const
    }),
  ),
) as Record<string, Record<string, Record<string, string>>>

const english = catalogues.en ?? {}
const chinese = catalogues.zh ?? {}
const sources = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path) && !path.endsWith('.d.ts') && !path.startsWith('i18n'))
  .map((path) => ({ path, text: readFileSync(join(SOURCE, path), 'utf8') }))

describe('the catalogues', () => {
  it('have the same files in both languages', () => {
    expect(Object.keys(chinese)).toEqual(Object.keys(english))
  })

  it.each(Object.keys(english))('%s has the same keys and the same placeholders, and no empty text', (name) => {
    const en = english[name] ?? {}
    const zh = chinese[name] ?? {}
    // Chinese has one plural form, English two.
    const keys = (texts: Record<string, string>) => [...new Set(Object.keys(texts).map(withoutPlural))].sort()
    expect(keys(zh)).toEqual(keys(en))
    for (const [key, text] of Object.entries(en)) {
      const other = zh[key] ?? zh[`${withoutPlural(key)}_other`] ?? zh[withoutPlural(key)] ?? ''
      expect(other.trim(), key).not.toBe('')
      // A singular may do without its number.
      if (!key.endsWith('_one')) expect(placeholders(other), key).toEqual(placeholders(text))
    }
  })
})

describe('the code', () => {
  it('uses keys that exist', () => {
    const missing = sources.flatMap(({ path, text }) =>
      usedKeys(text)
        .filter(({ namespace, key }) => !exists(namespace, key))
        .map(({ namespace, key }) => `${path}: ${namespace}:${key}`),
    )
    expect(missing).toEqual([])
  })

  it('holds no text of its own', () => {
    const found = sources
      .filter(({ path }) => path.endsWith('.tsx'))
      .flatMap(({ path, text }) => textsInCode(path, text).map((literal) => `${path}: ${literal}`))
    expect(found).toEqual([])
  })

  it('is caught when it does', () => {
    const planted = `<p title="Hello there">Some words {t("a")}<Alert message={bad ? "It broke " + x : "Fine now"} /></p>`
    expect(textsInCode('planted.tsx', `const x = ${planted}`)).toEqual([
      'Hello there',
      'Some words',
      'It broke',
      'Fine now',
    ])
  })
})

/** Attributes that a person reads or hears. */
const READ =
  /^(title|label|alt|placeholder|message|description|content|text|lead|hint|tooltip|extra|help|okText|cancelText|emptyText|aria-label|aria-description|addonBefore|addonAfter|prefix|suffix)$/
/** Words that are the same in every language. */
const SAME = new Set([
  'API',
  'MCP',
  'URL',
  'JSON',
  'ID',
  'COZE',
  'Dify',
  'EN',
  'TLS',
  'SSE',
  'Toolferry',
  'PostgreSQL',
  'MySQL',
  'Temporal',
  'Cookie',
  'tfa_…',
  'tfg_…',
])

// biome-ignore lint/suspicious/noExplicitAny: a syntax tree is what it is.
type Node = any

function textsInCode(path: string, text: string): string[] {
  const found: string[] = []
  const literals = (node: Node): void => {
    if (node === null || node === undefined) return
    if (node.type === 'Literal' && typeof node.value === 'string') add(node.value)
    if (node.type === 'TemplateLiteral') for (const quasi of node.quasis) add(quasi.value.cooked)
    if (node.type === 'JSXExpressionContainer') literals(node.expression)
    if (node.type === 'ConditionalExpression') {
      literals(node.consequent)
      literals(node.alternate)
    }
    if (node.type === 'LogicalExpression') literals(node.right)
    if (node.type === 'BinaryExpression' && node.operator === '+') {
      literals(node.left)
      literals(node.right)
    }
  }
  const add = (value: string) => {
    const words = value.trim()
    const isText = /[A-Za-z\u4e00-\u9fff]{2,}/.test(words) && !SAME.has(words)
    if (isText && !/^https?:\/\//.test(words)) found.push(words)
  }
  const walk = (node: Node): void => {
    if (Array.isArray(node)) {
      for (const child of node) walk(child)
      return
    }
    if (typeof node !== 'object' || node === null) return
    if (node.type === 'JSXText') add(node.value)
    else if (node.type === 'JSXAttribute' && READ.test(node.name.name ?? '') && !isExample(node)) literals(node.value)
    // Attributes hold no text of their own otherwise; children in braces do.
    if (node.type === 'JSXElement' || node.type === 'JSXFragment') {
      for (const child of node.children) if (child.type === 'JSXExpressionContainer') literals(child.expression)
    }
    for (const [key, child] of Object.entries(node)) if (key !== 'type' && key !== 'parent') walk(child)
  }
  walk(parseSync(path, text).program)
  return found
}

/** A placeholder that shows a value for machines, such as volcano_2100000000: one word in small letters, or name=value. */
function isExample(attribute: Node): boolean {
  const value = attribute.value?.value
  if (attribute.name.name !== 'placeholder' || typeof value !== 'string') return false
  return /^[a-z0-9_.…-]+$/.test(value) || /^(\w+=\S+\s?)+$/.test(value)
}

/** Literal keys of t('…'), with the namespace of the useTranslation before it; computed keys are looked up by their start. */
function usedKeys(text: string): { namespace: string; key: string }[] {
  const marks = [...text.matchAll(/useTranslation\((?:'([\w-]+)')?\)/g)].map((match) => ({
    at: match.index,
    namespace: match[1] ?? 'common',
  }))
  return [...text.matchAll(/\bt\(\s*(?:'([^']+)'|`([^`$]*)\$)/g)].map((match) => {
    const key = match[1] ?? match[2] ?? ''
    const [named, rest] = key.includes(':') ? key.split(':') : [undefined, key]
    const namespace = named ?? marks.findLast(({ at }) => at < match.index)?.namespace ?? 'common'
    return { namespace, key: rest ?? '' }
  })
}

function exists(namespace: string, key: string): boolean {
  const keys = Object.keys(english[namespace] ?? {})
  return keys.some(
    (known) =>
      withoutPlural(known) === key ||
      known === key ||
      (key.endsWith('.') || key === '' ? known.startsWith(key) : false),
  )
}

function placeholders(text: string): string[] {
  return [...new Set([...text.matchAll(/\{\{\s*(\w+)/g)].map((match) => match[1] ?? ''))].sort()
}

function withoutPlural(key: string): string {
  return key.replace(/_(one|other)$/, '')
}

function flat(messages: object, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(messages).flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'string' ? [[prefix + key, value]] : Object.entries(flat(value as object, `${prefix}${key}.`)),
    ),
  )
}
