import { parseArgs } from 'node:util'
import { FAULT_KINDS } from '../test/chaos/plan.ts'
import { runChaos } from '../test/chaos/run.ts'

/**
 * `npm run chaos -- [--seed 1] [--faults 208]`: kills, cuts and toggles while syncs are going on, then looks at what must hold.
 * Needs PostgreSQL and MariaDB on this machine, as the tests do. Ends with 1 when something does not hold.
 */
const { values } = parseArgs({ options: { seed: { type: 'string' }, faults: { type: 'string' } } })
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const faults = Number(values.faults ?? 208)
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(faults) || faults < 1) {
  console.error('--seed and --faults are whole numbers.')
  process.exit(2)
}
// What runs is ended before this process is.
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())
const result = await runChaos({
  seed,
  faults,
  size: { instances: 3, workspaces: 4, cozeSpaces: 3 },
  print: (line) => console.log(line),
  signal: stop.signal,
})
console.log('')
for (const kind of FAULT_KINDS) console.log(`${kind.padEnd(18)} ${String(result.struck[kind]).padStart(4)}`)
const total = Object.values(result.struck).reduce((sum, count) => sum + count, 0)
console.log(`${'faults'.padEnd(18)} ${String(total).padStart(4)}`)
console.log(`runs by their end: ${JSON.stringify(result.runs)}`)
for (const violation of result.violations) console.log(`VIOLATED ${violation}`)
console.log(
  result.violations.length === 0
    ? `Everything holds: one object for each of ${result.cells} cells, every credential works, none is left over, no run is stuck.`
    : `${result.violations.length} violations; again with --seed ${seed} --faults ${faults}`,
)
process.exit(result.violations.length === 0 ? 0 : 1)
