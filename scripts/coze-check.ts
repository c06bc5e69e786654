import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/domain/clock.ts'
import { ToolferryError } from '../src/domain/errors.ts'
import { createEgressPolicy } from '../src/egress/policy.ts'
import { createCozeClient } from '../src/platforms/coze/client.ts'
import { parseCozeCookie } from '../src/platforms/coze/cookie.ts'
import { type CheckPoint, type CheckWorld, READ_POINTS, WRITE_POINTS } from './coze-check-points.ts'

const USAGE = `npm run coze:check -- --cookie-file <file> [--base-url https://www.coze.cn] [--enterprise-id volcano_…]
                        [--space-id <id>] [--write --mcp-url https://… ]

Goes through docs/coze-checklist.md with a real cookie and says what this COZE does. Reads only; with --write it makes one
plugin in --space-id that calls --mcp-url, looks at it, and deletes it. What is printed holds no secret and may be shared.`

const OPTIONS = {
  'cookie-file': { type: 'string' },
  'base-url': { type: 'string', default: 'https://www.coze.cn' },
  'enterprise-id': { type: 'string' },
  'space-id': { type: 'string' },
  'mcp-url': { type: 'string' },
  /** COZE is not to be hurried; a simulator may be. */
  'pace-ms': { type: 'string', default: '600' },
  write: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const

try {
  process.exitCode = await main()
} catch (error) {
  // An option, the file or the cookie in it: the caller can put that right, a stack would only hide it.
  if (!(error instanceof ToolferryError || (error instanceof Error && 'code' in error))) throw error
  console.error(error.message)
  process.exitCode = 2
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS })
  const file = values['cookie-file']
  if (values.help || file === undefined) {
    console.info(USAGE)
    return values.help ? 0 : 2
  }
  if (values.write && (values['space-id'] === undefined || values['mcp-url'] === undefined)) {
    console.error('--write needs --space-id (where the plugin is made) and --mcp-url (what it calls).')
    return 2
  }
  const cookie = parseCozeCookie(await readFile(file, 'utf8'))
  const baseUrl = values['base-url']
  const open = (header: string) =>
    createCozeClient({
      baseUrl,
      cookie: { ...cookie, header },
      userId: null,
      egress: createEgressPolicy({ allow: [], deny: [], loopbackAllowed: true, ownPorts: new Set() }),
      budget: {
        take: async (_key, signal) => {
          await systemClock.sleep(Number(values['pace-ms']), signal)
          return async () => {}
        },
        holdUntil: async (_key, atMs) => systemClock.sleep(Math.max(0, atMs - systemClock.now())),
      },
      clock: systemClock,
    })
  const client = open(cookie.header)
  const world: CheckWorld = {
    calls: { client, signal: new AbortController().signal },
    openWith: open,
    cookie,
    enterpriseId: values['enterprise-id'] ?? null,
    spaceId: values['space-id'] ?? null,
    mcpUrl: values['mcp-url'] ?? null,
    pluginId: null,
    madeId: null,
  }
  console.info(`COZE at ${new URL(baseUrl).host}, ${values.write ? 'reading and writing' : 'reading only'}\n`)
  let failures = 0
  try {
    for (const point of [...READ_POINTS, ...(values.write ? WRITE_POINTS : [])])
      failures += (await run(point, world)) ? 0 : 1
  } finally {
    await client.close()
  }
  if (!values.write) {
    const names = WRITE_POINTS.map((point) => point.number).filter(
      (number, index, all) => all.indexOf(number) === index,
    )
    console.info(`\nNot looked at without --write: points ${names.join(', ')}.`)
  }
  console.info('\nPoints 5, 6, 10 and 11 need a person: see docs/coze-checklist.md.')
  return failures === 0 ? 0 : 1
}

/** Prints one line a finding. False when COZE did not answer as the product relies on. */
async function run(point: CheckPoint, world: CheckWorld): Promise<boolean> {
  const label = `${String(point.number).padStart(2)}  ${point.title}`
  try {
    for (const line of await point.look(world)) console.info(`${label}: ${line}`)
    return true
  } catch (error) {
    if (!(error instanceof ToolferryError)) throw error
    console.info(`${label}: FAILED, ${error.type}: ${error.message}`)
    return false
  }
}
