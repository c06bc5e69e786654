import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode } from '@temporalio/worker'
import { beforeAll, describe, expect, it } from 'vitest'

/** What runs in Temporal's sandbox. */

const ROOM = fileURLToPath(new URL('../../workflows/', import.meta.url))

/**
 * The SDK's own workflow runtime is about 1.6 MB of it (engineering.md §B.6). Ours is a few kB: far more means that
 * something was drawn in that does not belong here, such as zod or an activity's implementation.
 */
const LARGEST_BYTES = 2_500_000

describe('the workflow bundle', () => {
  let code: string

  beforeAll(async () => {
    const bundle = await bundleWorkflowCode({
      workflowsPath: `${ROOM}index.ts`,
      logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    })
    code = bundle.code
  })

  it('holds the workflows', () => {
    expect(code).toContain('async function SyncWorkflow')
    expect(code).toContain('async function CredentialWatchWorkflow')
  })

  it('is small', () => {
    expect(Buffer.byteLength(code)).toBeLessThan(LARGEST_BYTES)
  })

  it('has no module of Node in it, nor a package or a room that works outside the sandbox', () => {
    // webpack names a module by its path at the head of its section.
    const modules = [...code.matchAll(/^\/\*\*\*\/ "([^"]+)"$/gm)].map((match) => match[1] ?? '')
    expect(modules.length).toBeGreaterThan(20)
    const ofNode = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]))
    // The SDK brings a stand-in of `assert` for the sandbox, as a file of its own.
    expect(modules.filter((path) => ofNode.has(path))).toEqual([])
    const ours = modules.filter((path) => !path.includes('node_modules') && path.includes('.ts'))
    expect(ours.length).toBeGreaterThan(5)
    expect(ours.filter((path) => !/^\.\/(workflows|src\/domain)\//.test(path))).toEqual([])
    const packages = new Set(modules.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []))
    const { dependencies } = JSON.parse(readFileSync(`${ROOM}../package.json`, 'utf8')) as { dependencies: object }
    const foreign = Object.keys(dependencies).filter((name) => !name.startsWith('@temporalio/'))
    expect(foreign.filter((name) => packages.has(name))).toEqual([])
  })
})

describe('the sources of workflows/', () => {
  // Sandboxes of several runs share their modules (engineering.md §B.8): a variable there would leak from run to run.
  it.each(globSync('*.ts', { cwd: ROOM }).sort())('%s keeps no state in its module', (file) => {
    const lines = readFileSync(`${ROOM}${file}`, 'utf8').split('\n')
    expect(lines.filter((line) => /^(export )?(let|var)\b/.test(line))).toEqual([])
    expect(
      lines.filter((line) => /^(export )?const \w+(: [^=]+)? = (new (Map|Set|WeakMap|Array)\b|\[\]|\{\}$)/.test(line)),
    ).toEqual([])
  })
})
