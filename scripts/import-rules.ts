import { posix } from 'node:path'

/** An import as it stands in a file. `typeOnly`: it is gone when the types are stripped. */
export type Import = { specifier: string; line: number; typeOnly: boolean }

export type Violation = { file: string; line: number; specifier: string; rule: string }

type Rule = {
  /** The files it binds, by the start of their path from the project's root. */
  where: string
  /** Why, in the words of architecture §3; printed. */
  says: string
  /** `target`: path from the root for a file of ours, the package's name otherwise. */
  forbids: (target: string, typeOnly: boolean, file: string) => boolean
}

const under = (target: string, ...rooms: string[]) =>
  rooms.some((room) => target === room || target.startsWith(`${room}/`))
const isTemporal = (target: string) =>
  under(target, 'src/temporal', 'workflows', 'activities') || under(target, '@temporalio')
const ours = ['src', 'workflows', 'activities', 'console', 'demo', 'bench', 'test', 'scripts', 'prisma']

const RULES: Rule[] = [
  {
    where: 'src/domain/',
    says: 'src/domain imports nothing of ours',
    forbids: (target) => under(target, ...ours) && !under(target, 'src/domain'),
  },
  {
    where: 'workflows/',
    says: 'workflows import src/domain, each other, @temporalio/workflow and @temporalio/common, and types of activities',
    forbids: (target, typeOnly) =>
      !under(target, 'src/domain', 'workflows', '@temporalio/workflow', '@temporalio/common') &&
      !(typeOnly && under(target, 'activities')),
  },
  {
    where: 'activities/',
    says: 'activities import neither api, gateway nor temporal, and of workflows only messages.ts',
    forbids: (target) =>
      under(target, 'src/api', 'src/gateway', 'src/temporal') ||
      (under(target, 'workflows') && target !== 'workflows/messages.ts'),
  },
  {
    where: 'src/platforms/',
    says: 'src/platforms never import store, api or gateway',
    forbids: (target) => under(target, 'src/store', 'src/api', 'src/gateway'),
  },
  {
    where: 'src/platforms/',
    says: 'src/platforms never import each other',
    forbids: (target, _typeOnly, file) => {
      const [mine, other] = [platformFolder(file), platformFolder(target)]
      return mine !== null && other !== null && mine !== other
    },
  },
  {
    where: 'src/gateway/',
    says: 'src/gateway imports neither api, platforms nor Temporal',
    forbids: (target) => under(target, 'src/api', 'src/platforms') || isTemporal(target),
  },
  {
    where: 'src/',
    says: 'only src/roles sees everything: nothing but src/main.ts imports src/roles',
    forbids: (target, _typeOnly, file) =>
      under(target, 'src/roles') && !under(file, 'src/roles') && file !== 'src/main.ts',
  },
  {
    where: '',
    says: 'the product never imports demo, bench, test or scripts',
    forbids: (target) => under(target, 'demo', 'bench', 'test', 'scripts'),
  },
  {
    where: 'console/',
    says: 'console talks only to the API: it imports nothing of src, workflows or activities',
    forbids: (target) => under(target, 'src', 'workflows', 'activities', 'prisma'),
  },
]

/** Every import of `file` (path from the root, with `/`) that breaks a rule of architecture §3. */
export function checkImports(file: string, text: string): Violation[] {
  return readImports(text).flatMap(({ specifier, line, typeOnly }) => {
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier
    return RULES.filter((rule) => file.startsWith(rule.where) && rule.forbids(target, typeOnly, file)).map((rule) => ({
      file,
      line,
      specifier,
      rule: rule.says,
    }))
  })
}

/** `dify` of `src/platforms/dify/rows.ts`; null for what lies directly in src/platforms. */
function platformFolder(path: string): string | null {
  return /^src\/platforms\/([^/]+)\//.exec(path)?.[1] ?? null
}

/** The import and re-export statements and import() calls of a TypeScript module. */
export function readImports(text: string): Import[] {
  const code = blankComments(text)
  const imports: Import[] = []
  const patterns: [RegExp, (match: RegExpExecArray) => boolean][] = [
    [
      /\b(?:import|export)(\s+type\b(?!\s+from\b))?\s*(?:[\w$*{][\w\s$*{},]*?)?\bfrom\s*(['"])(.*?)\2/g,
      (m) => m[1] !== undefined,
    ],
    [/\bimport(\s*)(['"])(.*?)\2/g, () => false],
    // `typeof import('x')` and `import('x').T` in a type cannot be told from a call here: both count as the real thing.
    [/\bimport(\s*\(\s*)(['"`])(.*?)\2/g, () => false],
  ]
  for (const [pattern, isTypeOnly] of patterns) {
    for (let match = pattern.exec(code); match !== null; match = pattern.exec(code)) {
      const line = code.slice(0, match.index).split('\n').length
      imports.push({ specifier: match[3] ?? '', line, typeOnly: isTypeOnly(match) })
    }
  }
  return imports.sort((a, b) => a.line - b.line)
}

/** Comments as spaces, so that what they quote is not taken for an import; strings keep what looks like a comment. */
function blankComments(text: string): string {
  return text.replace(/(['"`])(?:\\.|(?!\1)[^\\\n])*\1|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (part) =>
    part.startsWith('/') ? part.replace(/[^\n]/g, ' ') : part,
  )
}
