import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startCozeSimulator } from '../../../demo/coze-simulator/simulator.ts'
import type { CozeAccount, CozeSimulator } from '../../../demo/coze-simulator/simulator-types.ts'
import { startScriptedServer } from '../../support/scripted-mcp-server.ts'
import { TOOLS } from './world.ts'

/** `npm run coze:check` against the simulator. */

let coze: CozeSimulator
let account: CozeAccount
let spaceId: string
let folder: string
beforeEach(async () => {
  coze = await startCozeSimulator({ adminPort: null })
  account = coze.addAccount({ name: '张三' })
  spaceId = coze.addSpace({ ownerId: account.userId, name: '研发' })
  folder = await mkdtemp(join(tmpdir(), 'toolferry-coze-check-'))
  await writeFile(join(folder, 'cookie.txt'), `Cookie: ${account.cookie}\n`)
})
afterEach(async () => {
  await coze.stop()
  await rm(folder, { recursive: true, force: true })
})

function check(...more: string[]): Promise<{ code: number; output: string }> {
  const args = [
    'scripts/coze-check.ts',
    '--cookie-file',
    join(folder, 'cookie.txt'),
    '--base-url',
    coze.origin,
    '--pace-ms',
    '0',
    ...more,
  ]
  return new Promise((resolve) => {
    execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, output: stdout + stderr })
    })
  })
}

it('reads only, says what it found, and tells no secret', async () => {
  coze.addForeignPlugin({ spaceId, name: 'There', pluginType: 11, url: 'https://o.test/mcp', tools: ['a', 'b'] })
  const { code, output } = await check('--space-id', spaceId)
  expect(code, output).toBe(0)
  expect(output).toMatch(/library filter \[1,11\]: sub-types listed with it: 11;/)
  expect(output).toContain('get_plugin_apis: 2 tools')
  expect(coze.calls({ writes: true })).toEqual([])
  for (const value of account.cookie.split('; ').map((pair) => pair.slice(pair.indexOf('=') + 1))) {
    if (value.length >= 8) expect(output).not.toContain(value)
  }
}, 240_000)

it('with --write makes one plugin and leaves none', async () => {
  const mcp = await startScriptedServer({ tools: TOOLS })
  try {
    coze.route('https://mcp.example.com', new URL(mcp.url).origin)
    const { code, output } = await check('--space-id', spaceId, '--write', '--mcp-url', 'https://mcp.example.com/mcp')
    expect(code, output).toBe(0)
    expect(output).toMatch(/old edit_version: .*777777759/)
    expect(coze.plugins(spaceId)).toEqual([])
    expect(coze.calls({ endpoint: 'register_plugin_meta' })).toHaveLength(1)
  } finally {
    await mcp.stop()
  }
}, 240_000)

it.each([
  ['is refused', { kind: 'business-error', code: 702092010, msg: '插件名称已存在' }, 0],
  ['loses its answer', { kind: 'lost-response' }, 1],
] as const)(
  'with --write touches no other plugin when its registration %s',
  async (_what, fault, left) => {
    const there = coze.addForeignPlugin({ spaceId, name: 'There', pluginType: 11, url: 'https://o.test/mcp' })
    const before = coze.plugin(there)
    coze.faults.add({ endpoint: 'register_plugin_meta', fault })
    const { code, output } = await check('--space-id', spaceId, '--write', '--mcp-url', 'https://mcp.example.com/mcp')
    expect(code).toBe(1)
    expect(coze.plugin(there)).toEqual(before)
    expect(coze.plugins(spaceId)).toHaveLength(1 + left)
    expect(output).toMatch(/register: FAILED/)
    expect(output).toMatch(/delete: not looked at: no plugin was made/)
  },
  60_000,
)

it('a login that has ended is said, not thrown', async () => {
  coze.loseSession({ cookie: account.cookie })
  const { code, output } = await check()
  expect(code).toBe(1)
  expect(output).toContain('CredentialExpired')
}, 240_000)

it.each([
  ['an option that there is not', ['--nonsense'], "Unknown option '--nonsense'"],
  ['a file that is not there', ['--cookie-file', 'nowhere/cookie.txt'], 'nowhere/cookie.txt'],
  ['a file without a login', ['--cookie-file', 'package.json'], 'no login in it'],
  ['an address that is none', ['--base-url', 'nonsense'], 'Invalid URL'],
])(
  '%s is said in a line, without a stack',
  async (_, more, said) => {
    const { code, output } = await check(...more)
    expect(code, output).toBe(2)
    expect(output).toContain(said)
    expect(output).not.toContain('    at ')
  },
  60_000,
)
