import { systemEnvironment } from '../src/config.ts'
import { findTemporalBinary } from '../src/temporal/binary.ts'

/** Gets the Temporal server that the embedded mode and the tests run, so that neither waits for it. Run: node scripts/ensure-temporal.ts */

const { path, source, serverVersion } = await findTemporalBinary({
  environment: systemEnvironment(),
  onProgress: (line) => console.error(line),
})
console.log(`Temporal server ${serverVersion} (${source}): ${path}`)
