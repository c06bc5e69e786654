import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'vite'
import { expect, it } from 'vitest'
import { messages as problemsEn } from '../../console/src/i18n/en/problems.ts'
import { translated } from '../../console/src/i18n/server-texts.ts'
import { SERVER_TEXTS_ZH } from '../../console/src/i18n/server-texts-zh.ts'
import { messages as problemsZh } from '../../console/src/i18n/zh/problems.ts'

/**
 * Every sentence that stands in the server's source and may come to the console has Chinese words, and every problem has its
 * own. What the server says with real values is server-texts.test.ts.
 */

const ROOT = join(import.meta.dirname, '../..')
const FOLDERS = [
  'src/api',
  'src/domain',
  'src/egress',
  'src/mcp',
  'src/notify',
  'src/platforms',
  'src/roles',
  'src/store',
]
const MORE = ['src/temporal', 'activities', 'src/gateway/gateway.ts']

/**
 * Not shown by the console: what the overview says by its kind, what receivers of notices read, what only the log has. The
 * conflicts are put together from parts: server-texts.test.ts has them whole.
 */
const ELSEWHERE =
  /^src\/(api\/(observe|token-attention)|notify\/texts|mcp\/short-exchange|platforms\/dify\/conflicts|roles\/(process-link|shared-throttle|worker)|temporal\/binary)\.ts$/
/** Errors that are answered without their words, or end the process before it serves. */
const UNSHOWN = /^(ConfigError|TypeError|RangeError|Error|SealError)$/
/** The catalogue `problems` has what to do, by the code. The others are for programs. */
const FOR_PROGRAMS = /^(description|summary|example|help|hint)$/
/** What is said in the middle of a sentence, or after a field's name. */
const SAYS = /^(message|reason|error|detail|says|problem)$/
const SAYING = /^(invalidField|refusal|refuse|fail|failed|skip|skipped|unreachable|refine|regex)$/
const LOGS = /^(warn|info|debug|openapi|describe|meta|onProgress|say)$/

// biome-ignore lint/suspicious/noExplicitAny: a syntax tree is what it is.
type Node = any

const files = [...FOLDERS, ...MORE].flatMap((path) =>
  path.endsWith('.ts')
    ? [path]
    : readdirSync(join(ROOT, path), { recursive: true, encoding: 'utf8' }).map((name) => join(path, name)),
)
const sources = files
  .filter((path) => path.endsWith('.ts') && !ELSEWHERE.test(path))
  .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))

it('a sentence of the server has Chinese words', () => {
  const unknown = sources.flatMap(({ path, text }) =>
    sentencesIn(path, text)
      .filter((sentence) => !['7', 'x', 'x.example:1'].some((sample) => isKnown(sentence.replaceAll(HOLE, sample))))
      .map((sentence) => `${path}: ${sentence}`),
  )
  expect(unknown).toEqual([])
})

it('is found missing when it has none, also when only one of its forms has', () => {
  const planted = `
    throw new ApiProblem(409, 'x', \`The \${what} is \${ok ? 'quite' : 'not at all'} new to everybody.\`, { hint: 'Not this one.' })
    logger.warn({}, 'This is only logged.')
    throw new ToolferryError('Bug', 'This is never shown.')
    errors.push({ field: 'a', message: 'starts small' })
  `
  expect(sentencesIn('planted.ts', planted)).toEqual([
    `The ${HOLE} is quite new to everybody.`,
    `The ${HOLE} is not at all new to everybody.`,
    'starts small',
  ])
  expect(isKnown('The 7 is quite new to everybody.')).toBe(false)
})

it('every problem of the API has a title and what to do, in both languages', () => {
  const codes = new Set(sources.flatMap(({ path, text }) => problemCodes(path, text)))
  expect(codes.size).toBeGreaterThan(30)
  for (const code of codes) {
    expect(Object.keys(problemsEn), code).toContain(code)
    expect(Object.keys(problemsZh), code).toContain(code)
  }
})

function isKnown(sentence: string): boolean {
  const words = translated(sentence, SERVER_TEXTS_ZH)
  return words !== null && /[\u4e00-\u9fff]/.test(words) && !/\$\d|⟦|⟧/.test(words)
}

