import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode } from '@temporalio/worker'
import { WORKFLOW_BUNDLE_PATH } from '../src/temporal/worker.ts'

/**
 * Bundles the workflows for an image: its workers then start without doing so themselves. Not for development, where the bundle
 * would go stale. Run: node scripts/bundle-workflows.ts [file]
 */

const target = resolve(process.argv[2] ?? WORKFLOW_BUNDLE_PATH)

const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)),
})
await mkdir(dirname(target), { recursive: true })
await writeFile(target, code)
