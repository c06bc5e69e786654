import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { WorkflowFailedError } from '@temporalio/client'
import { GOLDEN_RUNS } from '../test/workflows/golden-runs.ts'
import { historyText } from '../test/workflows/history-file.ts'
import { startTemporalWorld } from '../test/workflows/temporal-world.ts'

/**
 * Records the golden histories of test/histories/ anew: every way a run can go, on a real Temporal server, with scripted
 * activities. Do it only after a change that old runs need not survive; what must go on replaying stays as it is (use
 * patched(), and add a new golden run). Run: node scripts/capture-histories.ts [name …]
 */

const folder = resolve(import.meta.dirname, '../test/histories')
const wanted = process.argv.slice(2)
const names = Object.keys(GOLDEN_RUNS).filter((name) => wanted.length === 0 || wanted.includes(name))

await mkdir(folder, { recursive: true })
const world = await startTemporalWorld('toolferry')
try {
  for (const name of names) {
    const run = await GOLDEN_RUNS[name]?.(world, name)
    if (run === undefined) continue
    await run.result().catch((error: unknown) => {
      if (!(error instanceof WorkflowFailedError)) throw error
    })
    for (const file of await readdir(folder))
      if (file.replace(/(\.\d+)?\.json$/, '') === name) await rm(resolve(folder, file))
    let runId: string | null | undefined = run.firstRunId
    for (let link = 1; runId; link++) {
      const history = await world.temporal.client.workflow.getHandle(run.handle.workflowId, runId).fetchHistory()
      runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId
      const file = link === 1 && !runId ? `${name}.json` : `${name}.${link}.json`
      await writeFile(resolve(folder, file), historyText(history))
      console.log(`${file}: ${history.events?.length} events`)
    }
  }
} finally {
  await world.close()
}