const HOLE = '§'

/** Whole sentences wherever they stand, and the beginnings and ends of some where it is known that they are said. */
function sentencesIn(path: string, text: string): string[] {
  const found: string[] = []
  const walk = (node: Node, said: boolean): void => {
    if (Array.isArray(node)) {
      for (const child of node) walk(child, said)
      return
    }
    if (typeof node !== 'object' || node === null || isUnshown(node)) return
    const forms = formsOf(node)
    if (forms !== null) {
      found.push(...forms.filter((form) => isSentence(form) || (said && /[a-z]{2,}[ ’].*[a-z]/.test(form))))
      return
    }
    const says = isSaying(node, path)
    for (const [key, child] of Object.entries(node)) {
      if (key !== 'type' && key !== 'key') walk(child, says || (said && passesOn(node)))
    }
  }
  walk(parseSync(path, text).program, false)
  return [...new Set(found)]
}

function isSentence(text: string): boolean {
  return /^[\p{Lu}«“"§].* .*(\.|\. §)$/su.test(text) && /[a-z]{2}/.test(text)
}

function isUnshown(node: Node): boolean {
  if (node.type === 'Property') return FOR_PROGRAMS.test(node.key.name ?? node.key.value)
  if (node.type === 'NewExpression') {
    return UNSHOWN.test(node.callee.name) || node.arguments[0]?.value === 'Bug'
  }
  if (node.type === 'VariableDeclarator') return /HINTS$/.test(node.id.name)
  if (node.type !== 'CallExpression') return node.type?.startsWith('TS') === true
  return LOGS.test(calledName(node)) || /logger/.test(node.callee.object?.name ?? '')
}

/** Whether what is in it is said to somebody, even if it is no whole sentence. */
function isSaying(node: Node, path: string): boolean {
  if (node.type === 'Property') return SAYS.test(node.key.name ?? node.key.value)
  if (node.type === 'CallExpression') return SAYING.test(calledName(node)) || calledName(node) === 'readinessOf'
  if (!/^src\/(roles|gateway)\//.test(path)) return false
  if (node.type === 'VariableDeclarator') return /^(detail|away|problem)$/.test(node.id.name)
  return node.type === 'AssignmentExpression' && (node.left.name ?? node.left.property?.name) === 'detail'
}

function passesOn({ type }: Node): boolean {
  return /Conditional|Logical|Arrow|Block|Return|If|Object|Property/.test(type)
}

function calledName({ callee }: Node): string {
  return callee.name ?? callee.property?.name ?? ''
}

/** A text with its holes, once for each way in which a condition in it may go; null: no text. */
function formsOf(node: Node): string[] | null {
  if (node.type === 'Literal') return typeof node.value === 'string' ? [node.value] : null
  if (node.type === 'BinaryExpression' && node.operator === '+') {
    const [left, right] = [formsOf(node.left), formsOf(node.right)]
    return left === null && right === null ? null : joined(left ?? [HOLE], right ?? [HOLE])
  }
  if (node.type !== 'TemplateLiteral') return null
  return node.quasis.reduce(
    (forms: string[], quasi: Node, index: number) => {
      const hole = index < node.expressions.length ? holeOf(node.expressions[index]) : ['']
      return joined(joined(forms, [quasi.value.cooked]), hole)
    },
    [''],
  )
}

function holeOf(node: Node): string[] {
  if (node.type !== 'ConditionalExpression') return [HOLE]
  return [node.consequent, node.alternate].flatMap((branch) => formsOf(branch) ?? [HOLE])
}

function joined(left: string[], right: string[]): string[] {
  return left.flatMap((start) => right.map((end) => start + end))
}

function problemCodes(path: string, text: string): string[] {
  const found: string[] = []
  const walk = (node: Node): void => {
    if (typeof node !== 'object' || node === null) return
    const code = node.type === 'NewExpression' && node.callee.name === 'ApiProblem' ? node.arguments[1]?.value : null
    if (typeof code === 'string') found.push(code)
    for (const child of Object.values(node)) walk(child)
  }
  walk(parseSync(path, text).program)
  return found
}
