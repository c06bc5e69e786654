import { openMysqlClient } from '../../src/store/client.ts'

/** In a process of its own: asks a store whose connection is cut while it is set up, and tells what came of it. */

const client = openMysqlClient(process.argv[2] ?? '')
const failed = await client.reader.revision.count().then(
  () => 'answered',
  () => 'failed',
)
// What nobody handled would have ended the process by the time that another connection answers.
const answered = await client.reader.revision.count()
process.stdout.write(`${failed}, then ${answered}`)
await client.close()
