import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
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
  it('uses keys that exist, in either language', () => {
    const missing = sources.flatMap(({ path, text }) =>
      usedKeys(path, text)
        .filter(({ namespace, key }) => !isThere(english, namespace, key) || !isThere(chinese, namespace, key))
        .map(({ namespace, key }) => `${path}: ${namespace}:${key}`),
    )
    expect(missing).toEqual([])
  })

  it('is caught when one is missing: in a choice, behind a computed part, in the namespace of another function', () => {
    const planted = `
      function A({ t }: { t: TFunction<'syncs'> }) { return t('title') }
      function B() {
        const { t } = useTranslation('overview')
        const inner = () => t(yes ? 'title' : 'title2')
        return t(\`counts.\${key}\`) + t(\`steps.\${key}.nothing\`) + t('syncs:nowhere')
      }
      function C(t: TFunction<'drift'>) { return t(\`nowhere.\${key}\`) }
      function D() { const { t } = useTranslation(); return t('save') }
    `
    const missing = usedKeys('planted.tsx', planted).filter(({ namespace, key }) => !isThere(english, namespace, key))
    expect(missing.map(({ namespace, key }) => `${namespace}:${key}`)).toEqual([
      'overview:title2',
      'overview:steps.*.nothing',
      'syncs:nowhere',
      'drift:nowhere.*',
    ])
  })

  it('is loaded with every text that it uses: what is missing is shown by its key, or takes the page away while it loads', () => {
    const missing = pagesOfRouter().flatMap(({ path, texts, module }) =>
      [...namespacesFrom(module)]
        .filter((namespace) => ![...EVERYWHERE, ...texts].includes(namespace))
        .map((namespace) => `${path} needs ${namespace}`),
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

type Used = { namespace: string; key: string }

/**
 * The keys of t(…), each with its namespace: named before it, or that of the t in the function around it. What is computed in one
 * is a star. Throws for a t of which nothing is known.
 */
function usedKeys(path: string, text: string): Used[] {
  const found: Used[] = []
  const walk = (node: Node, around: string | null): void => {
    if (Array.isArray(node)) {
      for (const child of node) walk(child, around)
      return
    }
    if (typeof node !== 'object' || node === null) return
    const own = isFunction(node) ? (namespaceOf(node) ?? around) : around
    if (node.type === 'CallExpression' && node.callee.name === 't') {
      for (const key of keysOf(node.arguments[0])) {
        const [named, rest] = key.includes(':') ? key.split(':') : [undefined, key]
        const namespace = named ?? own
        if (namespace === null) throw new Error(`${path}: whose t is it in t('${key}')?`)
        found.push({ namespace, key: rest ?? '' })
      }
    }
    for (const [name, child] of Object.entries(node)) if (name !== 'type' && name !== 'parent') walk(child, own)
  }
  walk(parseSync(path, text).program, null)
  return found
}

function keysOf(node: Node): string[] {
  if (node.type === 'Literal') return [node.value]
  if (node.type === 'TemplateLiteral') return [node.quasis.map((quasi: Node) => quasi.value.cooked).join('*')]
  if (node.type === 'ConditionalExpression') return [...keysOf(node.consequent), ...keysOf(node.alternate)]
  // A key in a variable was chosen where it was made.
  return []
}

function isFunction({ type }: Node): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(type)
}

/** By `const { t } = useTranslation(…)` in its body, or by the type of its t: TFunction<…>. */
function namespaceOf(node: Node): string | null {
  const body = node.body?.type === 'BlockStatement' ? node.body.body : []
  for (const statement of body) {
    for (const { init } of statement.type === 'VariableDeclaration' ? statement.declarations : []) {
      if (init?.callee?.name === 'useTranslation') return init.arguments[0]?.value ?? 'common'
    }
  }
  const typed = /TFunction<'([\w-]+)'>/.exec(JSON.stringify(node.params ?? [], typeNames))?.[1]
  return typed ?? null
}

/** `TFunction<'ns'>` where a type stands for it. */
function typeNames(_key: string, value: Node): unknown {
  if (value?.type !== 'TSTypeReference' || value.typeName?.name !== 'TFunction') return value
  const params = value.typeArguments ?? value.typeParameters
  return `TFunction<'${params?.params[0]?.literal?.value}'>`
}

/** Whether it is a text; with a star whether every group of texts there has it, and at least one. */
function isThere(catalogue: Record<string, Record<string, string>>, namespace: string, key: string): boolean {
  const known = new Set(Object.keys(catalogue[namespace] ?? {}).map(withoutPlural))
  const [start = '', ...ends] = key.split('*')
  if (ends.length === 0) return known.has(key)
  const below = [...known].filter((name) => name.startsWith(start)).map((name) => name.slice(start.length))
  const end = ends.at(-1) ?? ''
  if (!end.startsWith('.')) return below.some((name) => name.length > end.length && name.endsWith(end))
  const groups = new Set(below.filter((name) => name.includes('.')).map((name) => name.split('.')[0]))
  return groups.size > 0 && [...groups].every((group) => below.includes(`${group}${end}`))
}

/** Loaded with the first page (i18n.ts). */
const EVERYWHERE = ['common', 'problems']

function pagesOfRouter(): { path: string; texts: string[]; module: string }[] {
  const router = readFileSync(join(SOURCE, 'router.tsx'), 'utf8')
  const pages = [...router.matchAll(/page\(\s*'([^']+)',\s*\[([^\]]*)\],\s*\(\) => import\('([^']+)'\)/g)]
  expect(pages.length).toBe([...router.matchAll(/import\('/g)].length)
  return pages.map(([, path = '', texts = '', module = '']) => ({
    path,
    texts: [...texts.matchAll(/'([^']+)'/g)].map(([, name = '']) => name),
    module: join(SOURCE, module),
  }))
}

/** Of a module and all that it imports. */
function namespacesFrom(module: string, seen = new Set<string>()): Set<string> {
  const found = new Set<string>()
  if (seen.has(module) || !/\.tsx?$/.test(module) || module.includes('/i18n/')) return found
  seen.add(module)
  const text = readFileSync(module, 'utf8')
  for (const { namespace } of usedKeys(module, text)) found.add(namespace)
  for (const [, namespace = ''] of text.matchAll(/useTranslation\('([\w-]+)'\)/g)) found.add(namespace)
  for (const [, imported = ''] of text.matchAll(/^import (?!type )[^']*'(\.[^']+)'/gm)) {
    for (const namespace of namespacesFrom(join(dirname(module), imported), seen)) found.add(namespace)
  }
  return found
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
