// Prints "N passed, N failed" from vitest's JSON report: node .ci/summary.mjs <report> <exit status of the run>.
// Plain JavaScript for any Node: it must work when nothing else did.
import { readFileSync } from 'node:fs'

const [path, status] = process.argv.slice(2)
let passed = 0
let failed = 0
try {
  const report = JSON.parse(readFileSync(path, 'utf8'))
  passed = report.numPassedTests
  failed = report.numFailedTests
  // A file that could not even be loaded has no test to count.
  failed += report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
  const skipped = report.numPendingTests + (report.numTodoTests ?? 0)
  if (skipped > 0) {
    console.error(`${skipped} skipped: nothing may be skipped here, so they count as failed`)
    failed += skipped
  }
} catch {
  console.error('The tests did not run; see above for the step that failed.')
}
if (failed === 0 && (status !== '0' || passed === 0)) failed = 1
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
