import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { checkImports, readImports } from '../../scripts/import-rules.ts'

const rules = (file: string, text: string) => checkImports(file, text).map(({ rule }) => rule)

describe('the import rule', () => {
  it.each([
    ['src/domain/plan.ts', `import type { Config } from '../config.ts'`, 'src/domain imports nothing of ours'],
    ['src/domain/plan.ts', `export { x } from '../../workflows/messages.ts'`, 'src/domain imports nothing of ours'],
    ['workflows/sync.ts', `import { readFile } from 'node:fs/promises'`, 'workflows import'],
    ['workflows/sync.ts', `import { openStore } from '../src/store/store.ts'`, 'workflows import'],
    ['workflows/sync.ts', `import type { Store } from '../src/store/store.ts'`, 'workflows import'],
    ['workflows/sync.ts', `import { createActivities } from '../activities/index.ts'`, 'workflows import'],
    ['workflows/sync.ts', `import { type Activities } from '../activities/index.ts'`, 'workflows import'],
    ['workflows/sync.ts', `import { Client } from '@temporalio/client'`, 'workflows import'],
    ['activities/plan.ts', `import { app } from '../src/api/app.ts'`, 'activities import neither'],
    ['activities/plan.ts', `import { SyncWorkflow } from '../workflows/sync.ts'`, 'activities import neither'],
    [
      'src/platforms/dify/rows.ts',
      `import { openStore } from '../../store/store.ts'`,
      'src/platforms never import store',
    ],
    ['src/platforms/registry.ts', `import { app } from '../api/app.ts'`, 'src/platforms never import store'],
    [
      'src/platforms/dify/rows.ts',
      `import { grant } from '../../gateway/grant.ts'`,
      'src/platforms never import store',
    ],
    ['src/platforms/dify/rows.ts', `import { x } from '../coze/calls.ts'`, 'src/platforms never import each other'],
    ['src/gateway/route.ts', `import { app } from '../api/app.ts'`, 'src/gateway imports neither'],
    ['src/gateway/route.ts', `import type { Platform } from '../platforms/platform.ts'`, 'src/gateway imports neither'],
    [
      'src/gateway/route.ts',
      `import { connectClient } from '../temporal/connection.ts'`,
      'src/gateway imports neither',
    ],
    ['src/gateway/route.ts', `import { Client } from '@temporalio/client'`, 'src/gateway imports neither'],
    ['src/gateway/route.ts', `const x = await import('../api/app.ts')`, 'src/gateway imports neither'],
    ['src/api/app.ts', `import { runAll } from '../roles/all.ts'`, 'only src/roles sees everything'],
    ['src/store/store.ts', `import '../../test/support/x.ts'`, 'the product never imports demo'],
    ['console/src/app.tsx', `import { states } from '../../src/domain/states.ts'`, 'console talks only to the API'],
  ])('%s may not say %s', (file, text, rule) => {
    expect(rules(file, text)).toEqual([expect.stringContaining(rule)])
  })

  it.each([
    ['src/domain/plan.ts', `import { fingerprint } from './fingerprint.ts'`],
    ['workflows/sync.ts', `import { proxyActivities } from '@temporalio/workflow'`],
    ['workflows/sync.ts', `import type { Activities } from '../activities/index.ts'`],
    ['workflows/sync.ts', `import { planTarget } from '../src/domain/plan.ts'`],
    ['activities/plan.ts', `import type { PreparedSync } from '../workflows/messages.ts'`],
    ['src/platforms/registry.ts', `import { createDifyPlatform } from './dify/dify-platform.ts'`],
    ['src/platforms/dify/rows.ts', `import type { Platform } from '../platform.ts'`],
    ['src/gateway/route.ts', `import { request } from 'node:http'`],
    ['src/roles/all.ts', `import { runApi } from './api.ts'`],
    ['src/main.ts', `import { runAll } from './roles/all.ts'`],
    ['console/src/app.tsx', `import { Table } from 'antd'`],
  ])('%s may say %s', (file, text) => {
    expect(rules(file, text)).toEqual([])
  })
})

describe('reading imports', () => {
  it('finds every form with its line, and nothing in comments or strings', () => {
    const text = [
      `import { a, type B } from './one.ts'`,
      `import type { C } from "./two.ts"`,
      `import {`,
      `  d,`,
      `  e as f,`,
      `} from './three.ts'`,
      `export * as g from './four.ts'`,
      `export type { H } from './five.ts'`,
      `import './six.ts'`,
      `import type from './seven.ts'`,
      `// import { no } from './comment.ts'`,
      `/* import { no } from`,
      `   './comment.ts' */`,
      `const url = 'http://a//b' // import './no.ts'`,
      `const load = () => import('./eight.ts')`,
      `export const from = 'not-an-import'`,
      `import i, * as j from './nine.ts'`,
    ].join('\n')
    expect(
      readImports(text).map(({ specifier, line, typeOnly }) => `${line} ${specifier}${typeOnly ? ' type' : ''}`),
    ).toEqual([
      '1 ./one.ts',
      '2 ./two.ts type',
      '3 ./three.ts',
      '7 ./four.ts',
      '8 ./five.ts type',
      '9 ./six.ts',
      '10 ./seven.ts',
      '15 ./eight.ts',
      '17 ./nine.ts',
    ])
  })
})

describe('scripts/check-imports.ts', () => {
  let root = ''
  afterEach(() => rm(root, { recursive: true, force: true }))

  it('prints file, line and rule, and fails; passes when all is well', async () => {
    root = await mkdtemp(join(tmpdir(), 'toolferry-imports-'))
    const write = async (file: string, text: string) => {
      await mkdir(dirname(join(root, file)), { recursive: true })
      await writeFile(join(root, file), text)
    }
    const script = fileURLToPath(new URL('../../scripts/check-imports.ts', import.meta.url))
    const run = () => spawnSync(process.execPath, [script, root], { encoding: 'utf8' })
    await write('src/domain/plan.ts', `import { a } from './a.ts'\n`)
    expect(run()).toMatchObject({ status: 0, stderr: '' })
    await write('src/domain/plan.ts', `import { a } from './a.ts'\nimport { b } from '../store/b.ts'\n`)
    expect(run()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('src/domain/plan.ts:2 imports ../store/b.ts: src/domain imports nothing of ours'),
    })
  })
})
